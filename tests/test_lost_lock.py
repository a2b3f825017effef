"""A lock that is not here, or not as it was written: what git has of it counts, and nothing is shrunk again."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from disk import commit, entry, git
from pictures import save_photo as picture
from policies import SETTLED_AT_A_GLANCE as POLICY
from semcompress_plugin.cli import main
from semcompress_plugin.entries import HEADER, render
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.lock_in_git import salvaged


@pytest.fixture
def clone(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone, where no journal remembers what the lock says of two pictures."""
    (repository / ".semcompress.yaml").write_text(POLICY)
    picture(repository / "a.jpg", 1)
    picture(repository / "b.jpg", 2)
    assert main(["compress"]) == 1
    commit(repository)
    git(repository.parent, "clone", "-q", f"file://{repository}", "clone")
    monkeypatch.chdir(repository.parent / "clone")
    return repository.parent / "clone"


def lose(clone: Path, how: str) -> None:
    lock = clone / "semcompress.lock"
    if how == "left out by a sparse checkout":
        git(clone, "sparse-checkout", "set", "--no-cone", "/*", "!/semcompress.lock")
        assert not lock.exists()
    elif how == "deleted":
        lock.unlink()
    else:
        lock.write_text(how)


@pytest.mark.parametrize("how", ["deleted", "left out by a sparse checkout", "", "\n", f"{HEADER}\n", f"{HEADER}\r\n"])
@pytest.mark.parametrize("few", ["n.jpg", "a.jpg"])
def test_whoever_writes_to_a_lock_that_is_gone_puts_all_that_git_has_back(clone, how, few):
    before = {name: (clone / name).read_bytes() for name in ("a.jpg", "b.jpg")}
    lines = set((clone / "semcompress.lock").read_text().splitlines())
    lose(clone, how)
    picture(clone / "n.jpg", 3)
    assert main(["compress", few]) == (few == "n.jpg")
    assert set((clone / "semcompress.lock").read_text().splitlines()) >= lines
    assert main(["compress"]) == (few != "n.jpg")
    assert {name: (clone / name).read_bytes() for name in before} == before


def test_the_line_ends_that_git_gives_another_lock_do_not_hide_it(clone):
    """``core.autocrlf``: a lock of this policy is read whatever they are."""
    for name in ("one", "two"):
        (clone / name).mkdir()
        (clone / name / ".semcompress.yaml").write_text(POLICY.replace("60", "20"))
    (clone / "a.jpg").rename(clone / "two/a.jpg")
    lock = clone / "semcompress.lock"
    lines = lock.read_bytes().replace(b"\n", b"\r\n")
    (clone / "one/semcompress.lock").write_bytes(lines)
    lock.unlink()
    git(clone, "add", "-A")
    before = (clone / "two/a.jpg").read_bytes()
    assert main(["compress", "two"]) == 0
    assert (clone / "two/a.jpg").read_bytes() == before


@pytest.mark.parametrize("how", ["newer", "newer, in the index alone", "in conflict with a newer one", "a link"])
def test_where_another_lock_cannot_be_read_nothing_is_replaced_that_no_lock_knows(clone, capsys, how):
    """One of its lines might say of what nobody here knows that it is an output of ours."""
    (clone / "n").mkdir()
    lock = clone / "n/semcompress.lock"
    newer = HEADER.replace("1}", "2}") + '\n{"output": "of another shape"}\n'
    match how:
        case "newer":
            lock.write_text(newer)
        case "newer, in the index alone":
            lock.write_text(newer)
            git(clone, "add", "n")
            lock.unlink()
        case "in conflict with a newer one":
            lock.write_text(f"<<<<<<< ours\n{HEADER}\n=======\n{newer}>>>>>>> theirs\n")
        case "a link":
            lock.symlink_to("elsewhere")
    picture(clone / "new.jpg", 7)
    before = {name: (clone / name).read_bytes() for name in ("a.jpg", "new.jpg")}
    assert main(["check"]) == 1
    assert "new.jpg: whether it is an output of ours cannot be told" in capsys.readouterr().out
    assert main(["compress"]) == 1
    told = capsys.readouterr().out
    assert "new.jpg: whether it is an output of ours cannot be told" in told
    assert ("is not a regular file" if how == "a link" else "newer format") in told
    assert {name: (clone / name).read_bytes() for name in before} == before


