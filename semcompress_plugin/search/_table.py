"""The empirical prior: how bytes and metrics varied over the settings on a calibration set of photographs.

``prior.npz`` (made by ``tools/make_prior.py``; its provenance lies beside it) holds for each known compressor, on a
grid of scale x quality: the mean over the photographs, the loadings of the factors in which photographs differed,
shared by all quantities and compressors, and the standard deviation that the factors leave over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.search._gp import Local, Piece
from semcompress_plugin.search._grid import Grid
from semcompress_plugin.types import Metric, Space

Array = NDArray[np.float64]

_PART = re.compile(r"/[^:]*")
PATH = Path(__file__).with_name("prior.npz")
BYTES = "bytes"

TYPICAL_SIDE = 375.0
"""The shorter side, in pixels, of the calibration set's typical photograph."""

READER_SIDE = 256.0
"""Below this shorter side a reader of 224 pixels enlarges: there, what counts is the scale alone."""

_REACH = 1.4
"""How far (in log scale) the mean is extrapolated beyond the grid; about a factor of 4."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One quantity of one compressor over a grid of scales (logarithms) x qualities.

    ``layers`` is (scales, qualities, 2 + factors): mean, deviation that the factors leave over, loadings.
    ``relative``: what counts is the scale itself, not how many pixels are left for a reader. ``local`` are the parts
    of the left-over variance that vary smoothly: (share, correlation lengths in log scale and in quality); what they
    leave of 1 is the share of the rough part.
    """

    scale: Array
    quality: Array
    relative: bool
    layers: NDArray[np.float32]
    local: Sequence[tuple[float, tuple[float, float]]]

    @property
    def rough(self) -> float:
        """The share of the left-over variance that is every setting's own."""
        return 1.0 - sum(share for share, _ in self.local)

    def at(self, scale: Array, quality: Array) -> tuple[Array, Array, Array]:
        """Mean (n,), deviation (n,) and loadings (n, factors) at n points: bilinear; beyond the grid's edge the mean
        goes on as straight as it came, the deviation grows, the loadings stay as they are.
        """
        s, ds = _place(self.scale, scale, _REACH)
        q, dq = _place(self.quality, quality, math.inf)
        ds_in, dq_in = np.clip(ds, 0.0, 1.0), np.clip(dq, 0.0, 1.0)
        corners = [self.layers[s + i, q + j] for i in (0, 1) for j in (0, 1)]
        weights = [(a * b)[:, None] for a in (1 - ds_in, ds_in) for b in (1 - dq_in, dq_in)]
        inside = np.sum([weight * corner for weight, corner in zip(weights, corners, strict=True)], axis=0)
        low_left, low_right, high_left, high_right = (corner[:, 0] for corner in corners)
        mean = inside[:, 0] + (ds - ds_in) * ((1 - dq_in) * (high_left - low_left) + dq_in * (high_right - low_right))
        mean += (dq - dq_in) * ((1 - ds_in) * (low_right - low_left) + ds_in * (high_right - high_left))
        outside = 1.0 + np.abs(ds - ds_in) + np.abs(dq - dq_in)
        return mean, inside[:, 1] * outside, inside[:, 2:]


