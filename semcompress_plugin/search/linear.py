"""One knob, step by step towards smaller files, until a constraint fails: the loop of the original blog post."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from semcompress_plugin.errors import PluginError
from semcompress_plugin.search import Problem
from semcompress_plugin.search._grid import ladder
from semcompress_plugin.types import Knob, Proposal, Space, Trial


class Linear:
    """Steps one knob of each space from its largest files to its smallest and stops where the first look fails.

    ``knob`` is the knob to step; without it, the space's only free knob, or the one called ``steps``, or the first
    free one. An integer knob moves by one where it has at most ``steps`` values, else in ``steps`` equal steps; one
    whose compressor gives previews always moves by one. The other knobs stay where files are largest. Spaces are
    walked one after the other.

    Where there are previews, the loop is the post's: it judges the pixels in memory, whatever their file would
    weigh. Only then files are looked at: that of the last preview that held and, while they fail, of each one before.
    """

    def __init__(self, problem: Problem, *, knob: str | None = None, steps: int = 100) -> None:
        self.problem = problem
        walks = [_walk(space, knob, steps) for space in problem.spaces]
        self._walks: deque[_Files | _Previews] = deque(
            _Previews(walk) if space.previews else _Files(walk)
            for space, walk in zip(problem.spaces, walks, strict=True)
        )
        self._asked = 0
        self._pending: Proposal | None = None

    def ask(self, n: int) -> list[Proposal]:
        """One proposal at most, whatever ``n``: the next step depends on how the last one went.

        The end of the budget is spent on a file, for previews by themselves are nothing to keep.
        """
        if n < 1 or self._pending is not None:
            return []
        while self._walks and self._asked < self.problem.looks:
            if self._asked == self.problem.looks - 1:
                self._walks[0].hurry()
            if (proposal := self._walks[0].next()) is not None:
                self._asked += 1
                self._pending = proposal
                return [proposal]
            self._walks.popleft()
        return []

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            if trial.proposal == self._pending:
                self._pending = None
                self._walks[0].learn(trial)


class _Files:
    """Files one after the other. One that is too large to look at says nothing, so the walk goes on."""

    def __init__(self, steps: Iterable[Proposal]) -> None:
        self._steps = deque(steps)

    def next(self) -> Proposal | None:
        return self._steps.popleft() if self._steps else None

    def learn(self, trial: Trial) -> None:
        if trial.looked and not trial.holds:
            self._steps.clear()

    def hurry(self) -> None:
        """Nothing to do: every look is at a file."""


class _Previews:
    """Previews forward until one fails or there are no more; then files backward until one holds."""

    def __init__(self, steps: Iterable[Proposal]) -> None:
        self._ahead = deque(steps)
        self._behind: list[Proposal] = []

    def next(self) -> Proposal | None:
        if self._ahead:
            return replace(self._ahead.popleft(), preview=True)
        return self._behind.pop() if self._behind else None

    def learn(self, trial: Trial) -> None:
        if trial.proposal.preview and trial.holds:
            self._behind.append(replace(trial.proposal, preview=False))
        elif trial.proposal.preview:
            self._ahead.clear()
        elif trial.holds:
            self._behind.clear()

    def hurry(self) -> None:
        if self._behind:
            self._ahead.clear()


def _walk(space: Space, name: str | None, steps: int) -> list[Proposal]:
    moving = _moving(space, name)
    fixed = {knob.name: knob.high if knob.smaller == "low" else knob.low for knob in space.knobs}
    if moving is None:
        return [_proposal(space, fixed)]
    every = range(int(moving.low), int(moving.high) + 1)
    values = [*every] if space.previews and moving.integer else ladder(moving, steps).tolist()
    if moving.smaller == "low":
        values.reverse()
    return [_proposal(space, fixed | {moving.name: value}) for value in values]


def _proposal(space: Space, settings: dict[str, float]) -> Proposal:
    whole = {knob.name for knob in space.knobs if knob.integer}
    return Proposal(
        space.compressor, space.format, {k: int(value) if k in whole else value for k, value in settings.items()}
    )


def _moving(space: Space, name: str | None) -> Knob | None:
    free = [knob for knob in space.knobs if not knob.fixed]
    if name is not None:
        named = [knob for knob in space.knobs if knob.name == name]
        if not named:
            known = ", ".join(knob.name for knob in space.knobs)
            raise PluginError(f"search linear: {space.compressor} has no knob {name!r}; it has {known}")
        return named[0]
    return next((knob for knob in free if knob.name == "steps"), free[0] if free else None)
