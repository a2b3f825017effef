"""The default search: looks where the chance that all constraints hold, times the bytes saved, is largest for its time.

Kriging with an empirical prior: a Gaussian process over log bytes and the constraints' metrics, jointly, over the
candidates of all spaces. Its mean and covariance come from a calibration set where a table has them
(:mod:`semcompress_plugin.search._table`), else from the belief that more bytes are better. Every trial conditions it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.search import Problem, _table
from semcompress_plugin.search._grid import Grid, grid, of_proposals
from semcompress_plugin.search._normal import cdf, expected_shortfall
from semcompress_plugin.search._surrogate import Surrogate
from semcompress_plugin.types import Proposal, Trial

Array = NDArray[np.float64]

CANDIDATES = 1000
"""How many candidates all spaces have together, at most (each has at least 48)."""

SECURE = 2
"""So many looks before the end, without anything that holds, the safest candidate is looked at."""

HOPELESS = 0.0005
"""With a smaller chance than this that any candidate holds, nothing is to be found."""

DOUBT = 3
"""But so many looks are taken before the prior is believed that far."""

GAIN = 0.010
"""Less than this share of the bytes is not worth a look at a candidate that costs what the usual one does: what readers
see jumps about, and luck never ends. For a file of USUAL bits per pixel; see :meth:`Frontier._worth`."""

USUAL = 0.3
"""Bits per pixel of the original's size, of a file at which GAIN is meant."""

_WORTH = 0.2, 5.0  # GAIN is multiplied by this at least, and at most

GAIN_ALONE = 0.005
"""The same where no space has more than one free knob: there few looks are needed anyhow."""

_NEVER = 1e-6

FAILURES = 4
"""A compressor that has failed so often and never worked is given up for this picture, but for its smallest file."""

_SMALLER = 0.75
_NEAR = 0.25  # in unit coordinates
_TINY = 1e-9  # by which numbers may differ that are the same


