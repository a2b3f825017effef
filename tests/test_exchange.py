"""A save in the very moment in which a file is replaced is not lost."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import mmap
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from disk import commit, names, repository, shrunk, workplace
from pictures import encoded, photo
from semcompress_plugin import exchange, files, settle
from semcompress_plugin.cli import main
from semcompress_plugin.errors import ImageError
from semcompress_plugin.files import _staging

REAL = exchange.swap


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    if not REAL(path, path):
        pytest.skip("this system cannot exchange two names; the plain way is tested in test_files.py")
    return path


def saved(path: Path, data: bytes, how: str = "rename") -> None:
    """As editors save: a new file renamed over the old one, or written into it."""
    if how == "rename":
        other = path.with_name("editor's")
        other.write_bytes(data)
        other.replace(path)
    else:
        path.write_bytes(data)


@pytest.fixture
def at_swap(monkeypatch) -> Callable[[dict[int, Callable[[], None]]], None]:
    """Has something happen directly before the n-th exchange (from 1)."""

    def arrange(events: dict[int, Callable[[], None]]) -> None:
        count = 0

        def swap(one: Path, other: Path) -> bool:
            nonlocal count
            count += 1
            events.get(count, lambda: None)()
            return REAL(one, other)

        monkeypatch.setattr(exchange, "swap", swap)

    return arrange


def test_two_files_trade_places_and_what_came_out_is_gone(picture, tmp_path):
    inode = picture.stat().st_ino
    files.replace(picture, b"new", files.read(picture), trade=True)
    assert picture.read_bytes() == b"new"
    assert picture.stat().st_ino != inode
    assert names(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("how", ["rename", "in place"])
def test_a_save_between_the_last_look_and_the_exchange_is_put_back(picture, tmp_path, at_swap, how):
    at_swap({1: lambda: saved(picture, b"edited", how)})
    with pytest.raises(ImageError, match="has changed while it was looked at"):
        files.replace(picture, b"new", files.read(picture), trade=True)
    assert picture.read_bytes() == b"edited"
    assert names(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("how", ["rename", "in place"])
@pytest.mark.parametrize("moments", [(1, 2), (1, 3), (1, 2, 3), (1, 2, 3, 4), (1, 3, 4), (1, 2, 4), tuple(range(1, 9))])
def test_of_several_saves_the_last_lies_there_and_none_is_deleted_by_us(picture, tmp_path, at_swap, moments, how):
    edits = {moment: b"edited %d" % moment for moment in moments}
    happened = []

    def edit(moment: int) -> None:
        happened.append(moment)
        saved(picture, edits[moment], how)

    at_swap({moment: lambda moment=moment: edit(moment) for moment in moments})
    with pytest.raises(ImageError, match=r"changed (more than once )?while it was") as caught:
        files.replace(picture, b"new", files.read(picture), trade=True)
    assert picture.read_bytes() == edits[happened[-1]]
    strays = [tmp_path / name for name in names(tmp_path) if name != "a.jpg"]
    if len(happened) > 1:
        (stray,) = strays
        assert str(stray) in str(caught.value)
        assert stray.read_bytes() in edits.values()
    else:
        assert strays == []
    files.sweep([tmp_path])
    assert all(stray.exists() for stray in strays), "nobody knows what these hold"


def test_what_was_deleted_is_not_brought_back_and_what_was_saved_then_is(picture, tmp_path, at_swap):
    at_swap({1: picture.unlink})
    with pytest.raises(ImageError, match="cannot be written"):
        files.replace(picture, b"new", files.read(picture), trade=True)
    assert names(tmp_path) == []
    picture.write_bytes(b"old")
    # saved in the moment, and what we had put there deleted by somebody who wanted to save by another way
    at_swap({1: lambda: saved(picture, b"edited"), 2: picture.unlink})
    with pytest.raises(ImageError, match="has changed"):
        files.replace(picture, b"new", files.read(picture), trade=True)
    assert (picture.read_bytes(), names(tmp_path)) == (b"edited", ["a.jpg"])


def test_what_somebody_opened_while_ours_lay_there_is_not_deleted(picture, tmp_path, at_swap):
    opened: list[BinaryIO] = []
    at_swap({1: lambda: saved(picture, b"edited"), 2: lambda: opened.append(picture.open("r+b"))})
    with pytest.raises(ImageError, match="changed more than once"):
        files.replace(picture, b"new", files.read(picture), trade=True)
    (editor,) = opened
    editor.write(b"edited again")
    editor.close()
    assert picture.read_bytes() == b"edited"
    (stray,) = set(tmp_path.iterdir()) - {picture}
    assert stray.read_bytes() == b"edited again"


def test_an_interruption_right_after_the_exchange_deletes_nothing(picture, tmp_path, monkeypatch):
    def interrupted(one: Path, other: Path) -> bool:
        saved(picture, b"edited")
        REAL(one, other)
        raise KeyboardInterrupt

    monkeypatch.setattr(exchange, "swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.replace(picture, b"new", files.read(picture), trade=True)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"edited", b"new"]


def test_a_link_or_folder_that_takes_the_files_place_is_put_back(picture, tmp_path, at_swap):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"old")

    def linked() -> None:
        picture.unlink()
        picture.symlink_to(elsewhere)

    at_swap({1: linked})
    with pytest.raises(ImageError, match="has changed"):
        files.replace(picture, b"new", files.read(picture), trade=True)
    assert picture.is_symlink()
    assert elsewhere.read_bytes() == b"old"
    assert names(tmp_path) == ["a.jpg", "elsewhere"]


def test_where_names_cannot_be_exchanged_the_plain_way_is_taken(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "_renameat2", lambda: None)
    files.replace(picture, b"new", files.read(picture), trade=True)
    assert (picture.read_bytes(), names(tmp_path)) == (b"new", ["a.jpg"])
    monkeypatch.setattr(exchange, "_renameat2", lambda: lambda one, other: 22)  # EINVAL: not by this file system
    files.replace(picture, b"newer", files.read(picture), trade=True)
    assert (picture.read_bytes(), names(tmp_path)) == (b"newer", ["a.jpg"])


@pytest.mark.parametrize("again", [False, True])
def test_a_save_while_a_picture_is_deleted_in_favour_of_another_name_comes_back(picture, tmp_path, monkeypatch, again):
    snapshot, rename = files.read(picture), os.rename

    def late(*arguments: object) -> None:
        saved(picture, b"edited")
        rename(*arguments)
        if again:
            saved(picture, b"edited again")

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(ImageError, match=r"changed (more than once )?while it was"):
        files.retire(snapshot)
    contents = sorted((tmp_path / name).read_bytes() for name in names(tmp_path))
    assert picture.read_bytes() == (b"edited again" if again else b"edited")
    assert contents == ([b"edited", b"edited again"] if again else [b"edited"])


def killed_after_swap(edit: Callable[[], None], act: Callable[[], object]) -> None:
    """Run ``act`` in a child that is killed directly after the first exchange, before which ``edit`` happens."""
    child = os.fork()
    if child == 0:

        def swap(one: Path, other: Path) -> bool:
            edit()
            REAL(one, other)
            os._exit(9)

        exchange.swap = swap
        with contextlib.suppress(BaseException):
            act()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def laid(root: Path) -> Path:
    """A picture that no commit has."""
    repository(root)
    (root / ".semcompress.yaml").write_text("version: 1\n")
    commit(root)
    (root / "a.jpg").write_bytes(b"old" * 50)
    return root / "a.jpg"


def parked(root: Path) -> list[Path]:
    return sorted((root / ".git/semcompress").glob(".semcompress-*.was"))


def test_killed_after_the_exchange_the_original_that_came_out_is_swept_for_it_is_kept(picture, tmp_path, capsys):
    path = laid(tmp_path / "r")
    lock, originals = workplace(path.parent)
    plan = shrunk(path, lock, b"new")
    killed_after_swap(lambda: None, lambda: settle.settle([plan], lock, originals))
    assert path.read_bytes() == b"new"
    (stray,) = parked(path.parent)
    assert stray.read_bytes() == b"old" * 50
    lock, originals = workplace(path.parent)
    assert originals.get(lock.by_output(files.read(path).sha256)[0]) == b"old" * 50
    os.chdir(path.parent)
    main(["compress"])
    assert "was saved just as" not in capsys.readouterr().err
    assert parked(path.parent) == []


def test_killed_after_the_exchange_a_save_that_came_out_is_never_swept_and_is_told_of(picture, tmp_path, capsys):
    path = laid(tmp_path / "r")
    lock, originals = workplace(path.parent)
    plan = shrunk(path, lock, b"new")
    killed_after_swap(lambda: saved(path, b"edited"), lambda: settle.settle([plan], lock, originals))
    (stray,) = parked(path.parent)
    assert stray.read_bytes() == b"edited"
    os.chdir(path.parent)
    (path.parent / "b.jpg").write_bytes(b"old" * 40)
    for _ in range(2):
        lock, originals = workplace(path.parent)
        settle.settle([shrunk(path.parent / "b.jpg", lock, b"new b")], lock, originals)
        main(["compress"])
        assert f"{stray}: was saved just as it was to be replaced" in capsys.readouterr().err
        assert stray.read_bytes() == b"edited"


def test_what_lies_beside_a_picture_is_told_of_and_swept_once_it_is_known(picture, tmp_path, capsys):
    """Where the git directory is on another file system, names are exchanged beside the picture."""
    path = laid(tmp_path / "r")
    lock, originals = workplace(path.parent)
    settle.settle([shrunk(path, lock, b"new")], lock, originals)
    known, unknown = (path.with_name(f".semcompress-{number:016x}.was") for number in (1, 2))
    known.write_bytes(b"old" * 50)
    unknown.write_bytes(b"edited")
    os.chdir(path.parent)
    main(["compress"])
    assert f"{unknown}: was saved just as it was to be replaced" in capsys.readouterr().err
    assert (known.exists(), unknown.read_bytes()) == (False, b"edited")


@pytest.mark.parametrize("edited", [False, True])
def test_a_build_in_place_that_was_killed_is_finished_and_shrinks_nothing_twice(picture, tmp_path, capsys, edited):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: a, files: ['*.jpg'], compress: [{jpeg: {quality: 60}}],"
        " keep: {msssim: {score: {min: .3}}}}]\n"
    )
    path, made = site / "a.jpg", encoded(photo((200, 150)), "JPEG", quality=95)
    path.write_bytes(made)
    killed_after_swap(
        lambda: saved(path, b"edit") if edited else None, lambda: main(["build", "--in-place", str(site)])
    )
    shrunk_once = path.read_bytes()
    assert len(shrunk_once) < len(made)
    (taken,) = site.glob(".semcompress-*.was")
    for _ in range(2):
        code = main(["build", "--in-place", str(site), "--format", "json"])
        reasons = {one["path"]: one["reason"] for one in json.loads(capsys.readouterr().out)["results"]}
        assert reasons.pop("a.jpg") == "was made by an earlier build"
        assert path.read_bytes() == shrunk_once
        if edited:
            assert (code, reasons) == (1, {taken.name: files.TAKEN_OUT})
            assert taken.read_bytes() == b"edit"
        else:
            assert (code, reasons, taken.exists()) == (0, {}, False)


@pytest.mark.parametrize("place", ["replace", "beside"])
def test_a_build_in_place_that_was_killed_before_the_exchange_leaves_nothing(picture, tmp_path, capsys, place):
    """What lies under the other name then is what was to take the place of a picture, or of a page."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<img src=a.jpg>")
    (site / "a.jpg").write_bytes(encoded(photo((200, 150)), "JPEG", quality=95))
    formats = {"replace": "keep", "beside": "webp"}[place]
    (tmp_path / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: a, files: ['*.jpg'], compress: [{jpeg: {quality: 60}}, {webp: {quality: 60}}],"
        f" outputs: {{formats: [{formats}], place: {place}}}, keep: {{msssim: {{score: {{min: .3}}}}}}}}]\n"
    )
    before = {path.name: path.read_bytes() for path in site.iterdir()}
    killed_after_swap(lambda: os._exit(9), lambda: main(["build", "--in-place", str(site)]))
    assert len(list(site.glob(".semcompress-*.was"))) == 1
    assert all((site / name).read_bytes() == data for name, data in before.items())
    assert main(["build", "--in-place", str(site)]) == 0
    assert not list(site.glob(".semcompress-*.was"))
    changed = [name for name, data in before.items() if (site / name).read_bytes() != data]
    assert changed == [{"replace": "a.jpg", "beside": "index.html"}[place]]


