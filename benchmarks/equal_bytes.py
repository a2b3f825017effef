"""Processor seconds a picture at equal bytes, against twelve whole looks at WebP method 4.

    python benchmarks/equal_bytes.py FOLDER --prior FIT.jsonl [--limit 100]

Two references, which write WebP alone (method 4) under the preset's bound, and take 12 looks, every one of them whole:
all views, whatever the first one showed, and one value for the worst of them.

* The throw-away prototype that the search grew from (``benchmarks/_prototype.py``), learned from FIT.jsonl, a recording
  of the calibration photographs that ``just record`` makes.
* The program's own search of today, forced to do the same. It is the stricter one: whatever the search has learned
  since the prototype helps it too. A row beside it has a surrogate per view, and whole looks all the same.

Ours searches under the same bound as the program does, view by view, and may write JPEG as well; only the threshold at
which its search stops (``frontier: {gain: …}``) is turned. For each reference the largest threshold is reported at
which the bytes' geometric mean is at most 1 % above the reference's, and the default threshold. CPU seconds are the
whole decision's (decoding the picture, encoding, decoding, looking, the search's algebra), without reading, writing and
starting; one thread, the ways of one picture one after the other, so that all see the same machine. Intervals: 95 %,
over the pictures (bootstrap, paired).
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, partialmethod
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from _pages import publish
from _prototype import Prototype, Setting, learned
from numpy.typing import NDArray
from PIL import Image

from semcompress_plugin.engine import Compare, Observe, Task, ceiling, decide, drive
from semcompress_plugin.engine._reader import Reader
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.images import decode, decode_candidate, save_parameters
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.workshop import Workshop

WAYS = ("webp", "jpeg, webp")  # AVIF costs more to encode than all looks together
GAINS = (0.005, 0.008, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16)
LOOKS = 12
METHOD = 4
NEAR = 1.01
VIEWS = 2  # of the preset's reader
POLICY = """{{version: 1, preset: machine, rules: [{{name: all, files: ["*"], compress: [{formats}],
    outputs: {{formats: [smallest], place: beside}}{search}}}]}}"""
FORCED = f", search: {{frontier: {{gain: 0, looks: {LOOKS}}}}}"
RESAMPLES = 4000

Row = tuple[int, int, int]
"""Looks, passes of the network, bytes."""
Rows = NDArray[np.float64]
"""(pictures, 4): CPU seconds, looks, passes, log bytes."""


def ours(formats: str, search: str, in_parts: bool = True) -> Callable[[Path], Row]:
    """The program's way with one picture."""
    registry = Registry()
    if not in_parts:
        spec = replace(registry.evaluator("classifier"), parts=None)
        registry.evaluators = {**registry.evaluators, "classifier": spec}
    tools = Workshop(registry)
    rule = parse_policy(POLICY.format(formats=formats, search=search), registry, Path(), "benchmark").rules[0]

    def run(path: Path) -> Row:
        passes = 0

        def perform(task: Task) -> object:
            nonlocal passes
            if isinstance(task, Observe):
                passes += 1 if task.use.options.get("view") else VIEWS
            return tools.perform(task)

        reference = decode(path.read_bytes(), None, rule.metadata)
        (decision,) = drive(decide(reference, rule, registry), perform)
        return decision.looks, passes, len(decision.candidate.data if decision.candidate else path.read_bytes())

    return run


def whole(run: Callable[[Path], Row]) -> Callable[[Path], Row]:
    """No look ends at the first view that breaks the bound."""

    def patched(path: Path) -> Row:
        with mock.patch.object(Reader, "look", partialmethod(_look, skip_failed=False)):
            return run(path)

    return patched


_look = Reader.look


def prototype(prior: Prototype) -> Callable[[Path], Row]:
    """The throw-away prototype's way with one picture: its own encoding, with nothing kept between looks."""
    registry = Registry()
    tools = Workshop(registry)
    rule = parse_policy(POLICY.format(formats="webp", search=""), registry, Path(), "benchmark").rules[0]
    (reader,), (constraint,) = rule.evaluators, rule.keep
    assert constraint.max is not None

    def run(path: Path) -> Row:
        reference = decode(path.read_bytes(), None, rule.metadata)
        known: Any = tools.perform(Observe(reader, reference.image))

        def look(setting: Setting) -> tuple[float, int]:
            scale, quality = setting
            width, height = (max(1, round(side * scale)) for side in reference.image.size)
            small = reference.image.resize((width, height), Image.Resampling.LANCZOS) if scale < 1 else reference.image
            out = io.BytesIO()
            small.save(out, "WEBP", quality=quality, method=METHOD, **save_parameters(reference.metadata, "WEBP"))
            seen: Any = tools.perform(Observe(reader, decode_candidate(out.getvalue())))
            (values,) = tools.compare(Compare(reader, known, seen))
            return values[constraint.metric.name], len(out.getvalue())

        found, looks = prior.search(look, constraint.max, int(ceiling(reference, rule)), LOOKS)
        return looks, VIEWS * (1 + looks), found or path.stat().st_size

    return run


def timed(run: Callable[[Path], Row], path: Path) -> tuple[float, float, float, float]:
    began = time.process_time()
    looks, passes, size = run(path)
    return time.process_time() - began, looks, passes, float(np.log(size))


