"""Who may need an original, as far as a folder outside git says."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NoReturn

from semcompress_plugin import files, git
from semcompress_plugin.entries import Content, Entry, decode
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.lock import NAME
from semcompress_plugin.originals import Kept

_SHA256 = re.compile(rb"[0-9a-f]{64}")

Told = dict[tuple[str, bytes], Entry | None]
"""Lines of locks, each with the folder that the lock speaks of: the entry, or None where what it says is not known."""


class Facts:
    """What a folder outside git holds: locks and pictures at or below it."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.folders = [folder]
        self._state = state

    def own(self, place: Path) -> bool:
        """Whether a folder lies where we look."""
        real = Path(os.path.realpath(place))
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders)

    def speak_of(self, user: Path) -> bool:
        """Whether all that a user of a folder of originals has lies where we look."""
        looked_at = user.is_relative_to(os.path.realpath(self.folders[0]))
        return looked_at and user.is_dir() and git.find(user) is None and not (user / "HEAD").exists()

    def reach(self, entries: Iterable[Entry]) -> bool:
        """Whether all places where outputs were made lie where we look. The journal tells them from its own folder."""
        if self._state is None:
            return True
        places = (os.path.realpath(self._state / PurePosixPath(entry.path)) for entry in entries)
        return all(Path(place).is_relative_to(os.path.realpath(self.folders[0])) for place in places)

    def filtered(self, paths: Collection[str]) -> set[str]:
        """Those of the paths (as the journal has them) whose content is another among git's objects."""
        return set()

    def told(self, originals: Collection[str]) -> dict[str, Told]:
        """What any lock has that looks like the SHA-256 of one of these originals, be that lock damaged or newer."""
        wanted = {sha256.encode() for sha256 in originals}
        found: dict[str, Told] = {}
        for folder, text in self._locks():
            for line in text.split(b"\n"):
                for sha256 in wanted.intersection(_SHA256.findall(line)):
                    lines = found.setdefault(sha256.decode(), {})
                    if (folder, line) not in lines:  # most branches have most lines
                        lines[folder, line] = _entry(folder, line, sha256.decode())
        return found

    @property
    def standing(self) -> set[str]:
        """Blobs at the tips of our own branches."""
        return set()

    def has(self, contents: list[Content]) -> bool:
        return self.has_files(contents)

    def shows(self, contents: list[Content]) -> bool:
        """Whether one of these contents is a file, or would be one after a checkout."""
        return self.has_files(contents)

    def has_files(self, contents: list[Content]) -> bool:
        """Whether a file in any worktree has one of these contents."""
        wanted = {content.sha256 for content in contents}
        sizes = {content.bytes for content in contents}
        return any(files.digest(_bytes(path)) in wanted for size in sizes for path in self._files.get(size, ()))

    def has_edit(self, entries: Collection[Entry], kept: Kept) -> bool:
        """Whether there is what may be one of these outputs of an original, with other things beside its pixels."""
        names = {entry.path.rpartition("/")[2] for entry in entries}
        return any(_may_be_edit(place, data, entries, kept) for place, data in self._namesakes(names))

    def _namesakes(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Every file with one of these names: where it lies, as the journal has it, and what it holds."""
        for path in (path for name in names for path in self._by_name.get(name, ())):
            start = self._state or next(top for top in self.folders if path.is_relative_to(top))
            place = os.path.relpath(os.path.realpath(path.parent), os.path.realpath(start))
            yield posixpath.normpath(f"{place}/{path.name}".replace(os.sep, "/")), _bytes(path)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in (path for paths in self._files.values() for path in paths):
            found.setdefault(path.name, []).append(path)
        return found

    def _locks(self) -> Iterator[tuple[str, bytes]]:
        """Every lock, and the folder that it speaks of, relative to what we look at."""
        for paths in self._files.values():
            for path in paths:
                if path.name == NAME:
                    top = next(top for top in self.folders if path.is_relative_to(top))
                    yield path.parent.relative_to(top).as_posix(), _bytes(path)

    @cached_property
    def _files(self) -> dict[int, list[Path]]:
        """Every regular file by its size: what compressors write need not be called as pictures are."""
        found: dict[int, list[Path]] = {}
        for top in self.folders:
            for folder, below, names in os.walk(top, onerror=lambda error: _unknown(error.filename, error)):
                below[:] = [name for name in below if name != ".git"]
                for name in names:
                    path = Path(folder, name)
                    with contextlib.suppress(FileNotFoundError):  # a program's temporary file
                        status = path.lstat()
                        if stat.S_ISREG(status.st_mode):
                            found.setdefault(status.st_size, []).append(path)
        return found


def _entry(folder: str, line: bytes, original: str) -> Entry | None:
    """A lock's line, with its path as the journal has it; None unless it tells of this original."""
    try:
        entry = decode(line.decode("utf-8", "surrogateescape"))
    except ValueError:
        return None
    known = replace(entry, path=posixpath.normpath(f"{folder or '.'}/{entry.path}"))
    return known if entry.original.sha256 == original else None


def _may_be_edit(place: str, data: bytes, entries: Iterable[Entry], kept: Kept) -> bool:
    """Whether what lies at ``place`` may be one of these outputs of an original, edited; the original itself is not."""
    if len(data) == kept.bytes and files.digest(data) == kept.sha256:
        return False
    known = {entry.pixels for entry in entries if entry.pixels is not None}
    return any(entry.path == place for entry in entries) or bool(known and known & _fingerprints(data))


def _fingerprints(data: bytes) -> set[str]:
    """Of a picture's pixels as they are shown, and as they are stored; none where it is no picture."""
    from semcompress_plugin.images import as_stored, decode  # only what is about to go needs them
    from semcompress_plugin.pixels import fingerprint

    try:
        shown = decode(data, orientation="keep")
    except ImageError:
        return set()
    assert shown.format is not None  # it was decoded from a file
    return {fingerprint(shown.image), fingerprint(as_stored(shown, shown.format).image)}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        _unknown(path, error)


def _unknown(path: Path | str, error: OSError) -> NoReturn:
    """What cannot be read might need any original, so none may go."""
    raise OriginalsError(f"{path}: cannot be read, so who needs which original is not known: {error.strerror or error}")
