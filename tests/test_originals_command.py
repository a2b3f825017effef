"""``semcompress originals``: what is kept, handed on and let go; and where a policy may keep it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from disk import commit, content, git, names, repository, sha, shrunk, workplace
from pictures import encoded, photo
from semcompress_plugin import git as ours
from semcompress_plugin.cli import main
from semcompress_plugin.errors import LockError, OriginalsError, UsageError
from semcompress_plugin.images import decode
from semcompress_plugin.lock import Lock, parse, render
from semcompress_plugin.originals import REFS, GitOriginals, _git, open_originals
from semcompress_plugin.pixels import fingerprint
from semcompress_plugin.settle import Settlement, settle
from semcompress_plugin.sharing import Remotes


def replaced(root: Path, *pictures: str) -> None:
    """Pictures that were shrunk before they were ever committed: their originals are on no branch."""
    for name in pictures:
        (root / name).write_bytes(b"original of " + name.encode())
    lock, store = workplace(root)
    assert settle([shrunk(root / n, lock, b"small " + n.encode()) for n in pictures], lock, store) == [None] * len(
        pictures
    )
    commit(root)


def kept_beside(tree: Path, original: bytes, small: bytes = b"small") -> None:
    """A shrunk picture ``x.jpg`` whose original is kept in the folder ``kept`` beside the tree."""
    (tree / ".semcompress.yaml").write_text("version: 1\noriginals: ../kept\n")
    (tree / "x.jpg").write_bytes(original)
    lock, store = workplace(tree, "../kept")
    assert settle([shrunk(tree / "x.jpg", lock, small)], lock, store) == [None]


def listed(capsys) -> dict:
    assert main(["originals", "list", "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def prune(capsys, *more: str) -> str:
    assert main(["originals", "prune", *more]) == 0
    return capsys.readouterr().out


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    root = repository(tmp_path / "r")
    monkeypatch.chdir(root)
    git(tmp_path, "init", "-q", "--bare", "there.git")
    git(root, "remote", "add", "origin", f"file://{tmp_path}/there.git")
    return root


@pytest.mark.parametrize(
    "policy",
    ["version: 1\npreset: wev\n", "version: 1\nrules: [{name: a, files: ['*'], keep: {gone-reader: {x: {min: 1}}}}]\n"],
)
def test_what_was_kept_can_be_had_while_the_policy_is_broken(here, capsys, policy):
    replaced(here, "a.jpg")
    (here / ".semcompress.yaml").write_text(policy)
    assert main(["validate"]) == 2
    assert [one["paths"] for one in listed(capsys)["originals"]] == [["a.jpg"]]
    assert main(["restore", "--all"]) == 0
    assert (here / "a.jpg").read_bytes() == b"original of a.jpg"


@pytest.mark.parametrize("setting", ["../x9", "/etc", ".git/x", "7", "["])
def test_what_was_kept_can_be_had_while_the_policy_names_no_place_that_a_policy_may(here, capsys, setting):
    replaced(here, "a.jpg")
    keeps(here, "kept", b"original of x.jpg")
    (here / ".semcompress.yaml").write_text(f"version: 1\noriginals: {setting}\n")
    assert main(["restore", "--all"]) == 0
    said = capsys.readouterr().err
    assert f"warning: originals: {setting}: lies" in said or "warning: .semcompress.yaml:" in said
    assert said.count("asking this git repository") == 1
    assert main(["restore", "--all", "--policy", "mistyped"]) == 2
    assert [(here / name).read_bytes() for name in ("a.jpg", "x.jpg")] == [b"original of a.jpg", b"original of x.jpg"]


def test_a_broken_policy_still_says_where_originals_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"original")
    policy = tmp_path / ".semcompress.yaml"
    policy.write_text("version: 1\npreset: wev\noriginals: .kept\n")
    store = open_originals(tmp_path, ".kept")
    lock = Lock(tmp_path / "semcompress.lock", store.state)
    assert settle([shrunk(tmp_path / "a.jpg", lock, b"small")], lock, store) == [None]
    assert main(["restore", "a.jpg"]) == 0
    assert (tmp_path / "a.jpg").read_bytes() == b"original"
    capsys.readouterr()
    for text, said in (("originals: [\n", "not YAML"), ("originals: 7\n", "1:12: originals: expected `git`, `none`")):
        policy.write_text(text)
        assert main(["restore", "a.jpg"]) == 2
        assert said in capsys.readouterr().err


def test_restore_says_why_a_picture_that_was_edited_stays_and_how_its_original_can_be_had(here, capsys):
    replaced(here, "a.jpg", "b.jpg")
    for name in ("a.jpg", "c.jpg"):
        (here / name).write_bytes(b"edited")
    assert main(["restore", "--all"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a.jpg: was edited since it was shrunk, so it stays; for its original: `git cat-file blob ")
    assert "c.jpg" not in out
    command = out.partition("`")[2].partition(" >")[0].split()
    assert git(here, *command[1:]) == "original of a.jpg"
    assert main(["restore", "b.jpg", "c.jpg"]) == 0
    out = capsys.readouterr().out
    assert "b.jpg: is its own original\nc.jpg: is nothing that semcompress wrote\n" in out


def test_restore_says_that_it_drops_an_edit(here, capsys):
    replaced(here, "a.jpg")
    lock = here / "semcompress.lock"
    (line,) = parse(lock.read_text(), "lock")
    (here / "a.jpg").write_bytes(b"small a.jpg, with a caption")
    edited = dataclasses.replace(line, output=content((here / "a.jpg").read_bytes()), edited=True)
    lock.write_text(render([line, edited]))
    assert main(["restore", "a.jpg"]) == 0
    assert "27 B -> 17 B; what was edited after it was shrunk is not in its original" in capsys.readouterr().out


def test_restore_all_brings_back_what_git_ignores_and_touches_no_other_repository_or_worktree(here):
    replaced(here, "a.jpg")
    (here / "public").mkdir()
    (here / "public/a.jpg").write_bytes(b"small a.jpg")
    (here / ".gitignore").write_text("public/\n.worktrees/\n")
    git(here, "worktree", "add", "-q", ".worktrees/feat")
    replaced(repository(here / "within"), "b.jpg")
    assert main(["restore", "--all"]) == 0
    lying = [(here / name).read_bytes() for name in ("a.jpg", "public/a.jpg", ".worktrees/feat/a.jpg", "within/b.jpg")]
    assert lying == [b"original of a.jpg", b"original of a.jpg", b"small a.jpg", b"small b.jpg"]
    assert main(["restore", "--all", "within"]) == 0
    assert (here / "within/b.jpg").read_bytes() == b"original of b.jpg"


def test_list_says_path_name_size_hash_place_and_who_has_it(here, capsys):
    (here / "a.jpg").write_bytes(b"x")
    replaced(here, "a.jpg", "b.jpg")
    report = listed(capsys)
    assert report["totals"] == {"count": 2, "only_here": 2}
    first = report["originals"][0]
    assert (first["paths"], first["name"], first["bytes"], first["pushed"]) == (["a.jpg"], "a.jpg", 17, [])
    assert git(here, "cat-file", "blob", first["where"].removeprefix("blob ")) == "original of a.jpg"
    assert main(["originals", "list"]) == 0
    out = capsys.readouterr().out
    assert "only here  a.jpg" in out
    assert out.endswith("2 originals, 34 B; 2 only here, in this git repository\n")


def test_reports_of_compress_count_originals_that_exist_only_here_in_text_and_in_json(here, capsys):
    (here / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: all, files: ['*'], compress: [jpeg], keep: {msssim: {score: {min: 0.9}}}}]\n"
    )

    def compressed(number: int, *more: str) -> str:
        (here / f"{number}.jpg").write_bytes(encoded(photo((96, 72), number), "JPEG", quality=97))
        assert main(["compress", *more]) == 1
        return capsys.readouterr().out

    assert "1 original exists only in this clone" in compressed(1)
    assert json.loads(compressed(2, "--format", "json"))["originals"] == {"only_here": 2}
    assert main(["originals", "push", "--yes"]) == 0
    capsys.readouterr()
    assert main(["compress", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["originals"] == {"only_here": 0}
    assert "1 original exists only in this clone" in compressed(3)
    assert main(["check", "--format", "json"]) == 0
    assert "originals" not in json.loads(capsys.readouterr().out)


def test_what_is_borrowed_since_it_was_kept_is_copied_by_the_next_run(here, tmp_path, capsys):
    replaced(here, "a.jpg", "b.jpg")
    (here / ".semcompress.yaml").write_text("version: 1\nrules: [{name: all, files: ['*'], skip: true}]\n")
    lender = tmp_path / "lender"
    shutil.copytree(here, lender)
    packs = here / ".git/objects/pack"
    assert main(["compress"]) == 0
    assert not list(packs.glob("*.keep"))
    (here / ".git/objects/info/alternates").write_text(f"{lender}/.git/objects\n")
    git(here, "repack", "-q", "-a", "-d", "-l")
    git(here, "prune-packed")
    for _ in range(2):
        assert main(["compress"]) == 0
        assert len(list(packs.glob("*.keep"))) == len(list(packs.glob("*.pack"))) == 1
    store = open_originals(here, None)
    assert isinstance(store, GitOriginals)
    assert not store.lags
    git(here, "repack", "-q", "-a", "-d", "-l")
    shutil.rmtree(lender)
    (here / ".git/objects/info/alternates").unlink()
    kept = {one.blob: one.sha256 for one in store.kept()}
    assert sorted(kept.values()) == sorted(sha(b"original of " + name) for name in (b"a.jpg", b"b.jpg"))
    assert store.digests(kept) == kept


def test_push_warns_of_private_metadata_and_wants_a_yes(here, capsys):
    replaced(here, "a.jpg")
    assert main(["originals", "push"]) == 2
    err = capsys.readouterr().err
    assert "publishes" in err
    assert "places, serial numbers" in err
    assert "nothing was pushed: say --yes" in err
    assert git(here, "ls-remote", "origin") == ""


def test_what_was_pushed_can_be_fetched_and_restored_in_a_fresh_clone(here, tmp_path, monkeypatch, capsys):
    (here / "a.jpg").write_bytes(b"x")
    (here / "a.jpg").chmod(0o755)
    replaced(here, "a.jpg", "b.jpg")
    git(here, "push", "-q", "origin", "main")
    assert main(["originals", "push", "--yes"]) == 0
    capsys.readouterr()
    assert [one["pushed"] for one in listed(capsys)["originals"]] == [["origin"], ["origin"]]
    git(tmp_path, "clone", "-q", "-b", "main", f"file://{tmp_path}/there.git", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert main(["restore", "a.jpg"]) == 1
    assert "`semcompress originals fetch`" in capsys.readouterr().out
    assert main(["originals", "fetch"]) == 0
    assert capsys.readouterr().out == "origin: 2 originals fetched that were not here\n"
    assert listed(capsys)["totals"] == {"count": 2, "only_here": 0}
    assert main(["restore", "--all"]) == 0
    out = capsys.readouterr().out
    assert "a.jpg" in out, "the report names what was restored"
    assert Path("a.jpg").read_bytes() == b"original of a.jpg"
    assert stat.S_IMODE(Path("a.jpg").stat().st_mode) & 0o111
    assert main(["originals", "fetch", "origin"]) == 0
    assert "0 originals" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["blob", "tree"])
def test_what_is_lost_here_is_named_and_fetched_once_more(here, capsys, what):
    replaced(here, "a.jpg", "b.jpg")
    assert main(["originals", "push", "--yes"]) == 0
    (ref,) = git(here, "for-each-ref", "--format=%(refname)", "refs/semcompress").split()
    object_file(here, ref if what == "tree" else f"{ref}:{sha(b'original of a.jpg')}").unlink()
    assert what == "tree" or main(["restore", "a.jpg"]) == 1
    capsys.readouterr()
    assert main(["originals", "list"]) == 0
    said = capsys.readouterr()
    if what == "blob":
        assert f"the original {sha(b'original of a.jpg')[:12]} (a.jpg) is missing or damaged" in said.err
        assert "\n1 original, 17 B" in said.out
    else:
        assert said.out.startswith("0 originals")
    assert main(["originals", "fetch"]) == 0
    assert f"origin: {'1 original' if what == 'blob' else '2 originals'} fetched" in capsys.readouterr().out
    assert main(["restore", "a.jpg", "b.jpg"]) == 0
    assert (here / "a.jpg").read_bytes() == b"original of a.jpg"
    assert main(["originals", "fetch"]) == 0
    assert "0 originals fetched" in capsys.readouterr().out


def test_what_is_damaged_here_and_cannot_be_fetched_is_told(here, capsys):
    replaced(here, "a.jpg")
    assert main(["originals", "push", "--yes"]) == 0
    (ref,) = git(here, "for-each-ref", "--format=%(refname)", "refs/semcompress").split()
    place = object_file(here, f"{ref}:{sha(b'original of a.jpg')}")
    place.chmod(0o644)
    place.write_bytes(b"rotten")
    capsys.readouterr()
    assert main(["originals", "list"]) == 0
    assert "(a.jpg) is missing or damaged" in capsys.readouterr().err
    assert main(["originals", "fetch"]) == 1
    assert "cannot be read here: blob" in capsys.readouterr().err
    place.unlink()
    assert main(["originals", "fetch"]) == 0
    assert main(["restore", "a.jpg"]) == 0


def test_two_clones_push_without_getting_into_each_others_way(here, tmp_path, monkeypatch, capsys):
    replaced(here, "a.jpg")
    git(here, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", "-b", "main", f"file://{tmp_path}/there.git", "clone")
    clone = tmp_path / "clone"
    for key, value in {"user.name": "Bo", "user.email": "bo@example.org"}.items():
        git(clone, "config", key, value)
    replaced(clone, "b.jpg")
    for folder in (here, clone, here):
        monkeypatch.chdir(folder)
        assert main(["originals", "push", "--yes"]) == 0
    assert main(["originals", "fetch"]) == 0
    capsys.readouterr()
    assert listed(capsys)["totals"] == {"count": 2, "only_here": 0}


def test_a_remote_that_is_another_place_now_has_nothing(here, tmp_path, capsys):
    replaced(here, "a.jpg")
    assert main(["originals", "push", "--yes"]) == 0
    capsys.readouterr()
    assert listed(capsys)["totals"] == {"count": 1, "only_here": 0}
    git(tmp_path, "init", "-q", "--bare", "elsewhere.git")
    git(here, "remote", "set-url", "origin", f"file://{tmp_path}/elsewhere.git")
    assert listed(capsys)["totals"] == {"count": 1, "only_here": 1}
    git(here, "remote", "set-url", "origin", f"file://{tmp_path}/there.git")
    assert listed(capsys)["totals"] == {"count": 1, "only_here": 0}
    (here / ".git/semcompress/pushed").write_text("origin\t" + "a" * 40 + "\n")  # as it was noted before
    assert listed(capsys)["totals"] == {"count": 1, "only_here": 1}


def test_an_original_that_only_a_remotes_branch_had_is_kept_by_whoever_starts_from_it(
    here, tmp_path, monkeypatch, capsys
):
    policy = "version: 1\nrules: [{name: all, files: ['*'], compress: [jpeg], keep: {msssim: {score: {min: %s}}}}]\n"
    original = encoded(photo((96, 72), 1), "JPEG", quality=97)
    (here / ".semcompress.yaml").write_text(policy % 0.7)
    (here / "a.jpg").write_bytes(original)
    commit(here)
    git(here, "push", "-q", "origin", "main:topic")
    assert main(["compress", "--jobs", "1"]) == 1
    git(here, "checkout", "-q", "--orphan", "squashed")
    commit(here)
    git(here, "push", "-q", "origin", "squashed:main")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "-b", "main", f"file://{tmp_path}/there.git", "clone")
    monkeypatch.chdir(clone)
    shrunk_there = (clone / "a.jpg").read_bytes()
    Path(".semcompress.yaml").write_text(policy % 0.97)
    assert main(["compress", "--jobs", "1"]) == 1
    assert (clone / "a.jpg").read_bytes() not in (original, shrunk_there), "it was replaced, from the original"
    git(here, "push", "-q", "origin", ":topic")
    git(clone, "fetch", "-q", "--prune")
    git(clone, "gc", "-q", "--prune=now")
    assert main(["restore", "a.jpg"]) == 0, capsys.readouterr().out
    assert (clone / "a.jpg").read_bytes() == original


def refs(folder: Path) -> dict[str, str]:
    """Our refs in a repository, and what they point to."""
    return dict(
        line.split() for line in git(folder, "for-each-ref", "--format=%(refname) %(objectname)", REFS).splitlines()
    )


def written(folder: Path, data: bytes, *options: str) -> str:
    """The id of an object that was put into a repository."""
    made = subprocess.run(
        ["git", "-C", folder, "hash-object", "-w", "--stdin", *options], input=data, capture_output=True, check=True
    )
    return made.stdout.decode().strip()


def offered(folder: Path, contents: dict[str, bytes]) -> str:
    """A group (name -> content) that somebody offers at a remote, under its own name."""
    lines = "".join(f"100644 blob {written(folder, data)}\t{name}\n" for name, data in contents.items())
    made = subprocess.run(["git", "-C", folder, "mktree"], input=lines.encode(), capture_output=True, check=True)
    tree = made.stdout.decode().strip()
    git(folder, "update-ref", f"{REFS}/originals/{tree}", tree)
    return tree


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_fetch_moves_no_ref_of_ours_and_takes_none_that_is_not_named_after_what_it_holds(
    here, tmp_path, capsys, mirrored
):
    replaced(here, "a.jpg")
    assert main(["originals", "push", "--yes"]) == 0
    ((ours, _),) = (before := refs(here)).items()
    there = tmp_path / "there.git"
    empty = written(there, b"", "-t", "tree")
    git(there, "update-ref", ours, empty)
    git(there, "update-ref", f"{REFS}/originals/{'7' * 40}", empty)
    git(there, "update-ref", f"{REFS}/else\u2028/{empty}", empty)
    if mirrored:
        git(here, "config", "--add", "remote.origin.fetch", f"+{REFS}/*:{REFS}/*")
    capsys.readouterr()
    assert main(["originals", "fetch"]) == 1
    said = capsys.readouterr()
    assert said.err.count("is not named after what it holds\n") == 3
    assert f"refused {ours}: " in said.err
    assert "0 originals fetched" in said.out
    assert refs(here) == before
    git(here, "reflog", "expire", "--expire=now", "--all")
    git(here, "gc", "-q", "--prune=now")
    assert main(["restore", "--all"]) == 0
    assert (here / "a.jpg").read_bytes() == b"original of a.jpg"


def test_of_what_a_remote_offers_only_groups_are_taken_in_which_all_is_what_its_name_says(here, tmp_path, capsys):
    replaced(here, "a.jpg")
    there = tmp_path / "there.git"
    true = sha(b"original of a.jpg")
    lie = offered(there, {true: b"of something else", sha(b"bait"): b"bait"})
    honest = offered(there, {sha(b"theirs"): b"theirs"})
    nothing = offered(there, {"README": b"hello"})
    blob = written(there, b"no tree at all")
    git(there, "update-ref", f"{REFS}/originals/{blob}", blob)
    before = refs(here)
    assert main(["originals", "fetch"]) == 1
    said = capsys.readouterr()
    assert f"originals/{lie}: {lie[:12]} is not what it says" in said.err
    assert said.err.count(": holds no originals\n") == 2
    assert f"originals/{nothing}: holds" in said.err
    assert "1 original fetched" in said.out
    assert refs(here) == {**before, f"{REFS}/originals/{honest}": honest}
    assert "1 original stays: a lock names it" in prune(capsys, "--yes")
    assert main(["restore", "--all"]) == 0
    assert (here / "a.jpg").read_bytes() == b"original of a.jpg"


def test_a_group_that_lies_takes_none_with_it_that_were_folded_into_one_with_it(here, tmp_path, capsys):
    there = tmp_path / "there.git"
    groups = [offered(there, {sha(b"one"): b"one"}), offered(there, {sha(b"two"): b"another"})]
    lines = "".join(f"040000 tree {tree}\t{tree}\n" for tree in sorted(groups))
    made = subprocess.run(["git", "-C", there, "mktree"], input=lines.encode(), capture_output=True, check=True)
    fold = made.stdout.decode().strip()
    git(there, "update-ref", f"{REFS}/folded/{fold}", fold)
    for tree in groups:
        git(there, "update-ref", "-d", f"{REFS}/originals/{tree}")
    for _ in range(2):
        assert main(["originals", "fetch"]) == 1
        assert f"folded/{fold}: {groups[1][:12]} is not what it says" in capsys.readouterr().err
        assert refs(here) == {f"{REFS}/originals/{groups[0]}": groups[0]}


def test_groups_that_are_folded_under_the_name_of_one_are_each_held_and_stay_in_sight(here, tmp_path, monkeypatch):
    monkeypatch.setattr(_git, "_FOLD_BEYOND", 1)
    there = tmp_path / "there.git"
    groups = [offered(there, {sha(b"%d" % number): b"%d" % number}) for number in range(3)]
    lines = "".join(f"040000 tree {tree}\t{tree}\n" for tree in sorted(groups))
    made = subprocess.run(["git", "-C", there, "mktree"], input=lines.encode(), capture_output=True, check=True)
    fold = made.stdout.decode().strip()
    for tree in groups:
        git(there, "update-ref", "-d", f"{REFS}/originals/{tree}")
    git(there, "update-ref", f"{REFS}/originals/{fold}", fold)
    assert main(["originals", "fetch"]) == 0
    replaced(here, "a.jpg")
    assert len(refs(here)) == 1, "all were folded"
    assert {one.sha256 for one in open_originals(here, None).kept()} >= {sha(b"%d" % number) for number in range(3)}


def test_of_any_number_of_refusals_few_are_told_one_by_one(here, tmp_path, capsys):
    for number in range(14):
        offered(tmp_path / "there.git", {f"{number:064}": b"no such thing"})
    assert main(["originals", "fetch"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "semcompress: origin: refused 4 more"


def test_a_clone_without_blobs_fetches_originals_whole(here, tmp_path, monkeypatch, capsys):
    replaced(here, "a.jpg")
    there = tmp_path / "there.git"
    git(here, "push", "-q", "origin", "main")
    git(there, "config", "uploadpack.allowFilter", "true")
    assert main(["originals", "push", "--yes"]) == 0
    git(tmp_path, "clone", "-q", "--filter=blob:none", "-b", "main", f"file://{there}", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert main(["originals", "fetch"]) == 0
    assert main(["restore", "--all"]) == 0
    assert Path("a.jpg").read_bytes() == b"original of a.jpg"


@pytest.mark.parametrize("bait", range(4))
def test_where_two_groups_differ_the_content_decides(here, capsys, bait):
    """Whichever comes first: one that lies may have been fetched before fetched groups were looked at."""
    replaced(here, "a.jpg")
    original = sha(b"original of a.jpg")
    offered(here, {original: b"of something else", "0" * 63 + str(bait): b""})
    store = open_originals(here, None)
    assert isinstance(store, GitOriginals)
    (kept,) = (one for one in store.kept() if one.sha256 == original)
    assert git(here, "cat-file", "blob", kept.blob) == "original of a.jpg"
    assert len(kept.groups) == 1


def test_an_original_that_lies_in_several_groups_was_pushed_with_any_of_them(here, capsys):
    replaced(here, "a.jpg", "b.jpg")
    assert main(["originals", "push", "--yes"]) == 0
    assert main(["restore", "--all"]) == 0
    replaced(here, "a.jpg")
    replaced(here, "b.jpg")
    capsys.readouterr()
    assert [one["pushed"] for one in listed(capsys)["originals"]] == [["origin"], ["origin"]]
    assert Remotes(open_originals(here, None)).only_here() == []


def test_which_remote_is_meant_must_be_clear(here, capsys):
    replaced(here, "a.jpg")
    git(here, "remote", "rename", "origin", "one")
    git(here, "remote", "add", "two", "file:///nowhere")
    assert main(["originals", "push", "--yes"]) == 2
    assert "say which remote: there are one, two" in capsys.readouterr().err
    assert main(["originals", "push", "--yes", "two"]) == 2
    assert "git push" in capsys.readouterr().err
    assert main(["originals", "push", "--yes", "one"]) == 0


def test_prune_leaves_what_any_branch_worktree_stash_or_index_names(here, tmp_path, capsys):
    replaced(here, "main.jpg")
    git(here, "checkout", "-q", "-b", "feature")
    replaced(here, "feature.jpg")
    git(here, "checkout", "-q", "main")
    git(here, "worktree", "add", "-q", "-b", "third", "../w")
    lock, store = workplace(tmp_path / "w")
    (tmp_path / "w/tree.jpg").write_bytes(b"original of tree")
    settle([shrunk(tmp_path / "w/tree.jpg", lock, b"small tree")], lock, store)  # its lock is not even added
    (here / "stash.jpg").write_bytes(b"original of stash")
    git(here, "add", "stash.jpg")
    lock, store = workplace(here)
    settle([shrunk(here / "stash.jpg", lock, b"small stash")], lock, store)
    git(here, "stash", "-q")
    assert "4 originals stay, each because a lock names it\n0 originals" in prune(capsys)
    assert prune(capsys, "--yes").endswith("removed; 4 stay\n")
    assert listed(capsys)["totals"]["count"] == 4


@pytest.mark.parametrize("name", ["a.jpg", "a.semf"])
def test_prune_leaves_what_a_shrunk_copy_on_another_branch_or_of_another_kind_needs(here, capsys, name):
    (here / "a.jpg").write_bytes(b"original")
    commit(here)
    git(here, "checkout", "-q", "-b", "feature")
    lock, store = workplace(here)
    there = shrunk(here / "a.jpg", lock, b"small")
    line = dataclasses.replace(there.entries[0], path=name)
    settlement = Settlement(there.snapshot, (line,), {here / name: b"small"}, removed=name != "a.jpg")
    assert settle([settlement], lock, store) == [None]
    if name == "a.jpg":  # the shrunk copy stands at the tip of a branch that is not checked out
        commit(here)
        git(here, "checkout", "-q", "main")
    assert prune(capsys, "--yes").endswith("removed; 1 stays\n")


@pytest.mark.parametrize("ref", ["refs/heads/t", "refs/remotes/origin/t", "refs/tags/t", "refs/stash"])
def test_only_a_branch_of_ours_makes_an_original_needless(here, capsys, ref):
    commit(here)
    git(here, "checkout", "-q", "-b", "first")
    (here / "a.jpg").write_bytes(b"original of a.jpg")
    commit(here)
    tip = git(here, "rev-parse", "HEAD").strip()
    git(here, "checkout", "-q", "main")
    git(here, "branch", "-q", "-D", "first")
    replaced(here, "a.jpg")
    git(here, "rm", "-q", "a.jpg")  # the shrunk copy is in the history, its lock still at the tip
    commit(here)
    git(here, "update-ref", "--create-reflog", ref, tip)
    assert prune(capsys).endswith("--yes removes them\n" if ref == "refs/heads/t" else "would be removed; 1 stays\n")


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("tracked", [True, False])
def test_prune_leaves_what_a_shrunk_copy_in_any_stash_needs(here, capsys, tracked, later):
    (here / "a.jpg").write_bytes(b"original")
    lock, store = workplace(here)
    assert settle([shrunk(here / "a.jpg", lock, b"small")], lock, store) == [None]
    git(here, "add", "semcompress.lock")
    git(here, "commit", "-q", "-m", "the lock alone")
    if tracked:
        git(here, "add", "a.jpg")
    git(here, "stash", "-q", "--include-untracked")
    for number in range(later):
        (here / f"{number}.txt").write_text("later")
        git(here, "stash", "-q", "--include-untracked")
    (here / "a.jpg").write_bytes(b"original")
    commit(here)
    assert prune(capsys).endswith("would be removed; 1 stays\n")
    git(here, "stash", "clear")
    assert prune(capsys).endswith("--yes removes them\n"), "it was the stash alone that needed it"


def test_prune_in_one_tree_leaves_what_another_that_shares_the_folder_needs(tmp_path, monkeypatch, capsys):
    for tree in ("a", "b"):
        (tmp_path / tree).mkdir()
        kept_beside(tmp_path / tree, b"original of " + tree.encode(), b"small " + tree.encode())
    monkeypatch.chdir(tmp_path / "a")
    assert prune(capsys, "--yes").endswith("removed; 2 stay\n")
    monkeypatch.chdir(tmp_path / "b")
    assert main(["restore", "x.jpg"]) == 0
    assert Path("x.jpg").read_bytes() == b"original of b"


def test_prune_leaves_all_in_a_folder_outside_whoever_made_it_last_at_this_path(tmp_path, monkeypatch, capsys):
    """The tree was moved away, and another was made under its old path: the journal knows the path alone."""
    tree = tmp_path / "a"
    tree.mkdir()
    kept_beside(tree, b"the original")
    tree.rename(tmp_path / "moved")
    tree.mkdir()
    (tree / ".semcompress.yaml").write_text("version: 1\noriginals: ../kept\n")
    monkeypatch.chdir(tree)
    assert "1 original stays: its folder lies outside this tree" in prune(capsys, "--yes")
    monkeypatch.chdir(tmp_path / "moved")
    assert main(["restore", "x.jpg"]) == 0
    assert Path("x.jpg").read_bytes() == b"the original"


def test_prune_leaves_what_another_repository_has_put_into_the_same_folder(tmp_path, monkeypatch, capsys):
    """Both hold the same photo, and each knows its own journal only."""
    for name in ("a", "b"):
        root = repository(tmp_path / name)
        git(root, "config", "--add", "semcompress.originals", str(tmp_path / "kept"))
        kept_beside(root, b"the same photo")
    for name in ("x.jpg", "semcompress.lock"):
        (tmp_path / "a" / name).unlink()
    monkeypatch.chdir(tmp_path / "a")
    assert prune(capsys, "--yes").endswith("removed; 1 stays\n")
    monkeypatch.chdir(tmp_path / "b")
    assert main(["restore", "x.jpg"]) == 0
    assert Path("x.jpg").read_bytes() == b"the same photo"


def keeps(tree: Path, setting: str, original: bytes, small: bytes = b"small") -> None:
    """A shrunk picture ``x.jpg``, of which nothing was committed."""
    tree.mkdir(exist_ok=True, parents=True)
    (tree / ".semcompress.yaml").write_text(f"version: 1\noriginals: {setting}\n")
    (tree / "x.jpg").write_bytes(original)
    lock, store = workplace(tree, setting)
    assert settle([shrunk(tree / "x.jpg", lock, small)], lock, store) == [None]


def forget(tree: Path) -> None:
    for name in ("x.jpg", "semcompress.lock"):
        (tree / name).unlink()


@pytest.mark.parametrize("mine", ["git", "folder"])
@pytest.mark.parametrize("other", ["git", "folder", "nested"])
def test_nothing_is_pruned_in_a_folder_inside_that_another_tree_uses_too(tmp_path, monkeypatch, capsys, mine, other):
    one, two = tmp_path / "one", tmp_path / ("one/two" if other == "nested" else "two")
    if mine == "git":
        repository(one)
    keeps(one, "kept", b"the same photo")
    if other != "folder":
        git(repository(two), "config", "semcompress.originals", str(one / "kept"))
    keeps(two, str(one / "kept"), b"the same photo")
    forget(one)
    if other == "nested":  # of what lies among its objects nothing can be seen from above
        git(two, "add", "x.jpg")
        forget(two)
    monkeypatch.chdir(one)
    out = prune(capsys, "--yes")
    user = two if other == "folder" else two / ".git"
    assert f"1 original stays: its folder serves {user} as well" in out
    (one / "kept/users").write_text((one / "kept/users").read_text().splitlines()[0])
    stay = "1 stays" if (mine, other) == ("folder", "folder") else "0 stay"  # those share a journal as well
    assert prune(capsys, "--yes").endswith(f"removed; {stay}\n")


@pytest.mark.parametrize("kind", ["git", "folder"])
@pytest.mark.parametrize("name", ["users", "journal", "guard", "shelf", "newcomer"])
def test_nothing_is_written_through_a_link_in_a_folder_of_originals(tmp_path, monkeypatch, capsys, kind, name):
    """A stranger's tree brings the folder along."""
    tree, original = tmp_path / "tree", b"original"
    (repository(tree) if kind == "git" else tree).mkdir(exist_ok=True)
    (tree / "kept").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "bashrc").write_text("mine\n")
    aims = {"users": "bashrc", "journal": "bashrc", "guard": "bashrc", "shelf": "outside", "newcomer": "not-there"}
    link = tree / "kept" / {"shelf": sha(original)[:2], "newcomer": "users"}.get(name, name)
    link.symlink_to(f"../../{aims[name]}")
    if kind == "git" and name in ("journal", "guard"):  # which lie in the git directory
        keeps(tree, "kept", original)
    else:
        said = f"{link}: (is not a|is a symbolic link|cannot be locked)"
        with pytest.raises((OriginalsError, LockError), match=said):
            keeps(tree, "kept", original)
        assert (tree / "x.jpg").read_bytes() == original
    assert names(tmp_path) == ["bashrc", "outside", "tree"]
    assert (tmp_path / "bashrc").read_text() == "mine\n"
    assert names(tmp_path / "outside") == []


