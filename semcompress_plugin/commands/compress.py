"""``semcompress compress``, and what ``check`` shares with it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.cache import Cache, made_key
from semcompress_plugin.commands._hook import Hook
from semcompress_plugin.commands._shared import finish, here, left, load_registry, look, versions
from semcompress_plugin.plan import Domain, Domains, Pending, assets, pending
from semcompress_plugin.types import Result
from semcompress_plugin.walk import find_images, repository_root

if TYPE_CHECKING:
    from semcompress_plugin.commands._shared import Seen
    from semcompress_plugin.settle import Settlement

SECONDS_BETWEEN_COMMITS = 1.0
BYTES_BETWEEN_COMMITS = 64_000_000


def run(arguments: argparse.Namespace, write: bool = True) -> int:
    """Shrink in place; with ``write`` false only say what would be done."""
    started = time.monotonic()
    registry = load_registry()
    domains = Domains(registry, arguments.policy, in_place=write)
    base = here()
    hook = Hook(base, arguments.paths) if arguments.hook else None
    found = find_images(hook.paths if hook else arguments.paths or [Path()], repository_root(base))
    governed = list(assets(found, domains, base))
    if hook:
        governed, objections = hook.review(governed)
        if objections:
            return hook.object(objections)
    results: list[Result] = []
    work: list[Pending] = []
    for asset in governed:
        if isinstance(asset, Result):
            results.append(asset)
            continue
        current = versions(asset.rule, registry) if arguments.refresh else None
        state = pending(asset, current)
        if isinstance(state, Pending) and Cache().get(made_key(state.sha256)) is not None:
            state = left(state, "unchanged", "was made by a build of ours, from an original elsewhere")
        results.append(state) if isinstance(state, Result) else work.append(state)
    bugs: list[str] = []
    shrinking = _Shrinking(write)
    if work:
        results += shrinking.settle(look(work, registry, arguments, bugs))
    if write and not hook:
        _mend_locks(domains.used(), arguments.quiet)
    if hook and not work:
        arguments.quiet = True  # a commit with nothing to do for us is not to be talked about
    code = finish(
        results, started, registry, domains, arguments, bugs, "compressed" if write else "would be compressed"
    )
    return hook.conclude(code, results, shrinking.locks) if hook else code


def _mend_locks(domains: Iterable[Domain], quiet: bool) -> None:
    """Put back what a lock has forgotten and the journal remembers."""
    for domain in domains:
        forgotten = domain.lock.missing_from_lock
        if forgotten:
            domain.lock.add(forgotten)
            if not quiet:
                print(f"semcompress: {domain.lock.path}: put {len(forgotten)} forgotten lines back", file=sys.stderr)


class _Shrinking:
    """Commits what was decided in groups, so that a crash costs seconds of work."""

    def __init__(self, write: bool) -> None:
        self.write = write
        self.group: list[tuple[Result, Settlement, Domain]] = []
        self.claimed: dict[Path, str] = {}
        self.locks: set[Path] = set()
        """Locks that have been given lines."""
        self.since = time.monotonic()

    def settle(self, seen: Iterable[Seen]) -> Iterator[Result]:
        """The results, each once its files are written (if they are to be)."""
        for item, result, settlement in seen:
            if settlement is None:
                yield result
            elif (other := self._rival(result, settlement)) is not None:
                yield left(item, "failed", f"would be written where {other} is: rename one, or exclude one")
            elif not self.write:
                yield result
            else:
                self.group.append((result, settlement, item.asset.domain))
                if self._is_time():
                    yield from self._commit()
        yield from self._commit()

    def _rival(self, result: Result, settlement: Settlement) -> str | None:
        """Another picture that is written to the same place, whose turn came first."""
        others = [self.claimed.setdefault(target, result.path) for target in settlement.writes]
        return next((other for other in others if other != result.path), None)

    def _is_time(self) -> bool:
        waiting = sum(len(data) for _, s, _ in self.group for data in (s.snapshot.data, *s.writes.values()))
        return time.monotonic() - self.since > SECONDS_BETWEEN_COMMITS or waiting > BYTES_BETWEEN_COMMITS

    def _commit(self) -> Iterator[Result]:
        from semcompress_plugin.settle import settle

        for domain in dict.fromkeys(domain for _, _, domain in self.group):
            mine = [(result, settlement) for result, settlement, owner in self.group if owner is domain]
            reasons = settle([settlement for _, settlement in mine], domain.lock, domain.originals)
            if None in reasons:
                self.locks.add(domain.lock.path)
            for (result, _), reason in zip(mine, reasons, strict=True):
                if reason is None:
                    yield result
                else:
                    yield replace(result, status="failed", after=result.before, outputs=(), reason=reason)
        self.group.clear()
        self.since = time.monotonic()
