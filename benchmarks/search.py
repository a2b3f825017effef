"""How near to the smallest possible file each search strategy comes, against looks, replayed on recorded grids.

    python benchmarks/search.py VALIDATE.jsonl --json search.json

VALIDATE.jsonl comes from ``tools/record_grids.py``, from photographs that the prior was not made from. Nothing is
encoded or looked at, so it takes seconds. Regret: bytes of the best file found, over those of the smallest file on the
grid that holds (the exhaustive optimum); where nothing is found or nothing holds, the source's bytes count. The
geometric mean over the photographs is given, with a bootstrap 95 % interval.

    python benchmarks/search.py ONE.jsonl --keep js_divergence=0.02 score=0.992 worst_tile=0.984 colour_shift=0.012 \
        --formats jpeg webp avif

ONE.jsonl holds every quality at full scale (``--compressor jpeg:scale=1:quality=30,31,32,...``): what the preset web
searches. A knob of which one value was recorded is fixed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.compressors import semcompress_compressors
from semcompress_plugin.evaluators import semcompress_evaluators
from semcompress_plugin.search import Problem
from semcompress_plugin.search.bisect import Bisect
from semcompress_plugin.search.frontier import Frontier
from semcompress_plugin.types import CompressorSpec, Constraint, Metric, Proposal, Search, Space, Trial

Array = NDArray[np.float64]

MIN_SAVING = 0.05
READER = "reader"
STRATEGIES: Mapping[str, Callable[..., Search]] = {
    "frontier": lambda problem, candidates: Frontier(problem, candidates=candidates, gain=0.0),
    "frontier, no prior": lambda problem, candidates: Frontier(problem, candidates=candidates, gain=0.0, prior=False),
    "bisect": lambda problem, candidates: Bisect(problem, candidates=candidates),
    "frontier, stopping by itself": lambda problem, candidates: Frontier(problem, candidates=candidates),
}


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One recorded photograph: bytes and, by metric, the value at every setting of the grid."""

    size: tuple[int, int]
    source: int
    bytes: NDArray[np.int64]
    values: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Replay:
    """One search on one photograph. ``best`` are bytes after each proposal (the source's while nothing was found)."""

    best: list[int]
    looks: int
    optimum: int
    seconds: float


def replay(
    photo: Photo, keep: Sequence[Constraint], space: Sequence[Space], looks: int, grid: list[Proposal], make: Any
) -> Replay:
    """Run a strategy against the recording, as the engine would."""
    ceiling = int(photo.source * (1 - MIN_SAVING))
    formats = {s.format for s in space}
    places = {key(p): index for index, p in enumerate(grid) if p.format in formats}
    inside = np.array(list(places.values()))
    holds = np.ones(len(inside), bool)
    for constraint in keep:
        holds &= [constraint.holds(value) for value in photo.values[constraint.metric.name][inside].tolist()]
    held = dict(zip(inside.tolist(), holds.tolist(), strict=True))
    good = photo.bytes[inside][holds & (photo.bytes[inside] <= ceiling)]
    optimum = int(good.min()) if good.size else photo.source
    problem = Problem(tuple(space), tuple(keep), ceiling, photo.source, photo.size, looks, 0)
    candidates = [grid[index] for index in inside.tolist()]
    began = time.perf_counter()
    search = make(problem, candidates)
    best, looked, smallest = [], 0, photo.source
    while proposals := search.ask(1):
        (proposal,) = proposals
        index = places[key(proposal)]
        size = int(photo.bytes[index])
        if size > min(ceiling, smallest - 1):
            trial = Trial(proposal, size, {}, holds=False, looked=False)
        else:
            looked += 1
            scores = {c.metric.name: float(photo.values[c.metric.name][index]) for c in keep}
            trial = Trial(proposal, size, {READER: scores}, held[index])
        if trial.holds:
            smallest = size
        search.tell([trial])
        best.append(smallest)
    return Replay(best, looked, optimum, time.perf_counter() - began)


def key(proposal: Proposal) -> tuple[str, tuple[float, ...]]:
    return proposal.format, tuple(value for _, value in sorted(proposal.settings.items()))


def regret(replays: Sequence[Replay], proposals: int) -> dict[str, float]:
    """Geometric mean of bytes over the optimum's after so many proposals, in per cent above, with its interval."""
    logs = np.array([np.log((r.best[:proposals][-1] if r.best else r.optimum) / r.optimum) for r in replays])
    samples = np.random.default_rng(0).choice(logs, (2000, len(logs))).mean(axis=1)
    low, high = np.quantile(samples, [0.025, 0.975]).tolist()
    return {"mean": percent(float(logs.mean())), "low": percent(low), "high": percent(high)}


def percent(log: float) -> float:
    return round(100 * float(np.expm1(log)), 2)


