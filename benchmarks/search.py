"""How near to the smallest possible file each search strategy comes, against looks, replayed on recorded grids.

    python benchmarks/search.py VALIDATE.jsonl

VALIDATE.jsonl comes from ``tools/record_grids.py``, from photographs that the prior was not made from, with one reader
per view. Nothing is encoded or looked at, so it takes a minute. Regret: bytes of the best file found, over those of the
smallest file on the grid that holds (the exhaustive optimum); where nothing is found or nothing holds, the source's
bytes count. The geometric mean over the photographs is given, with a bootstrap 95 % interval. A *look* is a candidate
shown to a reader; where its first view breaks the bound the second is not asked, and *passes* counts what the network
did: two for a whole look.

    python benchmarks/search.py ONE.jsonl --keep js_divergence=0.02 score=0.992 worst_tile=0.984 colour_shift=0.012 \
        --formats jpeg webp avif

ONE.jsonl holds every quality at full scale (``--compressor jpeg:scale=1:quality=30,31,32,...``): what the preset web
searches. A knob of which one value was recorded is fixed. This is only printed, but for the strategies BRIEFLY with
``--page NAME``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _pages import publish
from numpy.typing import NDArray

from semcompress_plugin.compressors import semcompress_compressors
from semcompress_plugin.evaluators import semcompress_evaluators
from semcompress_plugin.search import Problem
from semcompress_plugin.search.bisect import Bisect
from semcompress_plugin.search.frontier import Frontier
from semcompress_plugin.types import (
    CompressorSpec,
    Constraint,
    Metric,
    Proposal,
    Scores,
    Search,
    Space,
    Trial,
)

Array = NDArray[np.float64]

MIN_SAVING = 0.05
READER = "reader"
BRIEFLY = ("frontier, stopping by itself", "bisect")
SHOWN = ("js_divergence 0.0144", "sway 0.25")  # on the page; results/search.json has all
BOUNDS = {"js_divergence": [0.01, 0.0144, 0.029], "sway": [0.2, 0.25, 0.3]}
STRATEGIES: Mapping[str, Callable[..., Search]] = {
    "frontier": lambda problem, candidates: Frontier(problem, candidates=candidates, gain=0.0),
    "frontier, stopping by itself": lambda problem, candidates: Frontier(problem, candidates=candidates),
    "frontier, no prior": lambda problem, candidates: Frontier(problem, candidates=candidates, gain=0.0, prior=False),
    "bisect": lambda problem, candidates: Bisect(problem, candidates=candidates),
    "resize until it fails": lambda problem, candidates: Resize(candidates),
}


class Resize:
    """Smaller and smaller at the second best recorded quality of the first format, until a look fails."""

    def __init__(self, candidates: Sequence[Proposal]) -> None:
        first = [p for p in candidates if p.compressor == candidates[0].compressor]
        quality = sorted({p.settings["quality"] for p in first})[-2:][0]
        steps = [p for p in first if p.settings["quality"] == quality]
        self._rest = sorted(steps, key=lambda p: p.settings["scale"])

    def ask(self, n: int) -> list[Proposal]:
        return [self._rest.pop()] if self._rest else []

    def tell(self, trials: Sequence[Trial]) -> None:
        if any(trial.looked and not trial.holds for trial in trials):
            self._rest.clear()


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One recorded photograph: bytes and, by view and metric, the value at every setting of the grid."""

    size: tuple[int, int]
    source: int
    bytes: NDArray[np.int64]
    values: Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Replay:
    """One search on one photograph: after each proposal the best bytes (the source's while nothing was found).

    ``passes`` of each proposal: 0 where it was too large to be looked at.
    """

    best: list[int]
    passes: list[int]
    optimum: int
    seconds: float

    @property
    def looks(self) -> int:
        return sum(passes > 0 for passes in self.passes)

    def after(self, looks: int) -> int:
        """The best bytes once so many candidates have been looked at."""
        seen = 0
        for index, passes in enumerate(self.passes):
            seen += passes > 0
            if seen > looks:
                return self.best[index - 1] if index else self.optimum
        return self.best[-1] if self.best else self.optimum


