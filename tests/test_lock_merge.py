"""Merging locks: nothing that both sides kept is lost, whoever merges, by git's merge driver or by hand."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disk import commit, entry, git, repository
from semcompress_plugin.cli import main
from semcompress_plugin.entries import HEADER, parse, render
from semcompress_plugin.errors import LockError
from semcompress_plugin.lock import Lock
from semcompress_plugin.merge import Sides, merge, parted

LINES = st.lists(st.builds(entry, st.integers(0, 6), looks=st.integers(1, 3)), max_size=8)
NEWER = '{"format": "semcompress.lock", "version": 2}\n'


@given(LINES, LINES, LINES)
@settings(max_examples=200)
def test_a_merge_is_the_same_from_either_side_and_loses_nothing(base, ours, theirs):
    texts = [render(some) for some in (base, ours, theirs)]
    merged = merge(Sides(*texts), "x")
    assert merged == merge(Sides(texts[0], texts[2], texts[1]), "x")
    mine, other, now = ({line.original for line in parse(text, "x")} for text in (*texts[1:], merged))
    assert now == mine | other
    # merging once more changes nothing
    assert merge(Sides(texts[0], merged, texts[2]), "x") == merged


def test_what_one_side_deleted_stays_and_what_one_side_changed_is_as_it_is_there():
    """A commit that is reverted on one side takes its lines away; on the other its picture may have a new name."""
    base = render([entry(1), entry(2)])
    deleted = render([entry(2)])
    assert merge(Sides(base, deleted, base), "x") == base
    assert merge(Sides(base, base, deleted), "x") == base
    changed = render([entry(1, looks=9), entry(2)])
    assert merge(Sides(base, deleted, changed), "x") == changed
    assert merge(Sides(base, base, changed), "x") == changed
    assert merge(Sides(base, changed, base), "x") == changed


def test_without_an_ancestor_lines_of_both_sides_are_there():
    assert merge(Sides("", render([entry(1)]), render([entry(2)])), "x") == render([entry(1), entry(2)])


def test_one_picture_settled_in_two_ways_keeps_both_lines():
    from disk import content

    ours, theirs = entry(1, output=content(b"mine")), entry(1, output=content(b"theirs"))
    assert merge(Sides("", render([ours]), render([theirs])), "x") == render([ours, theirs])


def test_the_same_output_under_two_policies_keeps_both_lines():
    ours, theirs = entry(1, policy="one"), entry(1, policy="two")
    assert merge(Sides("", render([ours]), render([theirs])), "x") == render([ours, theirs])


@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_a_text_with_markers_is_parted_into_its_sides(style):
    ancestor = f"||||||| base\n{render([entry(3)]).splitlines()[1]}\n" if style == "diff3" else ""
    one, two = (render([entry(number)]).splitlines()[1] for number in (1, 2))
    text = f"{HEADER}\n<<<<<<< HEAD\n{one}\n{ancestor}=======\n{two}\n>>>>>>> theirs\n"
    sides = parted(text)
    assert (sides.ours, sides.theirs) == (f"{HEADER}\n{one}\n", f"{HEADER}\n{two}\n")
    assert merge(sides, "x") == render([entry(1), entry(2)])


def driven(folder: Path) -> Path:
    root = repository(folder)
    (root / ".gitattributes").write_text("semcompress.lock merge=semcompress\n")
    driver = f"{shlex.quote(sys.executable)} -P -m semcompress_plugin lock --merge %O %A %B"
    git(root, "config", "merge.semcompress.driver", driver)
    return root


def write(root: Path, *entries, message="x"):
    (root / "semcompress.lock").write_text(render(entries))
    commit(root, message)


def branches(root: Path, base, ours, theirs):
    write(root, *base)
    git(root, "checkout", "-q", "-b", "theirs")
    write(root, *theirs)
    git(root, "checkout", "-q", "main")
    write(root, *ours)


def read(root: Path):
    return parse((root / "semcompress.lock").read_text(), "x")


BASE = [entry(number) for number in range(4)]
OURS = [*BASE[1:], entry(10), entry(12, looks=1)]  # reverted the commit that settled the first
THEIRS = [*BASE, entry(11), entry(12, looks=2)]
MERGED = parse(render([*BASE, entry(10), entry(11), entry(12, looks=2)]), "x")


@pytest.mark.parametrize("how", ["merge", "rebase", "cherry-pick"])
def test_git_merges_locks_by_itself_with_the_driver(tmp_path, how):
    root = driven(tmp_path)
    branches(root, BASE, OURS, THEIRS)
    if how == "merge":
        git(root, "merge", "-q", "-m", "merge", "theirs")
    elif how == "rebase":
        git(root, "rebase", "-q", "theirs")
    else:
        git(root, "cherry-pick", "theirs")
    assert read(root) == MERGED
    assert git(root, "status", "--porcelain") == ""


def test_a_rebase_of_several_commits_keeps_every_line(tmp_path):
    root = driven(tmp_path)
    branches(root, BASE, [*BASE, entry(10)], [*BASE, entry(20)])
    for number in (11, 12):
        write(root, *BASE, *(entry(n) for n in range(10, number + 1)))
    git(root, "rebase", "-q", "theirs")
    assert read(root) == parse(render([*BASE, *map(entry, (10, 11, 12, 20))]), "x")


def test_the_driver_leaves_a_newer_lock_alone_and_git_in_conflict(tmp_path):
    root = driven(tmp_path)
    branches(root, BASE, OURS, THEIRS)
    git(root, "checkout", "-q", "theirs")
    (root / "semcompress.lock").write_text(NEWER)
    commit(root)
    git(root, "checkout", "-q", "main")
    before = (root / "semcompress.lock").read_text()
    done = subprocess.run(["git", "-C", root, "merge", "theirs"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "(theirs):1: format 2 is newer" in done.stderr + done.stdout
    assert (root / "semcompress.lock").read_text() == before
    assert git(root, "ls-files", "--unmerged")


def conflict(root: Path):
    branches(repository(root), BASE, OURS, THEIRS)
    done = subprocess.run(["git", "-C", root, "merge", "-q", "theirs"], capture_output=True, check=False)
    assert done.returncode == 1
    assert "<<<<<<<" in (root / "semcompress.lock").read_text()


def test_a_conflict_is_named_with_its_remedy_and_the_remedy_uses_gits_stages(tmp_path, monkeypatch, capsys):
    conflict(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".semcompress.yaml").write_text("version: 1\n")
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert main(["check"]) == 2
    assert "run `semcompress lock --merge`" in capsys.readouterr().err
    assert main(["lock", "--merge"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "now tell git: git add semcompress.lock"
    assert read(tmp_path) == MERGED, "whatever either side has"


def test_what_was_settled_since_the_merge_survives_it(tmp_path, monkeypatch):
    conflict(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "semcompress.lock").write_text(render([*OURS, entry(99)]))
    assert main(["lock", "--merge"]) == 0
    assert read(tmp_path) == parse(render([*MERGED, entry(99)]), "x")


def test_without_git_the_markers_alone_are_resolved(tmp_path, monkeypatch, capsys):
    conflict(tmp_path / "r")
    text = (tmp_path / "r/semcompress.lock").read_text()
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/semcompress.lock").write_text(text)
    monkeypatch.chdir(tmp_path / "alone")
    assert main(["lock", "--merge"]) == 0
    kept = {line.original for line in read(tmp_path / "alone")}
    assert {line.original for line in MERGED} <= kept
    assert "merged, " in capsys.readouterr().out
    assert main(["lock", "--merge"]) == 0
    assert capsys.readouterr().out == "no lock is in conflict here\n"


def test_markers_that_were_committed_further_down_are_resolved_from_above_and_from_beside(
    tmp_path, monkeypatch, capsys
):
    conflict(tmp_path / "made")
    text = (tmp_path / "made/semcompress.lock").read_text()
    for where in ("", "other"):
        root = repository(tmp_path / f"r{where}")
        for name in ("n", "other"):
            (root / name).mkdir()
        (root / "n/semcompress.lock").write_text(text)
        (root / "other/semcompress.lock").write_text(render([entry(1)]))
        commit(root)
        monkeypatch.chdir(root / where)
        assert main(["lock", "--merge"]) == 0
        assert {line.original for line in MERGED} <= {line.original for line in read(root / "n")}
        said = capsys.readouterr().out
        assert "n/semcompress.lock: merged, " in said
        assert said.count("merged") == 1
        assert main(["lock", "--merge"]) == 0
        assert capsys.readouterr().out == "no lock is in conflict here\n"


def test_a_lock_that_one_side_deleted_is_the_other_sides(tmp_path, monkeypatch):
    root = repository(tmp_path)
    write(root, *BASE)
    git(root, "checkout", "-q", "-b", "theirs")
    write(root, *THEIRS)
    git(root, "checkout", "-q", "main")
    git(root, "rm", "-q", "semcompress.lock")
    commit(root)
    subprocess.run(["git", "-C", root, "merge", "-q", "theirs"], capture_output=True, check=False)
    monkeypatch.chdir(root)
    assert main(["lock", "--merge"]) == 0
    assert read(root) == parse(render(THEIRS), "x")


def test_a_newer_lock_in_conflict_is_not_rewritten(tmp_path, monkeypatch, capsys):
    text = f"<<<<<<< ours\n{render([entry(1)])}=======\n{NEWER}>>>>>>> theirs\n"
    (tmp_path / "semcompress.lock").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["lock", "--merge"]) == 2
    assert "newer" in capsys.readouterr().err
    assert (tmp_path / "semcompress.lock").read_text() == text


def test_the_command_says_whether_the_lock_is_sound_and_how_git_merges_it(tmp_path, monkeypatch, capsys):
    root = repository(tmp_path)
    write(root, *BASE)
    monkeypatch.chdir(root)
    assert main(["lock"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("semcompress.lock: sound, 4 entries\n")
    for line in [line.strip() for line in out.splitlines() if line.startswith("  ")]:
        subprocess.run(line, shell=True, check=True, cwd=root)
    assert main(["lock"]) == 0
    assert capsys.readouterr().out == "semcompress.lock: sound, 4 entries\n"
    (root / "semcompress.lock").write_text("<<<<<<< ours\n")
    assert main(["lock"]) == 2


def test_a_driver_that_is_not_there_leaves_what_a_merge_without_one_would(tmp_path, monkeypatch, capsys):
    root = repository(tmp_path)
    monkeypatch.chdir(root)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/py%thon '3'")
        assert main(["lock"]) == 0
    advice = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    for line in advice:
        subprocess.run(line, shell=True, check=True, cwd=root)
    branches(root, BASE, OURS, THEIRS)
    done = subprocess.run(["git", "-C", root, "merge", "-q", "theirs"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "/nowhere/py%thon '3'" in done.stderr + done.stdout
    assert main(["lock"]) == 2
    assert "a merge left conflict markers" in capsys.readouterr().err
    assert main(["lock", "--merge"]) == 0
    assert read(root) == MERGED
    capsys.readouterr()
    assert main(["lock"]) == 0
    assert "git config merge.semcompress.driver" in capsys.readouterr().out, "the one that is set is none"


@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("how", ["merge", "cherry-pick", "rebase", "merge --squash"])
def test_while_commits_are_put_together_the_lines_of_the_side_that_was_not_taken_are_known(tmp_path, how, side):
    root = repository(tmp_path)
    branches(root, BASE, OURS, THEIRS)
    done = subprocess.run(["git", "-C", root, *how.split(), "theirs"], capture_output=True, check=False)
    assert done.returncode == 1
    lost = entry(10 if (side == "ours") == (how == "rebase") else 11)  # a rebase has the other branch for its own side

    def is_known() -> bool:
        lock = Lock(root / "semcompress.lock", root / ".git/semcompress")
        return lock.by_output(lost.output.sha256) == (lost,)

    git(root, "checkout", f"--{side}", "semcompress.lock")
    assert lost.output.sha256 not in (root / "semcompress.lock").read_text()
    assert is_known()
    git(root, "add", "semcompress.lock")
    assert is_known()
    if how == "merge":
        commit(root)
        assert is_known()


@pytest.mark.parametrize("how", ["merge", "driver"])
def test_a_side_that_was_committed_with_markers_is_taken_apart(tmp_path, monkeypatch, how):
    conflict(tmp_path)
    commit(tmp_path, "markers and all")
    git(tmp_path, "checkout", "-q", "-b", "third", "theirs~")
    write(tmp_path, *BASE, entry(20))
    done = subprocess.run(["git", "-C", tmp_path, "merge", "-q", "main"], capture_output=True, check=False)
    assert done.returncode == 1
    monkeypatch.chdir(tmp_path)
    sides = [f"{number}.side" for number in (1, 2, 3)]
    for number, name in enumerate(sides, 1):
        (tmp_path / name).write_text(git(tmp_path, "cat-file", "blob", f":{number}:semcompress.lock"))
    assert main(["lock", "--merge", *(sides if how == "driver" else [])]) == 0
    merged = parse((tmp_path / (sides[1] if how == "driver" else "semcompress.lock")).read_text(), "x")
    assert {line.original for line in (*MERGED, entry(20))} <= {line.original for line in merged}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_driver_wants_three_files(count, capsys):
    assert main(["lock", "--merge", *["x"] * count]) == 2
    assert "%O %A %B" in capsys.readouterr().err


def test_the_driver_is_told_which_of_its_files_are_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").write_text(render([]))
    assert main(["lock", "--merge", "a", "b", "c"]) == 2
    assert capsys.readouterr().err == "semcompress: a, c: expected a file, as git gives its merge drivers\n"


def test_a_damaged_side_is_named():
    with pytest.raises(LockError, match=r"x \(theirs\):2: not a line of a lock"):
        merge(Sides("", render([entry(1)]), f"{HEADER}\nnonsense\n"), "x")
