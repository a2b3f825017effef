"""Reads regular files whole or by their hash, and looks whether they still are as they were."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from semcompress_plugin import exchange
from semcompress_plugin.errors import ImageError

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# O_NONBLOCK: opening a FIFO must not wait for a writer
READ = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
CHUNK = 1 << 16
"""Bytes read at once: much more would be taken from the system, and torn to pieces there, for every small file."""

_LINK = "is a symbolic link: name the file it points to"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it was when it was read. ``sha256`` is in hexadecimal, ``mode`` holds the permission bits."""

    path: Path
    data: bytes = field(repr=False)
    sha256: str
    mode: int = 0o644


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
    return Snapshot(path, data, digest(data), stat.S_IMODE(status.st_mode))


def holds(path: Path, sha256: str) -> bool:
    """Whether there is a regular file that can be read, with this content."""
    try:
        return measure(path)[0] == sha256
    except ImageError:
        return False


def measure(path: Path) -> tuple[str, os.stat_result]:
    """SHA-256 (hexadecimal) of a regular file, and its status from before it was read. Raises as :func:`read` does."""
    with _opened(path) as (file, status):
        hashed = hashlib.sha256()
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest(), status


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


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[FileIO, os.stat_result]]:
    """A regular file to read from, and its status; what goes wrong meanwhile is an ImageError."""
    if not _NOFOLLOW and path.is_symlink():
        raise ImageError(_LINK)
    try:
        descriptor = os.open(path, READ)
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


def _unreadable(path: Path, error: OSError) -> str:
    if os.path.islink(path):  # noqa: PTH114  # Path.is_symlink raises where a name is too long
        return _LINK
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if os.path.isdir(path):  # noqa: PTH112  # as above
        return "is a folder"
    return f"cannot be read: {error.strerror or error}"
