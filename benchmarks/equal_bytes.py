"""Processor seconds a picture at equal bytes, against twelve whole looks at WebP method 4.

    python benchmarks/equal_bytes.py FOLDER [--limit 60]

The reference writes WebP alone (method 4), searches without a stop for 12 looks, and every look is whole: all views,
whatever the first one showed, and one surrogate for the worst of them. A second row has a surrogate per view. Ours
searches under the same bound as the program does, view by view, and may write JPEG as well; only the threshold at which
its search stops (``frontier: {gain: …}``) is turned. For each way the largest threshold is reported at which the bytes'
geometric mean is at most 1 % above the reference's, and the default threshold. CPU seconds are the whole decision's,
without reading, writing and starting; one thread, one after the other.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
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
from semcompress_plugin.workshop import Workshop

WAYS = ("webp", "jpeg, webp")  # AVIF costs more to encode than all looks together
GAINS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04)
NEAR = 1.01
VIEWS = 2  # of the preset's reader
POLICY = """{{version: 1, preset: machine, rules: [{{name: all, files: ["*"], compress: [{formats}],
    outputs: {{formats: [smallest], place: beside}}{search}}}]}}"""
REFERENCE = ", search: {frontier: {gain: 0, looks: 12}}"


def run(photos: Sequence[Path], formats: str, search: str, in_parts: bool = True) -> dict[str, float]:
    """CPU seconds, looks and passes of the network a picture, and the bytes' geometric mean."""
    registry = Registry()
    if not in_parts:
        spec = replace(registry.evaluator("classifier"), parts=None)
        registry.evaluators = {**registry.evaluators, "classifier": spec}
    tools = Workshop(registry)
    rule = parse_policy(POLICY.format(formats=formats, search=search), registry, Path(), "benchmark").rules[0]
    passes, rows = 0, []

    def perform(task: engine.Task) -> object:
        nonlocal passes
        if isinstance(task, engine.Observe):
            passes += 1 if task.use.options.get("view") else VIEWS
        return tools.perform(task)

    for path in photos:
        passes = 0
        began = time.process_time()
        reference = decode(path.read_bytes(), None, rule.metadata)
        (decision,) = drive(decide(reference, rule, registry), perform)
        seconds = time.process_time() - began
        size = len(decision.candidate.data) if decision.candidate else path.stat().st_size
        rows.append([seconds, decision.looks, passes, np.log(size)])
    seconds, looks, seen, log_bytes = np.mean(rows, axis=0).tolist()
    return {"seconds": seconds, "looks": looks, "passes": seen, "bytes": float(np.exp(log_bytes))}


def measure(photos: Sequence[Path]) -> dict[str, Any]:
    ClassifierEvaluator().observe([Image.new("RGB", (8, 8))])  # opening the model is not what is measured
    whole = partialmethod(engine._Reader.look, skip_failed=False)
    figures: dict[str, Any] = {"pictures": len(photos), "load": os.getloadavg()[0], "ways": {}}
    figures["reference"] = run(photos, "webp", REFERENCE, in_parts=False)
    with mock.patch.object(engine._Reader, "look", whole):
        figures["a surrogate per view"] = run(photos, "webp", REFERENCE)
    for way in WAYS:
        found = figures["ways"][way] = {"as it is": run(photos, way, "")}
        for gain in GAINS:
            row = run(photos, way, f", search: {{frontier: {{gain: {gain}}}}}")
            if row["bytes"] > NEAR * figures["reference"]["bytes"]:
                break
            found["equal"] = row | {"gain": gain}
    return figures


def table(figures: dict[str, Any]) -> str:
    reference = figures["reference"]
    rows = [("WebP method 4, 12 whole looks", "0", reference)]
    rows.append(("the same with a surrogate per view", "0", figures["a surrogate per view"]))
    for way, found in figures["ways"].items():
        if "equal" in found:
            rows.append((f"{way}, at equal bytes", f"{found['equal']['gain']:g}", found["equal"]))
        rows.append((f"{way}, as it is", "default", found["as it is"]))
    lines = [
        f"{figures['pictures']} photographs; load of the machine at the start: {figures['load']:.1f}. Passes count one "
        "view of one picture, the reference's two included.",
        "",
        "| way | gain | looks | passes | CPU ms | bytes | CPU / reference |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, gain, row in rows:
        cells = [way, gain, f"{row['looks']:.1f}", f"{row['passes']:.1f}", f"{1e3 * row['seconds']:.0f}"]
        cells += [f"{row['bytes']:,.0f}", f"{row['seconds'] / reference['seconds']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
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