def measure(photos: Sequence[Path], prior: Path) -> dict[str, Any]:
    ClassifierEvaluator().observe([Image.new("RGB", (8, 8))])  # opening the model is not what is measured
    runs: dict[str, Callable[[Path], Row]] = {
        "prototype": prototype(learned(prior, "webp", "sway")),
        "own": ours("webp", FORCED, in_parts=False),
        "own per view": whole(ours("webp", FORCED)),
    }
    for way in WAYS:
        runs[way] = ours(way, "")
        runs |= {f"{way} {gain}": ours(way, f", search: {{frontier: {{gain: {gain}}}}}") for gain in GAINS}
    rows: dict[str, Rows] = {name: np.empty((len(photos), 4)) for name in runs}
    load = os.getloadavg()[0]
    runs["own"](photos[0])  # loads the prior's table
    for number, path in enumerate(photos):
        for name, run in runs.items():
            rows[name][number] = timed(run, path)
    summary = partial(described, rows)
    figures: dict[str, Any] = {"pictures": len(photos), "load": load, "ways": {}}
    figures["references"] = {name: summary(name) for name in ("prototype", "own", "own per view")}
    for way in WAYS:
        found = figures["ways"][way] = {"default": summary(way)}
        found["by gain"] = {str(gain): summary(f"{way} {gain}") for gain in GAINS}
    return figures


def described(rows: Mapping[str, Rows], name: str) -> dict[str, Any]:
    """Means of one way, and its CPU seconds and bytes over each reference's, with intervals."""
    seconds, looks, passes, log_bytes = rows[name].mean(axis=0).tolist()
    row = {"seconds": seconds, "looks": looks, "passes": passes, "bytes": float(np.exp(log_bytes))}
    chosen = np.random.default_rng(0).integers(0, len(rows[name]), (RESAMPLES, len(rows[name])))
    for other in ("prototype", "own"):
        cpu = rows[name][chosen, 0].sum(axis=1) / rows[other][chosen, 0].sum(axis=1)
        size = np.exp((rows[name][:, 3] - rows[other][:, 3])[chosen].mean(axis=1))
        their = rows[other].mean(axis=0)
        row[f"against {other}"] = {
            "cpu": seconds / float(their[0]),
            "cpu interval": np.quantile(cpu, (0.025, 0.975)).tolist(),
            "bytes": float(np.exp(log_bytes - their[3])),
            "bytes interval": np.quantile(size, (0.025, 0.975)).tolist(),
        }
    return {key: _rounded(value) for key, value in row.items()}


def _rounded(value: Any) -> Any:
    """Four digits: the rest is noise, and makes the page's figures large."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else float(f"{value:.4g}")


def equal(found: Mapping[str, Any], other: str) -> tuple[str, Any] | None:
    """The largest threshold up to which the bytes are the reference's, within 1 %."""
    last = None
    for gain, row in found["by gain"].items():
        if row[f"against {other}"]["bytes"] > NEAR:
            break
        last = gain, row
    return last


def table(figures: dict[str, Any]) -> str:
    references = figures["references"]
    rows = [
        ("**prototype**: 12 whole looks on a grid", "", references["prototype"]),
        ("**own**: today's search, 12 whole looks", "0", references["own"]),
        ("own, with a surrogate per view", "0", references["own per view"]),
    ]
    for way, found in figures["ways"].items():
        for other in ("prototype", "own"):
            if chosen := equal(found, other):
                rows.append((f"{way}, at the bytes of *{other}*", *chosen))
        rows.append((f"{way}, as it is", "default", found["default"]))
    lines = [
        f"{figures['pictures']} photographs; load of the machine at the start: {figures['load']:.1f}. Passes count one "
        "view of one picture, the reference's two included.",
        "",
        "| way | gain | looks | passes | CPU ms | bytes "
        "| CPU / prototype | bytes / prototype | CPU / own | bytes / own |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for way, gain, row in rows:
        cells = [way, gain, f"{row['looks']:.1f}", f"{row['passes']:.1f}", f"{1e3 * row['seconds']:.0f}"]
        cells.append(f"{row['bytes']:,.0f}")
        for other in ("prototype", "own"):
            ratios = row[f"against {other}"]
            cells += [
                _ranged(ratios["cpu"], ratios["cpu interval"]),
                _ranged(ratios["bytes"], ratios["bytes interval"]),
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ranged(value: float, interval: Sequence[float]) -> str:
    low, high = interval
    return f"{value:.2f}" if high - low < 1e-9 else f"{value:.2f} ({low:.2f} to {high:.2f})"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prior", type=Path, required=True, help="what the prototype learns from")
    parser.add_argument("--limit", type=int, default=100, help="so many photographs, evenly spread")
    parser.add_argument("--print-only", action="store_true", help="leave the page and the results as they are")
    arguments = parser.parse_args(argv)
    found = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    photos = found[:: max(1, len(found) // arguments.limit)][: arguments.limit]
    figures = measure(photos, arguments.prior)
    text = table(figures)
    print(text)
    if not arguments.print_only:
        publish("equal-bytes", figures, text)


if __name__ == "__main__":
    main()
