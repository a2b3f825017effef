"""The report as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from semcompress_plugin.errors import BARE
from semcompress_plugin.report import totals
from semcompress_plugin.report.ledger import Ledger
from semcompress_plugin.types import Constraint, OutputFile, Result, Rule, Scores
from semcompress_plugin.words import percent, printable, size

if TYPE_CHECKING:
    from semcompress_plugin.pages import PagesReport

NOT_WRITTEN = " is not written, for "
"""In the reason of a picture of which an output was not written, since another file has its name."""
_ALIKE = 3
_HEAD = ("file", "before", "after", "saved", "how", "readers")


Bounds = Mapping[str, Sequence[Constraint]]
"""Rule name -> the constraints that rules of that name put on what their readers measure."""


def bounds_of(rules: Iterable[Rule]) -> Bounds:
    """What each rule name stands for: rules of several policies may share one, and none of them hides another's."""
    found: dict[str, dict[Constraint, None]] = {}
    for rule in rules:
        found.setdefault(rule.name, {}).update(dict.fromkeys(rule.keep))
    return {name: tuple(constraints) for name, constraints in found.items()}


def report(
    results: Iterable[Result],
    seconds: float,
    bounds: Bounds,
    verb: str = "compressed",
    pages: PagesReport | None = None,
) -> str:
    """A line for every file that was written or went wrong, and a summary; ``verb`` says what happened to them."""
    return "\n".join(lines(results, seconds, bounds, verb, pages))


def lines(
    results: Iterable[Result],
    seconds: float,
    bounds: Bounds,
    verb: str = "compressed",
    pages: PagesReport | None = None,
) -> Iterator[str]:
    """The report line by line, of which a long one need not be held whole."""
    ledger = Ledger.of(results)
    widths = list(map(len, _HEAD))
    written = False
    for row in _rows(ledger, bounds):
        written = True
        widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
    if written:
        yield _aligned(_HEAD, widths)
    for row in _rows(ledger, bounds):
        yield _aligned(row, widths)
    yield from _reasons([one for one in ledger.by_path() if one.reason and _without_row(one)])
    yield from _not_written(ledger.by_path())
    if unstripped := [one.path for one in ledger.by_path() if one.unstripped]:
        yield _unstripped(unstripped)
    sums = totals(ledger, seconds)
    saved = f", {size(sums.before)} -> {size(sums.after)} ({percent(sums.before, sums.after)})" if written else ""
    cached = f" ({_all(sums.cached, sums.files)} from the cache)" if sums.cached else ""
    yield from [] if pages is None else _pages(pages)
    counts = (
        f"{sums.compressed} {verb}, {sums.unchanged} unchanged, {sums.skipped} skipped, {sums.failed} failed{cached}"
    )
    yield f"{counts}{saved}; {sums.looks} looks in {sums.seconds:.1f} s"


def _not_written(results: Iterable[Result]) -> list[str]:
    """Which pictures lack an output whose name another file has, and whose it is."""
    told = [one for one in results if NOT_WRITTEN in (one.reason or "") and not _without_row(one)]
    lines = [f"left out: {printable(one.path)}: {printable(one.reason or '')}" for one in told[:_ALIKE]]
    if more := len(told) - len(lines):
        lines.append(f"left out: for the same reason outputs of {more} more (--format json names them)")
    return lines


def _unstripped(paths: Sequence[str]) -> str:
    """Which pictures still have what their rule wants gone: places, serial numbers."""
    named = ", ".join(map(printable, paths[:_ALIKE])) + (f" and {len(paths) - _ALIKE} more" if paths[_ALIKE:] else "")
    remedy = f"{BARE} takes it out; min_saving: 0 does of most that a rule replaces"
    return f"left as they are, with all metadata ({remedy}): {named}"


def _without_row(result: Result) -> bool:
    """Whether only its reason can tell what became of a picture: it was left, or its original was put back."""
    return result.status in ("skipped", "failed") or (result.status == "compressed" and not result.outputs)


def _reasons(told: Sequence[Result]) -> list[str]:
    """Why files were skipped, failed or put back, a line each; one for all where many were skipped for one reason."""
    alike = Counter(result.reason for result in told if result.status == "skipped")
    lines = {}
    for result in told:
        if result.status == "skipped" and alike[result.reason] > _ALIKE:
            lines[result.reason] = f"skipped: {alike[result.reason]} files: {printable(result.reason or '')}"
        else:
            what = "put back" if result.status == "compressed" else result.status
            lines[result.path] = f"{what}: {printable(result.path)}: {printable(result.reason or '')}"
    return list(lines.values())


def _all(count: int, of: int) -> str:
    return "all" if count == of else str(count)


def _pages(pages: PagesReport) -> list[str]:
    """What was done to pages in a line, one more for each that was left alone as a whole, one for references."""
    told = f"{pages.pictures} <picture> and {pages.backgrounds} image-set() added"
    lines = [f"pages: {pages.rewritten} of {pages.read} rewritten, {told}"]
    lines += [
        f"left alone: {printable(left.page)}: {printable(left.reason)}" for left in pages.left if left.reference is None
    ]
    reasons = Counter(left.reason for left in pages.left if left.reference is not None)
    if reasons:
        counts = ", ".join(f"{printable(reason)} ({count})" for reason, count in reasons.most_common())
        lines.append(f"references left alone: {counts} (--format json names them)")
    return lines


def settings_in_words(compressor: str, settings: Mapping[str, float]) -> str:
    """``jpeg quality 40``; 257 colours, more than a palette has, mean that there is none."""
    whole = "lossless" if settings.get("scale", 1) == 1 else "every color"
    said = (whole if (name, value) == ("colors", 257) else f"{name} {value:.4g}" for name, value in settings.items())
    return " ".join([compressor, *said])


def scores_in_words(scores: Scores, constraints: Iterable[Constraint] | None = None) -> str:
    """``classifier: js_divergence 0.0098``: the metrics that ``constraints`` bound, all of them if None."""
    wanted = None if constraints is None else {(c.evaluator, c.metric.name) for c in constraints}
    shown = {
        evaluator: [f"{metric} {value:.4g}" for metric, value in values.items() if _in((evaluator, metric), wanted)]
        for evaluator, values in scores.items()
    }
    return "; ".join(f"{evaluator}: {', '.join(values)}" for evaluator, values in shown.items() if values)


def _in(key: tuple[str, str], wanted: set[tuple[str, str]] | None) -> bool:
    return wanted is None or key in wanted


def _row(result: Result, output: OutputFile, bounds: Bounds) -> tuple[str, ...]:
    return (
        printable(output.path),
        size(result.before),
        size(output.bytes),
        percent(result.before, output.bytes),
        settings_in_words(output.compressor, output.settings),
        scores_in_words(output.scores, bounds.get(result.rule or "")),
    )


def _rows(ledger: Ledger, bounds: Bounds) -> Iterator[tuple[str, ...]]:
    for result in ledger.by_path():
        if result.status == "compressed":
            yield from (_row(result, output, bounds) for output in result.outputs)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    right = {1, 2, 3}
    return "  ".join(
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
