"""What lies beside what: where an output lies beside its original, and what the original is called."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path, PurePath

from semcompress_plugin.entries import Content, Entry
from semcompress_plugin.types import SUFFIXES


def output_beside(path: Path, entry: Entry) -> Path:
    """Where an output beside the original at ``path`` lies: under the name it has there after a rename too."""
    stem = entry.name.rsplit(".", 1)[0]
    name = posixpath.basename(entry.path)
    return path.with_name(path.stem + name.removeprefix(stem)) if name.startswith(stem) else path.with_name(name)


def name_of_original(entry: Entry, path: Path) -> str:
    """The original's name; a file that was renamed since keeps its new name, save for another format's extension.

    It is a picture's, whatever the lock says: no file is put back under a name that means something to a program.
    """
    if PurePath(entry.name).suffix.lower() not in SUFFIXES:
        return path.name
    if path.name == posixpath.basename(entry.path):
        return entry.name
    if posixpath.splitext(entry.path)[1] == posixpath.splitext(entry.name)[1]:  # the format was not changed
        return path.name
    return path.stem + Path(entry.name).suffix


def all_lie_beside(path: Path, entries: Iterable[Entry]) -> bool:
    """Whether outputs beside the original at ``path`` are all there, as large as we wrote them.

    Of several that were written to one place, one after the other, any will do; but none that was edited since, which
    is not what was written.
    """
    there: dict[Path, bool] = {}
    for entry in entries:
        place = output_beside(path, entry)
        there[place] = there.get(place, False) or (not entry.edited and is_as_large(place, entry.output))
    return all(there.values())


def format_of(path: Path) -> str:
    """The format of a picture as policies spell it (``jpeg``, ``webp``), by its suffix; empty where that is none."""
    return SUFFIXES.get(path.suffix.lower(), "").lower()


def is_as_large(path: Path, content: Content) -> bool:
    """Whether a file has as many bytes as a content."""
    try:
        return path.stat().st_size == content.bytes
    except OSError:
        return False
