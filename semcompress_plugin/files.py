"""Reads and replaces files so that each is, at any moment, the whole old one or the whole new one.

New bytes are *staged* in a temporary file first and then renamed over the target. In a git repository they are staged
in the git directory, where a crash leaves nothing that ``git status`` or ``git add`` could see; where that lies on
another file system they are staged beside the target as ``.semcompress-*.tmp``. :func:`sweep` removes what a killed
process left in either place. ``.semcompress-*.was`` are files that trade places with the target: what they hold may be
all there is of something, so that only who knows their content may delete them (:func:`parked`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from semcompress_plugin import exchange
from semcompress_plugin.errors import ImageError

try:
    import fcntl
except ImportError:  # Windows has no flock; see _abandoned
    fcntl = None  # type: ignore[assignment]  # the documented way to do without a module

_PREFIX, _SUFFIX, _PARKED = ".semcompress-", ".tmp", ".was"
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
# O_NONBLOCK: opening a FIFO must not wait for a writer
_READ = os.O_RDONLY | _NOFOLLOW | _BINARY | getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_SECONDS_UNTIL_ABANDONED = 3600.0
_CHUNK = 1 << 16
"""Bytes read at once: much more would be taken from the system, and torn to pieces there, for every small file."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it was when it was read.

    ``sha256`` is in hexadecimal. ``mode`` holds the permission bits. ``links`` counts the names the file has: with
    more than one, replacing it leaves the others as they were.
    """

    path: Path
    data: bytes = field(repr=False)
    sha256: str
    mode: int = 0o644
    links: int = 1


@dataclass(frozen=True, slots=True)
class Version:
    """What was in a file when it was read, told by its SHA-256 alone: for files that are never held whole."""

    path: Path
    sha256: str


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> Snapshot:
    """Read a regular file. Symbolic links are not followed, nothing is waited for.

    Raises ImageError with the reason in one line, without the path.
    """
    with _opened(path) as (file, status):
        data = file.read()
    return Snapshot(path, data, digest(data), stat.S_IMODE(status.st_mode), status.st_nlink)


def measure(path: Path) -> tuple[str, os.stat_result]:
    """SHA-256 (hexadecimal) of a regular file, and its status from before it was read. Raises as :func:`read` does."""
    with _opened(path) as (file, status):
        hashed = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest(), status


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[FileIO, os.stat_result]]:
    """A regular file to read from, and its status; what goes wrong meanwhile is an ImageError."""
    if not _NOFOLLOW and path.is_symlink():
        raise ImageError(_LINK)
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise ImageError(_unreadable(path, error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            yield file, status
    except OSError as error:
        raise ImageError(_unreadable(path, error)) from error
    finally:
        os.close(descriptor)


def replace(
    path: Path,
    data: bytes,
    expected: Snapshot,
    staging: Path | None = None,
    mode: int | None = None,
    *,
    trade: bool = False,
) -> None:
    """Put ``data`` in the place of a file that still is as ``expected``; see :func:`stage`, :meth:`Staged.commit`."""
    with contextlib.closing(stage(path, data, expected, staging, mode)) as staged:
        staged.commit(trade=trade)
    sync([path.parent])


def create(path: Path, data: bytes, *, overwrite: bool = False, mode: int | None = None, durable: bool = True) -> None:
    """Write a file whole, making its folders. An existing one is an ImageError unless ``overwrite``.

    Without ``durable`` a power failure may cost the new file's content: for what can be had again.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(_unwritable(error)) from error
    with contextlib.closing(stage(path, data, mode=mode, durable=durable)) as staged:
        staged.commit(overwrite=overwrite)
    if durable:
        sync([path.parent])


