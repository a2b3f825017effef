"""The journal: what this machine has settled, kept where no commit has it, for what a forgotten lock would not know.

It only ever gains lines, for every lock that shares its folder (two policies, several worktrees); its paths are
relative to the repository's root, outside git to the folder that it lies in.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from semcompress_plugin import files, git, linewise
from semcompress_plugin.entries import Entry, Index, encode, lacking
from semcompress_plugin.errors import ImageError, LockError


class Journal:
    """The journal in the folder ``state``, as the lock in ``folder`` sees it; without a state folder there is none."""

    def __init__(self, state: Path | None, folder: Path) -> None:
        self.path = None if state is None else state / "journal"
        self._state, self._folder = state, folder

    @property
    def index(self) -> Index:
        """All that it says, with paths as it has them. Raises LockError where it cannot be read."""
        return self._index

    def forget(self) -> None:
        """Let go of what was read; it is read again when it is next asked for."""
        self.__dict__.pop("_index", None)

    def place(self, path: str) -> str:
        """A path of the lock's as the journal spells it."""
        return posixpath.normpath(posixpath.join(self._prefix, path))

    def told(self, entry: Entry) -> Entry:
        """An entry of the journal as the lock would have it."""
        return replace(entry, path=posixpath.relpath(entry.path, self._prefix))

    def lines(self) -> Iterator[bytes]:
        """Its lines as they lie there; none where there is no journal."""
        if self.path is None or not linewise.is_there(self.path, "journal"):
            return iter(())
        return linewise.each(self.path)

    def append(self, entries: Iterable[Entry], *, anew: bool) -> None:
        """Add what ``entries`` of the lock say; unless ``anew``, what is there already is not said again."""
        if self.path is None:
            return
        new = [encode(replace(entry, path=self.place(entry.path))) for entry in entries]
        try:
            known = () if anew else self.lines()
            if text := b"".join(lacking(known, new)):
                files.append(self.path, text)
        except ImageError as error:
            raise LockError(f"{self.path}: {error}") from error
        except OSError as error:
            raise LockError(f"{self.path}: cannot be written: {error.strerror}") from error

    @cached_property
    def _index(self) -> Index:
        return Index.salvage(linewise.read(self.path, "journal") if self.path is not None else "")

    @cached_property
    def _prefix(self) -> str:
        """The lock's folder as the journal sees it."""
        repository = git.find(self._folder)
        root = self._state if repository is None else repository.root
        return linewise.posix(os.path.relpath(os.path.realpath(self._folder), os.path.realpath(root or ".")))
