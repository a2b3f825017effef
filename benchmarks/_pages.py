"""Where results go: figures as JSON to ``results/NAME.json``, tables into docs/benchmarks.md between their markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def publish(name: str, figures: Any, markdown: str, page: Path = PAGE) -> None:
    """Keep ``figures`` and put ``markdown`` between ``<!-- NAME -->`` and ``<!-- /NAME -->`` of ``page``.

    Raises ``ValueError`` when the page has no such markers: a table that nobody sees is no result.
    """
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(
        json.dumps(figures, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, opened, rest = page.read_text(encoding="utf-8").partition(start)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{page}: has no {start.strip()} … {end}")
    page.write_text(f"{before}{start}{markdown.rstrip()}\n{end}{after}", encoding="utf-8")