def pour(path: Path, source: BinaryIO, *, like: Path | None = None, durable: bool = True) -> None:
    """Write a file whole from an open one of any size, making its folders; an existing one is replaced.

    ``like`` is the file whose mode and times it gets. Raises ImageError when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(Staged(path, None, *_temporary(path.parent, 0o666))) as staged:
            staged.take(source, like, durable)
            staged.commit(overwrite=True)
    except OSError as error:
        raise ImageError(_unwritable(error)) from error


def stage(
    path: Path,
    data: bytes | Iterable[bytes],
    expected: Snapshot | Version | None = None,
    staging: Path | None = None,
    mode: int | None = None,
    durable: bool = True,
) -> Staged:
    """Write ``data`` (all of it, or piece by piece) to disk, to be renamed to ``path`` by :meth:`Staged.commit`.

    With ``expected`` an existing file is replaced, whose owner, group, mode and extended attributes are kept (``mode``
    overrules); without, a new file is made. ``staging`` is the folder to stage in if it is on the same file system;
    otherwise that is the target's own. Raises ImageError when the file is read-only, has changed, or when there is no
    room or no permission; nothing is left behind then.
    """
    if expected is not None:
        check(expected)
    try:
        folder = staging if staging is not None and _same_device(staging, path.parent) else path.parent
        staged = Staged(path, expected, *_temporary(folder, 0o666 if expected is None else 0o600))
    except OSError as error:
        raise ImageError(_unwritable(error)) from error
    try:
        staged.fill([data] if isinstance(data, bytes) else data, mode, durable)
    except BaseException as error:
        staged.close()
        if isinstance(error, OSError):
            raise ImageError(_unwritable(error)) from error
        raise
    return staged


class Staged:
    """Bytes that are safely on disk under a temporary name; :meth:`close` drops them unless they were committed."""

    def __init__(self, path: Path, expected: Snapshot | Version | None, descriptor: int, temporary: Path) -> None:
        self.path = path
        self._expected = expected
        self._descriptor: int | None = descriptor
        self._temporary: Path | None = temporary

    def commit(self, *, overwrite: bool = False, trade: bool = False) -> None:
        """Rename to the final name. Raises ImageError when the file there is not the expected one any more.

        With ``trade`` the two trade places where the system can do that, and what came out is looked at once more
        (:mod:`semcompress_plugin.exchange`). The folder is not synced: see :func:`sync`.
        """
        if self._temporary is None:
            raise ValueError("committed twice")
        if self._expected is not None:
            check(self._expected)
        try:
            if self._expected is None and not overwrite:
                _rename_new(self._temporary, self.path)
            elif not (trade and self._traded(self._expected)):
                if not fcntl:
                    self._release()  # Windows does not rename open files
                _rename_over(self._temporary, self.path)
        except FileExistsError as error:
            raise ImageError("would overwrite a file that is not ours: move it or exclude it") from error
        except OSError as error:
            raise ImageError(_unwritable(error)) from error
        self._temporary = None

    def _traded(self, expected: Snapshot | Version | None) -> bool:
        if expected is None or self._temporary is None or not exchange.possible():
            return False
        parked = self._temporary.with_suffix(_PARKED)
        os.replace(self._temporary, parked)  # noqa: PTH105  # tests and fault injection patch os.replace
        self._temporary = parked
        self._only_read()
        try:
            return exchange.take_the_place(parked, self.path, expected.sha256)
        except OSError:  # nothing has happened
            raise
        except BaseException:  # whatever it holds now is not ours to delete: ^C may come just after the exchange
            self._temporary = None
            raise

    def close(self) -> None:
        self._release()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
            self._temporary = None

    def fill(self, pieces: Iterable[bytes], mode: int | None, durable: bool) -> None:
        assert self._descriptor is not None
        assert self._temporary is not None
        with open(self._descriptor, "wb", closefd=False) as file:
            file.writelines(pieces)
        if self._expected is not None:
            _take_after(self._expected.path, self._temporary)
        if mode is not None:
            self._temporary.chmod(mode)
        if durable:
            os.fsync(self._descriptor)

    def take(self, source: BinaryIO, like: Path | None, durable: bool) -> None:
        assert self._descriptor is not None
        assert self._temporary is not None
        with open(self._descriptor, "wb", closefd=False) as file:
            while chunk := source.read(_CHUNK):
                file.write(chunk)
        if like is not None:
            import shutil  # brings three decompressors along: not for a run with nothing to do

            shutil.copystat(like, self._temporary, follow_symlinks=False)
        if durable:
            os.fsync(self._descriptor)

    def _only_read(self) -> None:
        """Hold the file open to read only: who asks the kernel whether anybody may write into it must not find us."""
        if fcntl and self._temporary is not None:
            reader = os.open(self._temporary, _READ)
            self._release()
            self._descriptor = reader
            with contextlib.suppress(OSError):
                fcntl.flock(reader, fcntl.LOCK_EX)

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def check(snapshot: Snapshot | Version) -> None:
    """Raise ImageError unless the file still has the same bytes and may be replaced."""
    sha256, _ = measure(snapshot.path)
    if sha256 != snapshot.sha256:
        raise ImageError(exchange.CHANGED)
    # what this process may do, as any editor would judge; for root the bits alone say nothing
    if not os.access(snapshot.path, os.W_OK):
        raise ImageError("is read-only: make it writable (chmod u+w) to have it replaced")
    if not os.access(snapshot.path.parent, os.W_OK):
        raise ImageError("lies in a folder that cannot be written to")


def remove(snapshot: Snapshot) -> None:
    """Delete a file that still is as it was read."""
    check(snapshot)
    try:
        snapshot.path.unlink()
    except OSError as error:
        raise ImageError(_unwritable(error)) from error


def retire(snapshot: Snapshot, staging: Path | None = None) -> None:
    """Delete a file that still is as it was read, and is known to be kept elsewhere: taken out first, then looked at.

    ``staging`` is the folder for what was taken out, if it is on the same file system.
    """
    check(snapshot)
    folder = snapshot.path.parent
    if staging is not None and _same_device(staging, folder):
        folder = staging
    taken = folder / f"{_PREFIX}{os.urandom(8).hex()}{_PARKED}"
    try:
        os.rename(snapshot.path, taken)  # noqa: PTH104  # fault injection patches os.rename
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise ImageError(_unwritable(error)) from error
        return remove(snapshot)  # a bind mount or a quota
    busy = exchange.being_written(taken)
    known = exchange.sha256(taken) == snapshot.sha256
    if busy or not known:
        exchange.bring_back(taken, snapshot.path)
        raise ImageError(exchange.BUSY if known else exchange.CHANGED)
    with contextlib.suppress(OSError):  # the next run will
        taken.unlink()


def parked(folders: Iterable[Path]) -> list[Path]:
    """Files that killed processes left directly in these folders when they traded places with others."""
    found: list[Path] = []
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            left = [entry for entry in entries if entry.name.startswith(_PREFIX) and entry.name.endswith(_PARKED)]
            for entry in left:
                with contextlib.suppress(OSError), _abandoned(entry) as gone:
                    found += [Path(entry.path)] if gone else []
    return found


def folds_case(folder: Path) -> bool:
    """Whether names in ``folder`` (made if it is not there) that differ in case only are one file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, path = _temporary(folder, 0o600)
        os.close(descriptor)
        try:
            return path.with_name(path.name.upper()).exists()
        finally:
            path.unlink()
    except OSError as error:
        raise ImageError(_unwritable(error)) from error


