"""The original of everything replaced can be restored: bytes, name and mode."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import stat
import subprocess
from pathlib import Path

import pytest

from disk import commit, content, entry, git, repository, sha, shrunk, workplace
from semcompress_plugin import files
from semcompress_plugin import git as ours
from semcompress_plugin.errors import OriginalsError, UsageError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.lock import parse, render
from semcompress_plugin.originals import REFS, GitOriginals, NoOriginals, _git, belongings, open_originals
from semcompress_plugin.restore import plan_restore, restore
from semcompress_plugin.settle import Settlement, settle
from semcompress_plugin.sharing import Remotes


def snapshot(path, data):
    path.write_bytes(data)
    return files.read(path)


def line(data, blob=None):
    return entry(0, original=content(data), blob=blob)


def prune(root):
    git(root, "reflog", "expire", "--expire=now", "--all")
    git(root, "gc", "--quiet", "--prune=now")


def test_git_originals_survive_gc_and_lie_on_no_branch(tmp_path):
    root = repository(tmp_path / "r")
    commit(root)
    store = open_originals(root, None)
    some = [snapshot(root / f"{number}.jpg", os.urandom(100)) for number in range(5)]
    blobs = store.keep(some)
    for one in some:
        one.path.unlink()
    prune(root)
    assert [store.get(line(one.data, blob)) for one, blob in zip(some, blobs, strict=True)] == [s.data for s in some]
    assert git(root, "log", "--all", "--oneline").count("\n") == 1
    assert git(root, "status", "--porcelain") == ""
    git(tmp_path, "clone", "-q", f"file://{root}", "clone")
    assert git(tmp_path / "clone", "cat-file", "--batch-all-objects", "--batch-check").count("blob") == 0
    with pytest.raises(OriginalsError, match="run `semcompress originals fetch`"):
        open_originals(tmp_path / "clone", None).get(line(some[0].data, blobs[0]))
    git(tmp_path / "clone", "fetch", "-q", "origin", f"{REFS}/*:{REFS}/*")
    assert open_originals(tmp_path / "clone", None).get(line(some[0].data, blobs[0])) == some[0].data


def test_attributes_and_filters_do_not_touch_originals(tmp_path):
    root = repository(tmp_path)
    (root / ".gitattributes").write_text("* text eol=lf ident\n")
    git(root, "config", "core.autocrlf", "true")
    data = b"\r\n$Id$\r\n"
    store = open_originals(root, None)
    (blob,) = store.keep([snapshot(root / "a.png", data)])
    assert store.get(line(data, blob)) == data


def test_what_is_kept_is_what_was_read_even_if_the_file_changed_or_vanished_or_has_an_odd_name(tmp_path):
    store = open_originals(repository(tmp_path), None)
    odd = [b"new\nline.jpg", b"\xff\xfe.jpg", b"-x.jpg", b'"q".jpg', b"cr\r"]
    some = [snapshot(tmp_path / os.fsdecode(name), name) for name in odd]
    assert [store.get(line(s.data, b)) for s, b in zip(some, store.keep(some), strict=True)] == odd
    plain = [snapshot(tmp_path / f"{number}.jpg", b"%d" % number) for number in range(3)]
    plain[1].path.write_bytes(b"changed")
    assert [store.get(line(s.data, b)) for s, b in zip(plain, store.keep(plain), strict=True)] == [b"0", b"1", b"2"]
    plain[2].path.unlink()
    assert [store.get(line(s.data, b)) for s, b in zip(plain, store.keep(plain), strict=True)] == [b"0", b"1", b"2"]


def test_a_group_costs_few_git_processes(tmp_path, monkeypatch):
    store = open_originals(repository(tmp_path), None)
    some = [snapshot(tmp_path / f"{number}.jpg", b"%d" % number) for number in range(50)]
    calls = []
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **o: (calls.append(a), real(*a, **o))[1])
    store.keep(some)
    assert len(calls) <= 6  # written, read back, a tree, a ref, seen to be held, refs folded
    calls.clear()
    store.keep(some)
    assert len(calls) <= 5


def object_file(root, blob):
    return root / ".git/objects" / blob[:2] / blob[2:]


@pytest.mark.parametrize("damage", ["truncated", "empty", "another", "gone"])
def test_no_file_is_touched_where_the_object_that_git_has_already_is_damaged(tmp_path, monkeypatch, damage):
    root = repository(tmp_path)
    lock, store = workplace(root)
    for number in range(3):
        (root / f"{number}.jpg").write_bytes(b"%d " % number + os.urandom(5000))
    git(root, "-c", "core.looseCompression=0", "add", "1.jpg")
    (blob,) = git(root, "ls-files", "--format=%(objectname)").split()
    place = object_file(root, blob)
    place.chmod(0o644)
    if damage == "another":
        other = git(root, "hash-object", "-w", "2.jpg").strip()
        place.write_bytes(object_file(root, other).read_bytes())
    elif damage == "gone":  # between the writing and the reading
        really = GitOriginals._store
        monkeypatch.setattr(GitOriginals, "_store", lambda *a: (really(*a), place.unlink())[0])
    else:
        place.write_bytes(place.read_bytes()[: 2000 if damage == "truncated" else 0])
    before = [(root / f"{number}.jpg").read_bytes() for number in range(3)]
    with pytest.raises(OriginalsError, match=rf"blob {blob} .* is damaged.*git fsck"):
        settle([shrunk(root / f"{number}.jpg", lock, b"small %d" % number) for number in range(3)], lock, store)
    assert [(root / f"{number}.jpg").read_bytes() for number in range(3)] == before
    assert git(root, "for-each-ref") == ""
    assert not lock.path.exists()


def test_a_damaged_object_hides_none_that_come_after_it(tmp_path):
    root = repository(tmp_path)
    store = open_originals(root, None)
    some = [snapshot(root / f"{number}.jpg", os.urandom(3000)) for number in range(5)]
    blobs = store.keep(some)
    for number in (0, 3):
        object_file(root, blobs[number]).chmod(0o644)
    object_file(root, blobs[0]).write_bytes(b"rotten")
    object_file(root, blobs[3]).write_bytes(object_file(root, blobs[3]).read_bytes()[:2000])
    ids = [blobs[0], "0" * 40, *blobs[1:], git(root, "write-tree").strip()]
    assert store.digests(ids) == {blobs[number]: some[number].sha256 for number in (1, 2, 4)}
    with pytest.raises(OriginalsError, match="damaged: run `git fsck`"):
        list(store.objects(ids))


def test_of_objects_of_another_kind_nothing_is_told(tmp_path):
    root = repository(tmp_path)
    store = open_originals(root, None)
    (one, other) = store.keep([snapshot(root / f"{number}.jpg", os.urandom(200_000)) for number in range(2)])
    tree = git(root, "write-tree").strip()
    ids = [one, tree, "0" * 40, other]
    assert [len(data) for _, data in store.objects(ids)] == [200_000, 0, 0, 200_000]
    assert [(name, data) for name, data in store.objects(ids, "tree")] == [(name, b"") for name in ids]


@pytest.fixture(params=["--shared", "--reference"])
def borrower(request, tmp_path):
    """A clone that borrows the objects of ``tmp_path / "lender"``, in which three pictures are committed."""
    lender = repository(tmp_path / "lender")
    for number in range(3):
        (lender / f"{number}.jpg").write_bytes(b"original %d " % number + b"\0" * 1000)
    commit(lender)
    how = ["--shared", str(lender)] if request.param == "--shared" else ["--reference", str(lender), f"file://{lender}"]
    git(tmp_path, "clone", "-q", *how, "borrower")
    return tmp_path / "borrower"


def amend(lender):
    for path in lender.glob("*.jpg"):
        path.write_bytes(b"another " + path.name.encode())
    git(lender, "commit", "-q", "-a", "--amend", "-m", "y")


def packs_kept(root):
    return {path.stem for path in (root / ".git/objects/pack").glob("*.keep")}


def test_what_was_borrowed_can_be_had_when_the_lender_has_let_go_of_it(tmp_path, borrower):
    lock, store = workplace(borrower)
    paths = [borrower / f"{number}.jpg" for number in range(3)]
    before = [path.read_bytes() for path in paths]
    assert settle([shrunk(path, lock, b"small " + path.name.encode()) for path in paths], lock, store) == [None] * 3
    git(borrower, "gc", "-q", "--prune=now")  # what can be borrowed is dropped
    amend(tmp_path / "lender")
    git(borrower, "fetch", "-q")
    git(borrower, "reset", "-q", "origin/main")
    prune(tmp_path / "lender")
    prune(borrower)
    lock, store = workplace(borrower)
    assert [restore(plan, lock, store) for plan in plan_restore(paths, lock)] == [None] * 3
    assert [path.read_bytes() for path in paths] == before
    git(borrower, "fsck", "--strict")


def test_of_what_was_borrowed_one_pack_is_kept_and_nothing_of_what_was_let_go(tmp_path, borrower, monkeypatch):
    monkeypatch.setattr(_git, "_FOLD_BEYOND", 3)
    kept = {}
    for path in sorted(borrower.glob("*.jpg")):
        one = files.read(path)
        (kept[one.sha256],) = open_originals(borrower, None).keep([one])
    assert len(packs_kept(borrower)) == 3
    last = snapshot(borrower / "last.jpg", b"never borrowed")
    (kept[last.sha256],) = open_originals(borrower, None).keep([last])
    assert len(packs_kept(borrower)) == 1
    store = open_originals(borrower, None)
    gone = min(kept)
    store.drop([gone])
    amend(tmp_path / "lender")
    git(borrower, "fetch", "-q")
    git(borrower, "reset", "-q", "origin/main")
    prune(tmp_path / "lender")
    prune(borrower)
    assert len(packs_kept(borrower)) == 1
    assert {one.sha256 for one in store.kept()} == {*kept} - {gone}
    assert store.digests(kept.values()) == {blob: sha256 for sha256, blob in kept.items() if sha256 != gone}
    store.drop(kept)
    assert packs_kept(borrower) == set()


def test_what_was_fetched_is_not_borrowed_either(tmp_path, borrower):
    lender = tmp_path / "lender"
    there = open_originals(lender, None)
    one = files.read(lender / "0.jpg")
    (blob,) = there.keep([one])
    store = open_originals(borrower, None)
    assert Remotes(store).fetch("origin") == (1, [])
    there.drop([one.sha256])
    amend(lender)
    prune(lender)
    assert store.get(line(one.data, blob)) == one.data


def test_many_refs_are_folded_into_one_and_nothing_is_lost(tmp_path):
    root = repository(tmp_path)
    kept = {}
    for number in range(_git._FOLD_BEYOND + 2):
        one = Snapshot(root / "gone", b"%d" % number, sha(b"%d" % number))
        (kept[one.data],) = open_originals(root, None).keep([one])
    refs = git(root, "for-each-ref", "--format=%(refname)", "refs/semcompress").split()
    assert len(refs) == 2
    prune(root)
    store = open_originals(root, None)
    assert all(store.get(line(data, blob)) == data for data, blob in kept.items())


def keep_twenty(arguments):
    root, start = arguments
    for number in range(start, start + 20):
        data = b"%d" % number
        open_originals(root, None).keep([Snapshot(root / "gone", data, sha(data))])


def test_two_processes_at_once_lose_no_original(tmp_path, monkeypatch):
    root = repository(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(keep_twenty, [(root, 0), (root, 20)])
    monkeypatch.setattr(_git, "_FOLD_BEYOND", 3)
    keep_twenty((root, 40))
    prune(root)
    listed = git(root, "cat-file", "--batch-all-objects", "--batch-check")
    assert listed.count("blob") == 60


def test_hooks_of_the_repository_and_the_environment_of_a_hook_change_nothing(tmp_path, monkeypatch):
    root, other = repository(tmp_path / "r"), repository(tmp_path / "other")
    hook = root / ".git/hooks/reference-transaction"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    store = open_originals(root, None)
    (blob,) = store.keep([snapshot(root / "a.jpg", b"mine")])
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert git(root, "cat-file", "blob", blob) == "mine"


@pytest.mark.parametrize("inherit", [False, True])
@pytest.mark.parametrize("kind", ["LITERAL", "GLOB", "NOGLOB", "ICASE"])
def test_how_a_hook_was_told_to_read_paths_does_not_change_how_ours_are_read(tmp_path, monkeypatch, kind, inherit):
    root = repository(tmp_path)
    empty = git(root, "hash-object", "-w", "/dev/null").strip()
    for name in ("deep/semcompress.lock", "deep/SEMCOMPRESS.LOCK"):
        git(root, "update-index", "--add", "--cacheinfo", f"100644,{empty},{name}")
    monkeypatch.setenv(f"GIT_{kind}_PATHSPECS", "1")
    listed = ours.run(root, "ls-files", "--", ":(top,glob)**/semcompress.lock", inherit=inherit)
    assert listed == b"deep/semcompress.lock\n"
    assert ours.run(root, "ls-files", "--", "*.lock", inherit=inherit) == listed


@pytest.mark.parametrize("where", ["worktree", "submodule"])
def test_worktrees_and_submodules(tmp_path, where):
    root = repository(tmp_path / "r")
    commit(root)
    if where == "worktree":
        git(root, "worktree", "add", "-q", "../w")
        here, common = tmp_path / "w", root / ".git"
    else:
        outer = repository(tmp_path / "outer")
        git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(root), "sub")
        here, common = outer / "sub", outer / ".git/modules/sub"
    store = open_originals(here, None)
    assert isinstance(store, GitOriginals)
    assert store.state == common / "semcompress"
    (blob,) = store.keep([snapshot(here / "a.jpg", b"mine")])
    prune(here)
    assert store.get(line(b"mine", blob)) == b"mine"


def test_a_repository_with_sha256_ids(tmp_path):
    if subprocess.run(["git", "init", "-q", "--object-format=sha256", tmp_path], check=False).returncode:
        pytest.skip("this git knows SHA-1 only")
    store = open_originals(tmp_path, None)
    (blob,) = store.keep([snapshot(tmp_path / "a.jpg", b"mine")])
    assert len(blob) == 64
    assert store.get(line(b"mine", blob)) == b"mine"


def test_outside_git_the_place_must_be_said_and_the_error_says_how(tmp_path):
    with pytest.raises(UsageError, match=r"'originals: \.semcompress/originals'.*'originals: none'"):
        open_originals(tmp_path, None)
    assert isinstance(open_originals(tmp_path, None, needed=False), NoOriginals)
    assert open_originals(tmp_path, "none").keep([snapshot(tmp_path / "a.jpg", b"x")]) == [None]


def test_one_shelf_that_cannot_be_read_gives_the_others_away_as_little(tmp_path, monkeypatch):
    """``belongings`` is what a build does not publish."""
    for data in (b"one", b"two"):
        (shelf := tmp_path / sha(data)[:2]).mkdir()
        (shelf / sha(data)).write_bytes(data)
    (tmp_path / "users").write_text("somebody\n")
    (tmp_path / "page.html").write_text("hello")
    before = set(belongings(tmp_path))
    assert len(before) == 3
    really = Path.iterdir

    def iterdir(self):
        if self == shelf:
            raise PermissionError(13, "Permission denied")
        return really(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert set(belongings(tmp_path)) == before


def test_a_folder_of_originals(tmp_path):
    (tmp_path / "site").mkdir()
    store = open_originals(tmp_path / "site", "../kept")
    one = snapshot(tmp_path / "site/a.jpg", b"mine")
    assert store.keep([one, one]) == [None, None]
    store.keep([one])
    assert store.get(line(b"mine")) == b"mine"
    place = tmp_path / "kept" / one.sha256[:2] / one.sha256
    place.chmod(0o644)
    place.write_bytes(b"rotten")
    with pytest.raises(OriginalsError, match="damaged"):
        store.get(line(b"mine"))
    store.keep([one])
    assert store.get(line(b"mine")) == b"mine"
    with pytest.raises(OriginalsError, match="does not exist"):
        store.get(line(b"never kept"))


@pytest.mark.parametrize("setting", [None, "../kept"])
def test_restore_brings_back_bytes_name_and_mode(tmp_path, setting):
    root = repository(tmp_path / "r") if setting is None else tmp_path / "r"
    root.mkdir(exist_ok=True)
    lock, store = workplace(root, setting)
    (root / "a.png").write_bytes(b"the original")
    (root / "a.png").chmod(0o755)
    (root / "b.jpg").write_bytes(b"another one")
    (root / "b.jpg").chmod(0o600)
    plan = shrunk(root / "a.png", lock, b"small")
    renamed = dataclasses.replace(
        plan,
        entries=(dataclasses.replace(plan.entries[0], path="a.webp"),),
        writes={root / "a.webp": b"small"},
        removed=True,
    )
    assert settle([renamed, shrunk(root / "b.jpg", lock, b"tiny")], lock, store) == [None, None]
    assert sorted(path.name for path in root.glob("*.*") if path.suffix != ".lock" and path.name != ".git") == [
        "a.webp",
        "b.jpg",
    ]
    (root / "b.jpg").chmod(0o644)
    lock, store = workplace(root, setting)
    plans = plan_restore([root / "a.webp", root / "b.jpg"], lock)
    assert [restore(one, lock, store) for one in plans] == [None, None]
    assert (root / "a.png").read_bytes() == b"the original"
    assert stat.S_IMODE((root / "a.png").stat().st_mode) == 0o755
    assert not (root / "a.webp").exists()
    assert (root / "b.jpg").read_bytes() == b"another one"
    assert stat.S_IMODE((root / "b.jpg").stat().st_mode) == 0o600
    # and the lock still remembers what it knows
    assert lock.by_original(sha(b"another one"))


PLACES = [None, "kept", "other/kept", "../apart", "none"]


@pytest.mark.parametrize("now", PLACES)
@pytest.mark.parametrize("then", PLACES)
def test_what_was_kept_can_be_had_wherever_the_policy_keeps_originals_now(tmp_path, then, now):
    root = repository(tmp_path / "r")
    git(root, "config", "semcompress.originals", "../apart")
    lock, store = workplace(root, then)
    (root / "a.jpg").write_bytes(b"original")
    assert settle([shrunk(root / "a.jpg", lock, b"small")], lock, store) == [None]
    lock, store = workplace(root, now)
    (root / "b.jpg").write_bytes(b"another")
    assert settle([shrunk(root / "b.jpg", lock, b"smaller")], lock, store) == [None]
    (tmp_path / "r").rename(tmp_path / "moved")
    root = tmp_path / "moved"
    prune(root)
    lock, store = workplace(root, now)
    plans = plan_restore([root / "a.jpg", root / "b.jpg"], lock)
    lost = "its original was not kept (originals: none)"
    said = [restore(plan, lock, store) for plan in plans]
    assert said[1] == (lost if now == "none" else None)
    if then != "none":
        assert said[0] is None
        assert (root / "a.jpg").read_bytes() == b"original"
    elif now == "none":
        assert said[0] == lost
    else:
        assert "its original" in said[0]
        assert "originals: none" not in said[0]


def test_of_a_place_that_holds_something_else_the_next_is_asked(tmp_path):
    root = repository(tmp_path)
    one = snapshot(root / "a.jpg", b"mine")
    open_originals(root, "kept").keep([one])
    store = open_originals(root, None)
    other = git(root, "hash-object", "-w", ".git/config").strip()
    assert store.get(line(b"mine", other)) == b"mine"
    with pytest.raises(OriginalsError, match="damaged"):
        store.get(line(b"never kept", other))
    (blob,) = store.keep([one])
    (kept,) = (path for path in (root / "kept").rglob(one.sha256))
    kept.chmod(0o644)
    kept.write_bytes(b"rotten")
    for noted in (None, blob, other):
        assert open_originals(root, "kept").get(line(b"mine", noted)) == b"mine"


def test_what_somebody_else_kept_in_git_is_not_said_to_be_lost_where_nothing_is_kept(tmp_path):
    store = open_originals(repository(tmp_path), "none")
    with pytest.raises(OriginalsError, match="is not in this repository: have whoever replaced it run"):
        store.get(line(b"theirs", "a" * 40))
    with pytest.raises(OriginalsError, match=r"was not kept \(originals: none\)"):
        store.get(line(b"nobody's"))


@pytest.mark.parametrize("blob", ["HEAD:a.jpg", "main:a.jpg", ":a.jpg", "--help", "@{0}:a.jpg", ""])
def test_a_lock_names_no_blob_but_by_its_id(tmp_path, blob):
    root = repository(tmp_path)
    (root / "a.jpg").write_bytes(b"mine")
    commit(root)
    with pytest.raises(OriginalsError, match="is not in this repository, nor in a folder"):
        open_originals(root, None).get(line(b"mine", blob))


def test_two_originals_with_one_output_are_each_restored(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    for name in ("a.jpg", "b.jpg"):
        (root / name).write_bytes(b"original of " + name.encode())
    settle([shrunk(root / name, lock, b"same") for name in ("a.jpg", "b.jpg")], lock, store)
    for plan in plan_restore([root / "b.jpg", root / "a.jpg"], lock):
        assert restore(plan, lock, store) is None
    assert (root / "a.jpg").read_bytes() == b"original of a.jpg"
    assert (root / "b.jpg").read_bytes() == b"original of b.jpg"


def test_a_renamed_output_is_restored_under_its_new_name(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    (root / "a.jpg").write_bytes(b"original")
    settle([shrunk(root / "a.jpg", lock, b"small")], lock, store)
    (root / "a.jpg").rename(root / "holiday.jpg")
    (plan,) = plan_restore([root / "holiday.jpg"], lock)
    assert restore(plan, lock, store) is None
    assert (root / "holiday.jpg").read_bytes() == b"original"
    assert not (root / "a.jpg").exists()


@pytest.mark.parametrize(
    ("was", "output", "now", "expected"),
    [
        ("a.JPEG", "a.JPEG", "a.jpeg", "a.jpeg"),
        ("a.JPEG", "a.JPEG", "copy.jpg", "copy.jpg"),
        ("a.png", "a.webp", "a.webp", "a.png"),
        ("a.png", "a.webp", "b.webp", "b.png"),
    ],
)
def test_an_extension_is_only_changed_where_the_format_was(tmp_path, was, output, now, expected):
    root = repository(tmp_path)
    lock, _ = workplace(root)
    (root / now).write_bytes(b"small")
    with lock.exclusive():
        lock.add([entry(0, path=output, name=was, output=content(b"small"))])
    (plan,) = plan_restore([root / now], lock)
    assert plan.target == root / expected


def test_no_lock_makes_a_file_setuid(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    (root / "a.jpg").write_bytes(b"original")
    settle([shrunk(root / "a.jpg", lock, b"small")], lock, store)
    (plan,) = plan_restore([root / "a.jpg"], lock)
    assert restore(dataclasses.replace(plan, entry=dataclasses.replace(plan.entry, mode=0o6755)), lock, store) is None
    assert stat.S_IMODE((root / "a.jpg").stat().st_mode) == 0o755


def test_a_restore_that_was_killed_half_way_is_finished(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    (root / "a.png").write_bytes(b"original")
    (line,) = (here := shrunk(root / "a.png", lock, b"small")).entries
    made = Settlement(here.snapshot, (dataclasses.replace(line, path="a.webp"),), {root / "a.webp": b"small"}, True)
    assert settle([made], lock, store) == [None]
    assert [path.name for path in root.glob("a.*")] == ["a.webp"]
    (root / "a.png").write_bytes(b"original")  # and then it was killed
    (plan,) = plan_restore([root / "a.webp"], lock)
    assert restore(plan, lock, store) is None
    assert [path.name for path in root.glob("a.*")] == ["a.png"]


def test_a_lock_of_somebody_who_took_ours_for_an_original_hides_nothing(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    (root / "a.jpg").write_bytes(b"original")
    settle([shrunk(root / "a.jpg", lock, b"small")], lock, store)
    lock.path.unlink()  # it was forgotten in the commit, and this came by way of another clone
    kept = entry(0, original=content(b"small"), output=content(b"small"), relation="kept", path="a.jpg", name="a.jpg")
    lock.path.write_text(render([kept]))
    lock, store = workplace(root)
    (plan,) = plan_restore([root / "a.jpg"], lock)
    assert restore(plan, lock, store) is None
    assert (root / "a.jpg").read_bytes() == b"original"
    lock.put_back()
    assert {one.relation for one in parse(lock.path.read_text(), "lock")} == {"kept", "replaced"}


def test_an_original_that_came_from_elsewhere_is_kept_here_as_well(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    (root / "a.jpg").write_bytes(b"small")
    here = shrunk(root / "a.jpg", lock, b"smaller")
    source = Snapshot(root / "a.jpg", b"original", sha(b"original"))
    line = dataclasses.replace(here.entries[0], original=content(b"original"))
    assert settle([dataclasses.replace(here, entries=(line,), original=source)], lock, store) == [None]
    assert sha(b"original") in {one.sha256 for one in store.kept()}
    (plan,) = plan_restore([root / "a.jpg"], lock)
    assert restore(plan, lock, store) is None
    assert (root / "a.jpg").read_bytes() == b"original"


def test_what_is_not_ours_is_not_restored(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    (root / "a.jpg").write_bytes(b"original")
    settle([shrunk(root / "a.jpg", lock, b"small")], lock, store)
    (root / "a.jpg").write_bytes(b"small, then edited")
    (root / "b.jpg").write_bytes(b"another")
    missing, edited, other = plan_restore([root / "none.jpg", root / "a.jpg", root / "b.jpg"], lock)
    assert restore(missing, lock, store) == "does not exist"
    assert restore(other, lock, store) == "is nothing that semcompress wrote"
    said = restore(edited, lock, store)
    assert said is not None
    assert said.startswith("was edited since it was shrunk, so it stays; for its original: `git cat-file blob ")
    assert (root / "a.jpg").read_bytes() == b"small, then edited"


def test_an_original_that_cannot_be_had_leaves_the_file_alone(tmp_path):
    root = repository(tmp_path)
    lock, store = workplace(root)
    (root / "a.jpg").write_bytes(b"original")
    settle([shrunk(root / "a.jpg", lock, b"small")], lock, store)
    for ref in git(root, "for-each-ref", "--format=%(refname)", "refs/semcompress").split():
        git(root, "update-ref", "-d", ref)
    prune(root)
    (plan,) = plan_restore([root / "a.jpg"], lock)
    assert "is not in this repository" in restore(plan, lock, store)
    assert (root / "a.jpg").read_bytes() == b"small"


def test_what_git_tidies_up_before_a_ref_holds_it_is_noticed(tmp_path, monkeypatch):
    root = repository(tmp_path / "r")
    really = GitOriginals._tree

    def tidied(store, lines):
        tree = really(store, lines)
        object_file(root, ours.blob_id(b"only copy", 40)).unlink()
        return tree

    monkeypatch.setattr(GitOriginals, "_tree", tidied)
    with pytest.raises(OriginalsError, match="run this again"):
        open_originals(root, None).keep([snapshot(root / "a.jpg", b"only copy")])
