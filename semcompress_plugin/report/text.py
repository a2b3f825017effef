"""The report as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from semcompress_plugin.report import totals
from semcompress_plugin.types import Constraint, OutputFile, Result, Scores

_ALIKE = 3
_HEAD = ("file", "before", "after", "saved", "how", "readers")


Bounds = Mapping[str, Sequence[Constraint]]
"""Rule name -> the constraints it puts on what its readers measure."""


def report(results: Sequence[Result], seconds: float, bounds: Bounds, verb: str = "compressed") -> str:
    """A line for every file that was written or went wrong, and a summary; ``verb`` says what happened to them."""
    ordered = sorted(results, key=lambda result: result.path)
    rows = [
        row
        for result in ordered
        if result.status == "compressed"
        for row in (_row(result, output, bounds) for output in result.outputs)
    ]
    lines = _table([_HEAD, *rows]) if rows else []
    lines += _reasons(ordered)
    sums = totals(ordered, seconds)
    saved = f", {size(sums.before)} -> {size(sums.after)} ({percent(sums.before, sums.after)})" if rows else ""
    counts = f"{sums.compressed} {verb}, {sums.unchanged} unchanged, {sums.skipped} skipped, {sums.failed} failed"
    lines.append(f"{counts}{saved}; {sums.looks} looks in {sums.seconds:.1f} s")
    return "\n".join(lines)


def _reasons(results: Sequence[Result]) -> list[str]:
    """Why files were skipped or failed, a line each; a line for all where many were skipped for one reason."""
    told = [result for result in results if result.status in ("skipped", "failed") and result.reason]
    alike = Counter(result.reason for result in told if result.status == "skipped")
    lines = {}
    for result in told:
        if result.status == "skipped" and alike[result.reason] > _ALIKE:
            lines[result.reason] = f"skipped: {alike[result.reason]} files: {result.reason}"
        else:
            lines[result.path] = f"{result.status}: {printable(result.path)}: {result.reason}"
    return list(lines.values())


def size(count: int) -> str:
    """Bytes as people read them, in powers of ten: ``12.3 kB``."""
    if count < 1000:
        return f"{count} B"
    for unit, worth in (("kB", 10**3), ("MB", 10**6)):
        if count < 999.5 * worth:
            return f"{count / worth:.3g} {unit}"
    return f"{count / 10**9:.3g} GB"


def percent(before: int, after: int) -> str:
    return f"{100 * (after / before - 1):+.0f} %" if before else "0 %"


def printable(path: str) -> str:
    """``path`` on one line, whatever bytes its name has."""
    return path.encode("utf-8", "backslashreplace").decode().translate({10: "\\n", 13: "\\r", 27: "\\x1b"})


def settings_in_words(compressor: str, settings: Mapping[str, float]) -> str:
    return " ".join([compressor, *(f"{name} {value:.4g}" for name, value in settings.items())])


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


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {1, 2, 3}
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
