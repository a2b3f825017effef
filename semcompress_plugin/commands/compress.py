"""``semcompress compress``, and what ``check`` shares with it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.commands._shared import failure, here, load_registry, print_report, versions
from semcompress_plugin.plan import Domain, Domains, Pending, assets, pending
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Result
from semcompress_plugin.walk import find_images, repository_root

if TYPE_CHECKING:
    from semcompress_plugin.settle import Settlement

SECONDS_BETWEEN_COMMITS = 1.0
BYTES_BETWEEN_COMMITS = 64_000_000


def run(arguments: argparse.Namespace, write: bool = True) -> int:
    """Shrink in place; with ``write`` false only say what would be done."""
    started = time.monotonic()
    registry = load_registry()
    domains = Domains(registry, arguments.policy, in_place=write)
    base = here()
    found = find_images(arguments.paths or [Path()], repository_root(base))
    results: list[Result] = []
    work: list[Pending] = []
    for asset in assets(found, domains, base):
        if isinstance(asset, Result):
            results.append(asset)
            continue
        current = versions(asset.rule, registry) if arguments.refresh else None
        state = pending(asset, current)
        results.append(state) if isinstance(state, Result) else work.append(state)
    bugs: list[str] = []
    if work:
        results += _Shrinking(registry, arguments, write, bugs).run(work)
    if write:
        _mend_locks(domains.used(), arguments.quiet)
    rules = (rule for domain in domains.used() for rule in domain.policy.rules)
    verb = "compressed" if write else "would be compressed"
    print_report(results, time.monotonic() - started, arguments.format, arguments.quiet, rules, verb)
    for result in results:
        registry.plugins.manager.hook.semcompress_result(result=result)
    if bugs:
        from semcompress_plugin.cli import report_bug

        return report_bug("\n".join(bugs))
    return int(any(result.status in ("compressed", "failed") for result in results))


def _mend_locks(domains: Iterable[Domain], quiet: bool) -> None:
    """Put back what a lock has forgotten and the journal remembers."""
    for domain in domains:
        forgotten = domain.lock.missing_from_lock
        if forgotten:
            domain.lock.add(forgotten)
            if not quiet:
                print(f"semcompress: {domain.lock.path}: put {len(forgotten)} forgotten lines back", file=sys.stderr)


class _Shrinking:
    """Runs the pending pictures and commits what was decided in groups, so that a crash costs seconds of work."""

    def __init__(self, registry: Registry, arguments: argparse.Namespace, write: bool, bugs: list[str]) -> None:
        self.registry, self.arguments, self.write, self.bugs = registry, arguments, write, bugs
        self.group: list[tuple[Result, Settlement, Domain]] = []
        self.claimed: dict[Path, str] = {}
        self.since = time.monotonic()

    def run(self, work: list[Pending]) -> Iterator[Result]:
        # only now: these bring Pillow, numpy and in the end ONNX Runtime along
        from tqdm import tqdm

        from semcompress_plugin.runner import Job, Runner
        from semcompress_plugin.shrink import NoOriginal, Work
        from semcompress_plugin.workshop import Workshop

        made_with = {id(item.asset.rule): versions(item.asset.rule, self.registry) for item in work}
        loss = self.arguments.allow_generation_loss
        pieces = (Work(item, self.registry, made_with[id(item.asset.rule)], loss) for item in work)
        jobs = (Job(piece, piece.load, piece.study) for piece in pieces)
        runner = Runner(Workshop(self.registry), self.arguments.jobs)
        # disable=None: silent unless standard error is a terminal
        with tqdm(total=len(work), unit="picture", disable=True if self.arguments.quiet else None) as bar:
            for done in runner.run(jobs):
                bar.update()
                item = done.key.pending
                if isinstance(done.error, NoOriginal):
                    yield self._left(item, "skipped", str(done.error))
                elif done.error is not None:
                    status, reason, bug = failure(done.error)
                    if bug:
                        self.bugs.append(f"{item.asset.shown}\n{bug}")
                    yield self._left(item, status, reason)
                else:
                    assert done.answer is not None
                    result, settlement = done.key.settle(done.answer)
                    yield from self._settle(result, settlement, item.asset.domain)
            yield from self._commit()

    def _settle(self, result: Result, settlement: Settlement, domain: Domain) -> Iterator[Result]:
        for target in settlement.writes:
            other = self.claimed.setdefault(target, result.path)
            if other != result.path:
                reason = f"would be written to {target.name}, as {other} is: rename one, or exclude one"
                yield Result(result.path, "failed", result.before, result.before, result.rule, reason=reason)
                return
        if not self.write:
            yield result
            return
        self.group.append((result, settlement, domain))
        waiting = sum(len(data) for _, s, _ in self.group for data in (s.snapshot.data, *s.writes.values()))
        if time.monotonic() - self.since > SECONDS_BETWEEN_COMMITS or waiting > BYTES_BETWEEN_COMMITS:
            yield from self._commit()

    def _commit(self) -> Iterator[Result]:
        from semcompress_plugin.settle import settle

        for domain in dict.fromkeys(domain for _, _, domain in self.group):
            mine = [(result, settlement) for result, settlement, owner in self.group if owner is domain]
            reasons = settle([settlement for _, settlement in mine], domain.lock, domain.originals)
            for (result, _), reason in zip(mine, reasons, strict=True):
                if reason is None:
                    yield result
                else:
                    size = result.before
                    yield Result(result.path, "failed", size, size, result.rule, looks=result.looks, reason=reason)
        self.group.clear()
        self.since = time.monotonic()

    def _left(self, item: Pending, status: str, reason: str) -> Result:
        return Result(item.asset.shown, status, item.bytes, item.bytes, item.asset.rule.name, reason=reason)  # type: ignore[arg-type]  # one of the four words
