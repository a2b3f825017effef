"""Curves of bytes against agreement, and intervals for what is read off them. Pure arrays.

A *way* to choose settings, at one bound, gives each photograph a file: bytes (photos,) and, for each judge, whether it
agrees (photos,). Several bounds make a curve. All figures of one curve come from the same photographs, and so do those
that are compared: resampling draws photographs, once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TARGET = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """``bytes`` and ``agreement`` are (bounds, photos); agreement is the mean over the judges, 0 to 1 each."""

    bytes: Array
    agreement: Array

    def at(self, photos: NDArray[np.int64] | slice = slice(None), *, geometric: bool = True) -> tuple[Array, Array]:
        """Mean bytes (of that kind) and mean agreement of every bound over ``photos``."""
        chosen = self.bytes[:, photos]
        mean = np.exp(np.log(chosen).mean(axis=1)) if geometric else chosen.mean(axis=1)
        return mean, self.agreement[:, photos].mean(axis=1)


def bytes_at(mean_bytes: Array, agreement: Array, target: float = TARGET) -> float:
    """Bytes at which the curve reaches ``target``: along its frontier, straight in agreement and log bytes.

    The frontier are the points that no point of as few bytes surpasses in agreement. Not a number where it never gets
    there; the smallest bytes where all of it is above.
    """
    order = np.lexsort((-agreement, mean_bytes))
    size, share = np.log(mean_bytes[order]), agreement[order]
    best = np.maximum.accumulate(share)
    keep = np.concatenate([[True], best[1:] > best[:-1]])
    size, share = size[keep], share[keep]
    if share[-1] < target:
        return float("nan")
    return float(np.exp(np.interp(target, share, size)))


def interval(
    figure: Callable[[NDArray[np.int64]], float], photos: int, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile 95 % bootstrap interval of a figure of some photographs (indices, with repetitions).

    Resamples in which the figure is not a number are left out.
    """
    draws = np.random.default_rng(seed).integers(0, photos, (resamples, photos))
    values = np.array([figure(draw) for draw in draws])
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.025, 0.975]).tolist() if values.size else (float("nan"), float("nan"))
    return low, high


def smallest(
    sizes: NDArray[np.int64], holds: NDArray[np.bool_], min_saving: float = 0.05
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each photograph's smallest file that holds and saves enough: its bytes (photos,) and its column (photos,).

    ``sizes`` and ``holds`` are (photos, 1 + settings); column 0 is the photograph itself, which stays where nothing
    else will do.
    """
    useful = holds & (sizes <= (1 - min_saving) * sizes[:, :1])
    useful[:, 0] = True
    costs = np.where(useful, sizes, np.iinfo(np.int64).max)
    column = costs.argmin(axis=1)
    return np.take_along_axis(sizes, column[:, None], axis=1)[:, 0], column


def least_costly(
    sizes: NDArray[np.int64], charges: Array, holds: NDArray[np.bool_], min_saving: float = 0.05
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As :func:`smallest`, of the file whose log bytes and ``charges`` (photos, 1 + settings) are the least together.

    The photograph itself is charged nothing.
    """
    costs = np.log(sizes) + charges
    useful = holds & (sizes <= (1 - min_saving) * sizes[:, :1])
    costs = np.where(useful, costs, np.inf)
    costs[:, 0] = np.log((1 - min_saving) * sizes[:, 0])
    column = costs.argmin(axis=1)
    return np.take_along_axis(sizes, column[:, None], axis=1)[:, 0], column


def bounds_over(values: Array, count: int = 40) -> Sequence[float]:
    """Bounds to try: quantiles of what a metric takes over all photographs and settings."""
    finite = values[np.isfinite(values)]
    return [float(b) for b in np.unique(np.quantile(finite, np.linspace(0.002, 0.98, count)))]