def conflict(clone: Path, how: str) -> str:
    """Merge a branch that has settled m.jpg into one that has settled n.jpg: the line that only the other side has.

    No journal remembers it, and git marks no conflict in the lock.
    """
    origin = clone.parent / "repository"
    git(clone, "config", "merge.semcompress.driver", "/nowhere/semcompress lock --merge %O %A %B")
    attribute = "merge=semcompress" if "driver" in how else "-merge"
    (clone / ".git/info/attributes").write_text(f"semcompress.lock {attribute}\n")
    picture(clone / "n.jpg", 3)
    assert main(["compress"]) == 1
    commit(clone)
    (line,) = lines_of_another_picture(origin)
    git(clone, "fetch", "-q")
    done = subprocess.run(["git", "-C", clone, "merge", "-q", "origin/main"], capture_output=True, check=False)
    assert done.returncode == 1
    if how.startswith("settled"):
        git(clone, "checkout", "-q", "--ours", "semcompress.lock")
        git(clone, "add", "semcompress.lock")
    if how.endswith("committed"):
        git(clone, "commit", "-qm", "merged")
    assert line not in (clone / "semcompress.lock").read_text()
    return line


def lines_of_another_picture(origin: Path) -> set[str]:
    before = set((origin / "semcompress.lock").read_text().splitlines())
    with contextlib.chdir(origin):
        picture(origin / "m.jpg", 4)
        assert main(["compress"]) == 1
    commit(origin)
    return set((origin / "semcompress.lock").read_text().splitlines()) - before


MERGES = [
    "left in conflict by a driver that is not there",
    "left in conflict as no text",
    "settled for our side",
    "settled for our side and committed",
]


@pytest.mark.parametrize("how", MERGES)
def test_what_a_merge_brings_is_known_whichever_side_it_left_as_the_lock(clone, how):
    line = conflict(clone, how)
    before = (clone / "m.jpg").read_bytes()
    assert main(["compress"]) == 0
    assert (clone / "m.jpg").read_bytes() == before
    assert line in (clone / "semcompress.lock").read_text().splitlines()


def test_the_hook_stops_a_merge_whose_lock_was_settled_for_one_side(clone, capsys):
    conflict(clone, "settled for our side")
    before = (clone / "m.jpg").read_bytes()
    assert main(["compress", "--hook"]) == 1
    assert "semcompress.lock is not staged with m.jpg" in capsys.readouterr().err
    assert (clone / "m.jpg").read_bytes() == before


@pytest.mark.parametrize("how", MERGES[:2])
def test_whoever_writes_to_one_side_of_a_merge_hides_nothing_of_the_other(clone, how):
    line = conflict(clone, how)
    picture(clone / "o.jpg", 5)
    assert main(["compress", "o.jpg"]) == 1
    assert line in (clone / "semcompress.lock").read_text().splitlines()


@pytest.mark.parametrize("how", MERGES[::3])
def test_what_a_merge_brings_to_another_lock_is_no_original_here(clone, how):
    conflict(clone, how)
    (clone / "two").mkdir()
    (clone / "two/.semcompress.yaml").write_text(POLICY.replace("60", "20"))
    before = (clone / "m.jpg").read_bytes()
    (clone / "m.jpg").rename(clone / "two/m.jpg")
    assert main(["compress", "two"]) == 0
    assert (clone / "two/m.jpg").read_bytes() == before
    assert not (clone / "two/semcompress.lock").exists()


@pytest.mark.parametrize("how", MERGES[::2])
def test_a_lock_that_a_merge_left_as_one_side_is_merged_by_hand(clone, capsys, how):
    line = conflict(clone, how)
    capsys.readouterr()
    if how.startswith("left"):
        assert main(["lock"]) == 2
        assert "holds one side of it: run `semcompress lock --merge`" in capsys.readouterr().err
    assert main(["lock", "--merge"]) == 0
    assert "now tell git: git add semcompress.lock" in capsys.readouterr().out
    assert line in (clone / "semcompress.lock").read_text().splitlines()


@pytest.fixture
def elsewhere(repository: Path) -> Path:
    """A repository in which what the lock of one policy knows has moved under another's; without a journal."""
    for name, quality in (("one", "60"), ("two", "20")):
        (repository / name).mkdir()
        (repository / name / ".semcompress.yaml").write_text("originals: ../kept\n" + POLICY.replace("60", quality))
    picture(repository / "one/a.jpg", 1)
    assert main(["compress", "one"]) == 1
    commit(repository)
    git(repository, "mv", "one/a.jpg", "two/a.jpg")
    commit(repository)
    shutil.rmtree(repository / ".git/semcompress")
    return repository


@pytest.mark.parametrize("how", ["git trusts it not", "git is not there"])
def test_where_git_cannot_be_asked_nothing_is_replaced_that_no_lock_here_knows(elsewhere, monkeypatch, capsys, how):
    before = (elsewhere / "two/a.jpg").read_bytes()
    if how == "git is not there":
        monkeypatch.setenv("PATH", str(elsewhere / "two"))
    else:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    capsys.readouterr()
    assert main(["compress", "two"]) == 1
    said = capsys.readouterr()
    assert "whether it is an output of ours cannot be told" in said.out + said.err
    what = "install git" if how == "git is not there" else "git config --global --add safe.directory"
    assert what in said.out + said.err
    assert (elsewhere / "two/a.jpg").read_bytes() == before


