"""Names under which bytes wait on disk, and what killed processes left there."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from semcompress_plugin.files._reading import READ

try:
    import fcntl
except ImportError:  # Windows has no flock; see _abandoned
    fcntl = None  # type: ignore[assignment]  # the documented way to do without a module

PREFIX, SUFFIX, PARKED = ".semcompress-", ".tmp", ".was"
TAKEN_OUT = (
    "was saved just as it was to be replaced, by a run that was killed: look at it, and delete it or put it back"
)
"""What to say of a file that was :func:`parked` and whose content nobody knows."""

_MADE = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{16}}\.")
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_SECONDS_UNTIL_ABANDONED = 3600.0


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that we stage, or that a killed process of ours left."""
    return _is_made(name) and name.endswith((SUFFIX, PARKED))


def _is_made(name: str) -> bool:
    """Whether a name is one of ours, and not only begins like one."""
    return bool(_MADE.match(name))


def sweep(folders: Iterable[Path]) -> None:
    """Delete the temporary files that killed processes left directly in these folders."""
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            left = [entry for entry in entries if _is_made(entry.name) and entry.name.endswith(SUFFIX)]
            for entry in left:
                with contextlib.suppress(OSError), _abandoned(entry) as gone:
                    if gone:
                        os.unlink(entry.path)  # noqa: PTH108  # a scandir entry is no Path


def parked(folders: Iterable[Path]) -> list[Path]:
    """Files that killed processes left directly in these folders when they traded places with others."""
    found: list[Path] = []
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            left = [entry for entry in entries if _is_made(entry.name) and entry.name.endswith(PARKED)]
            for entry in left:
                with contextlib.suppress(OSError), _abandoned(entry) as gone:
                    found += [Path(entry.path)] if gone else []
    return found


def temporary(folder: Path, mode: int) -> tuple[int, Path]:
    """A new empty file, open and held, and its path."""
    while True:
        path = new_name(folder)
        descriptor = os.open(path, _CREATE, mode)
        hold(descriptor)
        if not fcntl or os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # it was swept before we held it


def hold(descriptor: int) -> None:
    """Tell other processes' sweep that the maker of this file lives, where there are locks to tell it with."""
    if fcntl:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def new_name(folder: Path) -> Path:
    return folder / f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}"


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
        descriptor = os.open(entry.path, READ)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)
