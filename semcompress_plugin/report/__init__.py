"""Results as people and programs want to read them. Pure: results in, text out."""

from __future__ import annotations

from collections.abc import Sequence
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


def totals(results: Sequence[Result], seconds: float) -> Totals:
    """Sum up ``results``; whatever failed or was left alone counts at its own size."""
    counts = {status: sum(r.status == status for r in results) for status in _STATUSES}
    return Totals(
        len(results),
        **counts,
        before=sum(result.before for result in results),
        after=sum(result.after for result in results),
        looks=sum(result.looks for result in results),
        seconds=round(seconds, 3),
        cached=sum(result.cached for result in results),
    )


_STATUSES = ("compressed", "unchanged", "skipped", "failed")
