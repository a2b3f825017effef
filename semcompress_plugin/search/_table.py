"""The empirical prior: how bytes and metrics varied over the settings on a calibration set of photographs.

``prior.npz`` (made by ``tools/make_prior.py``; its provenance lies beside it) holds for each known compressor, on a
grid of scale x quality: the mean over the photographs, the loadings of the factors in which photographs differed,
shared by all quantities and compressors, and the standard deviation that the factors leave over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.search._grid import Grid

Array = NDArray[np.float64]

PATH = Path(__file__).with_name("prior.npz")
BYTES = "bytes"

TYPICAL_SIDE = 375.0
"""The shorter side, in pixels, of the calibration set's typical photograph."""

READER_SIDE = 256.0
"""Below this shorter side a reader of 224 pixels enlarges: there, what counts is the scale alone."""

_REACH = 1.4
"""How far (in log scale) the mean is extrapolated beyond the grid; about a factor of 4."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One quantity over the candidates of a grid: ``mean`` and ``deviation`` (n,), ``features`` (n, factors)."""

    mean: Array
    features: Array
    deviation: Array


@dataclass(frozen=True, slots=True, eq=False)
class CompressorTable:
    """One compressor's part. Arrays are (scales, qualities[, factors]) for each quantity; ``scale`` is logarithmic.

    ``overhead`` is the bytes of a file's headers, left out of the bytes per pixel that the table speaks of.
    """

    scale: Array
    quality: Array
    overhead: float
    quantities: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The whole prior. ``rough`` is, per quantity, the share of the left-over variance that is not smooth.

    ``lengths`` are the correlation lengths of the smooth share: in log scale, and in quality.
    """

    compressors: Mapping[str, CompressorTable]
    factors: int
    rough: Mapping[str, float]
    lengths: tuple[float, float]

    def knows(self, grid: Grid, quantity: str) -> bool:
        known = self.compressors.get(grid.space.compressor)
        return known is not None and quantity in known.quantities and grid.column("quality") is not None

    def curves(self, grid: Grid, quantities: Sequence[str], size: tuple[int, int]) -> list[Curve]:
        """The quantities over the grid's candidates, for a picture of ``size`` pixels. All must be known."""
        known = self.compressors[grid.space.compressor]
        scale, quality = self.coordinates(grid, size)
        s, ds = _place(known.scale, scale)
        q, dq = _place(known.quality, quality)
        ds_in, dq_in = np.clip(ds, 0.0, 1.0), np.clip(dq, 0.0, 1.0)
        curves = []
        for quantity in quantities:
            # one layer each for mean, deviation and every factor: (scales, qualities, layers)
            layers = known.quantities[quantity]
            corners = [layers[s + i, q + j] for i in (0, 1) for j in (0, 1)]
            weights = [(a * b)[:, None] for a in (1 - ds_in, ds_in) for b in (1 - dq_in, dq_in)]
            inside = np.sum([weight * corner for weight, corner in zip(weights, corners, strict=True)], axis=0)
            mean = inside[:, 0].copy()
            low, high, left, right = corners[0][:, 0], corners[2][:, 0], corners[1][:, 0], corners[3][:, 0]
            # beyond the grid's edge the mean goes on as straight as it came, the rest stays as it is
            mean += (ds - ds_in) * ((1 - dq_in) * (high - low) + dq_in * (right - left))
            mean += (dq - dq_in) * ((1 - ds_in) * (left - low) + ds_in * (right - high))
            outside = 1.0 + np.abs(ds - ds_in) + np.abs(dq - dq_in)
            curves.append(Curve(mean, np.asarray(inside[:, 2:], float), inside[:, 1] * outside))
        return curves

    def coordinates(self, grid: Grid, size: tuple[int, int]) -> tuple[Array, Array]:
        """Per candidate the logarithm of the scale that shows a reader as much of a typical photograph, and quality.

        A reader sees pixels, not scales: a tenth of a 4000 pixel picture is as good as the whole of a 400 pixel one.
        """
        scale, quality = grid.column("scale"), grid.column("quality")
        assert quality is not None
        relative = np.ones(len(grid)) if scale is None else scale
        return np.log(relative * max(min(size), READER_SIDE) / TYPICAL_SIDE), quality

    def bytes_scale(self, grid: Grid, size: tuple[int, int]) -> tuple[float, Array]:
        """Header bytes, and each candidate's pixels: files are ``header + pixels * exp(quantity "bytes")``."""
        scale = grid.column("scale")
        relative = np.ones(len(grid)) if scale is None else scale
        return self.compressors[grid.space.compressor].overhead, np.maximum(relative**2 * size[0] * size[1], 1.0)


def _place(axis: Array, values: Array) -> tuple[NDArray[np.intp], Array]:
    """Index of the cell's lower edge and position in the cell; beyond the ends, below 0 or above 1, within reach."""
    reach = _REACH if axis[-1] <= 1 else np.inf
    values = np.clip(values, axis[0] - reach, axis[-1] + reach)
    cell = np.clip(np.searchsorted(axis, values, side="right") - 1, 0, len(axis) - 2)
    return cell, (values - axis[cell]) / (axis[cell + 1] - axis[cell])


@cache
def load(path: Path = PATH) -> Table:
    """Read a table that ``tools/make_prior.py`` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        return from_arrays({name: archive[name] for name in archive.files})


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Table:
    """A table from the arrays of its file: see ``tools/make_prior.py`` for their names."""
    names = [str(name) for name in arrays["quantities"]]
    compressors = {}
    for compressor in map(str, arrays["compressors"]):
        layers = arrays[f"{compressor}.layers"].astype(np.float32)
        compressors[compressor] = CompressorTable(
            arrays[f"{compressor}.scale"].astype(float),
            arrays[f"{compressor}.quality"].astype(float),
            float(arrays[f"{compressor}.overhead"]),
            dict(zip(names, layers, strict=True)),
        )
    first, second = arrays["lengths"].tolist()
    rough = dict(zip(names, arrays["rough"].tolist(), strict=True))
    return Table(compressors, layers.shape[-1] - 2, rough, (first, second))
