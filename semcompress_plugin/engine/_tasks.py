"""What the engine asks to be done and what it is sent back. Whoever drives it chooses where that happens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from semcompress_plugin.types import CompressorUse, EvaluatorUse, Features, Observation, Proposal, Reference

if TYPE_CHECKING:
    from PIL import Image

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoded file and what was decoded back from it: an upright image, or features where it holds no pixels.

    For a preview no bytes, and the pixels themselves.
    """

    proposal: Proposal
    data: bytes
    image: Image.Image | Features


@dataclass(frozen=True, slots=True)
class EncodingFailed:
    """The compressor cannot write this picture with these settings (too large for the format, …).

    ``doubtful``: a stranger's says so, of whom nobody knows whether it will say so tomorrow.
    """

    proposal: Proposal
    reason: str
    doubtful: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """Task: -> Candidate, decoded again from its bytes, or EncodingFailed."""

    use: CompressorUse
    reference: Reference
    proposal: Proposal


@dataclass(frozen=True, slots=True, eq=False)
class Observe:
    """Task: -> what the evaluator sees, one observation per rendition of ``image``; of features, one.

    ``size`` is the reference's, given when the evaluator needs equal sizes.
    """

    use: EvaluatorUse
    image: Image.Image | Features
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Compare:
    """Task: -> metric -> value for one candidate, one mapping per rendition."""

    use: EvaluatorUse
    reference: Sequence[Observation]
    candidate: Sequence[Observation]


Task = Encode | Observe | Compare
Rounds = Generator[Sequence[Task], Sequence[object], Answer]
"""Yields rounds of tasks, is sent their results, returns an answer."""


def drive(rounds: Rounds[Answer], perform: Callable[[Task], object]) -> Answer:
    """Run the tasks one after the other, here."""
    try:
        tasks = next(rounds)
        while True:
            tasks = rounds.send([perform(task) for task in tasks])
    except StopIteration as stop:
        return cast(Answer, stop.value)
