"""What any commit ever said in a lock: no output of ours is an original again because its line got lost on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from disk import commit, content, entry, git
from pictures import save_photo as picture
from policies import SETTLED_AT_A_GLANCE as POLICY
from semcompress_plugin import git as module
from semcompress_plugin.cli import main
from semcompress_plugin.entries import encode
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.files import digest
from semcompress_plugin.history import History


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
    _, command, _ = str(one["reason"]).split("`")
    said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    with (clone / "semcompress.lock").open("a") as lock:
        lock.write("".join(f"{line[1:]}\n" for line in said.splitlines()))
    again = found(capsys, "compress")["b.jpg"]
    assert again["status"] == "unchanged"
    assert again["looks"] == 0
    assert (clone / "b.jpg").read_bytes() == before


def test_a_stranger_on_another_branch_cannot_have_a_picture_taken_for_another(upstream, monkeypatch):
    clone = cloned(upstream, monkeypatch)
    git(clone, "checkout", "-q", "-b", "evil")
    Image.effect_noise((120, 90), 120).save(clone / "mine.jpg", quality=98)  # as unlike a.jpg as can be
    mine = (clone / "mine.jpg").read_bytes()
    stored = git(clone, "hash-object", "-w", "a.jpg").strip()
    line = entry(0, path="mine.jpg", name="mine.jpg", blob=stored, original=content((clone / "a.jpg").read_bytes()))
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


@pytest.mark.parametrize(
    "noted",
    [
        *(b"", b"nonsense\n", b"[]\n[1]\n", b'{"a": 1}\n', b'["--all"]\n', b"\xff\xfe", b"[" * 9999),
        *(b'[[], ""]\n["--output=x", "", 1]\n', b'[[], ""]\n[1, 2, 3]\n', b'[[1], ""]\n'),
    ],
)
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


HOSTILE = (
    b'++ "b/\\xzz/semcompress.lock"\n++ b/elsewhere/semcompress.lock\n'
    b"diff --git a/x b/x\n@@ -1 +1 @@\n" + b"[" * 50_000 + b"\n{" + b'"a":{' * 20_000 + b"\n\xff\xfe\0\n"
)


def test_what_a_lock_in_history_holds_is_taken_for_nothing_else(upstream):
    repository = module.find(upstream)
    assert repository is not None
    line = encode(entry(5))
    (upstream / "semcompress.lock").write_bytes(HOSTILE + line.encode() + b"\n" + b'{"original": 1}\n')
    commit(upstream)
    (told,) = History(repository).of(entry(5).output.sha256)
    assert (told.folder, told.line) == ("", line)
    assert told.commit == git(upstream, "rev-parse", "HEAD").strip()


@pytest.mark.parametrize("attribute", ["-diff", "binary", "diff=lock"])
def test_a_lock_that_is_said_to_be_no_text_is_read_too(upstream, monkeypatch, capsys, attribute):
    """As those of package managers are, lest their changes be shown; merges included."""
    (upstream / ".gitattributes").write_text(f"semcompress.lock {attribute}\n")
    git(upstream, "config", "diff.lock.binary", "true")
    commit(upstream)
    clone = cloned(upstream, monkeypatch)
    git(clone, "config", "diff.lock.binary", "true")
    git(clone, "merge", "-q", "--no-commit", "origin/other")
    lock, line = clone / "semcompress.lock", encode(entry(6))
    lock.write_text(f"{lock.read_text()}{line}\n")
    commit(clone, "what neither side has")
    without_line(lock, "a.jpg")
    without_line(lock, "b.jpg")
    commit(clone)
    commit(clone)
    assert {one["status"] for one in found(capsys, "compress").values()} == {"unchanged"}
    repository = module.find(Path.cwd())
    assert repository is not None
    assert [told.line for told in History(repository).of(entry(6).output.sha256)] == [line]


def test_a_commit_that_git_has_tidied_up_hides_nothing_of_later_ones(upstream):
    repository = module.find(upstream)
    assert repository is not None
    commit(upstream, "to be amended")
    assert History(repository).of("0" * 64) == []
    gone = git(upstream, "rev-parse", "HEAD").strip()
    lock, line = upstream / "semcompress.lock", encode(entry(8))
    lock.write_text(f"{lock.read_text()}{line}\n")
    git(upstream, "add", "-A")
    git(upstream, "commit", "-q", "--amend", "-m", "amended")
    git(upstream, "reflog", "expire", "--expire=now", "--all")
    git(upstream, "gc", "-q", "--prune=now")
    assert gone in (repository.state / "history").read_text()
    assert History(repository).of(entry(8).output.sha256)


def test_what_a_shallow_clone_fetches_later_is_walked_then(upstream, monkeypatch, capsys):
    without_line(upstream / "semcompress.lock", "a.jpg")
    commit(upstream)
    commit(upstream)
    git(upstream.parent, "clone", "-q", "--depth", "1", f"file://{upstream}", "clone")
    monkeypatch.chdir(clone := upstream.parent / "clone")
    picture(clone / "new.jpg", 5)
    assert main(["compress", "new.jpg"]) == 1
    git(clone, "fetch", "-q", "--unshallow")
    before = (clone / "a.jpg").read_bytes()
    one = found(capsys, "compress")["a.jpg"]
    assert (one["status"], one["looks"]) == ("unchanged", 0)
    assert "an earlier commit has its line" in str(one["reason"])
    assert (clone / "a.jpg").read_bytes() == before


def test_check_finds_it_and_writes_nothing(upstream, monkeypatch, capsys):
    clone = cloned(upstream, monkeypatch)
    without_line(clone / "semcompress.lock", "a.jpg")
    commit(clone)
    commit(clone)
    (clone / ".git/semcompress").mkdir(exist_ok=True)
    before = sorted((clone / ".git/semcompress").iterdir())
    assert found(capsys, "check")["a.jpg"]["looks"] == 0
    assert sorted((clone / ".git/semcompress").iterdir()) == before


@pytest.mark.parametrize("state", ["unborn", "detached", "a worktree", "SHA-256"])
def test_wherever_the_working_tree_stands(tmp_path, monkeypatch, capsys, state):
    folder = tmp_path / "somewhere"
    git(tmp_path, "init", "-q", "-b", "main", *(["--object-format=sha256"] if state == "SHA-256" else []), str(folder))
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        git(folder, "config", name, value)
    monkeypatch.chdir(folder)
    (folder / ".semcompress.yaml").write_text(POLICY)
    picture(folder / "a.jpg", 1)
    assert main(["compress"]) == 1
    commit(folder)
    before = (folder / "a.jpg").read_bytes()
    (folder / ".git/semcompress/journal").unlink()
    without_line(folder / "semcompress.lock", "a.jpg")
    commit(folder)
    commit(folder)
    match state:
        case "unborn":
            git(folder, "checkout", "-q", "--orphan", "new")
        case "detached":
            git(folder, "checkout", "-q", "--detach")
            git(folder, "branch", "-q", "-D", "main")
        case "a worktree":
            git(folder, "worktree", "add", "-q", str(tmp_path / "tree"))
            monkeypatch.chdir(folder := tmp_path / "tree")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    one = found(capsys, "compress")["a.jpg"]
    assert (one["status"], one["looks"]) == ("skipped" if state == "unborn" else "unchanged", 0), one
    assert (folder / "a.jpg").read_bytes() == before


@pytest.mark.parametrize("branch", ["here", "elsewhere"])
def test_an_edit_beside_the_pixels_of_an_output_whose_line_is_lost_is_known(upstream, monkeypatch, capsys, branch):
    clone = cloned(upstream, monkeypatch)
    if branch == "here":
        without_line(clone / "semcompress.lock", "a.jpg")
        commit(clone)
        commit(clone)
    else:
        git(clone, "checkout", "-q", "origin/other", "--", "b.jpg")
        (clone / "a.jpg").write_bytes((clone / "b.jpg").read_bytes())
        (clone / "b.jpg").unlink()
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    block = b"Exif\0\0" + exif.tobytes()
    data = (clone / "a.jpg").read_bytes()
    edited = data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
    (clone / "a.jpg").write_bytes(edited)
    one = found(capsys, "compress")["a.jpg"]
    assert (one["status"], one["looks"]) == ("unchanged" if branch == "here" else "skipped", 0), one
    assert (clone / "a.jpg").read_bytes() == edited
    assert ('"edited": true' in (clone / "semcompress.lock").read_text()) == (branch == "here")
    assert found(capsys, "compress")["a.jpg"]["looks"] == 0


def test_what_took_its_originals_place_is_not_settled_for_having_lain_beside_another(upstream, monkeypatch, capsys):
    """Both lines are lost, and the policy is another by now: it is measured or left alone, as any that was replaced."""
    clone = cloned(upstream, monkeypatch)
    lock = clone / "semcompress.lock"
    replaced = next(line for line in lock.read_text().splitlines() if '"path": "a.jpg"' in line)
    beside = replaced.replace('"replaced"', '"beside"').replace('"path": "a.jpg"', '"path": "z.jpg"')
    lock.write_text("\n".join([*lock.read_text().splitlines(), beside, ""]))
    commit(clone)
    for name in ("a.jpg", "z.jpg"):
        without_line(lock, name)
    (clone / ".semcompress.yaml").write_text(POLICY.replace("0.3", "0.9999"))
    commit(clone)
    commit(clone)
    one = found(capsys, "compress")["a.jpg"]
    assert one["status"] == "skipped"
    assert "was shrunk under another policy" in str(one["reason"])


def test_without_git_history_says_nothing(upstream, monkeypatch):
    repository = module.find(upstream)
    assert repository is not None

    def run(*_: object, **__: object) -> bytes:
        raise OriginalsError("git is not on the PATH")

    monkeypatch.setattr(module, "run", run)
    assert History(repository).of("0" * 64) == []


def test_a_tip_that_was_missing_is_walked_once_it_is_back(upstream, monkeypatch):
    clone = cloned(upstream, monkeypatch)
    tip = git(clone, "rev-parse", "origin/other").strip()
    repository = module.find(clone.resolve())
    assert repository is not None
    really = History._missing
    monkeypatch.setattr(History, "_missing", lambda self, tips: {tip})
    output = digest((clone / "a.jpg").read_bytes())
    assert History(repository).of(output)
    noted = json.loads((repository.state / "history").read_text().splitlines()[0])[0]
    assert tip not in noted
    monkeypatch.setattr(History, "_missing", really)
    assert History(repository)._missing([tip, "0" * 40]) == {"0" * 40}


def test_a_note_that_is_no_file_keeps_nobody_waiting(upstream, monkeypatch):
    clone = cloned(upstream, monkeypatch)
    repository = module.find(clone.resolve())
    assert repository is not None
    repository.state.mkdir()
    os.mkfifo(repository.state / "history")
    picture(clone / "new.jpg", 7)  # history is asked of what no lock knows
    command = [sys.executable, "-m", "semcompress_plugin", "check", "--quiet"]
    assert subprocess.run(command, timeout=120, check=False).returncode == 1
