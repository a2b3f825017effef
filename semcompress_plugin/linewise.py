"""Files of lines, as locks and journals are: read one line at a time, and text that may hold any bytes."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path

from semcompress_plugin.errors import LockError


def is_there(path: Path, what: str) -> bool:
    """Whether there is such a file. Raises LockError where that is a link, or anything else that no ``what`` is."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LockError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise LockError(f"{path}: is not a regular file: the {what} must be one")
    return True


def read(path: Path, what: str) -> str:
    """The whole text, empty where there is no file. Raises LockError as :func:`is_there` does."""
    try:
        return decode(path.read_bytes()) if is_there(path, what) else ""
    except OSError as error:
        raise LockError(f"{path}: cannot be read: {error.strerror}") from error


def each(path: Path) -> Iterator[bytes]:
    """A file's lines with their ends, one at a time; none where there is no file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        yield from file


def decode(data: bytes) -> str:
    """Text, in which bytes that are no UTF-8 survive."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that :func:`decode` had."""
    return text.encode("utf-8", "surrogateescape")


def posix(*parts: str) -> str:
    """A path of this system as lines spell it."""
    return posixpath.normpath("/".join(parts).replace(os.sep, "/"))
