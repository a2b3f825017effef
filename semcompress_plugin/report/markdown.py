"""The JSON report as Markdown, for a job summary or a comment.

As a program: ``python -m semcompress_plugin.report.markdown < report.json``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from semcompress_plugin.report.text import settings_in_words
from semcompress_plugin.words import percent, printable, size

MAX_CHARACTERS = 60_000
"""A comment on GitHub has at most 65,536."""
_HEAD = ("| file | before | after | saved | how | seen alike by |", "|---|--:|--:|--:|---|---|")


def report(value: Mapping[str, Any], verb: str = "compressed") -> str:
    """A headline, a table of what was written, and a list of what went wrong; ``value`` is the JSON report.

    Whatever a file's name or a policy says stands in code spans: it can neither mention anybody nor be markup. Beyond
    :data:`MAX_CHARACTERS` the rest is counted, not shown.
    """
    sums = value["totals"]
    saved = f", {size(sums['before'])} → {size(sums['after'])} ({percent(sums['before'], sums['after'])})"
    counts = f"{sums['unchanged']} unchanged, {sums['skipped']} skipped, {sums['failed']} failed"
    lines = [f"**semcompress: {sums['compressed']} {verb}{saved if sums['compressed'] else ''}**; {counts}", ""]
    written = [result for result in value["results"] if result["status"] == "compressed"]
    rows = [_row(result, output) for result in written for output in result["outputs"]]
    rows = _fitting(rows, MAX_CHARACTERS - len(lines[0]))
    if rows:
        lines += [*_HEAD, *rows, ""]
    told = [(word, result) for result in value["results"] if result["reason"] and (word := _told_as(result))]
    items = [f"- {word}: {_code(result['path'])}: {_code(result['reason'])}" for word, result in told]
    lines += _fitting(items, MAX_CHARACTERS - sum(map(len, lines)))
    if alone := value.get("originals", {}).get("only_here"):
        lines += ["", f"{alone} of the originals exist only in the clone where this ran."]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Standard input to standard output; an argument says the verb (``would be compressed``)."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # a TextIOWrapper unless somebody replaced it
    data = sys.stdin.buffer.read()
    try:
        sys.stdout.write(report(json.loads(data), *sys.argv[1:2]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = f"is not what semcompress --format json prints ({type(error).__name__}: {error})"
        print(f"semcompress: the report {why if data.strip() else _EMPTY}", file=sys.stderr)
        return 2
    return 0


_EMPTY = "is empty: the command that should have written it could not run, and said why on standard error"


def _told_as(result: Mapping[str, Any]) -> str | None:
    """What a result's reason is told as; None where the table says all there is to say."""
    if result["status"] in ("skipped", "failed"):
        return str(result["status"])
    if result["status"] == "compressed" and not result["outputs"]:
        return "put back"
    return "over budget" if result.get("over_budget") else None


def _row(result: Mapping[str, Any], output: Mapping[str, Any]) -> str:
    before, after = result["before"], output["bytes"]
    how = settings_in_words(output["compressor"], output["settings"])
    cells = (_code(output["path"]), size(before), size(after), percent(before, after), _code(how))
    # every score would fill a screen with each row; which of them were bounded, the JSON report does not say
    return f"| {' | '.join((*cells, ', '.join(map(_code, output['scores']))))} |"


def _fitting(lines: list[str], characters: int) -> list[str]:
    """The first lines that fit, and how many more there are."""
    for number, line in enumerate(lines):
        characters -= len(line) + 1
        if characters < 0:
            return [*lines[:number], "", f"… and {len(lines) - number} more"]
    return lines


def _code(text: str) -> str:
    """``text`` as a code span on one line that may stand in a table's cell."""
    if not text:
        return ""  # two backquotes are not an empty span
    text = printable(text)
    # a table is cut at its bars before anything else is read; a backslash before one would undo its escape
    text = re.sub(r"(?<!\\)\\*\|", r"\\|", text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


if __name__ == "__main__":
    sys.exit(main())