def test_nothing_is_removed_nor_read_through_a_link_in_a_folder_of_originals(tmp_path, monkeypatch, capsys):
    tree = tmp_path / "tree"
    keeps(repository(tree), "kept", b"original")
    forget(tree)
    monkeypatch.chdir(tree)
    shelf = tree / "kept" / sha(b"original")[:2]
    shelf.rename(tmp_path / "outside")
    shelf.symlink_to("../../outside")
    assert main(["originals", "prune", "--yes"]) == 2
    assert f"{shelf}: is not a folder, and no link is followed among originals" in capsys.readouterr().err
    with pytest.raises(OriginalsError, match="no link is followed"):
        open_originals(tree, "kept").drop([sha(b"original")])
    assert names(tmp_path / "outside") == [sha(b"original")]
    shelf.unlink()
    shelf.mkdir()
    (shelf / sha(b"original")).symlink_to(tmp_path / "outside" / sha(b"original"))
    assert main(["originals", "prune", "--yes"]) == 2
    assert "is not a regular file" in capsys.readouterr().err


def test_a_folder_that_is_named_by_a_link_is_pruned_and_its_user_noted_once(here, capsys):
    (here / "deep/er").mkdir(parents=True)
    (here / "link").symlink_to(here / "deep/er")
    for number in range(2):
        keeps(here, "link", b"%d" % number)
    assert len((here / "link/users").read_text().splitlines()) == 1
    forget(here)
    assert prune(capsys, "--yes").endswith("removed; 0 stay\n")


