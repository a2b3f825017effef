"""What budgets have to say about the files of a run, once they stand as they will."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.errors import ImageError
from semcompress_plugin.plan import Domain, Domains
from semcompress_plugin.report.text import size
from semcompress_plugin.types import Result, Rule


def judged(results: Iterable[Result], domains: Domains, base: Path, *, spare: bool = True) -> Iterator[Result]:
    """The results; where a file is above its rule's budget, ``reason`` says so.

    Such a file has failed, unless it was shrunk: then that stays its status, and it is for the caller to fail. What
    stands in the baseline may be as large as it is, if it is to be spared.
    """
    budgeted = {
        id(domain): {rule.name: rule for rule in domain.policy.rules if rule.budget is not None}
        for domain in domains.used()
    }
    if not any(budgeted.values()):
        yield from results
        return
    for result in results:
        path = base / result.path
        domain = None if result.rule is None or result.status == "failed" else domains.of(path, named=True)
        rule = None if domain is None else budgeted[id(domain)].get(result.rule or "")
        over = None if domain is None or rule is None else _over(result, path, domain, rule)
        spared = domain is not None and spare and over is not None and _sha256(path) in domain.baseline
        yield result if over is None or spared else marked(result, over)


def marked(result: Result, over: str) -> Result:
    """A result of a file of which ``over`` says that it is above its budget."""
    if result.status == "compressed":
        return replace(result, reason=f"{over}; {result.reason}" if result.reason else over)
    return replace(result, status="failed", reason=over)


def is_over(result: Result) -> bool:
    return result.reason is not None and result.reason.startswith(_SAID)


_SAID = "above its budget: "


def _over(result: Result, path: Path, domain: Domain, rule: Rule) -> str | None:
    if result.outputs:
        largest = max(output.bytes for output in result.outputs)
    elif rule.outputs.place == "beside":
        largest = max(_beside(path, domain, rule), default=0)
    else:
        largest = result.after
    return objection(largest, rule)


def objection(largest: int, rule: Rule) -> str | None:
    """What a rule's budget has to say against a file of so many bytes."""
    if rule.budget is None or largest <= rule.budget:
        return None
    most = size(rule.budget)
    return f"{_SAID}{size(largest)}, and rule {rule.name} allows {most}: give it fewer pixels, or the rule a larger one"


def _beside(path: Path, domain: Domain, rule: Rule) -> list[int]:
    entries = domain.lock.by_original(_sha256(path) or "")
    return [entry.output.bytes for entry in entries if entry.relation == "beside" and entry.policy == rule.digest]


def _sha256(path: Path) -> str | None:
    try:
        return files.read(path).sha256
    except ImageError:
        return None
