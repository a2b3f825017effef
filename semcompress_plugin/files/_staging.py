"""Writes a file whole: staged under a temporary name first, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from semcompress_plugin import exchange
from semcompress_plugin.errors import ImageError
from semcompress_plugin.files._reading import CHUNK, READ, Snapshot, Version, check
from semcompress_plugin.files._temporary import PARKED, hold, new_name, temporary

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


def replace(
    path: Path,
    data: bytes,
    expected: Snapshot | Version,
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
        raise ImageError(unwritable(error)) from error
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
        with contextlib.closing(Staged(path, None, *temporary(path.parent, 0o666))) as staged:
            staged.take(source, like, durable)
            staged.commit(overwrite=True)
    except OSError as error:
        raise ImageError(unwritable(error)) from error


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
        folder = staging if staging is not None and same_device(staging, path.parent) else path.parent
        staged = Staged(path, expected, *temporary(folder, 0o666 if expected is None else 0o600))
    except OSError as error:
        raise ImageError(unwritable(error)) from error
    try:
        staged.fill([data] if isinstance(data, bytes) else data, mode, durable)
    except BaseException as error:
        staged.close()
        if isinstance(error, OSError):
            raise ImageError(unwritable(error)) from error
        raise
    return staged


class Staged:
    """Bytes that are safely on disk under a temporary name; :meth:`close` drops them unless they were committed."""

    def __init__(self, path: Path, expected: Snapshot | Version | None, descriptor: int, temporary: Path) -> None:
        self.path = path
        self.expected = expected
        """The file that is to be replaced; None where a new one is made."""
        self._descriptor: int | None = descriptor
        self._temporary: Path | None = temporary

    def commit(self, *, overwrite: bool = False, trade: bool = False) -> None:
        """Rename to the final name. Raises ImageError when the file there is not the expected one any more.

        With ``trade`` the two trade places where the system can do that, and what came out is looked at once more
        (:mod:`semcompress_plugin.exchange`). The folder is not synced: see :func:`sync`.
        """
        if self._temporary is None:
            raise ValueError("committed twice")
        if self.expected is not None:
            check(self.expected)
        try:
            if self.expected is None and not overwrite:
                _rename_new(self._temporary, self.path)
            elif not (trade and self._traded(self.expected)):
                if os.name == "nt":
                    self._release()  # Windows does not rename open files
                _rename_over(self._temporary, self.path)
        except FileExistsError as error:
            raise ImageError("would overwrite a file that is not ours: move it or exclude it") from error
        except OSError as error:
            raise ImageError(unwritable(error)) from error
        self._temporary = None

    def _traded(self, expected: Snapshot | Version | None) -> bool:
        if expected is None or self._temporary is None or not exchange.possible():
            return False
        parked = self._temporary.with_suffix(PARKED)
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
        if self.expected is not None:
            _take_after(self.expected.path, self._temporary)
        if mode is not None:
            self._temporary.chmod(mode)
        if durable:
            os.fsync(self._descriptor)

    def take(self, source: BinaryIO, like: Path | None, durable: bool) -> None:
        assert self._descriptor is not None
        assert self._temporary is not None
        with open(self._descriptor, "wb", closefd=False) as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
        if like is not None:
            import shutil  # brings three decompressors along: not for a run with nothing to do

            shutil.copystat(like, self._temporary, follow_symlinks=False)
        if durable:
            os.fsync(self._descriptor)

    def _only_read(self) -> None:
        """Hold the file open to read only: :func:`exchange.being_written` must not take us for a writer."""
        assert self._temporary is not None
        reader = os.open(self._temporary, READ)
        self._release()
        self._descriptor = reader
        hold(reader)

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def folds_case(folder: Path) -> bool:
    """Whether names in ``folder`` (made if it is not there) that differ in case only are one file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, path = temporary(folder, 0o600)
        os.close(descriptor)
        try:
            return path.with_name(path.name.upper()).exists()
        finally:
            path.unlink()
    except OSError as error:
        raise ImageError(unwritable(error)) from error


def sync(folders: Iterable[Path]) -> None:
    """Make renames in these folders last (a no-op where folders cannot be opened, as on Windows)."""
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
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

        beside = new_name(path.parent)
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


def same_device(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:
        return False


def unwritable(error: OSError) -> str:
    return f"cannot be written: {error.strerror or error}"