@pytest.mark.parametrize("kind", ["git", "folder"])
def test_a_folder_that_one_tree_uses_in_several_ways_is_pruned_and_may_be_moved(tmp_path, monkeypatch, capsys, kind):
    tree = tmp_path / "tree"
    keeps(tree, "kept", b"first", b"small 1")  # before there was a repository, perhaps
    if kind == "git":
        commit(repository(tree))
        git(tree, "worktree", "add", "-q", str(tmp_path / "linked"))
        git(tree, "config", "semcompress.originals", str(tree / "kept"))
        keeps(tmp_path / "linked", str(tree / "kept"), b"second", b"small 2")
        keeps(tree, "kept", b"fourth", b"small 4")
    keeps(tree / "deep", "../kept", b"third", b"small 3")
    if kind == "git":
        git(tree, "worktree", "remove", "--force", str(tmp_path / "linked"))
    tree.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    forget(tmp_path / "moved/deep")
    out = prune(capsys, "--yes")
    assert " 1 original" not in out
    assert "serves" not in out
    assert "x.jpg: no lock names it, and its shrunk picture is nowhere" in out


def test_nothing_is_pruned_while_it_cannot_be_read_who_uses_a_folder(tmp_path, monkeypatch, capsys):
    keeps(tmp_path / "tree", "kept", b"original")
    forget(tmp_path / "tree")
    (tmp_path / "tree/kept/users").unlink()
    (tmp_path / "tree/kept/users").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    assert main(["originals", "prune", "--yes"]) == 2
    assert "kept/users: is not a regular file" in capsys.readouterr().err


