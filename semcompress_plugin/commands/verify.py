"""``semcompress verify``: does what was committed still hold what its policy asks?"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.budgeting import judged
from semcompress_plugin.commands._shared import finish, load_registry
from semcompress_plugin.domains import Domains
from semcompress_plugin.errors import ImageError, UsageError, failure
from semcompress_plugin.plan import Asset, assets, at_home
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Result
from semcompress_plugin.walk import MISSING, find_images, here, repository_root

if TYPE_CHECKING:
    from semcompress_plugin.verify import Comparison


def run(arguments: argparse.Namespace) -> int:
    """Exit 1 if a picture violates its policy or budget, or if an original is missing that is required."""
    if not (math.isfinite(arguments.tolerance) and arguments.tolerance >= 0):
        raise UsageError(f"--tolerance: expected a number of at least 0, got {arguments.tolerance}")
    started = time.monotonic()
    registry = load_registry()
    domains = Domains(registry, arguments.policy, in_place=False)
    base = here()
    found = find_images(arguments.paths or [Path()], repository_root(base))
    results: list[Result] = []
    work: list[Comparison] = []
    for asset in assets(found, domains, base):
        for one in [asset] if isinstance(asset, Result) else _of(asset):
            results.append(one) if isinstance(one, Result) else work.append(one)
    bugs: list[str] = []
    lacking: list[Comparison] = []
    compared = list(_compared(work, registry, arguments, bugs, lacking)) if work else []
    missing = len(lacking)
    results = list(judged(_merged([*results, *compared]), domains, base))
    code = finish(results, started, domains, arguments, bugs, "changed")
    if not arguments.quiet:
        measured = sum(result.looks for result in compared)
        but = f"; {missing} could not be, their originals are not here" if missing else ""
        if broken := len(work) - measured - missing:
            but += f"; {broken} could not be measured"
        text = f"verified {measured} of {len(work)} outputs against their originals{but}"
        print(f"semcompress: {text}", file=sys.stderr)
    if any(item.named and item.error == MISSING for item in found):
        return 2
    return code or int(bool(missing) and arguments.require_originals)


def _of(asset: Asset) -> Iterator[Comparison | Result]:
    from semcompress_plugin.verify import comparisons  # only now: this brings Pillow and numpy along

    try:
        yield from comparisons(at_home(asset, asset.domain.digests.of(asset.place)[0]))
    except ImageError as error:
        yield Result(asset.shown, "failed", 0, 0, asset.rule.name, reason=str(error))


def _compared(
    work: Sequence[Comparison],
    registry: Registry,
    arguments: argparse.Namespace,
    bugs: list[str],
    lacking: list[Comparison],
) -> Iterator[Result]:
    """A result for each comparison; tracebacks of ours are added to ``bugs``, what has no original to ``lacking``."""
    from functools import partial

    from tqdm import tqdm

    from semcompress_plugin.isolation import Decoders
    from semcompress_plugin.runner import Job, Runner
    from semcompress_plugin.verify import NotHereError, tolerant
    from semcompress_plugin.workshop import Workshop

    rules = {id(one.asset.rule): tolerant(one.asset.rule, arguments.tolerance) for one in work}
    bar = tqdm(total=len(work), unit="picture", disable=True if arguments.quiet else None)
    workshop = Workshop(registry)
    with bar, Decoders() as decoders:
        jobs = (
            Job(
                one,
                partial(one.load, decoders),
                partial(one.study, rule=rules[id(one.asset.rule)], workshop=workshop, decoders=decoders),
                one.asset.rule.limits.max_seconds,
                one.glance,
            )
            for one in work
        )
        for done in Runner(workshop, arguments.jobs).run(jobs):
            bar.update()
            one: Comparison = done.key
            size = _size(one.asset.path)
            result = Result(one.asset.shown, "unchanged", size, size, one.asset.rule.name)
            if isinstance(done.error, NotHereError):
                lacking.append(one)
                reason = f"was not compared: {done.error}"
                yield replace(result, status="skipped", reason=reason)
            elif done.error is not None:
                status, reason, bug = failure(done.error)
                if bug:
                    bugs.append(f"{one.asset.shown}\n{bug}")
                if status == "skipped":  # a kind of picture that is left alone: but this one is an output of ours
                    status, reason = "failed", f"cannot be measured: {reason.removesuffix(': left alone')}"
                yield replace(result, status=status, reason=reason)
            elif done.answer is not None and not done.answer.holds:
                name = "" if one.path == one.asset.path else f"{one.path.name} "
                allowed = f" within {arguments.tolerance:g}" if arguments.tolerance else ""
                reason = f"{name}does not hold what its policy asks{allowed}: {done.answer.reason}"
                yield replace(result, status="failed", looks=1, reason=reason)
            else:
                yield replace(result, looks=1)


def _size(path: Path) -> int:
    """Bytes of a file; 0 where it has vanished meanwhile."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _merged(results: Sequence[Result]) -> list[Result]:
    """One result per picture: of several outputs the worst speak."""
    worst = ("failed", "skipped", "unchanged", "compressed")
    merged: dict[str, Result] = {}
    for result in results:
        other = merged.get(result.path)
        if other is None:
            merged[result.path] = result
        else:
            first = min(other, result, key=lambda one: worst.index(one.status))
            said = dict.fromkeys(one.reason for one in (other, result) if one.reason and one.status == first.status)
            merged[result.path] = replace(first, looks=other.looks + result.looks, reason="; ".join(said) or None)
    return list(merged.values())
