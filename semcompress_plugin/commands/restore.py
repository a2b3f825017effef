"""``semcompress restore``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from semcompress_plugin.commands._shared import here, load_registry, print_report
from semcompress_plugin.errors import UsageError
from semcompress_plugin.plan import Asset, Domains, assets
from semcompress_plugin.restore import plan_restore, restore
from semcompress_plugin.types import Result
from semcompress_plugin.walk import find_images, repository_root


def run(arguments: argparse.Namespace) -> int:
    if not arguments.paths and not arguments.all:
        raise UsageError("say what to restore: paths, or --all")
    started = time.monotonic()
    domains = Domains(load_registry(), arguments.policy)
    base = here()
    found = find_images(arguments.paths or [Path()], repository_root(base), skip_ignored=not arguments.all)
    named = bool(arguments.paths)
    results = []
    for asset in assets(found, domains, base):
        result = _restored(asset, named) if isinstance(asset, Asset) else asset
        if result is not None:
            results.append(result)
    print_report(results, time.monotonic() - started, arguments, (), "restored")
    return int(any(result.status == "failed" for result in results))


def _restored(asset: Asset, named: bool) -> Result | None:
    (plan,) = plan_restore([asset.path], asset.domain.lock)
    before = len(plan.snapshot.data) if plan.snapshot else 0
    if plan.entry is None:
        if not named:
            return None
        status = "unchanged" if plan.snapshot else "failed"
        return Result(asset.shown, status, before, before, asset.rule.name, reason=plan.reason)  # type: ignore[arg-type]  # one of the four words
    reason = restore(plan, asset.domain.lock, asset.domain.originals)
    if reason is not None:
        return Result(asset.shown, "failed", before, before, asset.rule.name, reason=reason)
    return Result(asset.shown, "compressed", before, plan.entry.original.bytes, asset.rule.name)
