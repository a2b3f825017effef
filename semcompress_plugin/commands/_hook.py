"""What ``--hook`` adds to ``compress`` and ``check``: the manners of a git hook.

A commit passes when the lock *in it* knows every output of ours in it. Whatever hides the lock from the work tree
(pre-commit stashes what is not staged), the journal still knows our outputs, and none of them is shrunk again. The
lock itself is not mended here: a hook that writes into a file whose changes pre-commit has stashed makes the two
conflict, and pre-commit then drops what its hooks did.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.entries import Index
from semcompress_plugin.errors import ImageError
from semcompress_plugin.hosts.git import Commit
from semcompress_plugin.lock_in_git import NAME, is_ignored
from semcompress_plugin.naming import output_beside
from semcompress_plugin.plan import Asset
from semcompress_plugin.types import Result
from semcompress_plugin.words import printable, quoted

_NAMES_IN_A_LINE = 8


class Hook:
    """One run as a hook: over the paths that were named, or over what is staged."""

    def __init__(self, base: Path, paths: list[Path]) -> None:
        self.base = base
        self.commit = Commit.of(base)
        self.staged_only = not paths
        self.paths = paths or self.commit.pictures()
        self._locks: dict[Domain, Index] = {}

    def review(self, governed: Iterable[Asset | Result], domains: Domains) -> tuple[list[Asset | Result], list[str]]:
        """What this run is to handle, and what keeps it from even starting (a line each)."""
        admitted: list[Asset | Result] = []
        unstaged: list[Path] = []
        forgotten: dict[Domain, list[Asset]] = {}
        for asset in governed:
            if isinstance(asset, Result):
                admitted.append(asset)
            elif self.staged_only and asset.path in self.commit.unstaged:
                if _is_output(asset):
                    unstaged.append(asset.path)
                else:
                    self._say(f"{self._shown(asset.path)}: has changes that are not staged, so it was left alone")
            else:
                admitted.append(asset)
                if self._is_forgotten(asset):
                    forgotten.setdefault(asset.domain, []).append(asset)
        objections = [self._forgotten(domain, assets) for domain, assets in forgotten.items()]
        if unstaged:
            objections.append(f"what is staged is not yet what was shrunk: {self._add(unstaged)}")
        if self.staged_only:
            objections += filter(None, (self._outlived(path, domains) for path in self.commit.gone()))
        return admitted, objections

    def object(self, objections: Iterable[str]) -> int:
        """Say why the commit is stopped; the exit code."""
        for line in objections:
            self._say(line)
        return 1

    def conclude(self, results: Iterable[Result], written: Iterable[Path]) -> None:
        """Say what to stage where locks were ``written``."""
        locks = sorted(written)
        if not locks:
            return
        names = {
            self.base / name
            for result in results
            if result.status == "compressed"
            for name in (result.path, *(output.path for output in result.outputs))
        }
        if len(names) > _NAMES_IN_A_LINE:
            command = f"{self._add(locks)} and the {len(names)} files above"
        else:
            command = self._add([*sorted(names), *locks])
        what = "stage what changed" if names else "nothing could be smaller: stage the lock, so that nobody looks again"
        how = " without paths, or with all of these named" if self.commit.is_of_paths else ""
        self._say(f"{what}, and commit again{how}: {command}")

    def _outlived(self, path: Path, domains: Domains) -> str | None:
        """What to stage for a picture that was replaced by one of another name, and is staged as it was; else None."""
        if (domain := domains.of(path, named=True)) is None:
            return None
        sha256 = files.digest(self.commit.content(path))
        made = [entry for entry in domain.lock.by_original(sha256) if entry.relation == "replaced"]
        if not made:
            return None
        places = dict.fromkeys(output_beside(path, entry) for entry in made)
        there = [place for place in places if any(files.holds(place, entry.output.sha256) for entry in made)]
        known = self.commit.lock(domain.lock.path).by_original(sha256)
        locks = [] if known or not domain.lock.path.exists() else [domain.lock.path]
        add = self._add([path, *there, *locks], " -A --")
        return f"{self._shown(path)} is staged as it was before it was shrunk, and lies here no more: {add}"

    def _is_forgotten(self, asset: Asset) -> bool:
        if asset.domain not in self._locks:
            self._locks[asset.domain] = self.commit.lock(asset.domain.lock.path)
        return _is_output(asset, unless=self._locks[asset.domain]) and self.commit.holds(asset.path)

    def _forgotten(self, domain: Domain, assets: list[Asset]) -> str:
        lock, paths = domain.lock, [asset.path for asset in assets]
        name, pictures = self._shown(lock.path), self._few(paths)
        named = f"git commit … {self._few([lock.path, *paths])}"
        if self.commit.is_of_paths:
            staged = self.commit.lock(lock.path, staged=True)
            if not any(_is_output(asset, unless=staged) for asset in assets):
                but = "is staged, but `git commit PATH` takes only what it names"
                return f"{name} {but}: {named}, or commit without paths"
        line = f"{name} is not staged with {pictures}: {self._add([lock.path])}"
        if self.commit.is_of_paths:
            line += f", and name it too: {named}"
        if lock.missing_from_lock:  # the work tree's lock lacks the lines: stashed away, or lost
            line += f" (if that adds nothing, first: semcompress compress {pictures})"
        return line

    def _add(self, paths: Sequence[Path], options: str = "") -> str:
        force = " -f" if any(path.name == NAME and is_ignored(path) for path in paths) else ""
        return f"git add{force}{options} {self._few(paths)}"

    def _few(self, paths: Iterable[Path]) -> str:
        called = map(self._called, paths)
        names = [quoted(f"./{name}" if name.startswith("-") else name) for name in called]
        more = len(names) - _NAMES_IN_A_LINE
        return " ".join(names) if more <= 0 else f"{' '.join(names[:_NAMES_IN_A_LINE])} and {more} more"

    def _shown(self, path: Path) -> str:
        return printable(self._called(path))

    def _called(self, path: Path) -> str:
        """As it is called where the commit was made: git runs its hooks at the top, and says where it was called."""
        return os.path.relpath(path, self.base / os.environ.get("GIT_PREFIX", ""))

    def _say(self, line: str) -> None:
        print(f"semcompress: {line}", file=sys.stderr)


def _is_output(asset: Asset, unless: Index | None = None) -> bool:
    """Whether the file is something we made (by the lock or the journal), ``unless`` that index knows it, too."""
    try:
        sha256, _ = asset.domain.digests.of(asset.place)
    except ImageError:
        return False
    if unless is not None and unless.by_output(sha256):
        return False
    return any(entry.relation != "kept" for entry in asset.domain.lock.by_output(sha256))
