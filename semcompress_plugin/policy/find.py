"""Which policy governs a file: the nearest one in its folder or above."""

from __future__ import annotations

import os
from pathlib import Path

POLICY_NAME = ".semcompress.yaml"


class PolicyFinder:
    """Finds the policies of many files below one folder, and looks into each folder once.

    ``stop_at`` is the last folder that is looked into; files that are not below it have no policy. Paths are taken
    as they are written: symbolic links are not followed.
    """

    def __init__(self, stop_at: Path) -> None:
        self._found: dict[Path, Path | None] = {}
        self._top = _tidy(stop_at)

    def of_file(self, path: Path) -> Path | None:
        return self.of_folder(path.parent)

    def of_folder(self, folder: Path) -> Path | None:
        if folder not in self._found:
            self._found[folder] = self._look(_tidy(folder))
        return self._found[folder]

    def _look(self, folder: Path) -> Path | None:
        if not folder.is_relative_to(self._top):
            return None
        here = folder / POLICY_NAME
        if here.is_file():
            return here
        return None if folder == self._top else self.of_folder(folder.parent)


def find_policy(path: Path, stop_at: Path) -> Path | None:
    """The nearest ``.semcompress.yaml`` in the folder of the file ``path`` or above it, up to ``stop_at``.

    A folder as ``path`` stands for the files in it. For many files use a :class:`PolicyFinder`.
    """
    finder = PolicyFinder(stop_at)
    return finder.of_folder(path) if path.is_dir() else finder.of_file(path)


def _tidy(folder: Path) -> Path:
    """Absolute and without ``..``: the parents of ``docs/../img`` must not include ``docs``."""
    return Path(os.path.normpath(folder.absolute()))