def replay(
    photo: Photo, keep: Sequence[Constraint], space: Sequence[Space], looks: int, grid: list[Proposal], make: Any
) -> Replay:
    """Run a strategy against the recording, as the engine would: view by view, the one that failed last first."""
    ceiling = int(photo.source * (1 - MIN_SAVING))
    formats = {s.format for s in space}
    places = {key(p): index for index, p in enumerate(grid) if p.format in formats}
    reader = Reader(photo, keep)
    good = [int(photo.bytes[i]) for i in places.values() if photo.bytes[i] <= ceiling and reader.look(i)[3]]
    optimum = min(good, default=photo.source)
    reader = Reader(photo, keep)
    problem = Problem(tuple(space), tuple(keep), ceiling, photo.source, photo.size, looks, reader.parts)
    candidates = [grid[index] for index in places.values()]
    began = time.perf_counter()
    search = make(problem, candidates)
    best, passes, smallest = [], [], photo.source
    while proposals := search.ask(1):
        (proposal,) = proposals
        index = places[key(proposal)]
        size = int(photo.bytes[index])
        if size > min(ceiling, smallest - 1):
            passes.append(0)
            trial = Trial(proposal, size, {}, holds=False, looked=False)
        else:
            scores, parts, count, holds = reader.look(index)
            passes.append(count)
            trial = Trial(proposal, size, scores, holds, parts=parts)
            smallest = size if holds else smallest
        search.tell([trial])
        best.append(smallest)
    return Replay(best, passes, optimum, time.perf_counter() - began)


class Reader:
    """The recorded readers as one, asked view by view; as a whole where they did not record the same metrics."""

    def __init__(self, photo: Photo, keep: Sequence[Constraint]) -> None:
        self.photo, self.keep = photo, keep
        wanted = {c.metric.name for c in keep}
        self.views = [view for view, values in photo.values.items() if wanted & set(values)]
        split = len(self.views) > 1 and all(wanted <= set(photo.values[view]) for view in self.views)
        self.parts = {READER: tuple(self.views)} if split else {}

    def look(self, index: int) -> tuple[Scores, Scores, int, bool]:
        """Scores, those by part, how many views were asked, and whether all that was seen holds."""
        scores: dict[str, float] = {}
        parts: dict[str, float] = {}
        held, asked = True, 0
        for view in list(self.views):
            asked += 1
            seen = {name: float(column[index]) for name, column in self.photo.values[view].items()}
            parts |= {f"{name}/{view}": value for name, value in seen.items()}
            here = True
            for c in (c for c in self.keep if c.metric.name in seen):
                name, worse = c.metric.name, min if c.metric.higher_is_better else max
                scores[name] = worse(seen[name], scores.get(name, seen[name]))
                here &= c.holds(seen[name])
            held &= here
            if not here and self.parts:
                self.views.remove(view)
                self.views.insert(0, view)
                break
        return {READER: scores}, {READER: parts} if self.parts else {}, asked, held


def key(proposal: Proposal) -> tuple[str, tuple[float, ...]]:
    return proposal.format, tuple(value for _, value in sorted(proposal.settings.items()))


def regret(replays: Sequence[Replay], looks: int) -> dict[str, float]:
    """Geometric mean of bytes over the optimum's after so many looks, in per cent above, with its interval."""
    logs = np.array([np.log(r.after(looks) / r.optimum) for r in replays])
    samples = np.random.default_rng(0).choice(logs, (2000, len(logs))).mean(axis=1)
    low, high = np.quantile(samples, [0.025, 0.975]).tolist()
    return {"mean": percent(float(logs.mean())), "low": percent(low), "high": percent(high)}


def percent(log: float) -> float:
    return round(100 * float(np.expm1(log)), 2)


def read(path: Path, metrics: Sequence[Metric], views: Sequence[str] | None) -> tuple[list[Proposal], list[Photo]]:
    """The grid and the photographs, with what the recorded readers saw of these metrics."""
    header, *rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    formats = {spec.name: spec.formats[0] for spec in semcompress_compressors()}
    grid = [Proposal(name, formats[name], settings) for name, settings in header["settings"]]
    photos = []
    for row in rows:
        seen = {
            view: {metric.name: np.array(values[metric.name]) for metric in metrics if metric.name in values}
            for view, values in row["scores"].items()
            if views is None or view in views
        }
        photos.append(Photo((row["width"], row["height"]), row["source_bytes"], np.array(row["bytes"]), seen))
    return grid, photos


def narrowed(spec: CompressorSpec, grid: Sequence[Proposal]) -> Space:
    """The compressor's whole space, but for knobs of which the grid has one value only: these are fixed."""
    knobs = []
    for knob in spec.knobs:
        values = {proposal.settings[knob.name] for proposal in grid if proposal.compressor == spec.name}
        knobs.append(replace(knob, low=min(values), high=max(values)) if len(values) == 1 else knob)
    return Space(spec.name, spec.formats[0], tuple(knobs), cost=spec.cost)