def sync(folders: Iterable[Path]) -> None:
    """Make renames in these folders last (a no-op where folders cannot be opened, as on Windows)."""
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def sweep(folders: Iterable[Path]) -> None:
    """Delete the temporary files that killed processes left directly in these folders."""
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            left = [entry for entry in entries if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)]
            for entry in left:
                with contextlib.suppress(OSError), _abandoned(entry) as gone:
                    if gone:
                        os.unlink(entry.path)  # noqa: PTH108  # a scandir entry is no Path


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that we stage, or that a killed process of ours left."""
    return name.startswith(_PREFIX) and name.endswith((_SUFFIX, _PARKED))


def _temporary(folder: Path, mode: int) -> tuple[int, Path]:
    while True:
        path = _new_name(folder)
        descriptor = os.open(path, _CREATE, mode)
        if not fcntl:
            return descriptor, path
        with contextlib.suppress(OSError):  # tells other processes' sweep that we live
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # it was swept before we held it


def _new_name(folder: Path) -> Path:
    return folder / f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"


@contextlib.contextmanager
def _abandoned(entry: os.DirEntry[str]) -> Iterator[bool]:
    """Whether the process that made this temporary file is gone; without locks to ask, whether it is an hour old.

    The lock is held as long as the answer counts: who has just made the file, and waits for it, then finds it swept.
    """
    if not entry.is_file(follow_symlinks=False):
        yield False
    elif not fcntl:
        yield time.time() - entry.stat(follow_symlinks=False).st_mtime > _SECONDS_UNTIL_ABANDONED
    else:
        descriptor = os.open(entry.path, _READ)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)


def _take_after(old: Path, new: Path) -> None:
    """Give ``new`` the owner, group, mode and extended attributes of ``old``, as far as we may."""
    import shutil

    before, after = old.lstat(), new.lstat()
    if hasattr(os, "chown") and (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
        with contextlib.suppress(OSError):
            os.chown(new, before.st_uid, before.st_gid, follow_symlinks=False)
    shutil.copystat(old, new, follow_symlinks=False)
    os.utime(new)  # the content is new: build tools and git must notice


def _rename_over(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)  # noqa: PTH105  # tests and fault injection patch os.replace
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # a bind mount or a quota: the same device number, yet no renaming from one to the other
        import shutil

        beside = _new_name(path.parent)
        try:
            shutil.copy2(temporary, beside)
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, path)  # noqa: PTH105
        finally:
            beside.unlink(missing_ok=True)
        os.utime(path)
        temporary.unlink()


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename unless ``path`` exists; a hard link makes that one step where the file system has them."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from error
        _rename_over(temporary, path)
    else:
        with contextlib.suppress(OSError):  # sweep will have it
            temporary.unlink()


def _same_device(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:
        return False


_LINK = "is a symbolic link: name the file it points to"


def _unreadable(path: Path, error: OSError) -> str:
    if path.is_symlink():
        return _LINK
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if path.is_dir():
        return "is a folder"
    return f"cannot be read: {error.strerror or error}"


def _unwritable(error: OSError) -> str:
    return f"cannot be written: {error.strerror or error}"
