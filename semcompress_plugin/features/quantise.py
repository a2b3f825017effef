"""Quantisation that asks what matters to the network's own classifier in this very picture.

The cost of a choice of symbols is ``bits * BIT * step^2 + |error|^2 + SENSE * KL``: bits by the tables, the squared
error of the coefficients (the transform is orthonormal where the error of the logits of *all* classes is measured,
plus a little of the features themselves), and the Kullback-Leibler divergence of the answer to second order,
``error' F error``, with the Fisher information F of the classes that the picture could be taken for. Only the
encoder looks at F, so the file spends nothing on it. Symbols are changed one by one, the best change first, until none
helps: rate-distortion optimised quantisation with noise shaping.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.features.tables import BINS, EQUAL, LARGEST, Tables

BIT = 0.1
"""The price of a bit, in squared steps."""
SENSE = 300.0
"""What the answer's divergence counts beside the squared error."""
TRIES = ((1, 0.0), (4, 0.0), (4, 0.05), (4, 0.1), (16, 0.1), (16, 0.2), (64, 0.2), (64, 0.4))
"""How much louder the answer is, and by how much of a logit the first class is to win over the one that took over."""
ROUNDS = 3
"""How often the Fisher information is taken anew, where the answer has come to be."""
CHANGES = 800
"""So many changes are made in a round, at most."""
CLASSES = 100
LIKELY = 5e-4
"""The Fisher information is that of so many classes at most, each more probable than this."""
ROUNDING = 0.35
"""Where the changes start: what is at least this short of the next step is rounded to that."""

FINEST = -8
"""The step of knob value 0, in quarter octaves: a step is ``2 ** ((knob + FINEST) / 4)``, so 0.25 at knob 0."""

Vector = NDArray[np.float64]


def step_size(step: int) -> float:
    """The quantiser's step in units of the coefficients, for the knob's value (1 to 24)."""
    return float(2 ** ((step + FINEST) / 4))


def bins(tables: Tables, step: int) -> NDArray[np.int64]:
    """For each coefficient the row of ``tables.counts`` by which its symbol is coded."""
    here: NDArray[np.int64] = np.clip(tables.octaves.astype(np.int64) - (step + FINEST) + EQUAL, 0, BINS - 1)
    return here


def symbols_of(features: Vector, step: int, tables: Tables) -> NDArray[np.int64]:
    """Symbols, within plus and minus LARGEST, for one vector of features; trailing zeros are cut off.

    Where the classifier's first answer does not survive (near a tie the smallest error decides), the answer's say is
    made louder, and the aim is moved away from the class that has taken over. After the last try the symbols stand,
    whatever they mean.
    """
    wanted = (features.astype(np.float64) - tables.mean) @ tables.analysis
    bits = -np.log2(tables.counts[bins(tables, step)].astype(np.float64))
    logits = tables.logits(features)
    first = second = int(logits.argmax())
    symbols = np.zeros(0, np.int64)
    for louder, margin in TRIES:
        away = tables.effect[:, first] - tables.effect[:, second]
        aim = wanted + away * (margin / max(float(away @ away), 1e-9))
        symbols = _searched(_Search(aim, step_size(step), bits, SENSE * louder), logits, tables)
        second = int(tables.logits(features_of([symbols], step, tables)[0]).argmax())
        if second == first:
            break
    return symbols


def _searched(search: _Search, logits: Vector, tables: Tables) -> NDArray[np.int64]:
    answer = _softmax(logits)
    share = answer
    for _ in range(ROUNDS):
        search.improve(_sense(share, tables.effect))
        # where the answer has moved, what it has moved to matters as well
        share = (answer + _softmax(np.log(answer + 1e-30) + search.error @ tables.effect)) / 2
    used = np.flatnonzero(search.symbols)
    symbols: NDArray[np.int64] = search.symbols[: used[-1] + 1 if used.size else 0]
    return symbols


def features_of(rows: Sequence[NDArray[np.int64]], step: int, tables: Tables) -> NDArray[np.float32]:
    """The features that symbols stand for, (rows, features).

    A few lie below zero, where the network's own never do: raising them to it would change the logits that the
    symbols were chosen for.
    """
    size = step_size(step)
    return np.stack([tables.mean + size * row @ tables.synthesis[: len(row)] for row in rows]).astype(np.float32)


class _Sense(NamedTuple):
    """The Fisher information ``effect (diag share - share share') effect'`` of the likely classes, in factors."""

    effect: Vector
    share: Vector
    mean: Vector
    diagonal: Vector


def _sense(share: Vector, effect: Vector) -> _Sense:
    likely = np.argsort(-share, kind="stable")[:CLASSES]
    likely = likely[share[likely] > LIKELY]
    some, weight = effect[:, likely], share[likely]
    mean = some @ weight
    return _Sense(some, weight, mean, (some * some) @ weight - mean * mean)


class _Search:
    """Symbols on their way to the cheapest, with the error and the bits that each change would cost.

    ``loudness`` is what the classifier's answer counts beside the squared error.
    """

    def __init__(self, wanted: Vector, size: float, bits: Vector, loudness: float) -> None:
        self.size, self.bits, self.loudness = size, bits, loudness
        rounded = np.sign(wanted) * np.floor(np.abs(wanted) / size + ROUNDING)
        self.symbols = np.clip(rounded, -LARGEST, LARGEST).astype(np.int64)
        self.error = self.symbols * size - wanted
        # the possible changes, a row each: one down, one up, to zero; and their bits
        self.change = np.empty((3, len(wanted)))
        self.more_bits = np.empty((3, len(wanted)))
        self._note(np.arange(len(wanted)))

    def improve(self, sense: _Sense) -> None:
        """Make the best change, again and again, until none helps."""
        curvature = 1 + self.loudness * sense.diagonal
        weighted = self.loudness * sense.effect * sense.share
        drifting = self.loudness * sense.mean
        price = BIT * self.size**2
        moved, drift = self.error @ sense.effect, float(self.error @ sense.mean)
        fixed = curvature * self.change**2 + price * self.more_bits
        for _ in range(CHANGES):
            slope = self.error + weighted @ moved - drifting * drift
            cost = 2 * slope * self.change + fixed
            best = int(cost.argmin())
            if cost.flat[best] >= -1e-9:
                return
            at, by = best % len(self.symbols), float(self.change.flat[best])
            self.symbols[at] += round(by / self.size)
            self.error[at] += by
            moved += by * sense.effect[at]
            drift += float(by * sense.mean[at])
            self._note(np.array([at]))
            fixed[:, at] = curvature[at] * self.change[:, at] ** 2 + price * self.more_bits[:, at]

    def _note(self, at: NDArray[np.int64]) -> None:
        """Work out the possible changes of these symbols."""
        now = self.symbols[at]
        others = np.stack([np.maximum(now - 1, -LARGEST), np.minimum(now + 1, LARGEST), np.zeros_like(now)])
        self.change[:, at] = (others - now) * self.size
        self.more_bits[:, at] = self.bits[at, others + LARGEST] - self.bits[at, now + LARGEST]


def _softmax(logits: Vector) -> Vector:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())
