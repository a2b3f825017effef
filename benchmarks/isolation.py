"""What decoding in a process of its own costs: ``python benchmarks/isolation.py``."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from _pages import publish

from pictures import encoded, photo
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.types import Limits

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
REPEATS = 9


def milliseconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def first(data: bytes) -> None:
    with Decoders() as decoders:
        decoders.decode(data, None, "keep", Limits(isolate=True))


def row(format: str, size: tuple[int, int]) -> dict[str, float]:
    data = encoded(photo(size), format)
    with Decoders() as decoders:
        here = milliseconds(lambda: decoders.decode(data, None, "keep", Limits()))
        there = milliseconds(lambda: decoders.decode(data, None, "keep", Limits(isolate=True)))
    start = milliseconds(lambda: first(data))
    return {"here": here, "isolated": there, "the first one, with the start of the process": start}


def main() -> None:
    cases = (("JPEG", (64, 48)), ("JPEG", (1600, 1200)), ("PNG", (1600, 1200)), ("JPEG", (4000, 3000)))
    found = {f"{format}, {size[0]} x {size[1]}": row(format, size) for format, size in cases}
    heads = ["picture", *next(iter(found.values()))]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    lines += [f"| {name} | {' | '.join(f'{ms:.0f} ms' for ms in each.values())} |" for name, each in found.items()]
    publish("isolation", found, "\n".join(lines), PAGE)


if __name__ == "__main__":
    main()
