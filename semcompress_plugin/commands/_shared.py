"""What several commands do alike."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from semcompress_plugin.bugs import report
from semcompress_plugin.domains import Domains
from semcompress_plugin.errors import SemcompressError, UsageError
from semcompress_plugin.lock_in_git import is_ignored
from semcompress_plugin.plan import shown_path
from semcompress_plugin.policy import default_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Result, Rule
from semcompress_plugin.walk import absolute
from semcompress_plugin.words import printable


def load_registry() -> Registry:
    """The registry; a third party's plugin that cannot be loaded is a warning."""
    registry = Registry()
    for broken in registry.broken:
        print(f"semcompress: warning: {broken}", file=sys.stderr)
    return registry


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


def warn_of_ignored(locks: Iterable[Path], base: Path) -> None:
    """Say which of these locks no commit will have, as git ignores them."""
    for lock in filter(is_ignored, locks):
        shown = printable(shown_path(lock, base))
        print(
            f"semcompress: warning: {shown}: git ignores it, so nobody else will know what was shrunk: "
            f"git add -f {shlex.quote(shown)}, or add the line !{lock.name} to .gitignore",
            file=sys.stderr,
        )


def tell(results: Iterable[Result], registry: Registry) -> None:
    """Tell the plugins of every result. One that fails is a warning, once: files and reports are not its business."""
    for text in registry.plugins.tell_all(results):
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
        return report("\n".join(bugs))
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

        for line in text.lines(results, seconds, text.bounds_of(rules), verb):
            print(line)
    else:
        for result in results:
            if result.status == "failed":
                print(f"semcompress: {printable(result.path)}: {printable(result.reason or '')}", file=sys.stderr)


@contextlib.contextmanager
def put_off(errors: list[SemcompressError]) -> Iterator[None]:
    """Add what fails to ``errors``, to be raised behind the report: that tells of files that were changed before."""
    try:
        yield
    except SemcompressError as error:
        errors.append(error)
