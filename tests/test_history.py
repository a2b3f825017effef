"""What any commit ever said in a lock: no output of ours is an original again because its line got lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disk import commit, entry, git
from pictures import encoded, photo
from semcompress_plugin import git as module
from semcompress_plugin.cli import main
from semcompress_plugin.entries import encode
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.files import digest
from semcompress_plugin.history import History

POLICY = """\
version: 1
rules:
  - name: all
    files: ["**/*.jpg"]
    compress: [{jpeg: {quality: 60}}]
    keep: {msssim: {score: {min: 0.3}}}
"""


def picture(path: Path, seed: int) -> None:
    path.write_bytes(encoded(photo((240, 180), seed), "JPEG", quality=97))


@pytest.fixture
def upstream(repository: Path) -> Path:
    """A repository with one picture that was shrunk on `main`, and one on `other`."""
    (repository / ".semcompress.yaml").write_text(POLICY)
    picture(repository / "a.jpg", 1)
    assert main(["compress"]) == 1
    commit(repository)
    git(repository, "checkout", "-q", "-b", "other")
    picture(repository / "b.jpg", 2)
    assert main(["compress"]) == 1
    commit(repository, "other")
    git(repository, "checkout", "-q", "main")
    return repository


def cloned(upstream: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where no journal remembers anything."""
    git(upstream.parent, "clone", "-q", f"file://{upstream}", "clone")
    monkeypatch.chdir(upstream.parent / "clone")
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        git(Path(), "config", name, value)
    return Path()


