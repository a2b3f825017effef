"""What budgets have to say about the files of a run, once they stand as they will."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.budget import marked, objection
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.errors import ImageError
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


def _over(result: Result, path: Path, domain: Domain, rule: Rule) -> str | None:
    if result.outputs:
        largest = max(output.bytes for output in result.outputs)
    elif rule.outputs.place == "beside":
        largest = max(_beside(path, domain, rule), default=0)
    else:
        largest = result.after
    return objection(largest, rule)


def _beside(path: Path, domain: Domain, rule: Rule) -> list[int]:
    entries = domain.lock.by_original(_sha256(path) or "")
    return [entry.output.bytes for entry in entries if entry.relation == "beside" and entry.policy == rule.digest]


def _sha256(path: Path) -> str | None:
    try:
        return files.read(path).sha256
    except ImageError:
        return None
