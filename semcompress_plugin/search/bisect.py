"""Bisection along one ladder of settings per space: simple, few looks, not the smallest file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from semcompress_plugin.search import Problem, _table
from semcompress_plugin.search._grid import Grid, grid, of_proposals
from semcompress_plugin.search._surrogate import Surrogate
from semcompress_plugin.types import Proposal, Space, Trial

RUNGS = 64
_CANDIDATES = 400


@dataclass(slots=True)
class _Ladder:
    """Rungs from the smallest files to the largest; everything up to ``below`` fails, from ``above`` on holds."""

    rungs: list[Proposal]
    below: int
    above: int

    @property
    def middle(self) -> int:
        return (self.below + self.above) // 2

    @property
    def finished(self) -> bool:
        return self.above - self.below <= 1


class Bisect:
    """Bisects each space's ladder in turn, the budget shared evenly between those that are left.

    The ladder of a space with one free knob is that knob's values. With several it is the population's frontier: the
    settings that on average over the calibration set nothing betters in both bytes and margin; where the prior
    table does not know compressor or metric, all knobs move together. ``candidates`` as for ``frontier``.
    """

    def __init__(self, problem: Problem, *, candidates: Iterable[Proposal] | None = None) -> None:
        given = None if candidates is None else list(candidates)
        ladders = [_rungs(problem, space, given) for space in problem.spaces]
        self.problem = problem
        self._ladders = [_Ladder(rungs, -1, len(rungs)) for rungs in ladders]
        self._asked = 0
        self._here = 0  # looks spent on the ladder in work
        self._pending: Proposal | None = None

    def ask(self, n: int) -> list[Proposal]:
        """One proposal at most, whatever ``n``, and none while one is pending: the next depends on how it goes."""
        if n < 1 or self._pending is not None:
            return []
        while self._ladders and (self._ladders[0].finished or self._spent()):
            self._ladders.pop(0)
            self._here = 0
        if not self._ladders or self._asked >= self.problem.looks:
            return []
        self._asked += 1
        self._here += 1
        self._pending = self._ladders[0].rungs[self._ladders[0].middle]
        return [self._pending]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Go down from what holds and from what was too large to be looked at; up from what does not hold."""
        for trial in trials:
            if trial.proposal != self._pending:
                continue
            self._pending = None
            ladder = self._ladders[0]
            if trial.looked and not trial.holds:
                ladder.below = ladder.middle
            else:
                ladder.above = ladder.middle

    def _spent(self) -> bool:
        left = self.problem.looks - self._asked + self._here
        return self._here >= math.ceil(left / len(self._ladders))


def _rungs(problem: Problem, space: Space, candidates: list[Proposal] | None) -> list[Proposal]:
    free = [knob for knob in space.knobs if not knob.fixed]
    points = grid(space, _CANDIDATES) if candidates is None else of_proposals(space, candidates)
    if len(free) <= 1:
        return [points.proposal(int(index)) for index in np.argsort(points.unit.sum(axis=1), kind="stable")]
    table = _table.load()
    if all(
        table.knows(points, name) for name in (_table.BYTES, *(_table.quantity(c.metric) for c in problem.constraints))
    ):  # where it knows the whole it knows the parts, or takes the one for the other
        return _frontier(problem, points, table)
    off = np.ptp(points.unit, axis=1)  # how far the knobs are from moving together
    rungs: dict[int, int] = {}
    for index in np.argsort(off, kind="stable").tolist():
        rungs.setdefault(round(float(points.unit[index].mean()) * RUNGS), index)
    return [points.proposal(rungs[key]) for key in sorted(rungs)]


def _frontier(problem: Problem, points: Grid, table: _table.Table) -> list[Proposal]:
    """The candidates that no other one betters in both mean log bytes and mean margin, smallest files first."""
    believed = Surrogate(problem, [points], table)
    log_bytes, margin = believed.log_bytes()[0], believed.margin()
    rungs, best = [], -math.inf
    for index in np.argsort(log_bytes, kind="stable").tolist():
        if margin[index] > best:
            best = float(margin[index])
            rungs.append(points.proposal(index))
    return rungs
