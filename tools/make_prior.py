"""Make the prior that the search ``frontier`` ships, from what ``tools/record_grids.py`` recorded.

    python tools/make_prior.py RECORDING.jsonl [RECORDING.jsonl ...] --fine FINE.jsonl

Over the photographs that are in all recordings, log bytes per pixel and each metric on its smooth scale
form one long vector per photograph: every compressor, quantity, scale and quality. The table holds its mean, the
leading principal components (loadings), and at every point the standard deviation that those leave over.

What is left over differs between any two scales, but how much it jumps from one quality to the next depends on the
compressor and the metric. That is fitted to FINE, a recording of some of those photographs at every quality of a range
and a few scales: ``--compressor jpeg:scale=.6,1:quality=40,41,42,...``.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import zipfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.evaluators import semcompress_evaluators
from semcompress_plugin.search._table import BYTES, PATH, Surface, quantity, reader_scale
from semcompress_plugin.search._targets import smooth
from semcompress_plugin.types import Metric

Array = NDArray[np.float64]

FACTORS = 24
LENGTHS = (0.5, 20.0)  # correlation lengths of what the factors leave over: log scale, quality
INFLATION = 0.8  # of the left-over standard deviation, which is largest where no search looks; cross-validated
ROUGH, ROUGH_BYTES = 0.4, 0.1  # share of the left-over variance that differs between any two scales
JITTER = 0.02  # what is another scale: correlation length of that share, in log scale
JUMPS = 0.15  # of that share: where more than this is every quality's own, ...
SHORT = 3.0  # ... the rest is believed this far only, in quality; cross-validated on the grids, whose steps are larger
GAPS = range(1, 7)  # between qualities: where FINE's variogram is fitted
FLOOR, FLOOR_BYTES = 0.15, 0.01  # of the left-over standard deviation: no prior is surer than this
OVERHEAD = {"jpeg": 300.0, "jpeg-444": 300.0, "webp": 40.0, "avif": 300.0}
NOTHING = 1e-9  # standard deviation of what is the same for all photographs
LEFT_OUT = ("topk_overlap", "lca_height", "wup_similarity")  # seldom bounded, and too jagged to learn much from
BY_PART = ("js_divergence", "sway")
"""Metrics of which the parts of an evaluator that is asked in parts get surfaces of their own."""
METRICS: Mapping[str, tuple[Metric, ...]] = {
    spec.name: tuple(metric for metric in spec.metrics if metric.name not in LEFT_OUT)
    for spec in semcompress_evaluators()
}
RELATIVE = ("msssim",)
"""Readers that enlarge a candidate to its reference: for them its share of the pixels counts, not their number."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What ``tools/record_grids.py`` wrote: the header, and the photographs by name."""

    header: Mapping[str, Any]
    photos: Mapping[str, Mapping[str, Any]]

    @property
    def plugin(self) -> str:
        """The evaluator that was recorded; several readers are its views, of which the worst counts."""
        (plugin,) = {plugin for plugin, _ in self.header["readers"].values()}
        return str(plugin)

    @property
    def parts(self) -> dict[str, str]:
        """The part of the evaluator that each reader is, by the reader's name (its own where there are no parts)."""
        parts = next(spec.parts for spec in semcompress_evaluators() if spec.name == self.plugin)
        option = "" if parts is None else parts.option
        return {reader: options.get(option, reader) for reader, (_, options) in self.header["readers"].items()}

    def without(self, names: Sequence[str]) -> Recording:
        return Recording(self.header, {name: photo for name, photo in self.photos.items() if name not in names})


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A run of the long vector: one quantity of one compressor. ``rows`` are the recording's settings it comes from."""

    recording: Recording
    compressor: str
    name: str
    metric: Metric | None
    readers: Sequence[str]
    rows: slice
    scale: Array
    quality: Array

    @property
    def overhead(self) -> float:
        """Bytes of headers, whatever the compressor's options."""
        return OVERHEAD[self.compressor.partition(":")[0]]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.scale), len(self.quality)

    @property
    def relative(self) -> bool:
        return self.metric is not None and self.recording.plugin in RELATIVE

    def seen(self, photo: Mapping[str, Any]) -> dict[str, Any]:
        """The scores of this stretch's readers."""
        return {name: scores for name, scores in photo["scores"].items() if name in self.readers}

    def values(self, name: str) -> Array:
        """(scales * qualities,) of one photograph, at the scales as a typical photograph's."""
        photo = self.recording.photos[name]
        size = (photo["width"], photo["height"])
        if self.metric is None:
            whole = np.array(photo["bytes"][self.rows], float)
            pixels = np.repeat(np.exp(2 * self.scale) * size[0] * size[1], len(self.quality))
            column = np.log(np.maximum(whole - self.overhead, 0.25 * whole) / pixels)
        else:
            column = smoothed(self.metric, worst(self.metric, self.seen(photo))[self.rows])
        shift = 0.0 if self.relative else float(np.log(reader_scale(size)))
        table = column.reshape(self.shape)
        return np.stack([np.interp(self.scale, self.scale + shift, row) for row in table.T], axis=1).ravel()


