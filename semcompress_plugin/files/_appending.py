"""Adds lines to a file that only ever gains some."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from semcompress_plugin.errors import ImageError

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# O_NONBLOCK: a FIFO that nobody reads must not stop us
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NOFOLLOW | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def append(path: Path, lines: bytes) -> None:
    """Add whole lines to a regular file, which is made if there is none, and see them to the disk.

    Symbolic links are not followed. A line that a crash cut off does not swallow the first of them. Raises ImageError
    for what is no regular file, OSError for all else.
    """
    if path.is_symlink():  # said in words, and where the system cannot refuse them
        raise ImageError("is a symbolic link, and nothing is written through one: remove it")
    descriptor = os.open(path, _APPEND, 0o666)
    with os.fdopen(descriptor, "ab") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ImageError("is not a regular file: remove it")
        file.write(b"\n" * bool(file.tell()) + lines)
        file.flush()
        os.fsync(descriptor)
