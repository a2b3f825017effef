"""Two lists of boxes, compared: pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAME = 0.5
"""Intersection over union from which on two boxes are the same thing."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """``corners`` is (boxes, 4): left, top, right, bottom as shares of width and height; ``labels`` and ``scores``
    (boxes,), the surest first."""

    corners: NDArray[np.floating[Any]]
    labels: NDArray[np.integer[Any]]
    scores: NDArray[np.floating[Any]]

    def __len__(self) -> int:
        return len(self.corners)


def overlap(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Intersection over union, 0 to 1, of each box with each: (n, 4) and (m, 4) give (n, m)."""
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(min=0).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2]).clip(min=0).prod(axis=-1) for box in (a, b)]
    union = areas[0] + areas[1] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def matches(reference: Boxes, candidate: Boxes) -> int:
    """How many pairs of the same class overlap enough. A box belongs to one pair; the surest of the candidate's choose
    first, each the one that it overlaps most (as PASCAL VOC and COCO count)."""
    left = overlap(reference.corners, candidate.corners)
    left[reference.labels[:, None] != candidate.labels[None]] = 0
    count = 0
    for column in np.argsort(-candidate.scores, kind="stable"):
        if len(reference) and left[row := int(left[:, column].argmax()), column] >= SAME:
            left[row] = 0
            count += 1
    return count


def compared(reference: Boxes, candidate: Boxes) -> dict[str, float]:
    """Recall, precision and change of count. Of no boxes none is missed, and none is wrong."""
    same = matches(reference, candidate)
    return {
        "box_recall": same / len(reference) if len(reference) else 1.0,
        "box_precision": same / len(candidate) if len(candidate) else 1.0,
        "count_change": float(abs(len(candidate) - len(reference))),
    }
