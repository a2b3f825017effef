"""Do the bytes we save hold for readers that were never asked? The whole protocol, in one run.

    python tools/make_readers.py READERS          # and put a mobilenet*.tflite there as well
    python benchmarks/fidelity.py --fit FIT --validate VALIDATE --report REPORT --readers READERS --cache CACHE

FIT, VALIDATE and REPORT are folders of photographs, flat or with a folder per class. Criteria are compared on VALIDATE
by EfficientNet-Lite2, which no search asks. REPORT only gives the figures of what was chosen, by Lite2 and by an int8
MobileNetV2, of another family, that had no part in any choice. A reader agrees where its top class of the file, decoded
again, is its top class of the photograph. Files count whole; what was left alone counts at its own size.

CACHE keeps files and verdicts: a run can be stopped and continued, and the second takes a minute. With
``--classes FILE`` (WordNet ids in class order) and photographs or folders that are called by those ids, the true labels
count as well. Needs ai-edge-litert and matplotlib.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _criteria import ALL, CENTER, FULL, SECOND, Priced, criteria, priced, transfer
from _curves import Curve, bounds_over, bytes_at, interval, least_costly, smallest
from _fidelity_pages import criteria_table, plot, report_table, seed_table
from _grid import GRAIN, GRID, Cache, opened, photographs
from _pages import publish
from _readers import Look, looks
from _ways import TARGETS, jpeg_recompress, product, runs
from numpy.typing import NDArray

from semcompress_plugin.evaluators.classifier import ClassifierEvaluator

VALIDATION, TEST = "lite2.center", "mobilenet.center"
JUDGES = (VALIDATION, TEST)
BOUNDS = (0.18, 0.2, 0.21, 0.22, 0.25, 0.3, 0.5, 0.65)
PRICES = tuple(np.geomspace(0.2, 400, 80).tolist())
GRID_WAYS = {
    "same top class (the post), exhaustive": "same top class (the post)",
    "JS, exhaustive": "JS, worst of centre and whole frame",
    "sway, exhaustive": "**sway, worst of centre and whole frame**",
    "price on risk, exhaustive": "price on risk, centre; bounds",
}
SEED = Path(__file__).parents[1] / "docs" / "seed.md"
PROGRAM = "semcompress, preset machine, to AVIF"
WITH_EFFORT = "semcompress, preset machine, to AVIF, --effort best"
GRAINY = {"grain": True, "subsampling": "4:4:4"}  # as preset machine has AVIF
WITH_GRAIN = "sway, exhaustive, with film grain"


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """Photographs with everything recorded: bytes (photos, 1 + settings), and each look's logits."""

    paths: Sequence[Path]
    sizes: NDArray[np.int64]
    logits: dict[str, NDArray[np.float32]]

    def agreement(self, judge: str) -> NDArray[np.float64]:
        top = self.logits[judge].argmax(axis=-1)
        return np.asarray(top == top[:, :1], np.float64)

    def beside(self, more: Photos) -> Photos:
        """The settings of both recordings of the same photographs."""
        sizes = np.concatenate([self.sizes, more.sizes[:, 1:]], axis=1)
        both = {n: np.concatenate([seen, more.logits[n][:, 1:]], axis=1) for n, seen in self.logits.items()}
        return Photos(self.paths, sizes, both)


def recorded(folder: Path, names: Sequence[str], cache: Cache, readers: Path, limit: int | None) -> Photos:
    """Record what is missing, and read it all."""
    paths = photographs(folder)[:limit]
    found: dict[str, Look] = looks(names, readers)
    rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for number, path in enumerate(paths, start=1):
        cache.files(path)
        for name in names:
            rows[name].append(cache.look(path, name, found[name]))
        print(f"\r{folder.name}: {number}/{len(paths)}", end="", flush=True)
    print()
    return Photos(paths, np.stack([cache.sizes(p) for p in paths]), {n: np.stack(r) for n, r in rows.items()})