def test_nothing_is_pruned_while_a_folder_cannot_be_read(here, capsys, monkeypatch):
    replaced(here, "a.jpg")
    (here / "album").mkdir()
    (here / "a.jpg").rename(here / "album" / "a.jpg")
    (here / "semcompress.lock").unlink()
    really = os.scandir

    def denied(folder):
        if Path(folder).name == "album":  # root reads everything
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return really(folder)

    monkeypatch.setattr(os, "scandir", denied)
    assert main(["originals", "prune", "--yes"]) == 2
    assert "album: cannot be read, so who needs which original is not known" in capsys.readouterr().err


def worked_on_elsewhere(here: Path, tree: Path) -> None:
    """A worktree in which a picture was shrunk, and nothing staged."""
    commit(here)
    git(here, "worktree", "add", "-q", "-b", "elsewhere", str(tree))
    (tree / "tree.jpg").write_bytes(b"original of tree")
    lock, store = workplace(tree)
    assert settle([shrunk(tree / "tree.jpg", lock, b"small tree")], lock, store) == [None]


@pytest.mark.parametrize("instead", [None, "folder", "repository"])
def test_nothing_is_pruned_while_a_worktree_is_not_at_hand(here, tmp_path, capsys, instead):
    tree = tmp_path / "w"
    worked_on_elsewhere(here, tree)
    replaced(here, "gone.jpg")
    tree.rename(tmp_path / "moved")
    if instead is not None:
        tree.mkdir() if instead == "folder" else repository(tree)
    assert main(["originals", "prune", "--yes"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tree}: is a worktree that is not there just now" in line
    assert "git worktree prune" in line
    assert listed(capsys)["totals"]["count"] == 2
    if instead is not None:
        shutil.rmtree(tree)
    (tmp_path / "moved").rename(tree)
    assert prune(capsys, "--yes").endswith("removed; 2 stay\n")
    assert tree.joinpath("tree.jpg").read_bytes() == b"small tree"
    shutil.rmtree(tree)
    git(here, "worktree", "prune")
    assert "1 original, 16 B, removed; 1 stays" in prune(capsys, "--yes")


def test_prune_in_a_submodule_sees_its_working_tree_from_wherever_it_is_asked(tmp_path, monkeypatch, capsys):
    """git says that the main worktree of a submodule is its git directory."""
    commit(repository(tmp_path / "inner"))
    outer = repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "inner"), "sub")
    sub = outer / "sub"
    (sub / "a.jpg").write_bytes(b"original")
    lock, store = workplace(sub)
    assert settle([shrunk(sub / "a.jpg", lock, b"small")], lock, store) == [None]
    git(sub, "worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    for folder in (sub, tmp_path / "linked"):
        monkeypatch.chdir(folder)
        assert prune(capsys, "--yes").endswith("removed; 1 stays\n")


def test_from_a_linked_worktree_of_a_git_directory_elsewhere_nothing_is_pruned(tmp_path, monkeypatch, capsys):
    git(tmp_path, "init", "-q", "-b", "main", f"--separate-git-dir={tmp_path / 'apart'}", "main")
    worked_on_elsewhere(tmp_path / "main", tmp_path / "linked")
    monkeypatch.chdir(tmp_path / "linked")
    assert main(["originals", "prune", "--yes"]) == 2
    assert "where its main worktree is is not known" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "main")
    assert prune(capsys, "--yes").endswith("removed; 1 stays\n")


