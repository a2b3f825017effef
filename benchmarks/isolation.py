"""What decoding in a process of its own costs: ``python benchmarks/isolation.py``."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from pictures import encoded, photo
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.types import Limits

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


def row(format: str, size: tuple[int, int]) -> str:
    data = encoded(photo(size), format)
    with Decoders() as decoders:
        here = milliseconds(lambda: decoders.decode(data, None, "keep", Limits()))
        there = milliseconds(lambda: decoders.decode(data, None, "keep", Limits(isolate=True)))
    start = milliseconds(lambda: first(data))
    return f"| {format}, {size[0]} x {size[1]} | {here:.0f} ms | {there:.0f} ms | {start:.0f} ms |"


def main() -> None:
    print("| picture | here | isolated | the first one, with the start of the process |\n|---|--:|--:|--:|")
    for format, size in (("JPEG", (64, 48)), ("JPEG", (1600, 1200)), ("PNG", (1600, 1200)), ("JPEG", (4000, 3000))):
        print(row(format, size), flush=True)


if __name__ == "__main__":
    main()