def found(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    main([*words, "--format", "json"])
    return {one["path"]: one for one in json.loads(capsys.readouterr().out)["results"]}


def without_line(lock: Path, name: str) -> None:
    lines = lock.read_text().splitlines(keepends=True)
    lock.write_text("".join(line for line in lines if f'"path": "{name}"' not in line))


def loses(clone: Path, how: str) -> None:
    """Have the line of a.jpg, or of b.jpg taken in from `other`, get lost."""
    match how:
        case "a revert":
            before = (clone / "a.jpg").read_bytes()
            git(clone, "revert", "--no-edit", "HEAD")
            (clone / ".semcompress.yaml").write_text(POLICY)
            (clone / "a.jpg").write_bytes(before)
        case "a merge that was settled for one side, long ago":
            picture(clone / "c.jpg", 3)
            assert main(["compress"]) == 1
            commit(clone)
            git(clone, "merge", "-q", "-X", "ours", "--no-commit", "origin/other")
            git(clone, "checkout", "-q", "HEAD", "--", "semcompress.lock")
            commit(clone)
            for _ in range(3):
                commit(clone)
        case "a rebase in which one side was taken":
            without_line(clone / "semcompress.lock", "a.jpg")
            commit(clone)
        case "a nested policy that went with its lock":
            (clone / "n").mkdir()
            (clone / "n/.semcompress.yaml").write_text(POLICY.replace("0.3", "0.2"))
            picture(clone / "n/d.jpg", 4)
            assert main(["compress"]) == 1
            commit(clone)
            git(clone, "rm", "-q", "n/.semcompress.yaml", "n/semcompress.lock")
            commit(clone)
    for remembered in (clone / ".git/semcompress").glob("journal*"):
        remembered.unlink()


@pytest.mark.parametrize(
    "how",
    [
        "a revert",
        "a merge that was settled for one side, long ago",
        "a rebase in which one side was taken",
        "a nested policy that went with its lock",
    ],
)
def test_what_an_earlier_commit_has_of_an_output_is_found_there(upstream, monkeypatch, capsys, how):
    clone = cloned(upstream, monkeypatch)
    loses(clone, how)
    before = {path: path.read_bytes() for path in clone.rglob("*.jpg")}
    for name, one in found(capsys, "compress").items():
        assert one["status"] == "unchanged", (name, one)
    assert {path: path.read_bytes() for path in before} == before
    second = found(capsys, "compress")
    assert all(one["looks"] == 0 for one in second.values()), "the lock has its lines again"
    assert main(["restore", "a.jpg"]) in (0, 1)


def test_an_output_of_another_branch_is_left_alone_with_a_word_on_its_line(upstream, monkeypatch, capsys):
    clone = cloned(upstream, monkeypatch)
    git(clone, "checkout", "-q", "origin/other", "--", "b.jpg")
    before = (clone / "b.jpg").read_bytes()
    one = found(capsys, "compress")["b.jpg"]
    commit_of_other = git(clone, "rev-parse", "origin/other")[:12]
    assert one["status"] == "skipped"
    assert f"was shrunk in commit {commit_of_other}" in str(one["reason"])
    assert (clone / "b.jpg").read_bytes() == before
    # the command in the reason, less the shell
    said = [line[1:] for line in git(clone, "show", commit_of_other).splitlines() if line.startswith('+{"original')]
    with (clone / "semcompress.lock").open("a") as lock:
        lock.write("".join(f"{line}\n" for line in said))
    again = found(capsys, "compress")["b.jpg"]
    assert again["status"] == "unchanged"
    assert again["looks"] == 0
    assert (clone / "b.jpg").read_bytes() == before


def test_a_stranger_on_another_branch_cannot_have_a_picture_taken_for_another(upstream, monkeypatch):
    clone = cloned(upstream, monkeypatch)
    git(clone, "checkout", "-q", "-b", "evil")
    picture(clone / "mine.jpg", 9)
    mine = (clone / "mine.jpg").read_bytes()
    stored = git(clone, "hash-object", "-w", "a.jpg").strip()
    line = entry(0, path="mine.jpg", name="mine.jpg", blob=stored)
    with (clone / "semcompress.lock").open("a") as lock:
        lock.write(encode(line).replace(line.output.sha256, digest(mine)) + "\n")
    git(clone, "add", "semcompress.lock")
    git(clone, "commit", "-q", "-m", "evil")
    git(clone, "checkout", "-q", "main")
    main(["compress"])
    assert (clone / "mine.jpg").read_bytes() == mine


def test_history_is_walked_once_and_then_only_what_is_new(upstream, monkeypatch):
    repository = module.find(upstream)
    assert repository is not None
    walked = []
    really = module.run

    def run(folder, *arguments, **options):
        if arguments[0] == "rev-list":
            walked.append(options["input"].decode().split())
        return really(folder, *arguments, **options)

    monkeypatch.setattr(module, "run", run)
    known = History(repository)
    assert known.of("0" * 64) == []
    assert [bool(tips) for tips in walked] == [True]
    assert History(repository).of("0" * 64) == []
    assert len(walked) == 1
    line = encode(entry(7))
    (upstream / "semcompress.lock").write_text((upstream / "semcompress.lock").read_text() + line + "\n")
    commit(upstream)
    assert [told.line for told in History(repository).of(entry(7).output.sha256)] == [line]
    assert any(tip.startswith("^") for tip in walked[1])


@pytest.mark.parametrize("noted", [b"", b"nonsense\n", b"[]\n[1]\n", b'{"a": 1}\n', b'["--all"]\n', b"\xff\xfe"])
def test_a_damaged_note_is_made_anew(upstream, noted):
    repository = module.find(upstream)
    assert repository is not None
    (repository.state / "history").write_bytes(noted)
    assert History(repository).of(digest((upstream / "a.jpg").read_bytes()))


def test_names_that_git_quotes_and_settings_that_change_what_it_shows(upstream):
    repository = module.find(upstream)
    assert repository is not None
    folder = upstream / 'ä "x"\ty'
    folder.mkdir()
    (folder / "semcompress.lock").write_text(encode(entry(3)) + "\n")
    for name in ("diff.noprefix", "diff.mnemonicPrefix", "log.showSignature"):
        git(upstream, "config", name, "true")
    git(upstream, "config", "color.ui", "always")
    git(upstream, "config", "diff.external", "false")
    commit(upstream)
    (told,) = History(repository).of(entry(3).output.sha256)
    assert told.folder == folder.name
    assert told.commit == git(upstream, "rev-parse", "HEAD").strip()
    assert told.entry() == entry(3)


def test_without_git_history_says_nothing(upstream, monkeypatch):
    repository = module.find(upstream)
    assert repository is not None

    def run(*_: object, **__: object) -> bytes:
        raise OriginalsError("git is not on the PATH")

    monkeypatch.setattr(module, "run", run)
    assert History(repository).of("0" * 64) == []
