"""The search that this program's own grew from, kept as the yardstick of ``benchmarks/equal_bytes.py``.

Kriging with an empirical prior, as first tried: over calibration photographs, the mean vector and the whole covariance
matrix of a metric's logarithm at every setting of a grid (7 scales x 11 qualities of one format), and of log bytes
likewise. For a new picture both Gaussians are conditioned on the looks so far; the next look goes where the chance
that the bound holds, times the expected saving in log bytes, is largest. One value per look (the worst of the views),
bytes as predicted until they are seen, and every look counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.search._normal import cdf

Array = NDArray[np.float64]
Setting = tuple[float, int]  # scale, quality
Look = Callable[[Setting], tuple[float, int]]

SCALES = (0.12, 0.18, 0.26, 0.38, 0.54, 0.75, 1.0)
QUALITIES = (5, 10, 18, 26, 35, 45, 55, 65, 75, 85, 93)
GRID: tuple[Setting, ...] = tuple((scale, quality) for scale in SCALES for quality in QUALITIES)
JITTER = 1e-4  # on the diagonal: variance of a logarithm that 150 photographs cannot tell from none
_FLOOR = 1e-6  # of a metric, before its logarithm is taken


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """One quantity over the grid: ``mean`` (n,) and ``covariance`` (n, n)."""

    mean: Array
    covariance: Array

    @classmethod
    def over(cls, rows: Array) -> Gaussian:
        """Of calibration photographs: ``rows`` is (photographs, n)."""
        return cls(rows.mean(axis=0), np.cov(rows, rowvar=False) + JITTER * np.eye(rows.shape[1]))

    def given(self, places: Sequence[int], values: Sequence[float]) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) once ``values`` were seen at ``places``."""
        if not places:
            return self.mean, np.sqrt(self.covariance.diagonal())
        known = self.covariance[places]
        weights = np.linalg.solve(known[:, places], known)
        mean = self.mean + (np.array(values) - self.mean[places]) @ weights
        variance = self.covariance.diagonal() - np.einsum("ij,ij->j", known, weights)
        return mean, np.sqrt(np.maximum(variance, 1e-12))


@dataclass(frozen=True, slots=True, eq=False)
class Prototype:
    """``value``: the metric's logarithm; ``size``: log bytes. Both over GRID."""

    value: Gaussian
    size: Gaussian

    def search(self, look: Look, bound: float, most: int, looks: int) -> tuple[int | None, int]:
        """The smallest file found below ``most`` bytes whose value is at most ``bound``, and the looks it took.

        ``look`` encodes a setting and shows it to the reader: its value and its bytes.
        """
        best: int | None = None
        places: list[int] = []
        values: list[float] = []
        sizes: list[float] = []
        for _ in range(looks):
            value, deviation = self.value.given(places, values)
            size, _ = self.size.given(places, sizes)
            saving = math.log(most if best is None else best) - size
            worth = cdf((math.log(bound) - value) / deviation) * np.maximum(saving, 0.0)
            worth[places] = 0.0
            place = int(worth.argmax())
            if worth[place] <= 0.0:
                break
            seen, count = look(GRID[place])
            places.append(place)
            values.append(math.log(max(seen, _FLOOR)))
            sizes.append(math.log(count))
            if seen <= bound and count <= (most if best is None else best - 1):
                best = count
        return best, len(places)


def recorded(path: Path, compressor: str, metric: str) -> list[tuple[str, int, Array, Array]]:
    """By photograph of a recording (``tools/record_grids.py``): name, source's bytes, the worst view's value, bytes."""
    with path.open(encoding="utf-8") as lines:
        header = json.loads(next(lines))
        order = {
            (settings["scale"], round(settings["quality"])): row
            for row, (name, settings) in enumerate(header["settings"])
            if name == compressor
        }
        if missing := [setting for setting in GRID if setting not in order]:
            raise SystemExit(f"{path}: has no {compressor} at {missing[0]}: see `just record`")
        rows = [order[setting] for setting in GRID]
        found = []
        for line in lines:
            photo = json.loads(line)
            seen = np.max([scores[metric] for scores in photo["scores"].values()], axis=0)[rows]
            found.append((photo["photo"], photo["source_bytes"], seen, np.array(photo["bytes"], float)[rows]))
    return found


def learned(path: Path, compressor: str, metric: str) -> Prototype:
    """From calibration photographs."""
    photos = recorded(path, compressor, metric)
    values = np.log(np.maximum([seen for _, _, seen, _ in photos], _FLOOR))
    return Prototype(Gaussian.over(values), Gaussian.over(np.log([size for *_, size in photos])))