def test_prune_leaves_the_original_of_a_picture_that_git_filters(here, capsys):
    for name, command in (("clean", "tr a-z A-Z"), ("smudge", "tr A-Z a-z"), ("required", "true")):
        git(here, "config", f"filter.shout.{name}", command)
    (here / ".gitattributes").write_text("*.jpg filter=shout\nplain.jpg -filter\n")
    replaced(here, "a.jpg", "plain.jpg")
    git(here, "rm", "-q", "a.jpg", "plain.jpg", "semcompress.lock")
    git(here, "commit", "-q", "-m", "the album is gone")
    out = prune(capsys, "--yes")
    assert "1 original stays: git filters its picture" in out
    assert "1 original stays: no lock names it, but its shrunk picture is still there" in out
    git(here, "checkout", "-q", "HEAD~1", "--", ".")
    assert main(["restore", "--all"]) == 0
    assert (here / "a.jpg").read_bytes() == b"original of a.jpg"


@pytest.mark.parametrize("act", ["rebase", "rebase --apply", "merge"])
@pytest.mark.parametrize("where", ["main", "linked"])
def test_nothing_is_pruned_while_a_stash_of_a_rebase_or_a_merge_waits(here, tmp_path, capsys, act, where):
    for line in ("one", "two"):
        (here / "text").write_text(line)
        commit(here)
    git(here, "checkout", "-q", "-b", "other", "HEAD~1")
    (here / "text").write_text("three")
    (here / "a.jpg").write_bytes(b"original")
    commit(here)
    tree = here
    if where == "linked":
        git(here, "checkout", "-q", "main")
        tree = tmp_path / "w"
        git(here, "worktree", "add", "-q", str(tree), "other")
    lock, store = workplace(tree)
    assert settle([shrunk(tree / "a.jpg", lock, b"small")], lock, store) == [None]
    git(tree, "add", "semcompress.lock")
    git(tree, "commit", "-q", "-m", "the lock alone")
    with pytest.raises(subprocess.CalledProcessError):
        git(tree, *act.split(), "--autostash", "main")
    assert not (tree / "a.jpg").exists() or (tree / "a.jpg").read_bytes() == b"original"
    assert main(["originals", "prune", "--yes"]) == 2
    assert "a rebase or a merge is under way" in capsys.readouterr().err
    git(tree, act.split()[0], "--abort")
    assert (tree / "a.jpg").read_bytes() == b"small"
    assert prune(capsys, "--yes").endswith("removed; 1 stays\n")


