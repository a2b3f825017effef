"""``semcompress restore``."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from semcompress_plugin.commands._shared import absolute, here, print_report
from semcompress_plugin.errors import UsageError
from semcompress_plugin.interrupt import held_back
from semcompress_plugin.plan import Domain, Domains, shown_path
from semcompress_plugin.report.text import printable, size
from semcompress_plugin.restore import Restoration, plan_restore, restore
from semcompress_plugin.types import Result
from semcompress_plugin.walk import MISSING, find_images, repository_root


def run(arguments: argparse.Namespace) -> int:
    if not arguments.paths and not arguments.all:
        raise UsageError("say what to restore: paths, or --all")
    started = time.monotonic()
    domains = Domains(None, arguments.policy)
    base = here()
    found = find_images(arguments.paths or [Path()], repository_root(base), skip_ignored=not arguments.all)
    results = []
    asked: dict[Domain, Domain] = {}
    for item in found:
        path = absolute(item.path)
        shown = shown_path(path, base)
        if item.error is not None:
            results.append(Result(shown, "failed", 0, 0, reason=item.error))
            continue
        domain = domains.of(path, named=True)
        assert domain is not None  # a named file always has one
        if domain not in asked:
            asked[domain] = _opened(domain)
        domain = asked[domain]
        plan, result = _restored(path, shown, domain)
        if arguments.format == "text" and not arguments.quiet and (said := _said(plan, result, item.named)):
            print(f"{printable(shown)}: {printable(said)}")
        if result.status != "unchanged" or arguments.paths:
            results.append(result)
    print_report(results, time.monotonic() - started, arguments, (), "restored")
    if any(item.named and item.error == MISSING for item in found):
        return 2  # a mistake of the command line, though the other files have been seen to
    return int(any(result.status == "failed" for result in results))


def _opened(domain: Domain) -> Domain:
    """The domain; where its policy may not name what it names for originals, with those that lie in git, and a word."""
    try:
        domain.originals  # noqa: B018  # opening them is what may be refused
    except UsageError as error:
        if repository_root(domain.policy.root) is None:
            raise
        print(f"semcompress: warning: {error}; asking this git repository instead", file=sys.stderr)
        return replace(domain, policy=replace(domain.policy, originals="git"))
    return domain


def _restored(path: Path, shown: str, domain: Domain) -> tuple[Restoration, Result]:
    """What became of a file."""
    (plan,) = plan_restore([path], domain.lock, domain.made_elsewhere)
    before = len(plan.snapshot.data) if plan.snapshot else 0
    if plan.entry is None:
        return plan, Result(shown, "unchanged" if plan.snapshot else "failed", before, before, reason=plan.reason)
    with held_back():
        reason = restore(plan, domain.lock, domain.originals)
    if reason is not None:
        return plan, Result(shown, "failed", before, before, reason=reason)
    return plan, Result(shown, "compressed", before, plan.entry.original.bytes)


def _said(plan: Restoration, result: Result, named: bool) -> str | None:
    """What is told of a file beside the report, which says what failed and counts the rest."""
    if result.status == "unchanged":
        return plan.reason if named or plan.changed else None
    if result.status != "compressed" or plan.entry is None or plan.target is None:
        return None
    name = "" if plan.target.name == plan.path.name else f" as {plan.target.name}"
    edit = "; what was edited after it was shrunk is not in its original" if plan.entry.edited else ""
    return f"restored{name}, {size(result.before)} -> {size(result.after)}{edit}"
