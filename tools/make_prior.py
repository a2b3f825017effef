"""Make the prior that the search ``frontier`` ships, from what ``tools/record_grids.py`` recorded.

    python tools/make_prior.py FIT.jsonl

Over the recorded photographs, log bytes per pixel and each metric on its smooth scale form one long vector per
photograph: every compressor, scale, quality and quantity. The table holds its mean and the leading principal
components (loadings), and at every point the standard deviation that those leave over.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.evaluators._classifier_metrics import METRICS
from semcompress_plugin.search._surrogate import smooth as straightened
from semcompress_plugin.search._table import BYTES, PATH, READER_SIDE, TYPICAL_SIDE

Array = NDArray[np.float64]

FACTORS = 24
LENGTHS = (0.5, 20.0)  # correlation lengths of what the factors leave over: log scale, quality
INFLATION = 0.8  # of the left-over standard deviation, which is largest where no search looks; cross-validated
FLOOR = (0.01, 0.15)
ROUGH = {BYTES: 0.1}
ROUGH_METRIC = 0.4
OVERHEAD = {"jpeg": 300.0, "webp": 40.0, "avif": 300.0}
QUANTITIES = ("js_divergence", "feature_cosine", "confidence_ratio", "top1_agreement")
_METRICS = {metric.name: metric for metric in METRICS}


def worst(scores: Mapping[str, Mapping[str, Sequence[float]]], name: str, readers: Sequence[str] | None) -> Array:
    """A metric's worst value over the readers (views) at every setting."""
    rows = np.array([values[name] for reader, values in scores.items() if readers is None or reader in readers])
    return np.asarray(rows.min(axis=0) if _METRICS[name].higher_is_better else rows.max(axis=0), float)


def smooth(name: str, values: Array) -> Array:
    """``values`` as the search sees them: on the metric's smooth scale; yes and no as 1 and -1."""
    metric = _METRICS[name]
    if metric.transform == "step":
        return 2.0 * values - 1.0
    return np.array([straightened(metric, value) for value in values.tolist()])


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and photographs of a recording."""
    header, *photos = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return header, photos


def make(
    header: Mapping[str, Any],
    photos: Sequence[Mapping[str, Any]],
    factors: int = FACTORS,
    quantities: Sequence[str] = QUANTITIES,
    readers: Sequence[str] | None = None,
    inflation: float = INFLATION,
    rough_metric: float = ROUGH_METRIC,
    lengths: tuple[float, float] = LENGTHS,
) -> dict[str, NDArray[Any]]:
    """The arrays of the table's file.

    ``compressors``, ``quantities`` (names), ``rough`` (quantities,), ``lengths`` (2,), and for each compressor
    ``NAME.scale`` (logarithms), ``NAME.quality``, ``NAME.overhead`` and ``NAME.layers``: float16 of shape
    (quantities, scales, qualities, 2 + factors), the layers being mean, left-over deviation, loadings.
    """
    names = [BYTES, *quantities]
    compressors = list(dict.fromkeys(compressor for compressor, _ in header["settings"]))
    axes = {}
    for compressor in compressors:
        mine = [settings for name, settings in header["settings"] if name == compressor]
        scale = np.unique([settings["scale"] for settings in mine])
        quality = np.unique([settings["quality"] for settings in mine])
        if [[s["scale"], s["quality"]] for s in mine] != [[a, b] for a in scale for b in quality]:
            raise SystemExit(f"{compressor}: expected a full grid, scales slowest")
        axes[compressor] = np.log(scale), quality
    data = np.stack([_vector(photo, axes, names, readers) for photo in photos])  # (photos, points)
    mean = data.mean(axis=0)
    centred = data - mean
    spread = np.concatenate(
        [
            np.full(scale.size * quality.size, centred[:, _quantity(axes, names) == number].std())
            for scale, quality in axes.values()
            for number in range(len(names))
        ]
    )
    factors = min(factors, len(photos) - 1)
    _, sizes, directions = np.linalg.svd(centred / spread, full_matrices=False)
    floor = np.where(_quantity(axes, names) == 0, FLOOR[0], FLOOR[1])
    loadings = (directions[:factors] * sizes[:factors, None] / np.sqrt(len(photos) - 1)).T * spread[:, None]
    left = np.maximum(centred.var(axis=0, ddof=1) - (loadings**2).sum(axis=1), 0.0)
    layers = np.column_stack([mean, inflation * np.sqrt(left) + floor, loadings])

    arrays: dict[str, NDArray[Any]] = {
        "compressors": np.array(compressors),
        "quantities": np.array(names),
        "rough": np.array([ROUGH.get(name, rough_metric) for name in names]),
        "lengths": np.array(lengths),
    }
    begin = 0
    for compressor, (scale, quality) in axes.items():
        end = begin + len(names) * scale.size * quality.size
        shape = (len(names), scale.size, quality.size, layers.shape[1])
        arrays[f"{compressor}.scale"], arrays[f"{compressor}.quality"] = scale, quality
        arrays[f"{compressor}.overhead"] = np.array(OVERHEAD[compressor])
        arrays[f"{compressor}.layers"] = layers[begin:end].reshape(shape).astype(np.float16)
        begin = end
    return arrays


def _quantity(axes: Mapping[str, tuple[Array, Array]], names: Sequence[str]) -> NDArray[np.intp]:
    """For every point of the long vector, which quantity it is."""
    runs = [np.repeat(np.arange(len(names)), scale.size * quality.size) for scale, quality in axes.values()]
    return np.concatenate(runs)


def _vector(
    photo: Mapping[str, Any],
    axes: Mapping[str, tuple[Array, Array]],
    names: Sequence[str],
    readers: Sequence[str] | None,
) -> Array:
    """One photograph: compressors, in each the quantities, in each the grid; scales as a typical photograph's."""
    values = {name: smooth(name, worst(photo["scores"], name, readers)) for name in names if name != BYTES}
    shift = np.log(max(min(photo["width"], photo["height"]), READER_SIDE) / TYPICAL_SIDE)
    parts, begin = [], 0
    for compressor, (scale, quality) in axes.items():
        points = scale.size * quality.size
        pixels = np.repeat(np.exp(2 * scale) * photo["width"] * photo["height"], quality.size)
        size = np.array(photo["bytes"][begin : begin + points], float)
        for name in names:
            if name == BYTES:
                column = np.log(np.maximum(size - OVERHEAD[compressor], 0.25 * size) / pixels)
            else:
                column = values[name][begin : begin + points]
            table = column.reshape(scale.size, quality.size)
            parts.append(np.stack([np.interp(scale, scale + shift, row) for row in table.T], axis=1).ravel())
        begin += points
    return np.concatenate(parts)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--out", type=Path, default=PATH)
    arguments = parser.parse_args(argv)
    header, photos = read(arguments.recording)
    arrays = make(header, photos)
    with arguments.out.open("wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # numpy's stub takes `allow_pickle` for an array
    provenance = {
        "made_by": "tools/make_prior.py",
        "sha256": hashlib.sha256(arguments.out.read_bytes()).hexdigest(),
        "bytes": arguments.out.stat().st_size,
        "photographs": len(photos),
        "source": "sample photographs of ImageNet's classes: statistics of sizes and scores only, no picture",
        "recording_sha256": hashlib.sha256(arguments.recording.read_bytes()).hexdigest(),
        "factors": FACTORS,
        "readers": header["readers"],
        "versions": header["versions"],
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
