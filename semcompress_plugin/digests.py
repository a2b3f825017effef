"""SHA-256 of files that are as they were when they were last hashed: what spares a run with nothing to do the reading.

All that is believed is that a file with the same name, device, inode, size and times has the same bytes, and only
where a later change could not have left all of these as they are. A change sets the *time of change* (ctime), which
no program can set back. It escapes only if the clock has not moved on since the file was last changed: what git calls
racily clean. Hence a file is remembered only if both its times lie two seconds (the coarsest clock of a file system,
FAT's) or more before a stamp that its own file system gave this run before the file was read. What is not remembered,
or is not believed, is read: nothing but time depends on this cache, and it may be deleted whenever one likes.

A program that writes through a memory map may do so seconds after the time of change, which git does not see either.
Who then finds other bytes than were told lets everything be forgotten (:meth:`Digests.clear`).
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from functools import cached_property
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.errors import ImageError

_HEAD = "semcompress digests 1"
_COARSEST_NS = 2_000_000_000
_SHA256_LENGTH = 64


class Digests:
    """What is known of the files below one policy; kept in ``file``, or nowhere if that is None.

    With ``learn`` new knowledge is gathered for :meth:`save`; without, nothing at all is written.
    """

    def __init__(self, file: Path | None, *, learn: bool = True) -> None:
        self._file = file
        # where the time of change is another (Windows: of creation), a change could leave everything as it was
        self._learn = learn and file is not None and os.name == "posix"
        self._learnt: dict[str, str] = {}

    def of(self, place: str) -> tuple[str, int]:
        """SHA-256 (hexadecimal) and bytes of the regular file at the absolute path ``place``.

        Raises ImageError as :func:`semcompress_plugin.files.read` does.
        """
        known = self._known.get(place)
        if known is not None:
            with contextlib.suppress(OSError, ValueError):
                status = os.lstat(place)
                if known[_SHA256_LENGTH:] == _looks(status) and stat.S_ISREG(status.st_mode):
                    return known[:_SHA256_LENGTH], status.st_size
        stamp = self._stamp  # before the file is read, or it would say nothing about changes since
        sha256, status = files.measure(Path(place))
        if stamp is not None and status.st_dev == stamp[0] and _newest(status) + _COARSEST_NS <= stamp[1]:
            self._learnt[place] = sha256 + _looks(status)
        return sha256, status.st_size

    def save(self) -> None:
        """Keep what was learnt, beside what is known of other files that are still there. Never fails."""
        if not self._learnt or self._file is None or self._stamp is None:
            return
        others = {place: known for place, known in self._known.items() if place not in self._learnt}
        kept = {place: known for place, known in others.items() if os.path.lexists(place)} | self._learnt
        body = "\0".join(field for item in kept.items() for field in item).encode("utf-8", "surrogateescape")
        head = f"{_HEAD} {self._stamp[1]} {files.digest(body)}\n".encode()
        with contextlib.suppress(ImageError):
            files.sweep([self._file.parent])
            files.create(self._file, head + body, overwrite=True, durable=False)
        self._learnt = {}
        self.__dict__.pop("_known", None)  # who asks once more reads it again

    def clear(self) -> None:
        """Forget everything, for it has told something that is not so. Never fails."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    @cached_property
    def _known(self) -> dict[str, str]:
        """Path -> SHA-256 and looks; empty for a file that is damaged, not ours, or from the future."""
        try:
            data = b"" if self._file is None else self._file.read_bytes()
            head, _, body = data.partition(b"\n")
            name, stamp, sha256 = head.decode().rsplit(" ", 2)
            # a clock that was set back might give a changed file the times that it had before
            if name != _HEAD or files.digest(body) != sha256 or time.time_ns() < int(stamp):
                return {}
            fields = body.decode("utf-8", "surrogateescape").split("\0")
        except (OSError, ValueError):
            return {}
        return dict(zip(fields[::2], fields[1::2], strict=False))

    @cached_property
    def _stamp(self) -> tuple[int, int] | None:
        """Device and time (ns) by the clock of the file system on which the cache lies; None where nothing is learnt.

        A file that has no name, hence none that a crash could leave. It is made to look old: where its time of change
        follows (FAT has none), an edit whose time was set back could not be told.
        """
        if not self._learn or self._file is None:
            return None
        import tempfile

        try:
            self._file.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self._file.parent) as file:
                os.utime(file.fileno(), ns=(0, 0))
                status = os.fstat(file.fileno())
        except OSError:
            return None
        return (status.st_dev, status.st_ctime_ns) if status.st_mtime_ns == 0 < status.st_ctime_ns else None


def _looks(status: os.stat_result) -> str:
    """All by which a file is recognised, with a space before."""
    return f" {status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _newest(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)
