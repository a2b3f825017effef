"""One knob, step by step towards smaller files, until a constraint fails: the loop of the original blog post."""

from __future__ import annotations

from collections.abc import Sequence

from semcompress_plugin.errors import PluginError
from semcompress_plugin.search import Problem
from semcompress_plugin.search._grid import ladder
from semcompress_plugin.types import Knob, Proposal, Space, Trial


class Linear:
    """Steps one knob of each space from its largest files to its smallest and stops where the first trial fails.

    ``knob`` is the knob to step; without it, the space's only free knob, or the one called ``steps``, or the first
    free one. An integer knob moves by one where it has at most ``steps`` values, else in ``steps`` equal steps.
    The other knobs stay where files are largest. Spaces are walked one after the other.
    """

    def __init__(self, problem: Problem, *, knob: str | None = None, steps: int = 100) -> None:
        self.problem = problem
        self._walks = [_walk(space, knob, steps) for space in problem.spaces]
        self._asked = 0
        self._pending: list[Proposal] = []

    def ask(self, n: int) -> list[Proposal]:
        """One proposal at most, whatever ``n``: the next step depends on how the last one went."""
        if n < 1 or self._pending or self._asked >= self.problem.looks:
            return []
        while self._walks and not self._walks[0]:
            self._walks.pop(0)
        if not self._walks:
            return []
        self._asked += 1
        self._pending = [self._walks[0].pop(0)]
        return list(self._pending)

    def tell(self, trials: Sequence[Trial]) -> None:
        """End the walk at a look that does not hold; a file too large to look at says nothing, so it goes on."""
        for trial in trials:
            if trial.proposal in self._pending:
                self._pending.remove(trial.proposal)
                if trial.looked and not trial.holds:
                    self._walks.pop(0)


def _walk(space: Space, name: str | None, steps: int) -> list[Proposal]:
    moving = _moving(space, name)
    fixed = {knob.name: knob.high if knob.smaller == "low" else knob.low for knob in space.knobs}
    if moving is None:
        return [_proposal(space, fixed)]
    values = ladder(moving, steps).tolist()
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