def test_an_original_that_can_no_longer_be_had_is_not_swept_either(picture, tmp_path):
    path = laid(tmp_path / "r")
    lock, originals = workplace(path.parent)
    plan = shrunk(path, lock, b"new")
    killed_after_swap(lambda: None, lambda: settle.settle([plan], lock, originals))
    lock, originals = workplace(path.parent)
    originals.drop([plan.snapshot.sha256])
    subprocess.run(["git", "-C", path.parent, "gc", "-q", "--prune=now"], check=True)
    assert settle.sweep_parked([lock.state], lock, originals) == parked(path.parent) != []


def opened(path: Path) -> BinaryIO:
    return path.open("r+b")


def mapped(path: Path) -> mmap.mmap:
    """A file need not be open any more to be written into."""
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


@pytest.fixture
def leased(picture) -> Path:
    if exchange._refused(picture):
        pytest.skip("this file system gives out no leases, so nobody can know who writes")
    return picture


@pytest.mark.parametrize("how", [opened, mapped])
@pytest.mark.parametrize("way", ["replace", "retire"])
def test_a_file_that_a_program_has_open_to_write_keeps_its_place(leased, tmp_path, how, way):
    snapshot = files.read(leased)
    with how(leased) as handle:
        with pytest.raises(ImageError, match="open for writing in another program"):
            files.replace(leased, b"new", snapshot, trade=True) if way == "replace" else files.retire(snapshot)
        assert (leased.read_bytes(), names(tmp_path)) == (b"old", ["a.jpg"])
        handle.write(b"own")
        handle.flush()
    assert leased.read_bytes() == b"own"


