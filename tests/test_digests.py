"""Hashes of unchanged files: nothing depends on them but time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictures import photo
from semcompress_plugin import digests, files
from semcompress_plugin.cli import main
from semcompress_plugin.digests import Digests
from semcompress_plugin.errors import ImageError

SECOND = 1_000_000_000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Disk:
    """A file system whose clock ticks as coarsely as one likes, with files of one size that are edited in place."""

    device = 7

    def __init__(self, granularity: int) -> None:
        self.now, self.granularity = 1_000 * SECOND, granularity
        self.files: dict[str, tuple[bytes, int, int]] = {}

    def tick(self) -> int:
        return self.now - self.now % self.granularity

    def write(self, name: str, byte: int, sneaky: bool = False) -> None:
        """``sneaky``: set the time of the last change back to what it was, as some editors do."""
        mtime = self.files[name][1] if sneaky and name in self.files else self.tick()
        self.files[name] = bytes([byte]), mtime, self.tick()

    def status(self, name: str) -> SimpleNamespace:
        _, mtime, ctime = self.files[name]
        return SimpleNamespace(
            st_dev=self.device, st_ino=1, st_size=1, st_mtime_ns=mtime, st_ctime_ns=ctime, st_mode=0o100644
        )


def at(disk: Disk, file: Path) -> Digests:
    """A new run's, on that disk; its stamp comes from a clock that is finer than that of the files."""
    found = Digests(file)
    found.__dict__["_stamp"] = disk.device, disk.now
    return found


NAMES = ("/a", "/b")
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.integers(0, 255), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 4_000_000, SECOND // 2, SECOND, 2 * SECOND, 5 * SECOND])),
    st.just(("run",)),
    st.just(("run and edit",)),
)


def live(disk: Disk, file: Path, steps: list[tuple]) -> None:
    """Carry out steps; whatever happened before, each run must hear of the bytes that are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests.os, "lstat", lambda place: disk.status(place))
        patch.setattr(digests.files, "measure", lambda path: (sha(disk.files[str(path)][0]), disk.status(str(path))))
        patch.setattr(digests.os.path, "lexists", lambda place: place in disk.files)
        for name in NAMES:
            disk.write(name, 0)
        for kind, *more in [*steps, ("run",)]:
            if kind == "write":
                disk.write(*more)
            elif kind == "wait":
                disk.now += more[0]
            else:
                run = at(disk, file)
                for name in NAMES:
                    assert run.of(name)[0] == sha(disk.files[name][0])
                    if kind == "run and edit":
                        disk.write(name, disk.files[name][0][0] ^ 1)
                run.save()


@given(st.sampled_from([1, 4_000_000, SECOND, 2 * SECOND]), st.lists(STEPS, max_size=25))
def test_no_edit_goes_unseen_however_coarse_the_clock_of_the_disk(tmp_path_factory, granularity, steps):
    live(Disk(granularity), tmp_path_factory.mktemp("state") / "digests", steps)


SAME_TICK = [("wait", 5 * SECOND), ("write", "/a", 1, False), ("run",), ("write", "/a", 2, False)]


def test_an_edit_in_the_tick_of_the_clock_in_which_the_file_was_read_is_seen_by_the_racy_rule_alone(
    tmp_path, monkeypatch
):
    live(Disk(2 * SECOND), tmp_path / "digests", SAME_TICK)
    monkeypatch.setattr(digests, "_COARSEST_NS", -10 * SECOND)  # the rule taken away
    with pytest.raises(AssertionError):
        live(Disk(2 * SECOND), tmp_path / "others", SAME_TICK)


def test_a_time_that_was_set_back_is_told_by_the_time_of_change_alone(tmp_path, monkeypatch):
    steps = [("wait", 5 * SECOND), ("run",), ("wait", 5 * SECOND), ("write", "/a", 2, True)]
    live(Disk(1), tmp_path / "digests", steps)
    monkeypatch.setattr(digests, "_looks", lambda status: f" {status.st_size} {status.st_mtime_ns}")
    with pytest.raises(AssertionError):
        live(Disk(1), tmp_path / "others", steps)


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A file that is old enough to be known, and the cache that knows it."""
    monkeypatch.setattr(digests, "_COARSEST_NS", 0)  # what the rule is for is tested above; this disk's clock is fine
    path, cache = tmp_path / "a.jpg", tmp_path / "state" / "digests"
    path.write_bytes(b"old")
    time.sleep(0.02)
    first = Digests(cache)
    assert first.of(str(path)) == (sha(b"old"), 3)
    first.save()
    return path, cache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []
    really = files.measure
    monkeypatch.setattr(files, "measure", lambda path: (seen.append(path), really(path))[1])
    return seen


def test_what_has_not_changed_is_not_read_again(settled, reads):
    path, cache = settled
    assert Digests(cache).of(str(path)) == (sha(b"old"), 3)
    assert reads == []
    cache.unlink()
    assert Digests(cache).of(str(path)) == (sha(b"old"), 3)
    assert reads == [path]


def test_what_turned_out_to_be_untrue_is_forgotten_as_a_whole(settled, reads):
    path, cache = settled
    Digests(cache).clear()
    assert Digests(cache).of(str(path)) == (sha(b"old"), 3)
    assert reads == [path]
    Digests(None).clear()


def edited_with_its_time_set_back(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"new")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def another_of_the_same_size_and_time(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"new")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("edit", [edited_with_its_time_set_back, another_of_the_same_size_and_time])
def test_an_edit_that_keeps_size_and_time_is_seen(settled, edit: Callable[[Path], None]):
    path, cache = settled
    edit(path)
    assert Digests(cache).of(str(path)) == (sha(b"new"), 3)


