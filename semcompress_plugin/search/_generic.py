"""The prior for compressors and metrics that no table knows: more bytes are better, and little else is certain.

Its widths are in units of what a quantity typically spans between the smallest and the largest file. They are wide on
purpose; two or three looks narrow them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semcompress_plugin.search import Problem
from semcompress_plugin.search._gp import Local, Piece
from semcompress_plugin.search._grid import Grid
from semcompress_plugin.search._targets import Target
from semcompress_plugin.types import Knob

_LENGTH = 0.3  # of correlation, in unit coordinates
_EDGE = 0.55  # where on the way from the smallest to the largest file a bound is crossed
_WHOLE = 2.5  # log range of a logarithmic knob that goes through a whole span: a factor of 12
_ROUGH, _ROUGH_LOG = 0.02, 0.045  # in spans: divergences of classifiers jump about more than similarities do
_BYTES_PER_KNOB = 2.5  # log bytes over the range of one knob
_RAW_BYTES_PER_PIXEL = 1.0  # of the largest file, where the source's bytes are not known


@dataclass(frozen=True, slots=True)
class _Widths:
    """Standard deviations: level and slope that all spaces share, each space's own, the local and the rough part."""

    level: float
    slope: float
    own_level: float
    own_slope: float
    local: float
    rough: float


def factors(grids: Sequence[Grid]) -> int:
    """Factors of one quantity: level and slope shared by all spaces, then each space's level and its knobs' slopes."""
    return 2 + sum(1 + len(_free(grid)) for grid in grids)


def bytes_piece(problem: Problem, grids: Sequence[Grid], number: int, column: int) -> Piece:
    """Log bytes over the candidates of grid ``number``: the source's at the generous end, a steep way down."""
    most = problem.source_bytes or max(problem.size[0] * problem.size[1], 1) * _RAW_BYTES_PER_PIXEL
    slope = _BYTES_PER_KNOB * max(len(_free(grids[number])), 1)
    widths = _Widths(1.0, 0.5 * slope, 0.5, 0.5 * _BYTES_PER_KNOB, 0.25, 0.02)
    return _piece(grids, number, column, math.log(max(most, 1)), 1.0, slope, widths)


def metric_piece(target: Target, grids: Sequence[Grid], number: int, column: int, rough: float | None = None) -> Piece:
    """A constraint's number over the candidates of grid ``number``: crosses the bound on the way.

    ``rough`` is the standard deviation of the rough part, where it is known from other compressors.
    """
    span = target.span
    own = 0.5 * span / max(len(_free(grids[number])), 1)
    if rough is None:
        rough = span * (_ROUGH_LOG if target.constraint.metric.transform == "log" else _ROUGH)
    widths = _Widths(0.3 * span, 0.5 * span, 0.15 * span, own, 0.12 * span, rough)
    return _piece(grids, number, column, target.bound, _EDGE, target.sign * span, widths)


def _piece(
    grids: Sequence[Grid], number: int, column: int, value: float, edge: float, rise: float, widths: _Widths
) -> Piece:
    """A quantity expected to be ``value`` at ``edge``, from 0 for the smallest files to 1 for the largest."""
    free = _free(grids[number])
    unit = grids[number].unit[:, free]
    count, dimensions = unit.shape
    reach = np.array([_reach(grids[number].space.knobs[index]) for index in free])
    whole = float(reach.mean()) if dimensions else 1.0
    generosity = (unit * reach).mean(axis=1) if dimensions else np.ones(count)
    loadings = np.zeros((count, factors(grids)))
    loadings[:, 0] = widths.level
    loadings[:, 1] = widths.slope * (generosity - 0.5 * whole)
    own = factors(grids[:number])
    loadings[:, own] = widths.own_level
    loadings[:, own + 1 : own + 1 + dimensions] = widths.own_slope * reach * (unit - 0.5)
    return Piece(
        value + rise * (generosity - edge * whole),
        loadings,
        [Local(np.full(count, whole * widths.local), unit / _LENGTH)],
        np.full(count, widths.rough**2),
        column,
    )


def _reach(knob: Knob) -> float:
    """The share of a quantity's span that a knob goes through: less for a logarithmic one of which little is left."""
    return min(1.0, math.log(knob.high / knob.low) / _WHOLE) if knob.log and knob.low > 0 else 1.0


def _free(grid: Grid) -> list[int]:
    return [index for index, knob in enumerate(grid.space.knobs) if not knob.fixed]