def on_grid(
    photos: Photos, values: NDArray[np.float64], judges: Sequence[str], bounds: Sequence[float] | None = None
) -> Curve:
    """Each photograph's smallest file within each bound, chosen among all that were recorded."""
    bounds = bounds_over(values[:, 1:], 80) if bounds is None else bounds
    agreement = np.mean([photos.agreement(judge) for judge in judges], axis=0)
    chosen = [smallest(photos.sizes, values <= bound) for bound in bounds]
    verdicts = [np.take_along_axis(agreement, column[:, None], axis=1)[:, 0] for _, column in chosen]
    return Curve(np.array([size for size, _ in chosen], float), np.array(verdicts))


def at_prices(photos: Photos, way: Priced, judges: Sequence[str], prices: Sequence[float] = PRICES) -> Curve:
    """Each photograph's least costly file at each price, chosen among all that were recorded."""
    charge, holds = way.charge(photos.logits), way.most(photos.logits) <= 1
    agreement = np.mean([photos.agreement(judge) for judge in judges], axis=0)
    chosen = [least_costly(photos.sizes, price * charge, holds) for price in prices]
    verdicts = [np.take_along_axis(agreement, column[:, None], axis=1)[:, 0] for _, column in chosen]
    return Curve(np.array([size for size, _ in chosen], float), np.array(verdicts))


def fixed(photos: Photos, judges: Sequence[str]) -> Curve:
    """One setting for all, every one of the grid; never larger than the photograph."""
    agreement = np.mean([photos.agreement(judge) for judge in judges], axis=0)
    return Curve(photos.sizes[:, 1:].T.astype(float), agreement[:, 1:].T)


def compare_criteria(fit: Photos, validate: Photos) -> list[dict[str, Any]]:
    """Each criterion's bytes at 95 % of the validation reader's agreement, and how the best fixed setting compares."""
    ways = criteria() | {"learned chance that Lite1 turns, centre and whole frame": transfer(fit.logits)}
    frontier = fixed(validate, [VALIDATION])
    rows = [{"criterion": "one setting for all", **_reached(frontier)}]
    for name, criterion in ways.items():
        curve = on_grid(validate, criterion(validate.logits), [VALIDATION])
        rows.append({"criterion": name, **_reached(curve), **r95(frontier, curve)})
    for name, way in priced().items():
        curve = at_prices(validate, way, [VALIDATION])
        rows.append({"criterion": name, **_reached(curve), **r95(frontier, curve)})
    return rows


def _reached(curve: Curve) -> dict[str, float]:
    return {f"bytes at {share:.0%}": bytes_at(*curve.at(), share) for share in (0.92, 0.95, 0.97)}


def r95(frontier: Curve, curve: Curve) -> dict[str, Any]:
    """How many times the bytes the best fixed setting needs at 95 % agreement, geometric and arithmetic means."""
    ratios: dict[str, Any] = {}
    for kind, geometric in (("geometric", True), ("arithmetic", False)):

        def ratio(photos: Any, geometric: bool = geometric) -> float:
            ours, theirs = (bytes_at(*c.at(photos, geometric=geometric)) for c in (curve, frontier))
            return theirs / ours

        ratios[kind] = ratio(slice(None))
        ratios[f"{kind} interval"] = interval(ratio, curve.bytes.shape[1])
    return ratios


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """What a way made of every photograph, judged. ``agreement`` and ``correct`` are per judge, (photos,)."""

    name: str
    bytes: NDArray[np.float64]
    agreement: dict[str, NDArray[np.float64]]
    correct: dict[str, NDArray[np.float64]]
    looks: float | None = None
    seconds: float | None = None
    violations: int | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        return np.mean(list(self.agreement.values()), axis=0)


class Judges:
    """Show files to the readers that were never asked, next to what they saw in the photographs."""

    def __init__(self, photos: Photos, readers: Path, classes: Path | None) -> None:
        self._looks = looks(JUDGES, readers)
        self._targets = {judge: photos.logits[judge][:, 0].argmax(axis=-1) for judge in JUDGES}
        self.labels = labels(photos.paths, classes)

    def __call__(self, name: str, files: Sequence[bytes], **effort: Any) -> Way:
        pictures = [opened(data) for data in files]
        tops = {judge: look(pictures).argmax(axis=-1) for judge, look in self._looks.items()}
        return self.way(name, np.array([len(data) for data in files], float), tops, **effort)

    def way(self, name: str, sizes: NDArray[np.float64], tops: dict[str, NDArray[np.int64]], **effort: Any) -> Way:
        agreement = {judge: (top == self._targets[judge]).astype(float) for judge, top in tops.items()}
        correct = {j: (t == self.labels).astype(float) for j, t in tops.items()} if self.labels is not None else {}
        return Way(name, sizes, agreement, correct, **effort)


