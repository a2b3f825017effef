"""The report as one JSON object (docs/report.md says what its keys mean)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from semcompress_plugin.plain import plain
from semcompress_plugin.report import totals
from semcompress_plugin.report.ledger import Ledger
from semcompress_plugin.types import Result

if TYPE_CHECKING:
    from semcompress_plugin.pages import PagesReport


def report(
    results: Iterable[Result], seconds: float, pages: PagesReport | None = None, only_here: int | None = None
) -> str:
    """``{"results": […], "totals": {…}}``, sorted by path, and ``pages`` where a build has gone through them.

    ``only_here``: how many originals exist in this clone alone, where that is known.
    """
    return "".join(pieces(results, seconds, pages, only_here))


def pieces(
    results: Iterable[Result], seconds: float, pages: PagesReport | None = None, only_here: int | None = None
) -> Iterator[str]:
    """The report piece by piece, of which a large one need not be held whole."""
    ledger = Ledger.of(results)
    ordered = ledger.by_path()
    yield '{\n  "results": ['
    separator = ""
    while some := [asdict(result) for result in islice(ordered, _AT_ONCE)]:
        yield separator + _indented(some)[1:-4]  # without the list's own brackets
        separator = ","
    yield "\n  ]" if separator else "]"
    rest: dict[str, Any] = {"totals": asdict(totals(ledger, seconds))}
    rest |= {} if only_here is None else {"originals": {"only_here": only_here}}
    rest |= {} if pages is None else {"pages": asdict(pages)}
    for name, value in rest.items():
        yield f',\n  "{name}": {_indented(value)}'
    yield "\n}"


_AT_ONCE = 50
"""Results that are encoded together: each call leaves a cycle of references for the garbage collector."""


def _indented(value: Mapping[str, Any] | Sequence[Any]) -> str:
    # no line ends within a string: JSON escapes them
    return dumps(value).replace("\n", "\n  ")


def dumps(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON for standard output. Names of files that are not UTF-8 are escaped, not refused."""
    return json.dumps(plain(value), indent=2, allow_nan=False)


_SCORE = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf"]}]}
"""JSON has no infinite number, and a metric may be one."""

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["results", "totals"],
    "additionalProperties": False,
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "status", "before", "after", "rule", "outputs", "looks", "reason"],
                "additionalProperties": False,
                "properties": {
                    "path": {"type": "string"},
                    "status": {"enum": ["compressed", "unchanged", "skipped", "failed"]},
                    "before": {"type": "integer", "minimum": 0},
                    "after": {"type": "integer", "minimum": 0},
                    "rule": {"type": ["string", "null"]},
                    "looks": {"type": "integer", "minimum": 0},
                    "reason": {"type": ["string", "null"]},
                    "cached": {"type": "boolean"},
                    "over_budget": {"type": "boolean"},
                    "unstripped": {"type": "boolean"},
                    "outputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["path", "compressor", "settings", "bytes", "scores"],
                            "additionalProperties": False,
                            "properties": {
                                "path": {"type": "string"},
                                "compressor": {"type": "string"},
                                "settings": {"type": "object", "additionalProperties": {"type": "number"}},
                                "bytes": {"type": "integer", "minimum": 1},
                                "scores": {
                                    "type": "object",
                                    "additionalProperties": {
                                        "type": "object",
                                        "additionalProperties": _SCORE,
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
        "totals": {
            "type": "object",
            "required": [
                "files", "compressed", "unchanged", "skipped", "failed", "before", "after", "looks", "seconds",
            ],
            "additionalProperties": False,
            "properties": {
                **{
                    name: {"type": "integer", "minimum": 0}
                    for name in (
                        "files", "compressed", "unchanged", "skipped", "failed", "before", "after", "looks", "cached",
                    )
                },
                "seconds": {"type": "number", "minimum": 0},
            },
        },
        "originals": {
            "type": "object",
            "required": ["only_here"],
            "additionalProperties": False,
            "properties": {"only_here": {"type": "integer", "minimum": 0}},
        },
        "pages": {
            "type": "object",
            "required": ["read", "rewritten", "pictures", "backgrounds", "left"],
            "additionalProperties": False,
            "properties": {
                **{
                    name: {"type": "integer", "minimum": 0}
                    for name in ("read", "rewritten", "pictures", "backgrounds")
                },
                "left": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["page", "reference", "reason"],
                        "additionalProperties": False,
                        "properties": {
                            "page": {"type": "string"},
                            "reference": {"type": ["string", "null"]},
                            "reason": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip
