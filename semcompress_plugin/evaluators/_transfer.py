"""What one classifier's answers say of other readers' verdicts: pure functions of its probabilities, in ``float64``.

Two readers disagree about a picture where its verdict is close for both. What this one saw of the picture before and
after is the only evidence there is of the others, which nobody asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_TINY = 1e-300  # of a probability, before its logarithm is taken
_FARTHEST = 20.0  # a lead, in logits, beyond which nothing more is learned

# Logistic regression of other readers' verdicts: `python benchmarks/risk.py FIT …` prints these. EfficientNet-Lite1, in
# four views of 150 photographs in 77 files each, was the other reader; whether it holds for still others was judged
# on other photographs (docs/benchmarks.md).
INTERCEPT = 1.230
OF_CHANGE = 0.1082
OF_LEAD = -0.4662
OF_LEAD_BEFORE = -0.2426
OF_DIVERGENCE = 0.6086


def sway(reference: Array, candidate: Array) -> NDArray[np.float64]:
    """How far a reader was swayed from its top class, 0 to 1. Probabilities (..., classes) broadcast to (...).

    ``c / (c + sqrt(m))``: ``c`` is the root mean square change of the class scores (logarithms of the probabilities,
    less their mean over the classes: the network's logits up to a constant), ``m`` the lead in the candidate of the
    reference's top class over the next one. Without a lead it is 1. Other readers' scores change about as much as this
    one's, and their verdicts turn where that is large beside their lead; the root stands between this reader's lead
    and the little that it says of theirs (chosen in benchmarks/fidelity.py).
    """
    moved, (_, lead) = change(reference, candidate), leads(reference, candidate)
    total = moved + np.sqrt(np.maximum(lead, 0.0))
    return np.asarray(np.divide(moved, total, out=np.zeros_like(total), where=total > 0))


def risk(reference: Array, candidate: Array, divergence: Array) -> NDArray[np.float64]:
    """The chance, 0 to 1, that another reader's top class turns. Probabilities (..., classes) broadcast to (...).

    Logistic in the logarithm of :func:`change`, the leads of the reference's top class in both (:func:`leads`) and the
    logarithm of ``divergence``, the Jensen-Shannon divergence of the two in bits (0 to 1), shape (...). 0 where nothing
    has changed.
    """
    moved, (before, after) = change(reference, candidate), leads(reference, candidate)
    logit = (
        INTERCEPT
        + OF_CHANGE * np.log(moved + 1e-3)
        + OF_LEAD * np.clip(after, -_FARTHEST, _FARTHEST)
        + OF_LEAD_BEFORE * before
        + OF_DIVERGENCE * np.log(divergence + 1e-6)
    )
    return np.asarray(np.where(moved > 0, 1 / (1 + np.exp(-logit)), 0.0))


def change(reference: Array, candidate: Array) -> NDArray[np.float64]:
    """Root mean square change of the class scores: (..., classes) broadcast to (...)."""
    before, after = _scores(reference), _scores(candidate)
    moved = (after - after.mean(axis=-1, keepdims=True)) - (before - before.mean(axis=-1, keepdims=True))
    return np.asarray(np.sqrt((moved**2).mean(axis=-1)))


def leads(reference: Array, candidate: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the reference's top class is before the best other one in each of the two, in logits.

    Both (...), broadcast from (..., classes); in the candidate it is negative where that class has lost its place.
    """
    before, after = np.broadcast_arrays(_scores(reference), _scores(candidate))
    top = np.broadcast_to(np.asarray(reference).argmax(axis=-1)[..., None], (*before.shape[:-1], 1))

    def lead(scores: Array) -> NDArray[np.float64]:
        rest = np.array(scores, np.float64)
        np.put_along_axis(rest, top, -np.inf, axis=-1)
        return np.asarray(np.take_along_axis(scores, top, axis=-1)[..., 0] - rest.max(axis=-1))

    return lead(before), lead(after)


def _scores(probabilities: Array) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, np.float64), _TINY)))
