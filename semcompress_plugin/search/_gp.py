"""A Gaussian process over a finite set of candidates, conditioned one value at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_JITTER = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A run of values that vary together locally: one quantity over the candidates of one space.

    ``coordinates`` is (values, dimensions) in units of the correlation length; ``deviation`` (values,) is the
    standard deviation of the smooth local part.
    """

    start: int
    coordinates: Array
    deviation: Array

    @property
    def stop(self) -> int:
        return self.start + len(self.coordinates)


class Kriging:
    """Values ``mean + features @ z + local + rough``: ``z`` standard normal, shared by all; local smooth within a
    patch (squared exponential); rough independent for each value (variance ``rough``).

    Conditioning is exact and costs O(values x (features + values told so far)): each value told adds one row to a
    pivoted Cholesky factor of the covariance matrix, which itself is never formed.
    """

    def __init__(self, mean: Array, features: Array, patches: Sequence[Patch], rough: Array) -> None:
        self.mean = mean.copy()
        self.variance = np.einsum("ij,ij->i", features, features) + rough
        self._features = features
        self._patches = patches
        for patch in patches:
            self.variance[patch.start : patch.stop] += patch.deviation**2
        self._rows: list[Array] = []

    def tell(self, index: int, value: float) -> None:
        """Condition on the value at ``index``."""
        pivot = float(self.variance[index])
        if pivot <= _JITTER:  # known already
            return
        row = self._features @ self._features[index]
        for patch in self._patches:
            if patch.start <= index < patch.stop:
                here = index - patch.start
                distance = patch.coordinates - patch.coordinates[here]
                kernel = np.exp(-0.5 * np.einsum("ij,ij->i", distance, distance))
                row[patch.start : patch.stop] += kernel * patch.deviation * patch.deviation[here]
        for told in self._rows:
            row -= told * told[index]
        row /= np.sqrt(pivot)
        row[index] = np.sqrt(pivot)  # the rough part is the value's own
        self.mean += row * ((value - self.mean[index]) / np.sqrt(pivot))
        self.variance = np.maximum(self.variance - row**2, 0.0)
        self._rows.append(row)

    def copy(self) -> Kriging:
        """An independent copy, to try values that are only supposed."""
        twin = object.__new__(Kriging)
        twin.mean, twin.variance = self.mean.copy(), self.variance
        twin._features, twin._patches, twin._rows = self._features, self._patches, self._rows.copy()
        return twin