class Frontier:
    """``gain``: stop once the next look is expected to save less than this share of the bytes, for all files alike.

    ``prior``: use the table of the calibration set where it has the compressor and the metric.
    ``candidates``: choose among these proposals only (for benchmarks on recorded grids).
    """

    def __init__(
        self,
        problem: Problem,
        *,
        gain: float | None = None,
        prior: bool = True,
        candidates: Iterable[Proposal] | None = None,
    ) -> None:
        self.problem = problem
        alone = all(sum(not knob.fixed for knob in space.knobs) <= 1 for space in problem.spaces)
        self.gain = GAIN_ALONE if gain is None and alone else gain
        self.grids = _grids(problem, None if candidates is None else list(candidates))
        known = _table.load() if prior else None
        self.surrogate = Surrogate(problem, self.grids, known)
        self.best: Trial | None = None
        self.asked = 0
        self._pending: list[int] = []
        self._supposed: Surrogate | None = None
        self._supposed_best = math.inf
        self._supposed_count = 0  # so many of those pending
        self._sizes: dict[int, int] = {}
        count = self.surrogate.count
        self._open = np.ones(count, bool)
        self._usable = np.ones(count, bool)
        self._bounds = np.cumsum([0, *(len(grid) for grid in self.grids)])
        self._price = _prices(problem, self.grids)
        self._doubtful = np.zeros(count, bool)
        self._failed: list[list[int]] = [[] for _ in self.grids]  # could not be encoded
        self._lost = [0] * len(self.grids)
        self._worked: list[list[int]] = [[] for _ in self.grids]
        self._proposals: dict[int, Proposal] = {}
        self._unknown = [known is not None and _is_unknown(grid, known) for grid in self.grids]
        self._refused: dict[int, int] = {}  # by space of which no table knows: what was refused last

    def ask(self, n: int) -> list[Proposal]:
        """Up to ``n`` proposals, each new; none once the budget is spent or further looks are not worth while.

        Proposals that have not been told yet are supposed to turn out as expected, so that a batch is diverse.
        """
        proposals: list[Proposal] = []
        while len(proposals) < n and self._spent < self.problem.looks and (index := self._choose()) is not None:
            number = self._space_of(index)
            proposal = self.grids[number].proposal(index - int(self._bounds[number]))
            self._proposals[index] = proposal
            self._pending.append(index)
            self._open[index] = False
            self.asked += 1
            proposals.append(proposal)
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn from trials, in any order; those that were not proposed here are ignored."""
        for trial in trials:
            index = next((index for index in self._pending if self._proposals[index] == trial.proposal), None)
            if index is None:
                continue
            self._pending.remove(index)
            self._learn(index, trial)
        self._supposed, self._supposed_best, self._supposed_count = None, math.inf, 0

    def _learn(self, index: int, trial: Trial) -> None:
        number = self._space_of(index)
        self.surrogate.learn(index, trial)
        if trial.holds and trial.bytes <= self.problem.ceiling and (self.best is None or trial.bytes < self.best.bytes):
            self.best = trial
        if trial.bytes > 0:
            self._sizes[index] = trial.bytes
        self._leave_out_larger()
        here = slice(int(self._bounds[number]), int(self._bounds[number + 1]))
        worked, failed = self._worked[number], self._failed[number]
        if trial.looked and not trial.holds and self._unknown[number]:
            self._refused[number] = index - here.start
        if trial.looked or trial.bytes > min(self.problem.ceiling, self._limit() - 1):
            worked.append(index - here.start)
        elif trial.bytes > 0:  # it lost something, or is larger than what another search has found
            self._lost[number] += 1
            self._usable[here] &= ~_like(self.grids[number], index - here.start)
        else:
            failed.append(index - here.start)
        if not worked and len(failed) + self._lost[number] >= FAILURES:
            self._doubtful[here] = True
        elif failed:
            self._doubtful[here] = _doubtful(self.grids[number], failed, worked)

    def _leave_out_larger(self) -> None:
        """What is at least as generous in every knob as a file that is too large is larger still."""
        most = min(self.problem.ceiling, self._limit() - 1)
        for index in [index for index, size in self._sizes.items() if size > most]:
            del self._sizes[index]  # the limit only falls: once is enough
            number = self._space_of(index)
            begin, end = self._bounds[number : number + 2].tolist()
            unit = self.grids[number].unit
            self._usable[begin:end] &= (unit < unit[index - begin]).any(axis=1)

    def _limit(self) -> float:
        """Only files of fewer bytes than this are of use."""
        return math.inf if self.best is None else self.best.bytes

    @property
    def _spent(self) -> int:
        """Looks that have been taken or are about to be: what cannot be encoded costs none, up to as many again."""
        return self.asked - min(sum(map(len, self._failed)), self.problem.looks)

    def _choose(self) -> int | None:
        promising = self._promising()
        return self._last_resort() if promising is None else promising

    def _last_resort(self) -> int | None:
        """Where nothing has been found: the smallest file of a space of which none could be encoded so far.

        If that one can be, others that are like it may be, too, and hold.
        """
        for number, failed in enumerate(self._failed):
            if self.best is None and failed and not self._worked[number]:
                smallest = int(self._bounds[number]) + int(self.grids[number].unit.sum(axis=1).argmin())
                if self._open[smallest]:
                    return smallest
        return None

    def _promising(self) -> int | None:
        surrogate = self._believed()
        log_bytes, deviation = surrogate.log_bytes()
        chance = surrogate.chance() * self._allowed() * self._open
        best = min(self._limit(), self._supposed_best)
        if math.isfinite(best):
            limit = math.log(best)
        elif math.isfinite(self.problem.ceiling):
            limit = math.log(max(self.problem.ceiling, 1.0))
        else:
            limit = float(log_bytes.max()) + 1.0
        gains = chance * expected_shortfall(log_bytes, deviation, limit) / self._price
        found = math.isfinite(best)
        if not found:
            safety = chance * cdf((limit - log_bytes) / np.maximum(deviation, 1e-9))
            if safety.max() < (HOPELESS if self._spent >= DOUBT else _NEVER):
                return None
            if self.problem.looks - self._spent <= SECURE or safety.max() < HOPELESS:
                return int(safety.argmax())
        elif gains.max() < self._worth(best):
            return None
        choice = int(gains.argmax())
        return choice if gains[choice] > 0 else None

    def _allowed(self) -> NDArray[np.bool_]:
        """What may be looked at, as far as is known; much gentler than what was refused where little else is."""
        allowed = self._usable & ~self._doubtful
        for number, index in self._refused.items():
            here = slice(int(self._bounds[number]), int(self._bounds[number + 1]))
            allowed[here] &= _much_gentler(self.grids[number], index, allowed[here])
        return allowed

    def _worth(self, best: float) -> float:
        """The least share of ``best`` bytes that is worth a look.

        A look costs time by the pixel, and a share is more bytes where a pixel has more of them. In proportion to that
        all bytes together would be the fewest; the same for all, their geometric mean: this is half way.
        """
        if self.gain is not None:
            return self.gain
        width, height = self.problem.size
        low, high = _WORTH
        return GAIN * min(max(math.sqrt(USUAL * width * height / (8 * best)), low), high)

    def _believed(self) -> Surrogate:
        """What is known, and what is pending as it is expected to turn out."""
        if not self._pending:
            return self.surrogate
        believed = self._supposed = self._supposed or self.surrogate.copy()
        for index in self._pending[self._supposed_count :]:
            log_bytes, held = believed.suppose(index)
            if held:
                self._supposed_best = min(self._supposed_best, math.exp(log_bytes))
        self._supposed_count = len(self._pending)
        return believed

    def _space_of(self, index: int) -> int:
        return int(np.searchsorted(self._bounds, index, side="right")) - 1


def _prices(problem: Problem, grids: Sequence[Grid]) -> Array:
    """What a look at each candidate costs, 1 for the usual one (the median): time to encode it and to look at it."""
    megapixels = problem.size[0] * problem.size[1] / 1e6
    look = problem.look * max(megapixels, 1.0)  # readers have a size of their own, which small pictures are brought to
    costs = []
    for points in grids:
        scale = points.column("scale")
        share = np.ones(len(points)) if scale is None else scale**2
        costs.append(look + points.space.cost * megapixels * share)
    cost = np.concatenate(costs)
    return np.asarray(cost / np.median(cost))


def _doubtful(grid: Grid, failed: Sequence[int], worked: Sequence[int]) -> NDArray[np.bool_]:
    """Which candidates will probably fail as those did: all that are like one, unless one that worked is as near."""
    like = np.any([_like(grid, index) for index in failed], axis=0)
    return np.asarray(like & (_distance(grid, failed) < _distance(grid, worked) - _TINY))


def _distance(grid: Grid, places: Sequence[int]) -> Array:
    """Each candidate's distance to the nearest of those places, in unit coordinates of the knob that differs most."""
    away = [np.abs(grid.unit - grid.unit[index]).max(axis=1, initial=0.0) for index in places]
    return np.min(away, axis=0, initial=math.inf) if away else np.full(len(grid), math.inf)


