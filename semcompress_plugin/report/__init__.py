"""Results as people and programs want to read them. Pure: results in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from semcompress_plugin.types import Result


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts, bytes and looks over all results, the seconds that the run took, and how many came from the cache."""

    files: int
    compressed: int
    unchanged: int
    skipped: int
    failed: int
    before: int
    after: int
    looks: int
    seconds: float
    cached: int = 0


def totals(results: Iterable[Result], seconds: float) -> Totals:
    """Sum up ``results``; whatever failed or was left alone counts at its own size."""
    statuses: Counter[str] = Counter()
    before = after = looks = cached = 0
    for result in results:
        statuses[result.status] += 1
        before += result.before
        after += result.after
        looks += result.looks
        cached += result.cached
    counts = {status: statuses[status] for status in _STATUSES}
    return Totals(
        statuses.total(), **counts, before=before, after=after, looks=looks, seconds=round(seconds, 3), cached=cached
    )


_STATUSES = ("compressed", "unchanged", "skipped", "failed")
