"""Every setting of a grid: the optimum, for benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from semcompress_plugin.search import Problem
from semcompress_plugin.search._grid import ladder
from semcompress_plugin.types import Proposal, Trial


class Exhaustive:
    """Proposes the full grid, ``steps`` levels of every free knob, space by space; the budget cuts it off."""

    def __init__(self, problem: Problem, *, steps: int = 9) -> None:
        proposals = (
            Proposal(
                space.compressor,
                space.format,
                {
                    knob.name: int(value) if knob.integer else value
                    for knob, value in zip(space.knobs, point, strict=True)
                },
            )
            for space in problem.spaces
            for point in product(*(ladder(knob, steps).tolist() for knob in space.knobs))
        )
        self._rest = (proposal for _, proposal in zip(range(problem.looks), proposals, strict=False))

    def ask(self, n: int) -> list[Proposal]:
        return [proposal for _, proposal in zip(range(n), self._rest, strict=False)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Nothing can be learned that would change what comes next."""