def constraint(metric: Metric, bound: float) -> Constraint:
    return Constraint(READER, metric, min=bound) if metric.higher_is_better else Constraint(READER, metric, max=bound)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--metric", nargs="*", default=list(BOUNDS), help="which metrics are bounded, each alone")
    parser.add_argument("--bounds", type=float, nargs="*", help="the bounds on that metric")
    parser.add_argument("--keep", nargs="*", metavar="METRIC=BOUND", help="all of these at once, in place of --metric")
    parser.add_argument("--views", nargs="*", help="which recorded readers count (default: all, the worst)")
    parser.add_argument("--formats", nargs="*", default=["jpeg", "webp", "jpeg+webp", "jpeg+webp+avif"])
    parser.add_argument("--looks", type=int, nargs="*", default=[4, 6, 8, 10, 12, 16])
    parser.add_argument("--page", metavar="NAME", help="where on the page, with --keep")
    arguments = parser.parse_args(argv)

    metrics = {metric.name: metric for spec in semcompress_evaluators() for metric in spec.metrics}
    rules: dict[str, list[Constraint]]  # by what the table calls them
    if arguments.keep:
        pairs = [text.split("=") for text in arguments.keep]
        rules = {"all": [constraint(metrics[name], float(bound)) for name, bound in pairs]}
    else:
        rules = {
            f"{name} {bound:g}": [constraint(metrics[name], bound)]
            for name in arguments.metric
            for bound in arguments.bounds or BOUNDS[name]
        }
    used = list({c.metric.name: c.metric for keep in rules.values() for c in keep}.values())
    grid, photos = read(arguments.recording, used, arguments.views)
    results = [
        row
        for formats in arguments.formats
        for bound, keep in rules.items()
        for row in strategies(photos, grid, formats, bound, keep, arguments.looks)
    ]
    figures = {"photographs": len(photos), "settings": len(grid), "results": results}
    text = table(figures, arguments.looks)
    print(text)
    if arguments.page:
        brief = [row for row in results if row["strategy"] in BRIEFLY]
        publish(arguments.page, figures, table(figures | {"results": brief}, arguments.looks))
    elif not (arguments.keep or arguments.bounds or arguments.views):
        shown = [row for row in results if row["bound"] in SHOWN and row["formats"] != "jpeg+webp"]
        publish("search", figures, table(figures | {"results": shown}, arguments.looks))


def strategies(
    photos: Sequence[Photo],
    grid: list[Proposal],
    formats: str,
    bound: str,
    keep: Sequence[Constraint],
    looks: Sequence[int],
) -> Iterator[dict[str, Any]]:
    """Every strategy's figures for one rule."""
    specs = {spec.name: spec for spec in semcompress_compressors()}
    spaces = [narrowed(specs[name], grid) for name in formats.split("+")]
    for name, make in STRATEGIES.items():
        # a bisection must know its budget; the others only behave differently near the end
        budgets = looks if name == "bisect" else [max(looks)]
        runs = {b: [replay(p, keep, spaces, b, grid, make) for p in photos] for b in budgets}
        longest = runs[max(budgets)]
        proposals = sum(len(r.best) for r in longest)
        yield {
            "formats": formats,
            "bound": bound,
            "strategy": name,
            "regret_percent": {n: regret(runs.get(n, longest), n) for n in looks},
            "regret_percent_at_the_end": regret(longest, 10_000),
            "proposals": round(proposals / len(photos), 2),
            "looks": round(sum(r.looks for r in longest) / len(photos), 2),
            "passes": round(sum(sum(r.passes) for r in longest) / len(photos), 2),
            "ms_per_proposal": round(1e3 * sum(r.seconds for r in longest) / max(proposals, 1), 3),
        }


def table(figures: Mapping[str, Any], looks: Sequence[int]) -> str:
    head = ["formats", "bound", "strategy", *map(str, looks), "at its end (95 % interval)", "looks", "passes / 2"]
    lines = [
        f"{figures['photographs']} photographs, {figures['settings']} settings: % above the optimum after n looks.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for row in figures["results"]:
        end = row["regret_percent_at_the_end"]
        cells = [row["formats"].replace("+", ", "), row["bound"], row["strategy"]]
        cells += [f"{row['regret_percent'][n]['mean']:.1f}" for n in looks]
        cells += [f"{end['mean']:.1f} ({end['low']:.1f} to {end['high']:.1f})"]
        cells += [f"{row['looks']:.1f}", f"{row['passes'] / 2:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
