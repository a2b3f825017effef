"""A file is always the whole old one or the whole new one, and nobody else's change is lost."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from disk import commit, dies_at, git, names, repository
from semcompress_plugin import files
from semcompress_plugin.errors import ImageError
from semcompress_plugin.files import _temporary


def leftovers(folder):
    return [name for name in names(folder) if name.startswith(".semcompress-")]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    return path


def test_reading_tells_content_hash_and_mode(picture):
    picture.chmod(0o640)
    snapshot = files.read(picture)
    assert (snapshot.data, snapshot.mode) == (b"old", 0o640)
    assert snapshot.sha256 == files.digest(b"old")
    assert "old" not in repr(snapshot)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, words in {
        "none.jpg": "does not exist",
        "folder.jpg": "is a folder",
        "link.jpg": "symbolic link",
        "pipe.jpg": "not a regular file",
    }.items():
        with pytest.raises(ImageError, match=words) as caught:
            files.read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_replacing_keeps_the_mode_and_leaves_nothing_behind(picture, tmp_path):
    picture.chmod(0o750)
    files.replace(picture, b"new", files.read(picture))
    assert picture.read_bytes() == b"new"
    assert stat.S_IMODE(picture.stat().st_mode) == 0o750
    assert names(tmp_path) == ["a.jpg"]


def test_replacing_keeps_extended_attributes(picture):
    try:
        os.setxattr(picture, "user.note", b"mine")
    except OSError:
        pytest.skip("no extended attributes here")
    files.replace(picture, b"new", files.read(picture))
    assert os.getxattr(picture, "user.note") == b"mine"


def test_a_replaced_file_looks_new_to_build_tools(picture):
    os.utime(picture, (1, 1))
    files.replace(picture, b"new", files.read(picture))
    assert time.time() - picture.stat().st_mtime < 60


def test_a_file_that_changed_since_it_was_read_is_never_overwritten(picture):
    snapshot = files.read(picture)
    before = picture.stat()
    picture.write_bytes(b"odd")  # as long as before, and to the clock as old
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ImageError, match="has changed"):
        files.replace(picture, b"new", snapshot)
    assert picture.read_bytes() == b"odd"


def test_a_change_after_staging_is_seen_too(picture, tmp_path):
    staged = files.stage(picture, b"new", files.read(picture))
    picture.write_bytes(b"edited")
    with pytest.raises(ImageError, match="has changed"):
        staged.commit()
    staged.close()
    assert picture.read_bytes() == b"edited"
    assert names(tmp_path) == ["a.jpg"]


def test_a_file_that_vanished_is_not_brought_back(picture):
    snapshot = files.read(picture)
    picture.unlink()
    with pytest.raises(ImageError, match="does not exist"):
        files.replace(picture, b"new", snapshot)
    assert not picture.exists()


def test_a_read_only_file_is_refused(picture, make_read_only):
    make_read_only(picture)
    with pytest.raises(ImageError, match="read-only"):
        files.replace(picture, b"new", files.read(picture))
    assert picture.read_bytes() == b"old"


def test_a_read_only_folder_is_refused_before_anything_is_recorded(picture, tmp_path, monkeypatch):
    snapshot = files.read(picture)
    real = os.access  # root may write everywhere, so ask no real folder
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and real(path, mode))
    with pytest.raises(ImageError, match="folder"):
        files.stage(picture, b"new", snapshot)
    assert names(tmp_path) == ["a.jpg"]


def test_writing_does_not_follow_a_link_that_took_the_files_place(picture, tmp_path):
    snapshot = files.read(picture)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"old")
    picture.unlink()
    picture.symlink_to(elsewhere)
    with pytest.raises(ImageError, match="symbolic link"):
        files.replace(picture, b"new", snapshot)
    assert elsewhere.read_bytes() == b"old"


def test_other_names_of_a_file_keep_the_old_bytes(picture, tmp_path):
    os.link(picture, tmp_path / "b.jpg")
    files.replace(picture, b"new", files.read(picture))
    assert (tmp_path / "b.jpg").read_bytes() == b"old"


def test_a_full_disk_costs_nothing_but_the_attempt(picture, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    snapshot = files.read(picture)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match="No space left"):
        files.replace(picture, b"new", snapshot)
    assert picture.read_bytes() == b"old"
    assert names(tmp_path) == ["a.jpg"]


def test_bytes_reach_the_disk_before_the_name_does(picture, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (order.append(name), real(*a))[1])
    files.replace(picture, b"new", files.read(picture))
    assert order == ["fsync", "replace", "fsync"]


def test_staging_elsewhere_falls_back_to_a_copy_where_renaming_is_impossible(picture, tmp_path, monkeypatch):
    staging = tmp_path / "staging"
    staging.mkdir()
    real = os.replace

    def across(source, target):
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", across)
    picture.chmod(0o640)
    files.replace(picture, b"new", files.read(picture), staging)
    assert picture.read_bytes() == b"new"
    assert stat.S_IMODE(picture.stat().st_mode) == 0o640
    assert names(tmp_path) == ["a.jpg", "staging"]
    assert names(staging) == []


def test_creating_makes_folders_and_never_overwrites_unasked(tmp_path):
    path = tmp_path / "x" / "y.webp"
    files.create(path, b"one")
    with pytest.raises(ImageError, match="not ours"):
        files.create(path, b"two")
    assert path.read_bytes() == b"one"
    files.create(path, b"two", overwrite=True)
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["y.webp"]


def test_creating_without_hard_links(tmp_path, monkeypatch):
    def none(source, target):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", none)
    files.create(tmp_path / "a", b"one")
    with pytest.raises(ImageError, match="not ours"):
        files.create(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one"


def test_a_new_file_has_the_mode_that_any_program_would_give_it(tmp_path):
    (tmp_path / "theirs").touch()
    files.create(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_creating_replaces_a_link_itself_not_what_it_points_to(tmp_path):
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("target")
    files.create(tmp_path / "link", b"ours", overwrite=True)
    assert (tmp_path / "target").read_bytes() == b"theirs"


def test_what_a_killed_process_left_is_swept_and_nothing_else(picture, tmp_path):
    snapshot = files.read(picture)
    event = 1
    while dies_at(event, lambda: files.replace(picture, b"new", snapshot)):
        assert picture.read_bytes() in (b"old", b"new")
        files.sweep([tmp_path])
        assert leftovers(tmp_path) == []
        picture.write_bytes(b"old")
        event += 1
    assert event > 5


def test_the_sweep_spares_a_living_process(picture, tmp_path):
    staged = files.stage(picture, b"new", files.read(picture))
    files.sweep([tmp_path])
    staged.commit()
    staged.close()
    assert picture.read_bytes() == b"new"


def test_the_sweep_spares_what_only_begins_like_ours(tmp_path):
    for name in (".semcompress-notes.tmp", ".semcompress-0123456789abcdeg.tmp", ".semcompress-notes.was"):
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".semcompress-0123456789abcdef.tmp").write_bytes(b"ours")
    files.sweep([tmp_path])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".semcompress-0123456789abcdeg.tmp", ".semcompress-notes.tmp", ".semcompress-notes.was",
    ]  # fmt: skip
    assert files.parked([tmp_path]) == []


def test_without_file_locks_the_sweep_goes_by_age(tmp_path, monkeypatch):
    monkeypatch.setattr(_temporary, "fcntl", None)
    young, old = (tmp_path / f".semcompress-{number:016x}.tmp" for number in (1, 2))
    young.touch()
    old.touch()
    os.utime(old, (1, 1))
    files.sweep([tmp_path])
    assert leftovers(tmp_path) == [young.name]
    files.create(tmp_path / "a", b"one")
    files.replace(tmp_path / "a", b"two", files.read(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"two"


def test_killed_while_staging_in_the_git_directory_git_sees_nothing(tmp_path):
    repository(tmp_path)
    staging = tmp_path / ".git" / "semcompress"
    staging.mkdir()
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"old")
    commit(tmp_path)
    snapshot = files.read(picture)
    event, left = 1, 0
    while dies_at(event, lambda: files.replace(picture, b"new", snapshot, staging)):
        assert git(tmp_path, "status", "--porcelain") in ("", " M a.jpg\n")
        left += len(leftovers(staging))
        picture.write_bytes(b"old")
        event += 1
    assert left > 0
    files.sweep([staging])
    assert leftovers(staging) == []


def test_a_file_that_is_being_made_is_not_swept_from_under_its_maker(tmp_path):
    """Between its making and its locking nothing tells a sweep that somebody needs it."""
    done, failed = threading.Event(), []

    def sweeper() -> None:
        while not done.is_set():
            files.sweep([tmp_path])

    def maker(number: int) -> None:
        for turn in range(150):
            try:
                files.create(tmp_path / f"{number}-{turn}", b"x", durable=False)
            except ImageError as error:
                failed.append(str(error))

    sweepers = [threading.Thread(target=sweeper) for _ in range(2)]
    makers = [threading.Thread(target=maker, args=(number,)) for number in range(2)]
    for thread in (*sweepers, *makers):
        thread.start()
    for thread in makers:
        thread.join()
    done.set()
    for thread in sweepers:
        thread.join()
    assert failed == []
    assert len(list(tmp_path.iterdir())) == 300
