"""A folder of photos under a divergence bound: bytes, looks, seconds, and where the time goes.

    python benchmarks/photos.py FOLDER

Two cases: WebP beside each photo, and JPEG in its place. Every output is decoded again and measured afresh. One
worker thread, so that CPU seconds can be attributed; what no wrapped call accounts for is 'rest' (search, hashing,
reading, writing, reporting).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import math
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _pages import publish
from PIL import Image

from semcompress_plugin import isolation, workshop
from semcompress_plugin.cli import main as semcompress
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator

POLICY = """\
version: 1
preset: machine
evaluators:
  reader: {{use: classifier, view: center}}
rules:
  - name: all
    files: ["*.jpg"]
    {how}
    keep: {{reader: {{js_divergence: {{max: {bound}}}}}}}
"""
CASES = {
    "webp beside": "compress: [webp]\n    outputs: {formats: [webp], place: beside}",
    "jpeg in place": "compress: [jpeg]",
}
_CPU: dict[str, float] = defaultdict(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bound", type=float, default=0.01)
    arguments = parser.parse_args()
    _instrument()
    results = {}
    for name, how in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = measure(arguments.folder, Path(folder), how, arguments.bound)
    publish("photos", results, table(results))


def measure(photos: Path, folder: Path, how: str, bound: float) -> dict[str, Any]:
    """Run one case on a copy of ``photos`` in ``folder``."""
    originals = sorted(path for path in photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    for path in originals:
        shutil.copyfile(path, folder / f"{path.stem}.jpg")
    (folder / ".semcompress.yaml").write_text(POLICY.format(how=how, bound=bound))
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    with contextlib.chdir(folder):
        _report([])  # imports and models are not what is measured
        _CPU.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        report = _report(["compress", "--jobs", "1"])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        split = dict(_CPU)
        second = _report(["compress", "--jobs", "1"])
    before = [path.stat().st_size for path in originals]
    after, violations = [], 0
    eyes = ClassifierEvaluator(view="center")
    by_name = {result["path"]: result for result in report["results"]}
    for path in originals:
        result = by_name[f"{path.stem}.jpg"]
        after.append(result["after"])
        for output in result["outputs"]:
            seen = eyes.observe([Image.open(p).convert("RGB") for p in (path, folder / output["path"])])
            violations += eyes.compare(seen[0], seen[1:])[0]["js_divergence"] > bound
    rest = cpu - sum(split.values())
    return {
        "pictures": len(originals),
        "failed": report["totals"]["failed"],
        "compressed": report["totals"]["compressed"],
        "violations": violations,
        "before": {"geometric": _geometric(before), "mean": statistics.mean(before)},
        "after": {"geometric": _geometric(after), "mean": statistics.mean(after), "median": statistics.median(after)},
        "looks per picture": report["totals"]["looks"] / len(originals),
        "seconds per picture": wall / len(originals),
        "cpu share": {name: seconds / cpu for name, seconds in (*sorted(split.items()), ("rest", rest))},
        "second run": {key: second["totals"][key] for key in ("compressed", "looks")},
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| case | before, geo-mean (mean) | after, geo-mean (mean) | looks | s a picture | violations | second run |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        lines.append(
            f"| {name} | {r['before']['geometric']:,.0f} ({r['before']['mean']:,.0f}) "
            f"| {r['after']['geometric']:,.0f} ({r['after']['mean']:,.0f}) | {r['looks per picture']:.1f} "
            f"| {r['seconds per picture']:.2f} | {r['violations']} of {r['compressed']} "
            f"| {r['second run']['compressed']} changed, {r['second run']['looks']} looks |"
        )
    lines += ["", "| CPU share | encode | decode | resize | look | rest |", "|---|---|---|---|---|---|"]
    for name, r in results.items():
        shares = (
            f"{100 * r['cpu share'].get(part, 0):.0f} %" for part in ("encode", "decode", "resize", "look", "rest")
        )
        lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _report(arguments: list[str]) -> dict[str, Any]:
    if not arguments:
        ClassifierEvaluator().observe([Image.new("RGB", (8, 8))])
        return {}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = semcompress([*arguments, "--format", "json", "--quiet"])
    assert code in (0, 1), code
    return dict(json.loads(out.getvalue()))


def _instrument() -> None:
    """Attribute CPU time of the thread that spends it; what is nested counts for the inner call only."""
    for compressor in ("jpeg", "webp"):
        module = importlib.import_module(f"semcompress_plugin.compressors.{compressor}")
        module.scaled = _timed("resize", module.scaled)  # type: ignore[attr-defined]  # the module's own import
    for module, name, part in (
        (importlib.import_module("semcompress_plugin.compressors.jpeg").JpegCompressor, "compress", "encode"),
        (importlib.import_module("semcompress_plugin.compressors.webp").WebpCompressor, "compress", "encode"),
        (workshop, "decode_candidate", "decode"),
        (isolation, "decode", "decode"),
        (workshop.Workshop, "observe", "look"),
        (workshop.Workshop, "compare", "look"),
    ):
        setattr(module, name, _timed(part, getattr(module, name)))


_OPEN: dict[int, list[float]] = defaultdict(list)


def _timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **keywords: Any) -> Any:
        stack = _OPEN[threading.get_ident()]
        stack.append(0.0)
        start = time.thread_time()
        try:
            return function(*arguments, **keywords)
        finally:
            spent = time.thread_time() - start
            _CPU[part] += spent - stack.pop()
            if stack:
                stack[-1] += spent

    return timed


def _geometric(values: list[int]) -> float:
    return math.exp(statistics.mean(map(math.log, values)))


if __name__ == "__main__":
    main()
