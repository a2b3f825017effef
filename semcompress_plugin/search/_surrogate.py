"""What a search believes about every candidate: how many bytes it has, and whether the constraints hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.search import Problem, _generic
from semcompress_plugin.search._gp import Kriging
from semcompress_plugin.search._grid import Grid
from semcompress_plugin.search._normal import cdf
from semcompress_plugin.search._table import BYTES, Table, quantity
from semcompress_plugin.search._targets import Target
from semcompress_plugin.types import Trial

Array = NDArray[np.float64]

TYPICAL = 5.0
"""So many values' worth a picture is believed to be no odder than those that the prior was made from."""

_KNOWN = 1e-9
_STUNNED = 6.0  # no single value tells more of how odd a picture is
_LARGEST = 45.0  # natural logarithm of more bytes than there are


class Surrogate:
    """A Gaussian process over log bytes and one number per constraint and part, jointly, on all grids' candidates.

    The process's values are those of the bytes first, then of the constraints in their order (and of every part that
    is asked on its own), each over all candidates. What ``table`` knows starts from it, the rest from
    :mod:`semcompress_plugin.search._generic`.
    """

    def __init__(self, problem: Problem, grids: Sequence[Grid], table: Table | None) -> None:
        self._guessed: set[int] = set()  # blocks of which no calibration set says how odd a picture may be
        self.targets = [
            Target(constraint, part)
            for constraint in problem.constraints
            for part in problem.parts.get(constraint.evaluator, ("",))
        ]
        self.count = sum(map(len, grids))
        first = table.factors if table else 0  # the generic prior's factors come after the table's
        each = _generic.factors(grids)
        pieces, overhead, pixels = [], [], []
        for number, grid in enumerate(grids):
            if table and table.knows(grid, BYTES):
                pieces.append(table.piece(grid, BYTES, problem.size))
                overhead.append(np.full(len(grid), table.overhead[grid.space.compressor]))
                pixels.append(table.pixels(grid, problem.size))
            else:
                pieces.append(_generic.bytes_piece(problem, grids, number, first))
                overhead.append(np.zeros(len(grid)))
                pixels.append(np.ones(len(grid)))
        for block, target in enumerate(self.targets, start=1):
            name = quantity(target.constraint.metric, target.part)
            for number, grid in enumerate(grids):
                if table and table.knows(grid, name):
                    pieces.append(table.piece(grid, name, problem.size))
                else:
                    self._guessed.add(block)
                    rough = table.roughness(name) if table else None
                    pieces.append(_generic.metric_piece(target, grids, number, first + block * each, rough))
        self.process = Kriging(pieces)
        self._overhead, self._pixels = np.concatenate(overhead), np.concatenate(pixels)
        self._surprises: dict[int, tuple[int, float]] = {}  # by block: values told, sum of their squares in deviations

    def learn(self, index: int, trial: Trial) -> None:
        """Candidate ``index`` turned out like this; bytes of 0 are unknown, scores may be missing."""
        if trial.bytes > 0:
            overhead = self._overhead[index]
            payload = max(trial.bytes - overhead, 0.25 * trial.bytes)
            self.process.tell(index, math.log(payload / self._pixels[index]))
        for block, target in enumerate(self.targets, start=1):
            if (number := target.number(trial)) is not None:
                place = block * self.count + index
                surprise = (number - self.process.mean[place]) ** 2 / max(self.process.variance[place], _KNOWN)
                if block not in self._guessed:
                    told, surprises = self._surprises.get(block, (0, 0.0))
                    self._surprises[block] = told + 1, surprises + min(float(surprise), _STUNNED)
                self.process.tell(place, number)

    def suppose(self, index: int) -> tuple[float, bool]:
        """Pretend that candidate ``index`` showed just what is expected of it; its log bytes, and whether it held."""
        held = bool(self.chance()[index] >= 0.5)
        for place in range(index, len(self.process.mean), self.count):
            self.process.tell(place, float(self.process.mean[place]))
        return float(self.log_bytes()[0][index]), held

    def copy(self) -> Surrogate:
        """An independent copy, to suppose things."""
        twin = object.__new__(Surrogate)
        twin.__dict__.update(self.__dict__)
        twin.process, twin._surprises = self.process.copy(), self._surprises.copy()
        return twin

    def log_bytes(self) -> tuple[Array, Array]:
        """Mean and standard deviation of every candidate's log bytes."""
        payload = self._pixels * np.exp(np.clip(self.process.mean[: self.count], -_LARGEST, _LARGEST))
        size = payload + self._overhead
        return np.log(size), np.sqrt(self.process.variance[: self.count]) * payload / size

    def chance(self) -> Array:
        """Every candidate's chance that all constraints hold."""
        product = np.ones(self.count)
        for block, target in enumerate(self.targets, start=1):
            mean = self._block(self.process.mean, block)
            deviation = self._deviation(block) + 1e-6
            low, high = target.interval
            above = cdf((mean - low) / deviation) if math.isfinite(low) else np.ones(self.count)
            beyond = cdf((mean - high) / deviation) if math.isfinite(high) else np.zeros(self.count)
            product *= np.clip(above - beyond, 0.0, 1.0)
        return product

    def _deviation(self, block: int) -> Array:
        """How far off each candidate's number may be: further, the odder this picture has been (a Student process)."""
        told, surprises = self._surprises.get(block, (0, 0.0))
        return np.sqrt(self._block(self.process.variance, block) * (TYPICAL + surprises) / (TYPICAL + told))

    def margin(self) -> Array:
        """Every candidate's expected distance inside the tightest bound, in units of the metrics' spans."""
        margin = np.full(self.count, np.inf)
        for block, target in enumerate(self.targets, start=1):
            mean = self._block(self.process.mean, block)
            low, high = target.interval
            margin = np.minimum(margin, np.minimum(mean - low, high - mean) / target.span)
        return margin

    def _block(self, values: Array, block: int) -> Array:
        return values[block * self.count : (block + 1) * self.count]