@dataclass(frozen=True, eq=False)
class Table:
    """The whole prior: ``surfaces`` by compressor (:func:`variant`) and quantity (:func:`quantity`, or ``"bytes"``).

    ``overhead`` is the bytes of a compressor's headers, left out of the bytes per pixel that the table speaks of.
    """

    surfaces: Mapping[tuple[str, str], Surface]
    overhead: Mapping[str, float]
    factors: int

    def knows(self, grid: Grid, name: str) -> bool:
        """Whether there is a surface for this quantity, and the candidates have the knobs it depends on."""
        return self._of(grid.space, name) is not None and grid.column("quality") is not None

    def piece(self, grid: Grid, name: str, size: tuple[int, int]) -> Piece:
        """A quantity, which must be known, over the grid's candidates for a picture of ``size`` pixels."""
        surface = self._of(grid.space, name)
        assert surface is not None
        scale, quality = _knobs(grid)
        shown = 0.0 if surface.relative else math.log(reader_scale(size))
        mean, deviation, loadings = surface.at(np.log(scale) + shown, quality)
        local = [
            Local(math.sqrt(share) * deviation, np.stack([np.log(scale) / lengths[0], quality / lengths[1]], axis=-1))
            for share, lengths in surface.local
        ]
        return Piece(mean, loadings, local, surface.rough * deviation**2)

    def roughness(self, name: str) -> float | None:
        """How far a quantity jumps from one setting to the next, whatever the compressor: a standard deviation."""
        compressors = dict.fromkeys(compressor for compressor, _ in self.surfaces)
        known = [surface for each in compressors if (surface := self._named(each, name)) is not None]
        if not known:
            return None
        return math.sqrt(np.mean([surface.rough * np.median(surface.layers[-1, :, 1]) ** 2 for surface in known]))

    def _of(self, space: Space, name: str) -> Surface | None:
        """What is known of a space's compressor with the options it has, or else of it as it usually is."""
        for known, options in self._variants.get(space.compressor, ()):
            if options.items() <= space.options.items() and (surface := self._named(known, name)) is not None:
                return surface
        return None

    @cached_property
    def _variants(self) -> Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]:
        """By compressor its variants and their options, those with most options first."""
        variants: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for known in dict.fromkeys(known for known, _ in self.surfaces):
            compressor, *options = parts(known)
            given = {name: json.loads(value) for name, _, value in (option.partition("=") for option in options)}
            variants.setdefault(compressor, []).append((known, given))
        return {name: sorted(known, key=lambda pair: -len(pair[1])) for name, known in variants.items()}

    def _named(self, compressor: str, name: str) -> Surface | None:
        """A part's own surface, or else that of the whole, the worst of its parts."""
        return self.surfaces.get((compressor, name)) or self.surfaces.get((compressor, _PART.sub("", name)))

    def pixels(self, grid: Grid, size: tuple[int, int]) -> Array:
        """Each candidate's pixels: the quantity "bytes" is the log of bytes per pixel, without the overhead."""
        return np.maximum(_knobs(grid)[0] ** 2 * size[0] * size[1], 1.0)


def quantity(metric: Metric, part: str = "") -> str:
    """What the table calls a metric, or one part's: those of one name on one smooth scale are taken for the same."""
    return f"{metric.name}/{part}:{metric.transform}" if part else f"{metric.name}:{metric.transform}"


def variant(compressor: str, options: Mapping[str, Any]) -> str:
    """A compressor with options that change what its files show, as the table names it: ``avif:grain=true``."""
    return ":".join([compressor, *(f"{name}={json.dumps(value)}" for name, value in sorted(options.items()))])


def parts(text: str) -> list[str]:
    """``avif:grain=true:subsampling="4:4:4"`` as ``avif`` and its options: a colon begins one where a name follows."""
    return re.split(r":(?=\w+=)", text)


def reader_scale(size: tuple[int, int]) -> float:
    """How much of a typical photograph's detail a reader finds in a picture of ``size`` pixels, 1 for a typical one.

    A reader sees pixels, not scales: a tenth of a 4000 pixel picture is as good as the whole of a 400 pixel one.
    """
    return max(min(size), READER_SIDE) / TYPICAL_SIDE


def _knobs(grid: Grid) -> tuple[Array, Array]:
    scale, quality = grid.column("scale"), grid.column("quality")
    assert quality is not None
    return np.ones(len(grid)) if scale is None else scale, quality


def _place(axis: Array, values: Array, reach: float) -> tuple[NDArray[np.intp], Array]:
    """Index of the cell's lower edge and position in the cell; beyond the ends, below 0 or above 1, within reach."""
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
    compressors = [str(name) for name in arrays["compressors"]]
    surfaces = {}
    for compressor in compressors:
        for name, relative in zip(names, arrays["relative"].tolist(), strict=True):
            key = f"{compressor}/{name}"
            if f"{key}/layers" not in arrays:  # a variant, of which not every reader was asked
                continue
            scale, quality_axis = (arrays[f"{key}/{axis}"].astype(float) for axis in ("scale", "quality"))
            layers = arrays[f"{key}/layers"].astype(np.float32)
            local = [(share, (first, second)) for share, first, second in arrays[f"{key}/local"].tolist()]
            surfaces[compressor, name] = Surface(scale, quality_axis, bool(relative), layers, local)
    overhead = dict(zip(compressors, arrays["overhead"].tolist(), strict=True))
    return Table(surfaces, overhead, layers.shape[-1] - 2)
