"""What colours at full resolution are worth where people look: JPEGs of preset `web`, of pictures drawn by lot.

    python benchmarks/subsampling.py NAME=FOLDER ... --readers RECORDED/readers [--limit 60]

Every picture is written as JPEG under the bounds of preset ``web`` in three ways: at 4:2:0, at 4:4:4, and with both
competing. Where nothing smaller holds, the source's bytes count. A reader that no search asks (MobileNetV2, another
family) says of each file whether it still sees in it what it saw in the original.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _pages import publish
from _readers import looks
from PIL import Image

from semcompress_plugin.engine import decide, drive
from semcompress_plugin.errors import SemcompressError
from semcompress_plugin.images import decode
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.workshop import Workshop

SUFFIXES = {".jpg", ".jpeg", ".png"}
WAYS = {"4:2:0": ("jpeg",), "4:4:4": ("jpeg-444",), "both": ("jpeg", "jpeg-444")}
JUDGE = "mobilenet.center"
DRAWS = 2000


def policy(compressors: Sequence[str]) -> str:
    rule = f"name: all, files: ['**'], compress: [{', '.join(compressors)}], outputs: {{formats: [jpeg]}}"
    return f"version: 1\npreset: web\nrules: [{{{rule}}}]\n"


def measured(folder: Path, limit: int, readers: Path) -> dict[str, Any]:
    registry = Registry()
    tools, judge = Workshop(registry), looks([JUDGE], readers)[JUDGE]
    rules = {way: parse_policy(policy(names), registry, Path(), "benchmark").rules[0] for way, names in WAYS.items()}
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    random.Random(0).shuffle(paths)
    rows: list[dict[str, Any]] = []
    for path in paths:
        if len(rows) == limit:
            break
        try:
            picture = decode(path.read_bytes(), path.name, rules["both"].metadata)
        except SemcompressError:
            continue
        if picture.image.mode not in ("RGB", "P", "L"):  # JPEG is not for what is transparent
            continue
        row: dict[str, Any] = {}
        verdict = judge([picture.image.convert("RGB")])[0].argmax()
        for way, rule in rules.items():
            (found,) = drive(decide(picture, rule, registry, None, "fast"), tools.perform)
            size, same, won = picture.bytes, True, None
            if found.candidate is not None:
                size, won = len(found.candidate.data), found.candidate.proposal.compressor
                same = bool(judge([Image.open(io.BytesIO(found.candidate.data)).convert("RGB")])[0].argmax() == verdict)
            row[way] = {"bytes": size, "looks": found.looks, "agrees": same, "by": won}
        rows.append(row)
        print(path.name, {way: (one["bytes"], one["looks"]) for way, one in row.items()}, flush=True)
    return summary(rows)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per way: bytes, looks, agreement and the geometric mean of each file against that at 4:2:0, with its interval."""
    found: dict[str, Any] = {"pictures": len(rows), "at 4:4:4": sum(row["both"]["by"] == "jpeg-444" for row in rows)}
    draws = np.random.default_rng(0).integers(0, len(rows), (DRAWS, len(rows)))
    for way in WAYS:
        logs = np.array([math.log(row[way]["bytes"] / row["4:2:0"]["bytes"]) for row in rows])
        low, high = np.exp(np.percentile(logs[draws].mean(axis=1), [2.5, 97.5])).tolist()
        found[way] = {
            "bytes": sum(row[way]["bytes"] for row in rows),
            "looks": sum(row[way]["looks"] for row in rows) / len(rows),
            "agreement": sum(row[way]["agrees"] for row in rows) / len(rows),
            "ratio": [math.exp(logs.mean()), low, high],
        }
    return found


def table(figures: dict[str, Any]) -> str:
    lines = [
        "| pictures | colours | bytes | each against 4:2:0 (95 % interval) | looks | MobileNetV2 sees the same |",
        "|---|---|---|---|---|---|",
    ]
    for (name, case), way in itertools.product(figures.items(), WAYS):
        mean, low, high = case[way]["ratio"]
        chosen = f", {case['at 4:4:4']} at 4:4:4" if way == "both" else ""
        lines.append(
            f"| {name} ({case['pictures']}) | {way}{chosen} "
            f"| {case[way]['bytes']:,} | {mean:.3f} ({low:.3f} to {high:.3f}) | {case[way]['looks']:.1f} "
            f"| {100 * case[way]['agreement']:.0f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--readers", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=60)
    arguments = parser.parse_args()
    cases = dict(case.split("=", 1) for case in arguments.cases)
    figures = {name: measured(Path(folder), arguments.limit, arguments.readers) for name, folder in cases.items()}
    publish("subsampling", figures, table(figures))
    print(table(figures))


if __name__ == "__main__":
    main()
