"""Processor seconds a picture at equal bytes, against twelve whole looks at WebP method 4.

    python benchmarks/equal_bytes.py FOLDER [--limit 60]

The reference writes WebP alone (method 4, drafts and final file), searches without a stop for 12 looks, and every look
is whole: all views, whatever the first one showed. Ours searches under the same bounds as the program does, view by
view, and may write other formats as well; only the threshold at which its search stops (``frontier: {gain: …}``) is
turned. For each way the largest threshold is reported at which the geometric mean of what is minimised (bytes under a
bound; under a price, bytes times e to the charge) is at most 1 % above the reference's, and the preset's own threshold.
CPU seconds are the whole decision's, without reading, writing and starting; one thread, one after the other.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from _pages import publish
from PIL import Image

from semcompress_plugin import engine
from semcompress_plugin.engine import decide, drive
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.images import decode
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import log_cost
from semcompress_plugin.workshop import Workshop

PRESETS = {"machine": "preset machine", "machine@2": "sway at most 0.25 (machine@2)"}
WAYS = ("webp", "jpeg, webp", "jpeg, webp, avif")
GAINS = (0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12)
NEAR = 1.01
POLICY = """{{version: 1, preset: {preset}, rules: [{{name: all, files: ["*"], compress: [{formats}],
    outputs: {{formats: [smallest], place: beside}}{search}}}]}}"""
REFERENCE = ", search: {frontier: {gain: 0, looks: 12}}"


def run(photos: Sequence[Path], preset: str, formats: str, search: str) -> dict[str, float]:
    """CPU seconds, looks and passes of the network a picture, and geometric means of bytes and of cost."""
    registry = Registry()
    tools = Workshop(registry)
    text = POLICY.format(preset=preset, formats=formats, search=search)
    rule = parse_policy(text, registry, Path(), "benchmark").rules[0]
    passes, rows = 0, []

    def perform(task: engine.Task) -> object:
        nonlocal passes
        passes += isinstance(task, engine.Observe)
        return tools.perform(task)

    for path in photos:
        passes = 0
        began = time.process_time()
        reference = decode(path.read_bytes(), None, rule.metadata)
        (decision,) = drive(decide(reference, rule, registry), perform)
        seconds = time.process_time() - began
        size = len(decision.candidate.data) if decision.candidate else path.stat().st_size
        rows.append([seconds, decision.looks, passes, np.log(size), log_cost(size, decision.scores, rule.keep)])
    mean = np.mean(rows, axis=0).tolist()
    return dict(zip(("seconds", "looks", "passes"), mean, strict=False)) | {
        "bytes": float(np.exp(mean[3])),
        "cost": float(np.exp(mean[4])),
    }


def measure(photos: Sequence[Path]) -> dict[str, Any]:
    ClassifierEvaluator().observe([Image.new("RGB", (8, 8))])  # opening the model is not what is measured
    figures: dict[str, Any] = {"pictures": len(photos), "load": os.getloadavg()[0], "rules": {}}
    for preset in PRESETS:
        whole = partialmethod(engine._Reader.look, skip_failed=False)
        with mock.patch.object(engine._Reader, "look", whole):
            reference = run(photos, preset, "webp", REFERENCE)
        rows: dict[str, Any] = {}
        for way in WAYS:
            rows[way] = {"as it is": run(photos, preset, way, "")}
            for gain in GAINS:
                found = run(photos, preset, way, f", search: {{frontier: {{gain: {gain}}}}}")
                if found["cost"] > NEAR * reference["cost"]:
                    break
                rows[way]["equal"] = found | {"gain": gain}
            print(preset, way, reference, rows[way], flush=True)
        figures["rules"][preset] = {"reference": reference, "ways": rows}
    return figures


def table(figures: dict[str, Any]) -> str:
    lines = [
        f"{figures['pictures']} photographs; load of the machine at the start: {figures['load']:.1f}. Bytes and "
        "what is minimised are geometric means; a look is a candidate shown, a pass one view of it.",
        "",
        "| rule | way | gain | looks | passes / 2 | CPU ms | bytes | minimised | CPU / reference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for preset, name in PRESETS.items():
        reference, ways = (figures["rules"][preset][key] for key in ("reference", "ways"))
        rows = [("WebP method 4, 12 whole looks", "0", reference)]
        for way, found in ways.items():
            if "equal" in found:
                rows.append((f"{way}, at equal bytes", f"{found['equal']['gain']:g}", found["equal"]))
            rows.append((f"{way}, as it is", "preset's", found["as it is"]))
        for way, gain, row in rows:
            share = row["seconds"] / reference["seconds"]
            lines.append(
                f"| {name} | {way} | {gain} | {row['looks']:.1f} | {row['passes'] / 2:.1f} "
                f"| {1e3 * row['seconds']:.0f} | {row['bytes']:,.0f} | {row['cost']:,.0f} | {share:.2f} |"
            )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=60, help="so many photographs, evenly spread")
    arguments = parser.parse_args(argv)
    found = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    photos = found[:: max(1, len(found) // arguments.limit)][: arguments.limit]
    figures = measure(photos)
    text = table(figures)
    print(text)
    publish("equal-bytes", figures, text)


if __name__ == "__main__":
    main()