def object_file(root: Path, name: str) -> Path:
    one = git(root, "rev-parse", name).strip()
    return root / ".git/objects" / one[:2] / one[2:]


@pytest.mark.parametrize("how", ["gone", "rotten", "empty"])
@pytest.mark.parametrize("what", ["other", "other^{tree}", "other:semcompress.lock", "other:a.jpg", ":staged.jpg"])
def test_nothing_is_pruned_while_git_lacks_what_a_branch_or_the_index_names(here, capsys, what, how):
    commit(here)
    git(here, "checkout", "-q", "-b", "other")
    replaced(here, "a.jpg")
    git(here, "checkout", "-q", "main")
    (here / "staged.jpg").write_bytes(b"staged")
    git(here, "add", "staged.jpg")
    (here / "staged.jpg").unlink()
    capsys.readouterr()
    assert "1 stays" in prune(capsys, "--yes")
    place = object_file(here, what)
    place.chmod(0o644)
    place.unlink() if how == "gone" else place.write_bytes(b"rotten" if how == "rotten" else b"")
    assert main(["originals", "prune", "--yes"]) == 2
    said = capsys.readouterr().err
    assert "missing or damaged, so who needs which original is not known: run `git fsck`" in said
    assert listed(capsys)["totals"]["count"] == 1


