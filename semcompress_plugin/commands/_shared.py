"""What several commands do alike."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.copies import Copies
from semcompress_plugin.errors import UsageError, failure
from semcompress_plugin.lock_in_git import is_ignored
from semcompress_plugin.made_with import versions
from semcompress_plugin.plan import Backlog, Domains, Pending, shown_path
from semcompress_plugin.policy import default_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Constraint, EffortName, Result, Rule, Status
from semcompress_plugin.words import printable

if TYPE_CHECKING:
    from semcompress_plugin.settle import Settlement

Seen = tuple[Pending, Result, "Settlement | None"]


def load_registry() -> Registry:
    """The registry; a third party's plugin that cannot be loaded is a warning."""
    registry = Registry()
    for broken in registry.broken:
        print(f"semcompress: warning: {broken}", file=sys.stderr)
    return registry


def here() -> Path:
    """The working folder."""
    return absolute(Path())


def absolute(path: Path) -> Path:
    """``path`` from the root, without ``..`` and without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # Path.resolve would follow links


def governing_rule(paths: Sequence[Path], policy: Path | None, registry: Registry) -> Rule:
    """The rule that governs the first of ``paths`` that has one; where none has, or it says to skip, preset web's.

    Raises UsageError where a ``policy`` was asked for that governs none of them.
    """
    domains = Domains(registry, policy, in_place=False)
    for place in map(absolute, paths):
        domain = domains.of(place, named=True)
        assert domain is not None  # a named file always has one
        root = domain.policy.root
        rule = domain.policy.rule_for(place.relative_to(root).as_posix()) if place.is_relative_to(root) else None
        if rule is not None and not rule.skip:
            return rule
    if policy is not None:
        raise UsageError(f"{policy}: no rule of it governs {' or '.join(map(str, paths))}")
    return default_policy(registry, root).rules[0]


def look(work: Backlog, registry: Registry, arguments: argparse.Namespace, bugs: list[str]) -> Iterator[Seen]:
    """Show every pending picture to its readers, many at once, with progress on a terminal.

    Pictures are taken out of ``work`` when their turn comes, lest what is still to be done and what is done add up.
    Yields the picture, its result and, if it came that far, what is to be written and recorded. Tracebacks of our
    own bugs are added to ``bugs``.
    """
    # only now: these bring Pillow, numpy and in the end ONNX Runtime along
    from tqdm import tqdm

    from semcompress_plugin.isolation import Decoders
    from semcompress_plugin.runner import Job, Runner
    from semcompress_plugin.shrink import Work
    from semcompress_plugin.workshop import Workshop

    rules = {id(rule): rule for rule in work.rules()}
    made_with = {key: versions(rule, registry) for key, rule in rules.items()}
    loss = getattr(arguments, "allow_generation_loss", False)
    effort: EffortName = getattr(arguments, "effort", "fast")
    runner = Runner(Workshop(registry), arguments.jobs)

    copies = Copies(work)
    # disable=None: silent unless standard error is a terminal
    bar = tqdm(total=len(work), unit="picture", disable=True if arguments.quiet else None)
    with bar, Decoders() as decoders:

        def looked_at(items: Iterable[Pending]) -> Iterator[Seen]:
            pieces = (Work(item, registry, made_with[id(item.asset.rule)], loss, decoders, effort) for item in items)
            jobs = (Job(it, it.load, it.study, it.pending.asset.rule.limits.max_seconds, it.glance) for it in pieces)
            for done in runner.run(jobs):
                item = done.key.pending
                if done.error is not None:
                    status, reason, bug = failure(done.error)
                    if bug:
                        bugs.append(f"{item.asset.shown}\n{bug}")
                    yield item, left(item, status, reason), None
                else:
                    assert done.answer is not None
                    result, settlement = done.key.settle(done.answer)
                    copies.learn(item, result, settlement.entries)
                    yield item, result, settlement

        kept = ((item, result, None) for item, result in copies.kept())
        for seen in chain(looked_at(copies.first()), kept, looked_at(copies.others())):
            bar.update()
            yield seen


def warn_of_ignored(locks: Iterable[Path], base: Path) -> None:
    """Say which of these locks no commit will have, as git ignores them."""
    for lock in filter(is_ignored, locks):
        shown = printable(shown_path(lock, base))
        print(
            f"semcompress: warning: {shown}: git ignores it, so nobody else will know what was shrunk: "
            f"git add -f {shlex.quote(shown)}, or add the line !{lock.name} to .gitignore",
            file=sys.stderr,
        )


def left(item: Pending, status: Status, reason: str) -> Result:
    """The result of a picture that stays as it is."""
    return Result(item.asset.shown, status, item.bytes, item.bytes, item.asset.rule.name, reason=reason)


def tell(results: Iterable[Result], registry: Registry) -> None:
    """Tell the plugins of every result. One that fails is a warning, once: files and reports are not its business."""
    for text in dict.fromkeys(text for result in results for text in registry.plugins.tell(result)):
        print(f"semcompress: warning: {text}", file=sys.stderr)


def finish(
    results: Iterable[Result],
    started: float,
    domains: Domains,
    arguments: argparse.Namespace,
    bugs: Sequence[str],
    verb: str,
    only_here: int | None = None,
) -> int:
    """Report, and return the exit code: 1 if a file changed, would change, or failed."""
    rules = (rule for domain in domains.used() for rule in domain.policy.rules)
    print_report(results, time.monotonic() - started, arguments, rules, verb, only_here)
    if bugs:
        from semcompress_plugin.cli import report_bug

        return report_bug("\n".join(bugs))
    return int(any(result.status in ("compressed", "failed") for result in results))


def print_report(
    results: Iterable[Result],
    seconds: float,
    arguments: argparse.Namespace,
    rules: Iterable[Rule],
    verb: str,
    only_here: int | None = None,
) -> None:
    """The report on standard output: JSON if asked for, else a table unless quiet. Failures always show."""
    if arguments.format == "json":
        from semcompress_plugin.report import json

        sys.stdout.writelines(json.pieces(results, seconds, only_here=only_here))
        print()
    elif not arguments.quiet:
        from semcompress_plugin.report import text

        bounds: dict[str, Sequence[Constraint]] = {rule.name: rule.keep for rule in rules}
        for line in text.lines(results, seconds, bounds, verb):
            print(line)
    else:
        for result in results:
            if result.status == "failed":
                print(f"semcompress: {printable(result.path)}: {printable(result.reason or '')}", file=sys.stderr)
