"""What a search believes about every candidate: how many bytes it has, and whether the constraints hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.search import Problem
from semcompress_plugin.search._gp import Kriging, Patch
from semcompress_plugin.search._grid import Grid
from semcompress_plugin.search._normal import cdf
from semcompress_plugin.search._table import BYTES, Table, quantity
from semcompress_plugin.types import Constraint, Metric, Trial

Array = NDArray[np.float64]

# The generic prior, for what the table does not know. Widths are in units of what a metric typically spans between
# the smallest and the largest file; they are wide on purpose, two or three looks narrow them.
_SPAN = {"log": 7.0, "log1m": 5.0, "step": 3.0}
_EDGE = 0.55  # where on the way from the smallest to the largest file the bound is crossed, before anything is known
_OFFSET, _SLOPE, _LOCAL, _ROUGH = 0.3, 0.5, 0.08, 0.015
_LENGTH = 0.3
_BYTES_SLOPE = 2.5  # log bytes over the range of one knob
_BYTES_OFFSET, _BYTES_OWN, _BYTES_LOCAL, _BYTES_ROUGH = 1.0, 0.5, 0.25, 0.03
_RAW_BYTES_PER_PIXEL = 1.0
_SATURATED = 0.02


def smooth(metric: Metric, value: float) -> float:
    """``value`` on a scale where it varies evenly with the settings: the metric's own, straightened near the worst.

    A divergence close to its maximum can hardly grow: there, the logarithm of what is left counts as well (a logit).
    """
    if metric.transform == "log" and not metric.higher_is_better and math.isfinite(metric.maximum):
        return metric.smooth(value) - math.log(max(1.0 - value / metric.maximum, _SATURATED))
    return metric.smooth(value)


@dataclass(frozen=True, slots=True)
class Target:
    """One constraint as an interval [low, high] of a number that varies smoothly; inside, it holds.

    A yes/no metric has no scale: it becomes 1 for yes and -1 for no, and holds above 0.
    """

    constraint: Constraint

    @property
    def step(self) -> bool:
        return self.constraint.metric.transform == "step"

    @property
    def interval(self) -> tuple[float, float]:
        if self.step:
            return 0.0, math.inf
        metric, low, high = self.constraint.metric, self.constraint.min, self.constraint.max
        return -math.inf if low is None else smooth(metric, low), math.inf if high is None else smooth(metric, high)

    @property
    def span(self) -> float:
        """How far the number typically moves between the smallest and the largest file."""
        metric = self.constraint.metric
        if metric.transform in _SPAN:
            return _SPAN[metric.transform]
        if math.isfinite(metric.maximum - metric.minimum):
            return metric.maximum - metric.minimum
        return max([abs(edge) for edge in self.interval if math.isfinite(edge)] + [1e-6])

    def value(self, trial: Trial) -> float | None:
        """The number that the trial showed, if its evaluator was asked."""
        scores = trial.scores.get(self.constraint.evaluator)
        if scores is None or self.constraint.metric.name not in scores:
            return None
        value = scores[self.constraint.metric.name]
        if self.step:
            return 1.0 if self.constraint.holds(value) else -1.0
        low, high = self.interval
        number = smooth(self.constraint.metric, value)
        # nothing is learned from how absurd an answer is: beyond a whole span (infinities included) it is only bad
        limit = self.span
        near = [edge for edge in (low, high) if math.isfinite(edge)]
        bad = near[0] + (-limit if self.constraint.metric.higher_is_better else limit)
        if number != number:
            return bad
        return min(max(number, min(near) - limit), max(near) + limit)


class Surrogate:
    """A Gaussian process over log bytes and one number per constraint, jointly, on the candidates of all grids.

    The blocks of the process are bytes first, then the constraints in their order, each over all candidates.
    """

    def __init__(self, problem: Problem, grids: Sequence[Grid], table: Table | None) -> None:
        self.targets = [Target(constraint) for constraint in problem.constraints]
        self.count = sum(map(len, grids))
        self._overhead = np.zeros(self.count)
        self._pixels = np.ones(self.count)
        blocks = 1 + len(self.targets)
        factors = table.factors if table else 0
        generic = _generic_factors(grids)
        width = factors + blocks * generic
        total = blocks * self.count
        mean, rough = np.zeros(total), np.zeros(total)
        features = np.zeros((total, width))
        patches: list[Patch] = []
        begin = 0
        for number, grid in enumerate(grids):
            names = [BYTES, *(quantity(target.constraint.metric) for target in self.targets)]
            known = [table is not None and table.knows(grid, name) for name in names]
            for block, name in enumerate(names):
                start = block * self.count + begin
                here = slice(start, start + len(grid))
                if table and known[block]:
                    curve = table.curve(grid, name, problem.size)
                    mean[here] = curve.mean
                    features[here, :factors] = curve.features
                    share = table.rough[name]
                    rough[here] = share * curve.deviation**2
                    patches.append(Patch(start, table.coordinates(grid), math.sqrt(1 - share) * curve.deviation))
                else:
                    columns = slice(factors + block * generic, factors + (block + 1) * generic)
                    patches.append(
                        self._generic(
                            problem, grids, number, block, mean[here], features[here, columns], rough[here], start
                        )
                    )
            if table and known[0]:
                overhead, pixels = table.bytes_scale(grid, problem.size)
                self._overhead[begin : begin + len(grid)] = overhead
                self._pixels[begin : begin + len(grid)] = pixels
            begin += len(grid)
        self.process = Kriging(mean, features, patches, rough)

    def _generic(
        self,
        problem: Problem,
        grids: Sequence[Grid],
        number: int,
        block: int,
        mean: Array,
        features: Array,
        rough: Array,
        start: int,
    ) -> Patch:
        """Fill in a prior that knows only that more bytes are better; columns as :func:`_generic_factors` counts."""
        unit = grids[number].unit[:, _free(grids[number])]
        dimensions = unit.shape[1]
        own = 2 + sum(1 + len(_free(other)) for other in grids[:number])
        generosity = unit.mean(axis=1) if dimensions else np.ones(len(unit))
        if block == 0:
            pixels = problem.size[0] * problem.size[1]
            most = problem.source_bytes or max(pixels, 1) * _RAW_BYTES_PER_PIXEL
            slope = _BYTES_SLOPE * max(dimensions, 1)
            mean[:] = math.log(most) - slope * (1.0 - generosity)
            widths = _BYTES_OFFSET, 0.5 * slope, _BYTES_OWN, 0.5 * _BYTES_SLOPE, _BYTES_LOCAL, _BYTES_ROUGH
        else:
            target = self.targets[block - 1]
            sign = 1.0 if target.constraint.metric.higher_is_better else -1.0
            low, high = target.interval
            bound = next(edge for edge in ((low, high) if sign > 0 else (high, low)) if math.isfinite(edge))
            if math.isfinite(low) and math.isfinite(high):
                bound = 0.5 * (low + high)
            span = target.span
            mean[:] = bound + sign * span * (generosity - _EDGE)
            slope = span / max(dimensions, 1)
            widths = _OFFSET * span, _SLOPE * span, 0.5 * _OFFSET * span, _SLOPE * slope, _LOCAL * span, _ROUGH * span
        offset, common, own_offset, own_slope, local, roughness = widths
        features[:, 0] = offset
        features[:, 1] = common * (generosity - 0.5)
        features[:, own] = own_offset
        features[:, own + 1 : own + 1 + dimensions] = own_slope * (unit - 0.5)
        rough[:] = roughness**2
        return Patch(start, unit / _LENGTH, np.full(len(unit), local))

    def learn(self, index: int, size: int, values: Sequence[float | None]) -> None:
        """Candidate ``index`` has ``size`` bytes (0: unknown) and showed ``values``, one per constraint or None."""
        if size > 0:
            self.process.tell(index, self.as_quantity(index, size))
        for block, value in enumerate(values, start=1):
            if value is not None:
                self.process.tell(block * self.count + index, value)

    def suppose(self, index: int) -> tuple[float, bool]:
        """Pretend that candidate ``index`` showed just what is expected of it; its log bytes, and whether it held."""
        held = bool(self.chance()[index] >= 0.5)
        for block in range(1 + len(self.targets)):
            place = block * self.count + index
            self.process.tell(place, float(self.process.mean[place]))
        return float(self.log_bytes()[0][index]), held

    def copy(self) -> Surrogate:
        twin = object.__new__(Surrogate)
        twin.__dict__.update(self.__dict__)
        twin.process = self.process.copy()
        return twin

    def as_quantity(self, index: int, size: int) -> float:
        """What the process calls a file of ``size`` bytes: the log of bytes per pixel without headers, if known."""
        payload = max(size - self._overhead[index], 0.25 * size if self._overhead[index] else 1.0)
        return math.log(payload / self._pixels[index])

    def log_bytes(self) -> tuple[Array, Array]:
        """Mean and standard deviation of every candidate's log bytes."""
        payload = self._pixels * np.exp(np.clip(self.process.mean[: self.count], -20.0, 20.0 + 5.0))
        size = payload + self._overhead
        return np.log(size), np.sqrt(self.process.variance[: self.count]) * payload / size

    def chance(self) -> Array:
        """Every candidate's chance that all constraints hold."""
        product = np.ones(self.count)
        for block, target in enumerate(self.targets, start=1):
            here = slice(block * self.count, (block + 1) * self.count)
            mean, deviation = self.process.mean[here], np.sqrt(self.process.variance[here]) + 1e-6
            low, high = target.interval
            above = cdf((mean - low) / deviation) if math.isfinite(low) else np.ones(self.count)
            over = cdf((mean - high) / deviation) if math.isfinite(high) else np.zeros(self.count)
            product *= np.clip(above - over, 0.0, 1.0)
        return product

    def margin(self) -> Array:
        """Every candidate's expected distance inside the tightest bound, in units of the metrics' spans."""
        margin = np.full(self.count, np.inf)
        for block, target in enumerate(self.targets, start=1):
            mean = self.process.mean[block * self.count : (block + 1) * self.count]
            low, high = target.interval
            margin = np.minimum(margin, np.minimum(mean - low, high - mean) / target.span)
        return margin


def _free(grid: Grid) -> list[int]:
    return [index for index, knob in enumerate(grid.space.knobs) if not knob.fixed]


def _generic_factors(grids: Sequence[Grid]) -> int:
    """Columns of the generic prior per block: offset and slope shared by all spaces, then each space's own."""
    return 2 + sum(1 + len(_free(grid)) for grid in grids)