def test_a_copy_of_the_whole_tree_with_its_times_is_read_again(settled, reads, tmp_path):
    path, cache = settled
    subprocess.run(["cp", "-a", str(tmp_path), str(tmp_path.with_name("copy"))], check=True)
    copy = tmp_path.with_name("copy")
    assert Digests(copy / cache.relative_to(tmp_path)).of(str(copy / path.name)) == (sha(b"old"), 3)
    assert reads == [copy / path.name]


def test_a_link_in_the_place_of_a_file_is_refused_as_ever(settled):
    path, cache = settled
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(ImageError, match="symbolic link"):
        Digests(cache).of(str(path))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data.replace(sha(b"old").encode(), sha(b"lie").encode()),
        lambda data: data.replace(b"digests 1", b"digests 2"),
        lambda data: b"\xff" * 100,
    ],
    ids=["empty", "torn", "a flipped hash", "another format", "bytes"],
)
def test_a_damaged_or_foreign_cache_is_ignored_and_written_anew(settled, reads, damage):
    path, cache = settled
    sound = cache.read_bytes()
    cache.write_bytes(damage(sound))
    again = Digests(cache)
    assert again.of(str(path)) == (sha(b"old"), 3)
    assert reads == [path]
    again.save()
    assert cache.read_bytes().partition(b"\n")[2] == sound.partition(b"\n")[2]


def test_a_cache_from_the_future_is_not_believed(settled, reads, monkeypatch):
    path, cache = settled
    monkeypatch.setattr(digests.time, "time_ns", lambda: path.stat().st_ctime_ns)  # the clock was set back
    Digests(cache).of(str(path))
    assert reads == [path]


def test_files_on_another_disk_or_a_disk_without_times_of_change_are_always_read(settled, monkeypatch):
    path, cache = settled
    cache.unlink()
    really = os.fstat

    def elsewhere(descriptor: int) -> os.stat_result:
        return os.stat_result([*really(descriptor)[:2], 99, *really(descriptor)[3:]])

    for fake in (elsewhere, lambda descriptor: os.stat_result([0o100600, 1, 1, 1, 0, 0, 0, 0, 0, 0])):
        with monkeypatch.context() as patch:
            run = Digests(cache)
            patch.setattr(digests.os, "fstat", fake)
            assert run._stamp is None or run._stamp[0] == 99
        run.of(str(path))
        run.save()
        assert not cache.exists()


def test_files_that_are_gone_are_forgotten_and_others_are_not(settled, tmp_path):
    path, cache = settled
    other = tmp_path / "b\n\udcff.jpg"
    other.write_bytes(b"other")
    time.sleep(0.02)
    second = Digests(cache)
    second.of(str(other))
    second.save()
    assert set(Digests(cache)._known) == {str(path), str(other)}
    path.unlink()
    time.sleep(0.02)
    cache_of_a_third = Digests(cache)
    (tmp_path / "c.jpg").write_bytes(b"third")
    time.sleep(0.02)
    cache_of_a_third.of(str(tmp_path / "c.jpg"))
    cache_of_a_third.save()
    assert set(Digests(cache)._known) == {str(other), str(tmp_path / "c.jpg")}


def test_where_nothing_can_be_written_nothing_is_and_nobody_hears_of_it(settled, tmp_path):
    path, _ = settled
    for place in (path / "state" / "digests", tmp_path / "no" / "such" / "digests", None):
        run = Digests(place)
        assert run.of(str(path)) == (sha(b"old"), 3)
        run.save()
    assert not (tmp_path / "no").exists()


POLICY = (
    "version: 1\nrules:\n  - {name: all, files: ['*.jpg'], compress: [jpeg], keep: {msssim: {score: {min: 0.5}}}}\n"
)


def test_a_run_with_nothing_to_do_reads_no_picture_and_git_sees_no_cache(repository, monkeypatch, reads):
    monkeypatch.setattr(digests, "_COARSEST_NS", 0)
    (repository / ".semcompress.yaml").write_text(POLICY)
    photo((64, 48)).save(repository / "a.jpg", quality=97)
    assert main(["compress", "--quiet"]) == 1
    time.sleep(0.02)
    assert main(["compress", "--quiet"]) == 0
    reads.clear()
    assert main(["compress", "--quiet"]) == 0
    assert main(["check", "--quiet"]) == 0
    assert reads == []
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    assert {line[3:] for line in status.splitlines()} == {".semcompress.yaml", "a.jpg", "semcompress.lock"}
    (cache,) = (repository / ".git/semcompress").glob("digests-*")
    cache.unlink()
    assert main(["check", "--quiet"]) == 0
    assert not cache.exists()  # check writes nothing
    assert main(["compress", "--quiet"]) == 0
    assert cache.exists()


def test_each_working_tree_has_a_cache_of_its_own_which_goes_with_it(repository, monkeypatch):
    monkeypatch.setattr(digests, "_COARSEST_NS", 0)
    (repository / ".semcompress.yaml").write_text(POLICY)
    photo((64, 48)).save(repository / "a.jpg", quality=97)
    main(["compress", "--quiet"])
    subprocess.run("git add . && git commit -qm x && git worktree add -q ../other", shell=True, check=True)
    monkeypatch.chdir(repository.parent / "other")
    time.sleep(0.02)
    assert main(["compress", "--quiet"]) == 0
    assert list((repository / ".git/worktrees/other/semcompress").glob("digests-*"))
    monkeypatch.chdir(repository)
    subprocess.run(["git", "worktree", "remove", "../other"], check=True)
    assert not (repository / ".git/worktrees/other").exists()
