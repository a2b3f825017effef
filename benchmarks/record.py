"""Encode photographs over a grid and show every file to readers, for ``benchmarks/fidelity.py``.

    python benchmarks/record.py FOLDER --cache CACHE --readers READERS --looks lite0.center lite2.center

Can be stopped and continued. ``--part 0/2`` takes every second photograph, so that two processes share the work.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from _grid import Cache, photographs
from _readers import looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--readers", type=Path, required=True)
    parser.add_argument("--looks", nargs="*", default=[])
    parser.add_argument("--part", default="0/1")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    cache, readers = Cache(arguments.cache), looks(arguments.looks, arguments.readers)
    photos = [photo for folder in arguments.folder for photo in photographs(folder)][part::parts]
    began = time.perf_counter()
    for index, photo in enumerate(photos, start=1):
        cache.files(photo)
        for name, look in readers.items():
            cache.look(photo, name, look)
        print(f"{index}/{len(photos)} {photo.name} {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