def test_a_lock_that_a_partial_clone_has_not_fetched_is_not_taken_for_none(elsewhere, capsys, monkeypatch):
    git(elsewhere, "config", "uploadpack.allowFilter", "true")
    clone = elsewhere.parent / "clone"
    git(elsewhere.parent, "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{elsewhere}", "clone")
    git(clone, "sparse-checkout", "set", "two")
    git(clone, "checkout", "-q", "main")
    assert not (clone / "one").exists()
    monkeypatch.chdir(clone)
    before = (clone / "two/a.jpg").read_bytes()
    assert main(["compress"]) == 1
    said = capsys.readouterr()
    assert "one/semcompress.lock is not in this clone" in said.out + said.err
    assert (clone / "two/a.jpg").read_bytes() == before


def test_a_lock_that_git_ignores_is_told_of_with_what_to_do(repository, capsys):
    (repository / ".semcompress.yaml").write_text(POLICY)
    (repository / ".gitignore").write_text("*.lock\n")
    picture(repository / "a.jpg", 1)
    assert main(["compress"]) == 1
    said = "semcompress.lock: git ignores it, so nobody else will know what was shrunk: git add -f semcompress.lock"
    assert said in capsys.readouterr().err
    assert main(["lock"]) == 0
    assert said in capsys.readouterr().err
    (repository / "semcompress.lock").unlink()
    assert main(["compress"]) == 0, "the journal remembers"
    assert said in capsys.readouterr().err
    git(repository, "add", "a.jpg")
    assert main(["compress", "--hook"]) == 1
    assert "git add -f semcompress.lock" in capsys.readouterr().err
    git(repository, "add", "-f", "semcompress.lock")
    assert main(["compress", "--hook"]) == 0
    assert main(["lock"]) == 0
    assert "ignore" not in capsys.readouterr().err


def test_a_lock_that_lost_its_header_is_salvaged_and_what_has_nothing_of_a_lock_is_not(tmp_path):
    lock = tmp_path / "semcompress.lock"
    _, _, lines = render([entry(1), entry(2)]).partition("\n")
    assert len(salvaged(lines.encode(), lock)) == 2
    assert len(salvaged(f"{HEADER}\n<<<<<<< ours\n{lines}".encode(), lock)) == 2
    assert len(salvaged(b"\n", lock)) == 0
    with pytest.raises(OriginalsError, match=r"semcompress\.lock: is no lock, here or in git: take one"):
        salvaged(b"version https://git-lfs.github.com/spec/v1\n", lock)


@pytest.fixture
def filtered(clone: Path) -> Path:
    """The clone, with a lock that git keeps as what a filter makes of it."""
    (clone / ".gitattributes").write_text("*.lock filter=secret\n")
    for act in ("clean", "smudge"):
        git(clone, "config", f"filter.secret.{act}", "tr a-z n-za-m")
    git(clone, "add", "--renormalize", "semcompress.lock")
    commit(clone)
    return clone


@pytest.mark.parametrize("where", ["", "two/"])
def test_what_a_filter_makes_of_a_lock_is_not_taken_for_an_empty_one(filtered, capsys, where):
    before = (filtered / "a.jpg").read_bytes()
    (filtered / "two").mkdir()
    (filtered / "two/.semcompress.yaml").write_text(POLICY.replace("60", "20"))
    (filtered / "a.jpg").rename(filtered / f"{where}a.jpg")
    (filtered / "semcompress.lock").unlink()
    assert main(["compress", f"{where}a.jpg"]) == 1
    said = capsys.readouterr()
    assert "is no lock, here or in git, but what the filter 'secret' makes of one" in said.out + said.err
    assert (filtered / f"{where}a.jpg").read_bytes() == before


def test_what_the_last_commit_merged_need_be_no_lock(filtered):
    """The filter was taken away on a branch, and that merged."""
    git(filtered, "checkout", "-q", "-b", "mended")
    (filtered / ".gitattributes").unlink()
    git(filtered, "add", "--renormalize", "semcompress.lock")
    commit(filtered)
    git(filtered, "checkout", "-q", "-")
    commit(filtered)
    git(filtered, "merge", "-q", "--no-ff", "-m", "mended", "mended")
    picture(filtered / "n.jpg", 3)
    assert main(["compress", "n.jpg"]) == 1
    assert '"path": "n.jpg"' in (filtered / "semcompress.lock").read_text()


def test_the_hook_says_that_a_filter_hides_the_lock_and_what_it_says_mends_that(filtered, capsys):
    assert main(["compress", "--hook", "a.jpg"]) == 2
    said = capsys.readouterr().err
    line, command = said.split("`")[1::2]
    with (filtered / ".gitattributes").open("a") as file:
        file.write(f"{line}\n")
    subprocess.run(command, shell=True, check=True, cwd=filtered)
    assert main(["compress", "--hook", "a.jpg"]) == 0
