"""``--policy`` over pictures of another repository: what that one knows of its pictures counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from disk import commit, git, repository
from pictures import encoded, photo
from semcompress_plugin.cli import main

POLICY = """\
version: 1
originals: ORIGINALS
rules:
  - name: all
    files: ["**/*.jpg"]
    compress: [{jpeg: {quality: QUALITY}}]
    keep: {msssim: {score: {min: BOUND}}}
"""


def write_policy(folder: Path, quality: int, bound: float, originals: str = "git") -> None:
    text = POLICY.replace("QUALITY", str(quality)).replace("BOUND", str(bound)).replace("ORIGINALS", originals)
    (folder / ".semcompress.yaml").write_text(text if originals != "git" else text.replace("originals: git\n", ""))


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that has shrunk its picture."""
    folder = repository(tmp_path / "upstream")
    monkeypatch.chdir(folder)
    write_policy(folder, 60, 0.3)
    (folder / "a.jpg").write_bytes(encoded(photo((240, 180), 1), "JPEG", quality=97))
    assert main(["compress"]) == 1
    commit(folder)
    return folder


@pytest.fixture(params=["a submodule", "a clone below a folder with a policy"])
def outer(request: pytest.FixtureRequest, upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a policy lies that another repository lies below."""
    outer = tmp_path / "outer"
    if request.param == "a submodule":
        repository(outer)
        git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(upstream), "site/sub")
        write_policy(outer, 20, 0.3)
        commit(outer)
    else:
        (outer / "site").mkdir(parents=True)
        git(tmp_path, "clone", "-q", str(upstream), str(outer / "site/sub"))
        write_policy(outer, 20, 0.3, ".kept")
    monkeypatch.chdir(outer)
    return outer


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict]:
    capsys.readouterr()
    main([*words, "--format", "json"])
    return {one["path"]: one for one in json.loads(capsys.readouterr().out)["results"]}


LOSE = {
    "nothing": (),
    "the lock of a clone is in its history alone": ("rm", "-q", "semcompress.lock"),
}


@pytest.mark.parametrize("lost", LOSE)
def test_what_the_pictures_own_repository_shrank_is_no_original_to_another_policy(outer, capsys, lost):
    sub = outer / "site/sub"
    if LOSE[lost]:
        git(sub, *LOSE[lost])
        git(sub, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-q", "-m", "x")
    before = (sub / "a.jpg").read_bytes()
    for command in ("check", "compress", "compress"):
        one = run(capsys, command, "--policy", ".semcompress.yaml", "site/sub")["site/sub/a.jpg"]
        assert one["status"] == "skipped"
        assert "was shrunk under another policy" in one["reason"]
    assert (sub / "a.jpg").read_bytes() == before


def test_nor_is_what_only_its_journal_knows(outer, capsys):
    sub = outer / "site/sub"
    (sub / "b.jpg").write_bytes(encoded(photo((240, 180), 2), "JPEG", quality=97))
    assert main(["compress", str(sub / "b.jpg")]) == 1
    git(sub, "checkout", "-q", "semcompress.lock")
    before = (sub / "b.jpg").read_bytes()
    one = run(capsys, "compress", "--policy", ".semcompress.yaml", "site/sub")["site/sub/b.jpg"]
    assert one["status"] == "skipped"
    assert (sub / "b.jpg").read_bytes() == before


def test_nor_is_what_only_a_lock_that_was_not_committed_yet_knows(outer, capsys):
    sub = outer / "site/sub"
    (sub / "b.jpg").write_bytes(encoded(photo((240, 180), 2), "JPEG", quality=97))
    assert main(["compress", str(sub / "b.jpg")]) == 1
    for journal in outer.rglob("semcompress/journal"):
        journal.unlink()
    before = (sub / "b.jpg").read_bytes()
    one = run(capsys, "compress", "--policy", ".semcompress.yaml", "site/sub")["site/sub/b.jpg"]
    assert one["status"] == "skipped"
    assert (sub / "b.jpg").read_bytes() == before


def test_nor_is_an_edit_beside_its_pixels(outer, capsys):
    path = outer / "site/sub/a.jpg"
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    block = b"Exif\0\0" + exif.tobytes()
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:])
    before = path.read_bytes()
    one = run(capsys, "compress", "--policy", ".semcompress.yaml", "site/sub")["site/sub/a.jpg"]
    assert one["status"] == "skipped"
    assert path.read_bytes() == before


def test_verify_knows_it_for_what_it_is(outer, capsys):
    one = run(capsys, "verify", "--policy", ".semcompress.yaml", "site/sub")["site/sub/a.jpg"]
    assert "is not settled" not in (one["reason"] or "")


def test_nor_does_a_build_start_from_it(outer, capsys, tmp_path):
    before = (outer / "site/sub/a.jpg").read_bytes()
    run(capsys, "build", "--policy", ".semcompress.yaml", "site", str(tmp_path / "public"))
    assert (tmp_path / "public/sub/a.jpg").read_bytes() == before


def test_where_its_lock_cannot_be_read_the_picture_stays(outer, capsys):
    sub = outer / "site/sub"
    (sub / "new.jpg").write_bytes(encoded(photo((240, 180), 2), "JPEG", quality=97))
    before = (sub / "new.jpg").read_bytes()
    (sub / "semcompress.lock").write_text("version https://git-lfs.github.com/spec/v1\n")
    one = run(capsys, "compress", "--policy", ".semcompress.yaml", "site/sub")["site/sub/new.jpg"]
    assert one["status"] == "failed"
    assert "whether it is an output of ours cannot be told" in one["reason"]
    assert (sub / "new.jpg").read_bytes() == before
    git(sub, "checkout", "-q", "semcompress.lock")
    assert run(capsys, "compress", "--policy", ".semcompress.yaml", "site/sub")["site/sub/new.jpg"]["status"] in (
        "compressed",
        "unchanged",
    )