def test_a_save_and_a_program_that_is_still_writing_is_told_as_a_change(leased, tmp_path, at_swap):
    with leased.open("r+b", buffering=0) as handle:
        at_swap({1: lambda: handle.write(b"own")})
        with pytest.raises(ImageError, match="has changed"):
            files.replace(leased, b"new", files.read(leased), trade=True)
        handle.write(b"er")
    assert (leased.read_bytes(), names(tmp_path)) == (b"owner", ["a.jpg"])


def test_a_program_that_only_reads_is_no_hindrance(leased, tmp_path):
    with leased.open("rb") as handle:
        files.replace(leased, b"new", files.read(leased), trade=True)
        assert handle.read() == b"old"
    assert (leased.read_bytes(), names(tmp_path)) == (b"new", ["a.jpg"])


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINVAL, errno.EACCES])
def test_a_file_system_that_gives_out_no_leases_is_written_to_all_the_same(picture, tmp_path, monkeypatch, number):
    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == exchange.fcntl.F_SETLEASE:
            raise OSError(number, "refused")
        return 0

    monkeypatch.setattr(exchange.fcntl, "fcntl", refuse)
    files.replace(picture, b"new", files.read(picture), trade=True)
    files.retire(files.read(picture))
    assert names(tmp_path) == []