@pytest.mark.parametrize("kind", ["tree:0", "blob:none"])
def test_nothing_is_pruned_in_a_clone_without_all_objects(here, tmp_path, monkeypatch, capsys, kind):
    replaced(here, "a.jpg")
    git(here, "push", "-q", "origin", "main")
    git(here, "push", "-q", "origin", "HEAD~0:refs/heads/other")
    git(tmp_path / "there.git", "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "-b", "main", f"--filter={kind}", f"file://{tmp_path}/there.git", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    replaced(tmp_path / "clone", "b.jpg")
    (tmp_path / "there.git").rename(tmp_path / "away")
    assert main(["originals", "prune", "--yes"]) == 2
    assert "is a partial clone" in capsys.readouterr().err
    assert listed(capsys)["totals"]["count"] == 1


@pytest.mark.parametrize("how", [["--single-branch"], ["--depth=1"], ["--mirror=push"], ["^refs/heads/other"]])
def test_nothing_is_pruned_while_a_remote_may_have_branches_that_are_not_fetched(
    here, tmp_path, monkeypatch, capsys, how
):
    """The picture lives on one of them."""
    commit(here)
    git(here, "push", "-q", "origin", "main")
    clone = tmp_path / "clone"
    narrows = how[0] in ("--single-branch", "--depth=1")
    git(tmp_path, "clone", "-q", "-b", "main", *(how if narrows else []), f"file://{tmp_path}/there.git", "clone")
    monkeypatch.chdir(clone)
    git(clone, "checkout", "-q", "-b", "other")
    replaced(clone, "a.jpg")
    git(clone, "push", "-q", "origin", "other")
    git(clone, "checkout", "-q", "main")
    git(clone, "branch", "-q", "-D", "other")
    if how == ["--mirror=push"]:
        git(clone, "remote", "add", *how, "origin2", f"file://{tmp_path}/there.git")
    elif not narrows:
        git(clone, "config", "--add", "remote.origin.fetch", *how)
    for ref in git(clone, "for-each-ref", "--format=%(refname)", "refs/remotes/origin/other").split():
        git(clone, "update-ref", "-d", ref)
    git(clone, "reflog", "expire", "--expire=now", "--all")
    git(clone, "gc", "-q", "--prune=now")
    assert main(["originals", "prune", "--yes"]) == 2
    said = capsys.readouterr().err
    assert "not all branches of the remote origin" in said
    if narrows:
        subprocess.run(said.partition("not known: ")[2], shell=True, check=True, cwd=clone, capture_output=True)
        assert "stays: a lock names it" in prune(capsys, "--yes")
    assert listed(capsys)["totals"]["count"] == 1


def test_a_tag_on_a_file_a_submodule_and_a_file_yet_to_be_added_are_nothing_that_git_lacks(here, tmp_path, capsys):
    replaced(here, "a.jpg")
    git(here, "tag", "file", "HEAD:a.jpg")
    git(here, "tag", "-a", "-m", "x", "twice", "file")
    git(here, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(here, "commit", "-q", "-m", "x")
    (here / "intended").write_text("to be added")
    git(here, "add", "-N", "intended")
    assert "1 stays" in prune(capsys, "--yes")


def test_prune_removes_only_what_nothing_refers_to_and_only_when_told(here, capsys):
    replaced(here, "stay.jpg")
    git(here, "checkout", "-q", "-b", "doomed")
    replaced(here, "gone.jpg")
    git(here, "checkout", "-q", "main")
    git(here, "branch", "-q", "-D", "doomed")
    assert "0 originals" in prune(capsys), "the shrunk picture is still among the objects, so the branch may come back"
    git(here, "reflog", "expire", "--expire=now", "--all")
    git(here, "gc", "-q", "--prune=now")
    out = prune(capsys)
    assert "gone.jpg: no lock names it" in out
    assert "1 original, 20 B, would be removed; 1 stays; --yes removes them" in out
    assert listed(capsys)["totals"]["count"] == 2, "a dry run removes nothing"
    assert "removed; 1 stays; git frees" in prune(capsys, "--yes")
    (left,) = listed(capsys)["originals"]
    assert left["paths"] == ["stay.jpg"]
    git(here, "gc", "-q", "--prune=now")
    assert main(["restore", "stay.jpg"]) == 0
    assert (here / "stay.jpg").read_bytes() == b"original of stay.jpg"


def test_prune_keeps_the_original_of_a_picture_whose_lock_was_forgotten(here, capsys):
    replaced(here, "a.jpg")
    (here / "semcompress.lock").unlink()
    commit(here)
    assert "0 originals" in prune(capsys, "--yes")
    assert main(["restore", "a.jpg"]) == 0


@pytest.mark.parametrize("where", ["a tip", "an index", "a worktree", "another folder"])
def test_prune_keeps_the_original_of_what_may_be_an_edit_of_its_shrunk_picture(here, capsys, where):
    """The shrunk picture itself and the lock that names it went with their branch; no lock knows the edit yet."""
    commit(here)
    git(here, "checkout", "-q", "-b", "doomed")
    (here / "a.jpg").write_bytes(b"original of a.jpg")
    small = photo((64, 48))
    lock, store = workplace(here)
    there = shrunk(here / "a.jpg", lock, encoded(small, "JPEG"))
    line = dataclasses.replace(there.entries[0], pixels=fingerprint(decode(encoded(small, "JPEG")).image))
    assert settle([Settlement(there.snapshot, (line,), there.writes)], lock, store) == [None]
    commit(here)
    git(here, "checkout", "-q", "main")
    edit = here / ("deep/a.jpg" if where == "another folder" else "a.jpg")
    edit.parent.mkdir(exist_ok=True)
    edit.write_bytes(encoded(small, "JPEG", comment=b"a caption"))
    if where != "a worktree":
        git(here, "add", "-A")
    if where == "a tip":
        git(here, "commit", "-qm", "a caption")
    if where in ("a tip", "an index"):
        edit.unlink()
    git(here, "branch", "-q", "-D", "doomed")
    git(here, "reflog", "expire", "--expire=now", "--all")
    git(here, "gc", "-q", "--prune=now")
    assert "its shrunk picture's name may be an edit" in prune(capsys, "--yes")
    git(here, "rm", "-q", "-f", "--ignore-unmatch", "*a.jpg")
    edit.unlink(missing_ok=True)
    edit.parent.mkdir(exist_ok=True)
    edit.write_bytes(encoded(photo((64, 48), 7), "JPEG") if where == "another folder" else b"original of a.jpg")
    commit(here)
    assert "1 original, 17 B, removed" in prune(capsys, "--yes"), "what has the name is the original, or none of it"


def test_prune_keeps_the_original_of_what_lies_beside_where_its_shrunk_picture_lay(here, capsys):
    (here / "a.jpg").write_bytes(b"original of a.jpg")
    lock, store = workplace(here)
    there = shrunk(here / "a.jpg", lock, b"small")
    beside = dataclasses.replace(there.entries[0], relation="beside", path="a.webp", output=content(b"webp"))
    writes = {here / "a.jpg": b"small", here / "a.webp": b"webp"}
    assert settle([Settlement(there.snapshot, (*there.entries, beside), writes)], lock, store) == [None]
    git(here, "add", "a.webp")
    git(here, "commit", "-qm", "webp")
    for name in ("a.jpg", "semcompress.lock"):
        (here / name).unlink()
    assert "its shrunk picture is still there" in prune(capsys, "--yes")


def test_a_picture_that_was_restored_and_committed_needs_no_original(here, capsys):
    replaced(here, "a.jpg")
    assert main(["restore", "a.jpg"]) == 0
    capsys.readouterr()
    assert "0 originals" in prune(capsys), "it is not committed yet"
    commit(here)
    assert "was restored and is committed" in prune(capsys, "--yes")
    assert listed(capsys)["totals"]["count"] == 0


def branch_with_another_output(here: Path, folder: str) -> str:
    """A remote's branch on which somebody shrank the same picture in another way."""
    (here / folder).mkdir(exist_ok=True)
    (here / folder / "a.jpg").write_bytes(b"original of a.jpg")
    theirs = Lock(here / folder / "semcompress.lock")
    one = shrunk(here / folder / "a.jpg", theirs, b"theirs")
    (here / folder / "semcompress.lock").write_text(render(one.entries))
    (here / folder / "a.jpg").write_bytes(b"theirs")
    commit(here)
    git(here, "update-ref", "refs/remotes/origin/pictures", "HEAD")
    git(here, "reset", "-q", "--hard", "HEAD~1")
    return (here / ".git/refs/remotes/origin/pictures").read_text()


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("folder", [".", "deep"])
def test_an_original_of_which_any_lock_names_another_copy_stays(here, capsys, folder, damaged):
    commit(here)
    theirs = branch_with_another_output(here, folder)
    replaced(here, "a.jpg")
    assert main(["restore", "a.jpg"]) == 0
    commit(here)
    if damaged:
        git(here, "checkout", "-q", theirs.strip())
        lock = here / folder / "semcompress.lock"
        lock.write_text(lock.read_text().replace('"relation"', '"relations"'))
        commit(here)
        git(here, "update-ref", "refs/remotes/origin/pictures", "HEAD")
        git(here, "checkout", "-q", "main")
    capsys.readouterr()
    assert "0 originals" in prune(capsys, "--yes")
    git(here, "update-ref", "-d", "refs/remotes/origin/pictures")
    assert "1 original" in prune(capsys, "--yes").splitlines()[-1]


def test_an_original_of_which_a_lock_names_a_copy_that_git_filters_stays(here, capsys):
    commit(here)
    branch_with_another_output(here, "deep")
    replaced(here, "a.jpg")
    assert main(["restore", "a.jpg"]) == 0
    commit(here)
    git(here, "checkout", "-q", "origin/pictures")
    (here / "deep/a.jpg").write_bytes(b"what a filter makes of theirs")
    commit(here)
    git(here, "update-ref", "refs/remotes/origin/pictures", "HEAD")
    git(here, "checkout", "-q", "main")
    (here / ".git/info/attributes").write_text("deep/*.jpg filter=crypt\n")
    assert "git filters its picture" in prune(capsys, "--yes")


def test_originals_of_unknown_owners_stay(here, capsys):
    replaced(here, "a.jpg")
    git(here, "checkout", "-q", "--orphan", "empty")
    git(here, "rm", "-rfq", ".")
    git(here, "branch", "-q", "-D", "main")
    (here / ".git/semcompress/journal").unlink()
    commit(here)
    assert "0 originals" in prune(capsys, "--yes")
    assert listed(capsys)["totals"]["count"] == 1


def test_pruning_one_of_many_folded_groups_keeps_the_rest_and_who_has_them(here, capsys, monkeypatch):
    monkeypatch.setattr(_git, "_FOLD_BEYOND", 3)
    for number in range(6):
        replaced(here, f"{number}.jpg")
    assert main(["originals", "push", "--yes"]) == 0
    store = open_originals(here, None)
    assert isinstance(store, GitOriginals)
    kept = store.kept()
    assert len(kept) == 6
    store.drop([kept[0].sha256])
    git(here, "gc", "-q", "--prune=now")
    assert [one.sha256 for one in store.kept()] == [one.sha256 for one in kept[1:]]
    assert Remotes(store).only_here() == []
    store.drop([one.sha256 for one in kept])
    assert store.kept() == []
    assert git(here, "for-each-ref", "refs/semcompress") == ""


@pytest.mark.parametrize("later", [False, True])
def test_a_folder_of_originals_is_neither_committed_nor_cleaned_away(tmp_path, monkeypatch, later):
    root = tmp_path / "r"
    if not later:
        repository(root)
    keeps(root, ".originals/deep", b"original")
    repository(root)
    commit(root)
    git(root, "clean", "-ffd")
    assert git(root, "ls-files").split() == [".semcompress.yaml", "semcompress.lock", "x.jpg"]
    monkeypatch.chdir(root)
    assert main(["restore", "x.jpg"]) == 0
    assert (root / "x.jpg").read_bytes() == b"original"


@pytest.mark.parametrize("kind", ["worktree", "submodule"])
def test_git_removes_no_tree_with_a_folder_of_originals_in_it(here, tmp_path, kind):
    commit(here)
    if kind == "worktree":
        git(here, "worktree", "add", "-q", "../tree")
        tree, remove = tmp_path / "tree", ["worktree", "remove", "../tree"]
    else:
        git(here, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(here), "tree")
        commit(here)
        tree, remove = here / "tree", ["submodule", "deinit", "tree"]
    keeps(tree, ".originals", b"original")
    git(tree, "add", "semcompress.lock", ".semcompress.yaml", "x.jpg")
    git(tree, "commit", "-q", "-m", "x")
    commit(here)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        git(here, *remove)
    assert re.search("contains (modified|local modifications)", caught.value.stderr.decode())
    assert (tree / ".originals" / sha(b"original")[:2] / sha(b"original")).read_bytes() == b"original"


def test_in_a_tree_whose_git_directory_lies_elsewhere_originals_are_ignored(tmp_path):
    git(tmp_path, "init", "-q", "--separate-git-dir", str(tmp_path / "git"), "tree")
    keeps(tmp_path / "tree", ".originals", b"original")
    assert ".originals" not in git(tmp_path / "tree", "status", "--porcelain")


@pytest.mark.parametrize("setting", [".", "album", "tracked"])
def test_git_is_not_told_to_pass_by_what_is_not_ours(here, setting):
    (here / "album").mkdir()
    (here / "album/notes.txt").write_text("mine")
    if setting == "tracked":
        keeps(here, setting, b"first")
        for name in (".gitignore", "users"):
            (here / "tracked" / name).unlink()
    keeps(here, setting, b"original")
    assert not (here / setting / ".gitignore").exists()
    assert git(here, "status", "--porcelain", "--ignored", "-uall").count("!!") == 0


def test_list_says_what_is_kept_where_the_policy_once_said(here, capsys):
    replaced(here, "a.jpg", "b.jpg")
    (here / ".semcompress.yaml").write_text("version: 1\noriginals: kept\n")
    lock, store = workplace(here, "kept")
    (here / "c.jpg").write_bytes(b"original of c.jpg")
    assert settle([shrunk(here / "c.jpg", lock, b"small c")], lock, store) == [None]
    assert main(["originals", "list"]) == 0
    said = capsys.readouterr()
    assert said.out.endswith("1 original, 17 B; 1 only here, in kept\n")
    assert said.err == (
        "semcompress: not listed, but found by restore: 2 originals in this git repository, as the policy once said\n"
    )
    (here / ".semcompress.yaml").write_text("version: 1\noriginals: none\n")
    assert main(["originals", "list"]) == 0
    assert "2 originals in this git repository, 1 original in kept, as" in capsys.readouterr().err
    assert main(["restore", "--all"]) == 0
    assert [(here / f"{name}.jpg").read_bytes() for name in "abc"] == [
        b"original of %s.jpg" % n for n in (b"a", b"b", b"c")
    ]


def test_what_lies_in_git_is_pushed_and_fetched_wherever_originals_are_kept_now(here, tmp_path, monkeypatch, capsys):
    replaced(here, "a.jpg")
    (here / ".semcompress.yaml").write_text("version: 1\noriginals: kept\n")
    commit(here)
    git(here, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", "-b", "main", f"file://{tmp_path}/there.git", "clone")
    assert main(["originals", "push", "--yes"]) == 0
    monkeypatch.chdir(tmp_path / "clone")
    assert main(["originals", "push", "--yes"]) == 2
    assert "copy that folder yourself" in capsys.readouterr().err
    assert main(["originals", "fetch"]) == 0
    assert main(["restore", "--all"]) == 0
    assert Path("a.jpg").read_bytes() == b"original of a.jpg"


def test_a_folder_of_originals_that_is_none_is_told_of(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".semcompress.yaml").write_text("version: 1\noriginals: kept\n")
    (tmp_path / "kept").write_text("a file")
    assert main(["originals", "list"]) == 2
    assert "kept" in capsys.readouterr().err


def test_what_cannot_be_removed_or_read_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".semcompress.yaml").write_text("version: 1\noriginals: kept\n")
    lock, store = workplace(tmp_path, "kept")
    (tmp_path / "a.jpg").write_bytes(b"original")
    settle([shrunk(tmp_path / "a.jpg", lock, b"small")], lock, store)
    (original,) = (path for path in (tmp_path / "kept").rglob("*") if path.name == sha(b"original"))

    def refuses(name, path):
        real = getattr(Path, name)

        def method(self, *arguments, **options):
            if self == path:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return real(self, *arguments, **options)

        monkeypatch.setattr(Path, name, method)

    refuses("read_bytes", tmp_path / "semcompress.lock")
    assert main(["originals", "prune", "--yes"]) == 2
    assert "semcompress.lock: cannot be read, so who needs which original is not" in capsys.readouterr().err
    (tmp_path / "semcompress.lock").unlink()
    (tmp_path / "a.jpg").unlink()
    refuses("unlink", original)
    assert main(["originals", "prune", "--yes"]) == 2
    assert "kept: cannot be used for originals: Read-only" in capsys.readouterr().err
    assert original.read_bytes() == b"original"


def test_a_folder_of_originals_is_listed_and_pruned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".semcompress.yaml").write_text("version: 1\noriginals: kept\n")
    lock, store = workplace(tmp_path, "kept")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"original of " + name.encode())
    settle([shrunk(tmp_path / name, lock, b"small " + name.encode()) for name in ("a.jpg", "b.jpg")], lock, store)
    report = listed(capsys)
    assert [one["paths"] for one in report["originals"]] == [["a.jpg"], ["b.jpg"]]
    assert (tmp_path / report["originals"][0]["where"]).read_bytes() == b"original of a.jpg"
    assert "0 originals" in prune(capsys, "--yes")
    (tmp_path / "semcompress.lock").unlink()
    (tmp_path / "b.jpg").unlink()
    assert "1 original, 17 B, removed; 1 stays" in prune(capsys, "--yes")
    assert main(["restore", "a.jpg"]) == 0
    assert (tmp_path / "a.jpg").read_bytes() == b"original of a.jpg"
    assert main(["originals", "push", "--yes"]) == 2
    assert "outside git" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["../kept", "/tmp/semcompress-kept", "~/kept", ".git/kept", "link/kept"])
