"""Two files trade places in one step, and what came out is looked at: no save of that very moment is lost.

Between the last look at a file and a rename over it there is a moment in which somebody may save it. Where the kernel
can exchange two names (Linux, ``renameat2``), what lay there comes out under the other name. Nothing that came out is
deleted unless it is what was expected, and nobody has it open to write into: anything else goes back to its place, or
stays where it is.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.errors import ImageError

try:
    import fcntl
except ImportError:  # Windows, which has no leases either; see being_written
    fcntl = None  # type: ignore[assignment]  # the documented way to do without a module

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""linux/fcntl.h, linux/fs.h."""
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EPERM}
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

CHANGED = "has changed while it was looked at, so it was left alone: run again"
BUSY = "is open for writing in another program, so it was left alone: run again when that is done"


def possible() -> bool:
    """Whether this system knows how to exchange names at all; a file system may still refuse."""
    return _renameat2() is not None


def swap(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False, and nothing has happened, where the system cannot.

    Raises OSError as a rename would.
    """
    rename = _renameat2()
    if rename is None:
        return False
    number = rename(os.fsencode(one), os.fsencode(other))
    if number in _CANNOT:
        return False
    if number:
        raise OSError(number, os.strerror(number), str(other))
    return True


def take_the_place(parked: Path, path: Path, expected: str) -> bool:
    """Exchange ``parked``, a file of our own, with ``path``, whose content should have the SHA-256 ``expected``.

    True when it had: that content is gone, for it is known. False where names cannot be exchanged; then, and when an
    OSError is raised, nothing has happened. Otherwise the last that was saved lies at ``path`` again, and ImageError
    says so.
    """
    ours = sha256(parked)
    if not swap(parked, path):
        return False
    busy = being_written(parked)  # first: who does not have it open now cannot open it, for its name is ours
    came_out = sha256(parked)
    if came_out == expected and not busy:
        parked.unlink(missing_ok=True)
        return True
    # somebody's save: it goes back, and what comes out for it is looked at likewise, for it may be a newer one
    laid, held = ours, came_out
    while True:
        try:
            if os.path.lexists(path) and sha256(path) != laid:
                raise ImageError(_kept(parked))
            swap(parked, path)
        except FileNotFoundError:
            bring_back(parked, path)
            raise ImageError(CHANGED) from None
        except OSError as error:
            raise ImageError(_kept(parked)) from error
        brought, held = held, sha256(parked)
        if held == laid:
            break
        laid = brought
    # ours came out, unless somebody opened it while it lay there: what is about to be written into it is theirs
    if laid != ours or being_written(parked):
        raise ImageError(_kept(parked))
    parked.unlink(missing_ok=True)
    raise ImageError(BUSY if came_out == expected else CHANGED)


def bring_back(parked: Path, path: Path) -> None:
    """Give a file that was taken out its name back, unless there is a newer one. Raises ImageError if it stays out."""
    try:
        os.link(parked, path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EEXIST and not os.path.lexists(path):
            os.rename(parked, path)  # noqa: PTH104  # a file system without hard links
            return
        raise ImageError(_kept(parked)) from error
    parked.unlink(missing_ok=True)


def being_written(path: Path) -> bool:
    """Whether a program has this file open to write into: False also where the system cannot tell.

    Linux gives out no read lease while anybody may write. Some file systems never give one out, so a refusal counts
    only where a fresh file beside it would get its lease. Leases are for a file's owner and root.
    """
    if not hasattr(fcntl, "F_SETLEASE") or not _refused(path):
        return False
    fresh = path.with_name(f"{path.name}.tmp")  # a name that files.sweep knows
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return not _refused(fresh)
    except OSError:
        return False
    finally:
        fresh.unlink(missing_ok=True)


def _refused(path: Path) -> bool:
    """Whether the kernel refuses a lease as one that would conflict; other reasons say nothing about writers."""
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return False
    try:
        # who opens it to write while we hold the lease makes the kernel send a signal, which by default would kill us
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def sha256(path: Path) -> str | None:
    """SHA-256 (hex) of a regular file's content, or None for what is none or cannot be read."""
    try:
        with os.fdopen(os.open(path, _READ), "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _kept(parked: Path) -> str:
    return f"changed more than once while it was being replaced: the last save lies there, one before in {parked}"


@cache
def _renameat2() -> Callable[[bytes, bytes], int] | None:
    """The kernel's call, which gives an error number or 0; None on systems (or C libraries) without."""
    import ctypes  # only now: a run with nothing to do replaces nothing

    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]

    def call(one: bytes, other: bytes) -> int:
        return ctypes.get_errno() if function(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE) else 0

    return call
