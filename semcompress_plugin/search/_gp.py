"""A Gaussian process over a finite set of candidates, conditioned one value at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_KNOWN = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """A part that varies smoothly within its piece (squared exponential).

    Shapes: ``deviation`` (standard) (n,), ``coordinates`` in correlation lengths (n, dimensions).
    """

    deviation: Array
    coordinates: Array

    def covariance(self, index: int) -> Array:
        """Of all n values with the one at ``index``."""
        distance = self.coordinates - self.coordinates[index]
        kernel = np.exp(-0.5 * np.einsum("ij,ij->i", distance, distance))
        return np.asarray(kernel * self.deviation * self.deviation[index])


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What is believed of one quantity over the n candidates of one space, before anything is told.

    A value is ``mean + loadings @ z[column : column + factors] + its local parts + rough``. The factors ``z`` are
    standard normal and shared by all pieces. The local parts are this piece's own, the rough part is every single
    value's own, of variance ``rough``. Shapes: ``mean``, ``rough`` (n,), ``loadings`` (n, factors).
    """

    mean: Array
    loadings: Array
    local: Sequence[Local]
    rough: Array
    column: int = 0


class Kriging:
    """The pieces' values, one after the other. ``mean`` and ``variance`` are those of all values, given what was told.

    Conditioning is exact and costs O(values x (factors + values told so far)): each value told adds one row to a
    pivoted Cholesky factor of the covariance matrix, which itself is never formed.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._ends = np.cumsum([len(piece.mean) for piece in pieces])
        self._loadings = np.zeros((int(self._ends[-1]), max(p.column + p.loadings.shape[1] for p in pieces)))
        for piece, end in zip(pieces, self._ends.tolist(), strict=True):
            columns = slice(piece.column, piece.column + piece.loadings.shape[1])
            self._loadings[end - len(piece.mean) : end, columns] = piece.loadings
        self.mean = np.concatenate([piece.mean for piece in pieces])
        own = np.concatenate([sum((part.deviation**2 for part in piece.local), piece.rough) for piece in pieces])
        self.variance = np.einsum("ij,ij->i", self._loadings, self._loadings) + own
        self._rows: list[Array] = []

    def tell(self, index: int, value: float) -> None:
        """Condition on the value at ``index``."""
        pivot = float(self.variance[index])
        if pivot <= _KNOWN:
            return
        row = self._loadings @ self._loadings[index]
        number = int(np.searchsorted(self._ends, index, side="right"))
        piece, end = self._pieces[number], int(self._ends[number])
        begin = end - len(piece.mean)
        for part in piece.local:
            row[begin:end] += part.covariance(index - begin)
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
        twin.__dict__.update(self.__dict__)
        twin.mean, twin._rows = self.mean.copy(), self._rows.copy()
        return twin