OPENED_MEANWHILE = """
import contextlib, fcntl, os, sys
from pathlib import Path
from semcompress_plugin import exchange
real = fcntl.fcntl
def call(descriptor, command, argument=0):
    done = real(descriptor, command, argument)
    if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_RDLCK):
        try:
            os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
        except BlockingIOError:
            print("the kernel has told us")
    return done
fcntl.fcntl = call
exchange.being_written(Path(sys.argv[1]))
"""


def test_who_opens_a_file_while_we_ask_does_us_no_harm(leased):
    done = subprocess.run([sys.executable, "-c", OPENED_MEANWHILE, leased], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "the kernel has told us\n"), done.stderr


def test_nothing_is_lost_to_a_program_that_saves_without_a_pause(picture, tmp_path, monkeypatch):
    """Whoever saves last has the last word, or what we made of just that lies there."""
    staging, last = tmp_path / "staging", b"old"
    staging.mkdir()
    for module, name in ((exchange, "swap"), (_staging, "_rename_over")):  # a moment that is long enough to be hit
        slow = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *paths, slow=slow: (time.sleep(0.001), slow(*paths))[1])

    def editor(stop: threading.Event) -> None:
        nonlocal last
        for number in itertools.count():
            last = b"save %d" % number
            saved(picture, last)
            if stop.wait((0, 0.001, 0.008)[number % 3]):
                return

    outcomes = Counter[bool]()
    for _ in range(15):
        stop = threading.Event()
        thread = threading.Thread(target=editor, args=(stop,))
        thread.start()
        for _ in range(20):
            snapshot = files.read(picture)
            try:
                files.replace(picture, b"made of " + snapshot.data, snapshot, staging, trade=True)
                outcomes[True] += 1
            except ImageError:
                outcomes[False] += 1
        stop.set()
        thread.join()
        assert picture.read_bytes().split(b"made of ")[-1] == last
    assert min(outcomes[True], outcomes[False]) > 5
