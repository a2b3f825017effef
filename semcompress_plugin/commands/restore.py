"""``semcompress restore``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from semcompress_plugin.commands._shared import print_report
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.errors import PolicyError, UsageError
from semcompress_plugin.interrupt import held_back
from semcompress_plugin.plan import shown_path
from semcompress_plugin.policy import Policy
from semcompress_plugin.restore import Restoration, plan_restore, restore
from semcompress_plugin.types import Result
from semcompress_plugin.walk import MISSING, absolute, find_images, here, repository_root
from semcompress_plugin.words import printable, size


def run(arguments: argparse.Namespace) -> int:
    if not arguments.paths and not arguments.all:
        raise UsageError("say what to restore: paths, or --all")
    started = time.monotonic()
    domains = _Domains(None, arguments.policy)
    base = here()
    found = find_images(arguments.paths or [Path()], repository_root(base), skip_ignored=not arguments.all)
    results = []
    for item in found:
        path = absolute(item.path)
        shown = shown_path(path, base)
        if item.error is not None:
            results.append(Result(shown, "failed", 0, 0, reason=item.error))
            continue
        domain = domains.of(path, named=True)
        assert domain is not None  # a named file always has one
        plan, result = _restored(path, shown, domain)
        if arguments.format == "text" and not arguments.quiet and (said := _said(plan, result, item.named)):
            print(f"{printable(shown)}: {printable(said)}")
        if result.status != "unchanged" or arguments.paths:
            results.append(result)
    print_report(results, time.monotonic() - started, arguments, (), "restored")
    if any(item.named and item.error == MISSING for item in found):
        return 2  # a mistake of the command line, though the other files have been seen to
    return int(any(result.status == "failed" for result in results))


class _Domains(Domains):
    """As they are, but where a policy does not say, or may not say, where its originals lie, git is asked for them."""

    def _load(self, path: Path) -> Domain:
        folder = absolute(path).parent
        try:
            domain = super()._load(path)
            domain.originals  # noqa: B018  # opening them is what may be refused
        except (PolicyError, UsageError) as error:
            if not path.is_file() or repository_root(folder) is None:
                raise
            print(f"semcompress: warning: {error}; asking this git repository for originals", file=sys.stderr)
            return Domain(Policy(path, folder, (), "git"), self.in_place)
        return domain


def _restored(path: Path, shown: str, domain: Domain) -> tuple[Restoration, Result]:
    """What became of a file."""
    (plan,) = plan_restore([path], domain.lock, lambda sha256: domain.made_elsewhere(sha256, path))
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
