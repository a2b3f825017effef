"""What a run in place has to do: what is settled, what stands in the way, what is to be looked at."""

from __future__ import annotations

import argparse
import os
import stat
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.backlog import Backlog
from semcompress_plugin.claims import Claims, contested
from semcompress_plugin.made_with import versions
from semcompress_plugin.naming import format_of
from semcompress_plugin.plan import Asset, Pending, pending, unless_said_before
from semcompress_plugin.registry import Registry
from semcompress_plugin.report.ledger import Ledger
from semcompress_plugin.types import Result

if TYPE_CHECKING:
    from semcompress_plugin.settle import Names


def planned(
    governed: deque[Asset | Result], registry: Registry, arguments: argparse.Namespace, claims: Claims
) -> tuple[Ledger, Backlog]:
    """What is settled without a look, and what is to be looked at; takes everything out of ``governed``."""
    results, work = Ledger(), Backlog()
    hindered = _Hindrances(claims)
    while governed:
        asset = governed.popleft()
        state = asset if isinstance(asset, Result) else _state(asset, registry, arguments)
        if isinstance(state, Pending) and (reason := hindered.reason(state)):
            state = state.left("failed", reason)
        results.append(state) if isinstance(state, Result) else work.append(state)
    return results, work


def _state(asset: Asset, registry: Registry, arguments: argparse.Namespace) -> Pending | Result:
    """What is to be shrunk, or why a file is not even looked at."""
    state = pending(asset, partial(versions, registry=registry) if arguments.refresh else None)
    if isinstance(state, Result):
        return state
    asset = state.asset
    if state.outdated is None and _was_built(state.sha256):
        return state.left("unchanged", "was made by a build of ours, from an original elsewhere")
    if not arguments.no_baseline and state.sha256 in asset.domain.baseline:
        return state.left("unchanged", "stands in the baseline")
    if reason := _obstacle(asset):
        return state.left("skipped", reason)
    return unless_said_before(state)


def _obstacle(asset: Asset) -> str | None:
    """Why the system lets nobody like us replace a picture, or write beside it; None where it does."""
    outputs, folder = asset.rule.outputs, asset.path.parent
    if not asset.domain.in_place and _is_mounted_read_only(folder):
        return None  # a guard looks at a checkout that nobody could write to, and must not find that all is well
    own = format_of(asset.path)
    replaced = outputs.place == "replace" or not {"keep", own}.isdisjoint(outputs.formats)
    if replaced and not os.access(asset.place, os.W_OK):
        return "is read-only: make it writable (chmod u+w) to have it replaced"
    if not os.access(folder, os.W_OK):
        return "lies in a folder that cannot be written to: make it writable (chmod u+w) to have it shrunk"
    if replaced and _is_held(asset.path, folder):
        return "is somebody else's, in a folder where only owners replace files (sticky): have them run semcompress"
    return None


def _is_mounted_read_only(folder: Path) -> bool:
    """Whether the whole file system lets nobody write, whatever rights a folder gives."""
    try:
        return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _is_held(path: Path, folder: Path) -> bool:
    """Whether a sticky bit keeps us from renaming over a file, though we may write to it and to its folder."""
    try:
        of_folder, of_file = folder.stat(), path.stat()
    except OSError:
        return False  # said when it is read
    if not of_folder.st_mode & stat.S_ISVTX or not hasattr(os, "geteuid"):  # Windows has neither
        return False
    return os.geteuid() not in (0, of_folder.st_uid, of_file.st_uid)


class _Hindrances:
    """Why outputs that rules ask for by their format could not be written: no search is begun for them then."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._names: Names | None = None

    def reason(self, item: Pending) -> str | None:
        named = [format for format in item.asset.rule.outputs.formats if format not in ("keep", "smallest")]
        if not named:
            return None
        from semcompress_plugin.settle import Names, hindrance
        from semcompress_plugin.shrink import output_name

        self._names = self._names or Names()
        path, lock, shown = item.asset.path, item.asset.domain.lock, item.asset.shown
        original = item.sha256 if item.outdated is None else item.outdated.original.sha256
        for name in (output_name(path.name, format.upper()) for format in named):
            if name == path.name:
                continue
            if reason := hindrance(path, original, path.with_name(name), lock, self._names):
                return reason
            if (other := self._claims.claim(Path(shown).with_name(name).as_posix(), shown)) != shown:
                return contested(other)
        return None


def _was_built(sha256: str) -> bool:
    """Whether a build of ours made this content, where there is no lock."""
    from semcompress_plugin.cache import Cache, made_key

    return Cache().get(made_key(sha256)) is not None