def read(path: Path, metrics: Sequence[Metric], views: Sequence[str] | None) -> tuple[list[Proposal], list[Photo]]:
    """The grid and the photographs; the metrics' worst values over the recorded views that have them."""
    header, *rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    formats = {spec.name: spec.formats[0] for spec in semcompress_compressors()}
    grid = [Proposal(name, formats[name], settings) for name, settings in header["settings"]]
    photos = []
    for row in rows:
        seen = [values for view, values in row["scores"].items() if views is None or view in views]
        worst = {
            metric.name: np.array([v[metric.name] for v in seen if metric.name in v], float).min(axis=0)
            if metric.higher_is_better
            else np.array([v[metric.name] for v in seen if metric.name in v], float).max(axis=0)
            for metric in metrics
        }
        photos.append(Photo((row["width"], row["height"]), row["source_bytes"], np.array(row["bytes"]), worst))
    return grid, photos


def narrowed(spec: CompressorSpec, grid: Sequence[Proposal]) -> Space:
    """The compressor's whole space, but for knobs of which the grid has one value only: these are fixed."""
    knobs = []
    for knob in spec.knobs:
        values = {proposal.settings[knob.name] for proposal in grid if proposal.compressor == spec.name}
        knobs.append(replace(knob, low=min(values), high=max(values)) if len(values) == 1 else knob)
    return Space(spec.name, spec.formats[0], tuple(knobs))


def constraint(metric: Metric, bound: float) -> Constraint:
    return Constraint(READER, metric, min=bound) if metric.higher_is_better else Constraint(READER, metric, max=bound)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--metric", default="js_divergence")
    parser.add_argument("--keep", nargs="*", metavar="METRIC=BOUND", help="all of these at once, in place of --metric")
    parser.add_argument("--views", nargs="*", help="which recorded readers count (default: all, the worst)")
    parser.add_argument("--bounds", type=float, nargs="*", default=[0.01, 0.0144, 0.029])
    parser.add_argument("--formats", nargs="*", default=["jpeg", "webp", "jpeg+webp", "jpeg+webp+avif"])
    parser.add_argument("--looks", type=int, nargs="*", default=[4, 6, 8, 12, 16])
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args(argv)

    metrics = {metric.name: metric for spec in semcompress_evaluators() for metric in spec.metrics}
    rules: dict[str, list[Constraint]]  # by what the table calls them
    if arguments.keep:
        pairs = [text.split("=") for text in arguments.keep]
        rules = {"all": [constraint(metrics[name], float(bound)) for name, bound in pairs]}
    else:
        rules = {f"{bound:g}": [constraint(metrics[arguments.metric], bound)] for bound in arguments.bounds}
    used = list({c.metric.name: c.metric for keep in rules.values() for c in keep}.values())
    names = ", ".join(metric.name for metric in used)
    specs = {spec.name: spec for spec in semcompress_compressors()}
    grid, photos = read(arguments.recording, used, arguments.views)
    results: list[dict[str, Any]] = []
    print(f"{len(photos)} photographs, {len(grid)} settings, {names}; % above the optimum after n proposals")
    print(
        f"{'formats':<16}{'bound':>7}  {'strategy':<30}"
        + "".join(f"{n:>8}" for n in arguments.looks)
        + "   proposals  looks  ms each"
    )
    for formats in arguments.formats:
        spaces = [narrowed(specs[name], grid) for name in formats.split("+")]
        for bound, keep in rules.items():
            for name, make in STRATEGIES.items():
                # a bisection must know its budget; the others only behave differently near the end
                budgets = arguments.looks if name == "bisect" else [max(arguments.looks)]
                runs = {b: [replay(p, keep, spaces, b, grid, make) for p in photos] for b in budgets}
                longest = runs[max(budgets)]
                regrets = {n: regret(runs.get(n, longest), n) for n in arguments.looks}
                proposals = sum(len(r.best) for r in longest)
                row = {
                    "formats": formats,
                    "bound": bound,
                    "strategy": name,
                    "regret_percent": regrets,
                    "proposals": round(proposals / len(photos), 2),
                    "looks": round(sum(r.looks for r in longest) / len(photos), 2),
                    "ms_per_proposal": round(1e3 * sum(r.seconds for r in longest) / max(proposals, 1), 3),
                }
                results.append(row)
                cells = "".join(f"{regrets[n]['mean']:>8.1f}" for n in arguments.looks)
                tail = f"{row['proposals']:>12}{row['looks']:>7}{row['ms_per_proposal']:>9}"
                print(f"{formats:<16}{bound:>7}  {name:<30}{cells}{tail}")
    if arguments.json:
        report = {"photographs": len(photos), "settings": len(grid), "metric": names, "results": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