def _is_unknown(grid: Grid, table: _table.Table) -> bool:
    """Whether a space has one free knob, and no calibration set says what it does."""
    return sum(not knob.fixed for knob in grid.space.knobs) == 1 and not table.knows(grid, _table.BYTES)


def _much_gentler(grid: Grid, index: int, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What lies at least half way from a refused candidate to the most generous one that is ``allowed``, and that one.

    For one knob of which no table tells how readers take it: what is sought lies between what was refused and what
    held, or the end. A look at the very next value is wasted where nothing but the end will do, as with palettes for
    photographs.
    """
    unit = grid.unit[:, [number for number, knob in enumerate(grid.space.knobs) if not knob.fixed]].max(axis=1)
    most = unit[allowed].max(initial=unit[index])
    return np.asarray(unit >= most - (most - unit[index]) / 2)


def _like(grid: Grid, index: int) -> NDArray[np.bool_]:
    """Which candidates will probably fail as ``index`` did: too many pixels is the usual reason, else near ones."""
    scale = grid.column("scale")
    if scale is not None and np.ptp(scale) > 0:
        return np.asarray(scale > _SMALLER * scale[index])
    return np.asarray(np.abs(grid.unit - grid.unit[index]).max(axis=1, initial=0.0) <= _NEAR)


def _grids(problem: Problem, candidates: list[Proposal] | None) -> list[Grid]:
    if candidates is not None:
        return [of_proposals(space, candidates) for space in problem.spaces]
    each = max(48, CANDIDATES // max(len(problem.spaces), 1))
    return [grid(space, each) for space in problem.spaces]
