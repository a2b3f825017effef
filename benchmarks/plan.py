"""The table of docs/scale.md: what a billion pictures cost, from what was measured (results/scale.json).

python benchmarks/plan.py
"""

from __future__ import annotations

import json

from _pages import PAGE, RESULTS

PICTURES = 1_000_000_000
SHARD = 500
LISTED = 1000
"""Objects that one request lists."""

RECORD_BYTES = 900
"""Of a picture in its shard's records, about."""

TASKS_PER_SECOND = 1000
"""What a Dask scheduler hands out, by its documentation: about a millisecond a task."""


def main() -> None:
    found = json.loads((RESULTS / "scale.json").read_text())["workers"]
    seconds, looks = found["cpu seconds per picture"], found["looks per picture"]
    before, after = found["bytes before"], found["bytes after"]
    core_hours = PICTURES * seconds / 3600
    shards = PICTURES / SHARD
    rows = [
        ("pictures, looks at them", f"{PICTURES:,}, {PICTURES * looks:,.0f} ({looks:.1f} each)"),
        ("core hours", f"{core_hours:,.0f} ({seconds:.2f} s a picture)"),
        ("days with 1,000 cores", f"{core_hours / 1000 / 24:.1f}"),
        ("bytes read, written", f"{PICTURES * before / 1e12:,.0f} TB, {PICTURES * after / 1e12:,.0f} TB"),
        ("traffic of 1,000 cores", f"{1000 / seconds * (before + after) / 1e6:,.0f} MB/s"),
        ("shards", f"{shards:,.0f} of {SHARD} ({SHARD * seconds / 60:.1f} core minutes each)"),
        ("records", f"{PICTURES * RECORD_BYTES / 1e9:,.0f} GB, {SHARD * RECORD_BYTES / 1e3:.0f} kB a shard"),
        ("GET, first run", f"{PICTURES + shards:,.0f}"),
        ("PUT, first run", f"{PICTURES + shards:,.0f}"),
        ("LIST, first run", f"{PICTURES / LISTED:,.0f}"),
        ("GET, LIST, PUT of a run with nothing to do", f"{shards:,.0f}, {2 * PICTURES / LISTED:,.0f}, 0"),
        ("a killed worker's cost", f"at most {SHARD * seconds / 60:.1f} core minutes, 1 with records each minute"),
        ("cores that one scheduler keeps busy", f"{TASKS_PER_SECOND * SHARD * seconds:,.0f}"),
    ]
    lines = ["| a billion pictures like those of the benchmark | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    page = PAGE.with_name("scale.md")
    text = page.read_text(encoding="utf-8")
    start, end = "<!-- plan -->\n", "<!-- /plan -->"
    if start not in text or end not in text:
        raise ValueError(f"{page}: has no {start.strip()} … {end}")
    head, tail = text.partition(start)[0], text.partition(end)[2]
    page.write_text(head + start + "\n".join(lines) + "\n" + end + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