def labels(paths: Sequence[Path], classes: Path | None) -> NDArray[np.int64] | None:
    """The true class of each photograph from a WordNet id in its name or its folder's, where there are any."""
    if classes is None:
        return None
    known = {wnid: index for index, wnid in enumerate(classes.read_text(encoding="utf-8").split())}
    ids = [re.search(r"n\d{8}", f"{path.name} {path.parent.name}") for path in paths]
    return np.array([known.get(found[0], -1) if found else -1 for found in ids])


def real_ways(
    photos: Photos, judges: Judges, cache: Path, only: Sequence[str], bounds: Sequence[float]
) -> Iterator[Way]:
    """The product, bisection and the post's loops as the command line runs them; and jpeg-recompress's strategy."""
    originals = {f"{number:05d}": path.read_bytes() for number, path in enumerate(photos.paths)}
    for name, run in runs(bounds).items():
        if only and name not in only:
            continue
        folder = cache / "ways" / f"{len(originals)} {name.replace(':', '')}"
        made, seconds = product(originals, run, folder)
        files = [made[key].data for key in originals]
        effort = {"looks": float(np.mean([m.looks for m in made.values()])), "seconds": seconds / len(made)}
        broken = violations(list(originals.values()), files, float(name.split()[-1])) if "sway" in name else None
        yield judges(name, files, **effort, violations=broken)
    if not only or "jpeg-recompress" in only:
        folder = cache / "ways" / "jpeg-recompress"
        made_by_target = [
            recompressed(path, data, folder) for path, data in zip(photos.paths, originals.values(), strict=True)
        ]
        for number, target in enumerate(TARGETS):
            files = [files_of_one[number] for files_of_one in made_by_target]
            yield judges(f"jpeg-recompress, SSIM {target:g}", files, looks=6.0)