def test_a_policy_in_a_repository_writes_nowhere_outside_it(here, tmp_path, setting):
    (here / "link").symlink_to(tmp_path)
    said = "within .git" if setting == ".git/kept" else "outside the repository .*git config --add"
    with pytest.raises(UsageError, match=f"originals: .*: lies {said}"):
        open_originals(here, setting)
    assert sorted(names(tmp_path)) == ["r", "there.git"]


def test_outside_it_is_what_this_machine_allows(here, tmp_path):
    with pytest.raises(UsageError) as caught:
        open_originals(here, "../kept")
    command = str(caught.value).partition("git config ")[2].split()
    git(here, "config", *command)
    store = open_originals(here, "../kept")
    assert store.folder == tmp_path / "kept"
    assert open_originals(here, "kept/deep").folder == here / "kept/deep"
    with pytest.raises(UsageError):
        open_originals(here, "../other")


def test_an_interruption_meant_for_us_does_not_reach_git(here):
    alias = f"alias.group=!{sys.executable} -c 'import os; print(os.getpgrp())'"
    assert int(ours.run(here, "-c", alias, "group")) != os.getpgrp()
    assert int(ours.run(here, "-c", alias, "group", ask=True)) == os.getpgrp()


def test_git_never_asks_for_a_password_unless_a_remote_was_named(here, monkeypatch):
    seen = []
    real = ours.subprocess.run

    def watched(command, **options):
        seen.append((command[-1], options["env"].get("GIT_TERMINAL_PROMPT")))
        return real(command, **options)

    monkeypatch.setattr(ours.subprocess, "run", watched)
    Remotes(open_originals(here, None)).fetch("origin")
    assert [prompt for last, prompt in seen if last.startswith("refs/semcompress/*")] == [None]
    assert {prompt for last, prompt in seen if not last.startswith("refs/semcompress/*")} == {"0"}


@pytest.mark.parametrize("place", ["replace", "beside"])
def test_compress_says_what_has_another_name_now_for_pages_are_not_rewritten(here, capsys, place):
    (here / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: all, files: ['*.jpg'], compress: [webp], keep: {msssim: {score: {min: 0.9}}}, "
        f"outputs: {{formats: [webp], place: {place}}}}}]\n"
    )
    for number in range(3):
        (here / f"{number}.jpg").write_bytes(encoded(photo((96, 72), number), "JPEG", quality=97))
    assert main(["compress"]) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if " now" in line]
    assert [line.partition(":")[0] for line in said] == (
        ["0.jpg is 0.webp now, and 2 more"] if place == "replace" else []
    )


@pytest.mark.parametrize("kind", ["submodule", "clone"])
def test_prune_keeps_what_was_made_in_a_repository_within_this_one(here, tmp_path, capsys, kind):
    """Its shrunk picture may be committed there, where nothing of it can be seen from here."""
    subprocess.run(["git", "init", "-q", str(tmp_path / "other")], check=True)
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "x")
    git(here, "commit", "-q", "--allow-empty", "-m", "x")
    if kind == "submodule":
        git(here, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "other"), "lib")
        git(here, "commit", "-q", "-m", "lib")
    else:
        git(here, "clone", "-q", str(tmp_path / "other"), "lib")
    (here / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: all, files: ['**/*.jpg'], compress: [jpeg], keep: {msssim: {score: {min: 0.3}}}}]\n"
    )
    original = encoded(photo((96, 72), 3), "JPEG", quality=97)
    (here / "lib/p.jpg").write_bytes(original)
    assert main(["compress", "--policy", ".semcompress.yaml", "lib/p.jpg"]) == 1
    git(here / "lib", "checkout", "-q", "-b", "pictures")
    git(here / "lib", "add", "-A")
    git(here / "lib", "commit", "-q", "-m", "pictures")
    git(here / "lib", "checkout", "-q", "-")
    (here / "semcompress.lock").unlink()
    assert "it is not known here who needs it" in prune(capsys, "--yes")
    git(here, "gc", "-q", "--prune=now")
    git(here / "lib", "checkout", "-q", "pictures")
    assert main(["restore", "--policy", ".semcompress.yaml", "lib/p.jpg"]) == 0
    assert (here / "lib/p.jpg").read_bytes() == original


@pytest.mark.parametrize("name", ["bild\u00a0neu", "zeile\u2028neu", "zeile\u0085neu", b"x\xff"])
def test_refs_may_be_called_whatever_git_allows(here, capsys, name):
    git(here, "commit", "-q", "--allow-empty", "-m", "x")
    (here / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: all, files: ['*.jpg'], compress: [jpeg], keep: {msssim: {score: {min: 0.3}}}}]\n"
    )
    (here / "a.jpg").write_bytes(encoded(photo((96, 72), 3), "JPEG", quality=97))
    named = name if isinstance(name, bytes) else name.encode()
    subprocess.run([b"git", b"branch", named], cwd=here, check=True)
    assert main(["check"]) == 1
    assert main(["compress"]) == 1
    subprocess.run([b"git", b"update-ref", b"refs/semcompress/" + named, b"HEAD^{tree}"], cwd=here, check=True)
    assert main(["originals", "list"]) == 0
    assert main(["originals", "prune", "--yes"]) == 0
    assert main(["restore", "--all"]) == 0