def read(path: Path) -> Recording:
    header, *photos = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return Recording(header, {photo["photo"]: photo for photo in photos})


def worst(metric: Metric, scores: Mapping[str, Mapping[str, Sequence[float]]]) -> Array:
    """A metric's worst value over the readers (views) that have it, at every setting."""
    if not any(metric.name in values for values in scores.values()):
        raise SystemExit(f"{metric.name} was not recorded in every recording")
    rows = np.array([values[metric.name] for values in scores.values() if metric.name in values], float)
    return np.asarray(rows.min(axis=0) if metric.higher_is_better else rows.max(axis=0))


def smoothed(metric: Metric, values: Array) -> Array:
    """``values`` as the search sees them: on a smooth scale; yes and no as 1 and -1."""
    if metric.transform == "step":
        return 2.0 * values - 1.0
    return np.array([smooth(metric, value) for value in values.tolist()])


def make(recordings: Sequence[Recording], fine: Recording, factors: int = FACTORS) -> dict[str, NDArray[Any]]:
    """The arrays of the table's file.

    ``compressors``, ``overhead`` (compressors,), ``quantities``, ``relative`` (quantities,); and for each compressor
    and quantity ``COMPRESSOR/QUANTITY/scale`` (logarithms), ``.../quality``, ``.../layers``, float16 of shape (scales,
    qualities, 2 + factors): mean, left-over deviation, loadings; and ``.../local``, (parts, 3): shares of the left-over
    variance and their correlation lengths in log scale and quality.
    """
    names = [name for name in recordings[0].photos if all(name in recording.photos for recording in recordings)]
    stretches: list[Stretch] = []
    for recording in recordings:  # of each compressor the first says how large its files are
        stretches += _stretches(recording, weighed={stretch.compressor for stretch in stretches})
    data = np.array([np.concatenate([stretch.values(name) for stretch in stretches]) for name in names])
    ends = np.cumsum([np.prod(stretch.shape) for stretch in stretches]).tolist()
    bounds = [slice(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    mean = data.mean(axis=0)
    centred = data - mean
    spreads = [max(centred[:, b].std(), NOTHING) for b in bounds]
    # every stretch counts alike, whatever its unit and its number of points
    weight = np.concatenate(
        [
            np.full(b.stop - b.start, spread * np.sqrt(b.stop - b.start))
            for b, spread in zip(bounds, spreads, strict=True)
        ]
    )
    floor = np.concatenate(
        [
            np.full(b.stop - b.start, FLOOR_BYTES if s.metric is None else min(FLOOR, 0.15 * spread))
            for s, b, spread in zip(stretches, bounds, spreads, strict=True)
        ]
    )
    factors = min(factors, len(names) - 1)
    _, sizes, directions = np.linalg.svd(centred / weight, full_matrices=False)
    loadings = (directions[:factors] * sizes[:factors, None] / np.sqrt(len(names) - 1)).T * weight[:, None]
    left = np.maximum(centred.var(axis=0, ddof=1) - (loadings**2).sum(axis=1), 0.0)
    layers = np.column_stack([mean, INFLATION * np.sqrt(left) + floor, loadings])

    kinds = {stretch.name: stretch for stretch in stretches}
    compressors = list(dict.fromkeys(stretch.compressor for stretch in stretches))
    arrays: dict[str, NDArray[Any]] = {
        "compressors": np.array(compressors),
        "overhead": np.array(list({stretch.compressor: stretch.overhead for stretch in stretches}.values())),
        "quantities": np.array(list(kinds)),
        "relative": np.array([stretch.relative for stretch in kinds.values()]),
    }
    for stretch, here in zip(stretches, bounds, strict=True):
        key = f"{stretch.compressor}/{stretch.name}"
        arrays[f"{key}/scale"], arrays[f"{key}/quality"] = stretch.scale, stretch.quality
        table = layers[here].reshape(*stretch.shape, -1)
        arrays[f"{key}/layers"] = table.astype(np.float16)
        arrays[f"{key}/local"] = _local(fine, stretch, Surface(stretch.scale, stretch.quality, True, table, []))
    return arrays


def _local(fine: Recording, stretch: Stretch, surface: Surface) -> Array:
    """The smooth parts of what is left over, as (share, correlation lengths): one over scales and qualities together,
    and one that differs between any two scales but varies smoothly over the qualities of one.
    """
    different = ROUGH_BYTES if stretch.metric is None else ROUGH
    whole = (1 - different, *LENGTHS)
    if stretch.metric is not None and stretch.metric.transform == "step":
        return np.array([whole])
    gaps, seen = np.array(GAPS), variogram(fine, stretch, surface)

    def error(rough: float, length: float) -> float:
        parts = ((1 - different, LENGTHS[1]), (different - rough, length))
        believed = rough + sum(share * (1 - np.exp(-0.5 * (gaps / reach) ** 2)) for share, reach in parts)
        return float(((believed - seen) ** 2).sum())

    rough, _ = min(
        itertools.product(different * np.linspace(0.02, 1, 50), np.geomspace(SHORT, LENGTHS[1], 20)),
        key=lambda pair: error(*pair),
    )
    length = SHORT if rough > JUMPS * different else LENGTHS[1]
    return np.array([whole, *([(different - rough, JITTER, length)] if rough < different else [])])


def variogram(fine: Recording, stretch: Stretch, surface: Surface) -> Array:
    """Half the mean square difference of what is left over, between qualities that lie ``GAPS`` apart at one scale.

    In units of the left-over variance; the median over photographs and scales, for a source that is a JPEG itself makes
    needles in a few. What is left over is taken to be what no cubic in quality follows.
    """
    settings = fine.header["settings"]
    scales = {point["scale"] for name, point in settings if name == stretch.compressor}
    curves = []
    for scale, photo in itertools.product(sorted(scales), fine.photos.values()):
        here = (stretch.compressor, scale)
        rows = [row for row, (name, point) in enumerate(settings) if (name, point["scale"]) == here]
        quality = np.array([settings[row][1]["quality"] for row in rows])
        if (np.diff(quality) != 1).any() or len(quality) <= 2 * max(GAPS):
            raise SystemExit(f"{stretch.compressor}: expected every quality, ascending, in the fine recording")
        size = (photo["width"], photo["height"])
        if stretch.metric is None:
            column = np.log(np.maximum(np.array(photo["bytes"], float)[rows] - stretch.overhead, 1.0))
        else:
            column = smoothed(stretch.metric, worst(stretch.metric, stretch.seen(photo) or photo["scores"])[rows])
        shift = 0.0 if stretch.relative else float(np.log(reader_scale(size)))
        mean, deviation, _ = surface.at(np.full(len(rows), np.log(scale) + shift), quality)
        left = (column - mean) / deviation
        left -= np.polyval(np.polyfit(quality - quality.mean(), left, 3), quality - quality.mean())
        curves.append([0.5 * float(np.mean((left[gap:] - left[:-gap]) ** 2)) for gap in GAPS])
    return np.median(curves, axis=0)


def _stretches(recording: Recording, weighed: Set[str]) -> list[Stretch]:
    settings = recording.header["settings"]
    recorded = next(iter(next(iter(recording.photos.values()))["scores"].values()))
    found = []
    for compressor in dict.fromkeys(name for name, _ in settings):
        rows = [row for row, (name, _) in enumerate(settings) if name == compressor]
        points = [settings[row][1] for row in rows]
        scale = np.unique([point["scale"] for point in points])
        quality = np.unique([point["quality"] for point in points])
        if [[point["scale"], point["quality"]] for point in points] != [[a, b] for a in scale for b in quality]:
            raise SystemExit(f"{compressor}: expected a full grid, scales slowest, both ascending")
        here = slice(rows[0], rows[-1] + 1)
        kinds: list[tuple[str, Metric | None, Sequence[str]]] = [] if compressor in weighed else [(BYTES, None, ())]
        for metric in (metric for metric in METRICS[recording.plugin] if metric.name in recorded):
            kinds.append((quantity(metric), metric, list(recording.parts)))
            if len(recording.parts) > 1 and metric.name in BY_PART:
                kinds += [(quantity(metric, part), metric, [reader]) for reader, part in recording.parts.items()]
        found += [Stretch(recording, compressor, *kind, here, np.log(scale), quality) for kind in kinds]
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--fine", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PATH)
    arguments = parser.parse_args(argv)
    recordings, fine = [read(path) for path in arguments.recordings], read(arguments.fine)
    with zipfile.ZipFile(arguments.out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:  # numpy's own is level 6
        for name, array in make(recordings, fine).items():
            with out.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    shared = set.intersection(*(set(recording.photos) for recording in recordings))
    provenance = {
        "made_by": "tools/make_prior.py",
        "source": "sample photographs of ImageNet's classes: statistics of sizes and scores only, no picture",
        "photographs": len(shared),
        "factors": FACTORS,
        "sha256": hashlib.sha256(arguments.out.read_bytes()).hexdigest(),
        "bytes": arguments.out.stat().st_size,
        "recordings": [
            {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "readers": recording.header["readers"],
                "versions": recording.header["versions"],
                "settings": len(recording.header["settings"]),
            }
            for path, recording in zip([*arguments.recordings, arguments.fine], [*recordings, fine], strict=True)
        ],
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
