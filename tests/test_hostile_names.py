"""Names that are meant to fool a terminal, a shell, a glob or a file system."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from disk import commit, git
from pictures import encoded, photo
from semcompress_plugin.claims import Claims
from semcompress_plugin.cli import main
from semcompress_plugin.runner import Runner
from semcompress_plugin.words import printable

POLICY = """\
version: 1
rules:
  - name: all
    files: ["*"]
    compress: [{jpeg: {scale: 1, quality: 60}}, {webp: {scale: 1, quality: 60}}]
    keep: {msssim: {score: {min: 0.1}}}
    %s
"""
NAMES = [
    os.fsdecode(name)
    for name in (
        b"new\nline.jpg",
        b"-rf.jpg",
        b"--policy=x.jpg",
        b"\xff\xfe.jpg",
        b"\x1b[2Jclear.jpg",
        b"\x1b]0;title\x07.jpg",
        "\x9b31mred.jpg".encode(),
        "\u202egpj.exe.jpg".encode(),
        b"tab\tand\rreturn.jpg",
        b"'; touch pwned; '.jpg",
        b"$(touch pwned).jpg",
        b"%s%n{0}.jpg",
        b" .jpg",
        b"*?[a].jpg",
        b"!a.jpg",
    )
]
DANGEROUS = set("\n\r\t\x1b\x07\x9b\u202e")


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / ".semcompress.yaml").write_text(POLICY % "")
    return repository


def put(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(photo((96, 64), number), "JPEG", quality=97))


def results(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict]:
    main([*arguments, "--format", "json"])
    out = capsys.readouterr().out
    assert not DANGEROUS - {"\n"} & set(out)
    return {result["path"]: result for result in json.loads(out)["results"]}


@pytest.mark.parametrize("text", ["a\x00b", "\x7f", "\u2028", "\u2066x", "\udcff", *NAMES])
def test_printable_leaves_nothing_that_acts_on_a_terminal(text):
    shown = printable(text)
    assert not DANGEROUS & set(shown)
    assert shown.isprintable()
    assert printable("größe 日本.jpg") == "größe 日本.jpg"


@pytest.mark.parametrize("command", ["compress", "check"])
def test_every_name_is_handled_and_shown_without_power(folder, capsys, command):
    put(folder, *NAMES)
    assert main([command]) == 1
    shown = capsys.readouterr()
    assert not (DANGEROUS - {"\n"}) & set(shown.out + shown.err)
    assert shown.out.count(".jpg") == len(NAMES)
    assert not (folder / "pwned").exists()
    if command == "compress":
        assert all((folder / name).stat().st_size < 6000 for name in NAMES)
        assert {result["status"] for result in results(capsys, "compress").values()} == {"unchanged"}
        main(["restore", "--all"])
        shown = capsys.readouterr()
        assert not (DANGEROUS - {"\n"}) & set(shown.out + shown.err)
        for number, name in enumerate(NAMES):
            assert (folder / name).read_bytes() == encoded(photo((96, 64), number), "JPEG", quality=97)


def test_json_names_every_file_so_that_it_can_be_found_again(folder, capsys):
    put(folder, *NAMES)
    assert set(results(capsys, "check")) == set(NAMES)


def test_a_build_writes_every_name(folder, capsys, tmp_path):
    put(folder, *NAMES)
    assert main(["build", ".", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert not (DANGEROUS - {"\n"}) & set(shown.out + shown.err)
    for name in NAMES:
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == (96, 64)


def test_the_hook_names_every_file_without_power_and_quotes_what_it_tells_to_type(folder, capsys):
    put(folder, *NAMES[:6])
    git(folder, "add", "-A")
    assert main(["compress", "--hook"]) == 1
    shown = capsys.readouterr()
    assert not (DANGEROUS - {"\n"}) & set(shown.out + shown.err)
    line = shown.err.strip().splitlines()[-1]
    assert " ./-rf.jpg" in line
    assert "git add" in line


def test_errors_about_names_are_without_power_too(folder, capsys):
    assert main(["explain", "\x1b[2Jnot there.jpg"]) == 2
    assert main(["compress", "\x1b[2Jnot there.jpg"]) in (1, 2)
    assert main(["compress", "--policy", "\x1b[2J.yaml"]) == 2
    shown = capsys.readouterr()
    assert not (DANGEROUS - {"\n"}) & set(shown.out + shown.err)
    assert "\\x1b[2J" in shown.err


def test_what_commands_say_of_one_name_is_without_power_too(folder, capsys):
    place = folder / "\x1b[2J\udcff"
    place.mkdir()
    put(place, "\x1b[2J.jpg")
    assert main(["init", str(place)]) == 0
    assert main(["validate", str(place)]) == 0
    assert main(["explain", str(place / "\x1b[2J.jpg")]) == 0
    assert main(["baseline", "--policy", str(place / ".semcompress.yaml")]) == 0
    shown = capsys.readouterr()
    assert not (DANGEROUS - {"\n"}) & set(shown.out + shown.err)
    assert shown.out.count("\\x1b[2J\\udcff") == 5


def test_names_with_leading_dashes_can_be_named(folder, capsys):
    put(folder, "-rf.jpg")
    found = results(capsys, "compress", "./-rf.jpg")
    assert found["-rf.jpg"]["status"] == "compressed"


@pytest.mark.parametrize("pattern", ["../a.jpg", "a/../../b.jpg", "/etc/*.jpg", "./../x"])
def test_patterns_never_leave_the_policys_folder(folder, capsys, pattern, tmp_path):
    put(tmp_path, "a.jpg", "b.jpg")
    put(folder, "in.jpg")
    text = POLICY.replace('["*"]', json.dumps([pattern])) % ""
    (folder / ".semcompress.yaml").write_text(text)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.jpg")}
    main(["compress"])
    main(["compress", str(tmp_path / "a.jpg")])
    assert {path: path.read_bytes() for path in tmp_path.glob("*.jpg")} == before
    capsys.readouterr()


def test_links_that_leave_the_repository_are_never_written_through(folder, capsys, tmp_path):
    put(tmp_path / "outside", "secret.jpg", "deep/secret.jpg")
    put(folder, "real.jpg")
    (folder / "file.jpg").symlink_to(tmp_path / "outside/secret.jpg")
    (folder / "dir").symlink_to(tmp_path / "outside")
    (folder / ".semcompress.yaml").write_text(POLICY % "outputs: {formats: [webp], place: beside}")
    (folder / "real.webp").symlink_to(tmp_path / "outside/new.webp")
    (folder / "semcompress.lock").symlink_to(tmp_path / "outside/lock")
    before = tree(tmp_path / "outside")
    for arguments in ([], ["file.jpg"], ["dir"], ["dir/secret.jpg"], ["dir/deep"]):
        assert main(["compress", *arguments]) in (0, 1, 2)
    (folder / "semcompress.lock").unlink()
    capsys.readouterr()
    found = results(capsys, "compress", "real.jpg", "file.jpg", "dir/secret.jpg")
    assert {name: result["status"] for name, result in found.items()} == dict.fromkeys(found, "failed")
    assert "leaves" in found["dir/secret.jpg"]["reason"]
    assert "symbolic link" in found["file.jpg"]["reason"]
    assert tree(tmp_path / "outside") == before
    assert (folder / "real.webp").is_symlink()


def test_a_build_is_never_led_out_of_its_folder(folder, capsys, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "page.css").write_text("precious")
    put(folder, "site/a/photo.jpg", "site/photo.jpg")
    (folder / "site" / "page.css").write_text("body {}")
    (folder / "site/a/other.css").write_text("p {}")
    out = tmp_path / "out"
    out.mkdir()
    (out / "page.css").symlink_to(tmp_path / "outside/page.css")
    (out / "photo.jpg").symlink_to(tmp_path / "outside/photo.jpg")
    (out / "a").symlink_to(tmp_path / "outside")
    assert main(["build", "site", str(out)]) == 2
    assert "is a symbolic link, through which nothing is written" in capsys.readouterr().err
    (out / "a").unlink()
    assert main(["build", "site", str(out)]) == 0
    assert tree(tmp_path / "outside") == {"page.css": b"precious"}
    assert (out / "page.css").read_text() == "body {}"
    assert not (out / "photo.jpg").is_symlink()
    capsys.readouterr()


def tree(top: Path) -> dict[str, bytes]:
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_a_build_publishes_nothing_that_a_link_leads_out_to(folder, capsys, tmp_path):
    put(tmp_path / "outside", "secret.jpg")
    (tmp_path / "outside" / "notes.txt").write_text("secret")
    put(folder, "site/photo.jpg")
    (folder / "site/notes.txt").symlink_to(tmp_path / "outside/notes.txt")
    (folder / "site/other.jpg").symlink_to(tmp_path / "outside/secret.jpg")
    (folder / "site/all").symlink_to(tmp_path / "outside")
    assert main(["build", "site", str(tmp_path / "out")]) == 0
    assert list(tree(tmp_path / "out")) == ["photo.jpg"]
    capsys.readouterr()


@pytest.mark.parametrize("place", ["replace", "beside"])
@pytest.mark.parametrize("names", [("a.jpg", "a.JPG"), ("a.jpg", "A.jpg"), ("a.jpg", "a.jpeg")])
def test_two_pictures_never_share_an_output_not_even_where_case_does_not_count(folder, capsys, names, place):
    put(folder, *names)
    (folder / ".semcompress.yaml").write_text(POLICY % f"outputs: {{formats: [webp], place: {place}}}")
    first = results(capsys, "compress")
    assert sorted(found["status"] for found in first.values()) == ["compressed", "failed"]
    (loser,) = (found for found in first.values() if found["status"] == "failed")
    assert "would be written where" in loser["reason"]
    state = tree(folder)
    for _ in range(2):
        again = results(capsys, "compress")
        assert "compressed" not in {found["status"] for found in again.values()}
        assert again[loser["path"]]["status"] == "failed"
        assert {path: data for path, data in tree(folder).items() if ".git/" not in path} == {
            path: data for path, data in state.items() if ".git/" not in path
        }


def test_git_is_never_given_a_name_as_an_option(folder, capsys):
    put(folder, "--upload-pack=touch pwned.jpg", "-.jpg")
    commit(folder)
    assert main(["compress"]) == 1
    assert main(["restore", "--all"]) == 0
    assert not list(folder.rglob("pwned"))
    assert subprocess.run(["git", "status", "--porcelain", "*.jpg"], capture_output=True, check=True).stdout == b""
    capsys.readouterr()


@pytest.mark.parametrize("place", ["replace", "beside"])
def test_whose_a_name_is_does_not_depend_on_which_picture_is_ready_first(folder, capsys, monkeypatch, place):
    put(folder, "a.jpg", "b.jpg")
    for name in ("a.jpeg", "B.jpeg"):
        (folder / name).write_bytes((folder / "a.jpg").read_bytes() + b"\0")
    (folder / ".semcompress.yaml").write_text(POLICY % f"outputs: {{formats: [webp], place: {place}}}")
    first = results(capsys, "check")
    run = Runner.run
    monkeypatch.setattr(Runner, "run", lambda self, jobs: reversed(list(run(self, jobs))))
    again = results(capsys, "check")
    assert {path: found["status"] for path, found in again.items()} == {
        path: found["status"] for path, found in first.items()
    }
    assert again["a.jpg"]["reason"] == "would be written where a.jpeg is: rename one, or exclude one"
    assert again["b.jpg"]["reason"] == "would be written where B.jpeg is: rename one, or exclude one"


def test_a_new_name_is_told_from_that_of_a_picture_that_stays_whatever_their_case():
    claims = Claims()
    assert claims.keep("x/Photo.webp") == "x/Photo.webp"
    assert claims.claim("x/photo.webp", "x/photo.jpg") == "x/Photo.webp"
    assert claims.claim("y/photo.webp", "y/photo.jpg") == "y/photo.jpg"
    assert claims.keep("y/PHOTO.webp") == "y/photo.jpg"
    assert claims.keep("x/PHOTO.webp") == "x/PHOTO.webp", "it is there already"