def recompressed(path: Path, data: bytes, folder: Path) -> list[bytes]:
    """:func:`jpeg_recompress` of one photograph, kept in ``folder``."""
    places = [folder / f"{path.stem} {target:g}.jpg" for target in TARGETS]
    if not places[-1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        for place, made in zip(places, jpeg_recompress(data), strict=True):
            place.write_bytes(made.data)
    return [place.read_bytes() for place in places]


def violations(originals: Sequence[bytes], files: Sequence[bytes], bound: float) -> int:
    """How many files, decoded again and measured afresh, break the bound."""
    reader, broken = ClassifierEvaluator(), 0
    for before, after in zip(originals, files, strict=True):
        if before != after:
            seen, again = reader.observe([opened(before), opened(after)])
            broken += reader.compare(seen, [again])[0]["sway"] > bound
    return broken


def together(ways: Sequence[Way]) -> Curve:
    return Curve(np.array([way.bytes for way in ways]), np.array([way.mean for way in ways]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("fit", "validate", "report", "readers", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=name in ("report", "readers", "cache"))
    parser.add_argument("--classes", type=Path, help="WordNet ids in class order")
    parser.add_argument("--limit", type=int, help="at most so many photographs of each folder (no page is written)")
    parser.add_argument("--only", nargs="*", default=[], metavar="WAY", help="of the real runs only these (no page)")
    parser.add_argument("--bounds", type=float, nargs="*", default=list(BOUNDS))
    arguments = parser.parse_args()
    cache = Cache(arguments.cache)

    def photos(folder: Path, names: Sequence[str], cache: Cache = cache) -> Photos:
        return recorded(folder, names, cache, arguments.readers, arguments.limit)

    chosen = []
    if arguments.fit and arguments.validate:
        fit = photos(arguments.fit, (CENTER, FULL, SECOND))
        chosen = compare_criteria(fit, photos(arguments.validate, (*ALL, VALIDATION)))
        print(criteria_table(chosen))
    report = photos(arguments.report, (CENTER, FULL, *JUDGES))
    grainy = photos(arguments.report, (CENTER, FULL, *JUDGES), Cache(arguments.cache, GRAIN, GRAINY))
    grainy = report.beside(grainy)
    judges = Judges(report, arguments.readers, arguments.classes)

    def settings(name: str, column: int) -> Way:
        tops = {judge: report.logits[judge][:, column].argmax(axis=-1) for judge in JUDGES}
        return judges.way(name, report.sizes[:, column].astype(float), tops)

    original = settings("the photographs", 0)
    singles = [settings(f"{p.compressor} scale {p.settings['scale']:g} quality {p.settings['quality']:g}", 1 + number)
               for number, p in enumerate(GRID)]  # fmt: skip
    frontier = fixed(report, JUDGES)
    curves = {"one setting for all": frontier}
    for name, criterion in GRID_WAYS.items():
        if criterion in priced():
            curves[name] = at_prices(report, priced()[criterion], JUDGES)
            continue
        bounds = (0.5,) if "top class" in name else None
        curves[name] = on_grid(report, criteria()[criterion](report.logits), JUDGES, bounds)
    ways = list(real_ways(report, judges, arguments.cache, arguments.only, arguments.bounds))
    for name, start in ((PROGRAM, "sway"), (WITH_EFFORT, "effort best")):
        if ours := [way for way in ways if way.name.startswith(start)]:
            curves[name] = together(ours)
    curves[WITH_GRAIN] = on_grid(grainy, criteria()[GRID_WAYS["sway, exhaustive"]](grainy.logits), JUDGES)
    if theirs := [way for way in ways if way.name.startswith("jpeg-recompress")]:
        curves["jpeg-recompress"] = together(theirs)
    ratios = {name: r95(frontier, curve) for name, curve in curves.items() if name != "one setting for all"}
    fixed_with_grain = fixed(grainy, JUDGES)
    for name in (WITH_GRAIN, PROGRAM):
        if name in curves:
            ratios[f"{name}; fixed settings with film grain, too"] = r95(fixed_with_grain, curves[name])
    figures = {
        "photographs": len(report.paths),
        "criteria on validate": chosen,
        "r95": ratios,
        "ways": [described(way) for way in (original, *ways, *singles)],
        "curves": {name: [list(map(float, axis)) for axis in curve.at()] for name, curve in curves.items()},
    }
    table = report_table(figures)
    print(table)
    if arguments.limit is None and not arguments.only and chosen:
        plot(figures, Path(__file__).parents[1] / "docs" / "fidelity.svg")
        publish("fidelity", without_nan(figures), f"{criteria_table(chosen)}\n\n{table}")
        publish("fidelity", without_nan(figures), seed_table(figures), SEED)


def without_nan(value: Any) -> Any:
    """``value`` as JSON can hold it: null for what is never reached."""
    if isinstance(value, dict):
        return {key: without_nan(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(child) for child in value]
    return None if isinstance(value, float) and value != value else value


def described(way: Way) -> dict[str, Any]:
    """A way's figures, with intervals of the bytes' geometric mean and of the agreement."""
    count = len(way.bytes)
    logs, mean = np.log(way.bytes), way.mean
    return {
        "way": way.name,
        "geometric": float(np.exp(logs.mean())),
        "geometric interval": interval(lambda photos: float(np.exp(logs[photos].mean())), count),
        "mean": float(way.bytes.mean()),
        "median": float(np.median(way.bytes)),
        "agreement": {judge: float(share.mean()) for judge, share in way.agreement.items()},
        "agreement mean": float(mean.mean()),
        "agreement interval": interval(lambda photos: float(mean[photos].mean()), count),
        "accuracy": {judge: float(share.mean()) for judge, share in way.correct.items()},
        "looks": way.looks,
        "seconds": way.seconds,
        "violations": way.violations,
    }


if __name__ == "__main__":
    main()
