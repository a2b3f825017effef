"""The colours of a palette: those of a picture, clustered.

Clusters are halved, the worst first, where a channel varies most, at its mean (as Wan, Wong and Prusinkiewicz, "An
algorithm for multidimensional data clustering", ACM TOMS 14:153, 1988, and pngquant do), and then moved by k-means
(Celebi, "Improving the performance of k-means for color quantization", Image and Vision Computing 29:260, 2011). All
colours take part, each once: a sample of pixels misses small things.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

POWER = 0.75
"""A colour weighs as many pixels as it has, to this power: 1 gives backgrounds what icons need, and less blurs both."""

_MOST = 1 << 15
"""Colours of a group, above which neighbours become one: a photograph has as many as pixels."""
_ROUNDS = 4
_AT_ONCE = 1 << 13
"""Colours that are compared with all entries at once: their distances stay in the processor's cache."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Colours that share no entry with another group's: ``points`` (colours, channels), each of ``counts`` pixels.

    ``fixed`` (entries, channels) are entries of its own that stay as they are.
    """

    points: Floats
    counts: NDArray[np.int64]
    fixed: Floats


def clustered(groups: Sequence[Group], many: int) -> list[Floats]:
    """For each group further entries, ``many`` in all: at least one for a group that has points, none for one without.

    ``many`` is at least the number of groups that have points.
    """
    colours = list(map(_merged, groups))
    return list(map(_moved, colours, _halved(colours, many)))


def nearest(points: Floats, entries: Floats) -> NDArray[np.intp]:
    """Of each point the number of the entry next to it. There is an entry."""
    found = np.empty(len(points), np.intp)
    half = np.einsum("ij,ij->i", entries, entries) / 2
    for first in range(0, len(points), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        found[some] = (points[some] @ entries.T - half).argmax(axis=1)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Colours:
    """A group's colours and their weights, (colours, channels) and (colours,), beside its fixed entries."""

    points: Floats
    weights: Floats
    fixed: Floats

    def cluster(self, members: NDArray[np.intp]) -> _Cluster:
        points, weights = self.points[members], self.weights[members]
        total = weights.sum()
        mean = weights @ points / total
        varies = weights @ (points - mean) ** 2
        return _Cluster(self, members, mean, float(varies.sum()), int(varies.argmax()))


@dataclass(frozen=True, slots=True, eq=False)
class _Cluster:
    """Some of a group's colours: their ``mean``, the squared distances from it, and the ``channel`` that has most."""

    colours: _Colours
    members: NDArray[np.intp]
    mean: Floats
    spread: float
    channel: int

    def halves(self) -> list[_Cluster]:
        """The two halves; none of what is one colour, or cannot be told from that in single precision."""
        low = self.colours.points[self.members, self.channel] <= self.mean[self.channel]
        if low.all() or not low.any():
            return []
        return [self.colours.cluster(self.members[half]) for half in (low, ~low)]


def _merged(group: Group) -> _Colours:
    """The group with at most ``_MOST`` colours: means of those that are alike but for their last bits."""
    points: Floats = group.points
    counts = group.counts
    for bits in range(1, 8):
        if len(points) <= _MOST:
            break
        places = (group.points.astype(np.uint32) >> bits) @ (1 << np.arange(0, 8 * points.shape[1], 8, dtype=np.uint64))
        _, where = np.unique(places, return_inverse=True)
        counts = np.bincount(where, group.counts).astype(np.int64)
        points = _sums(where, group.points, group.counts, len(counts))
        points /= counts[:, None]
    return _Colours(points, np.power(counts.astype(np.float32), np.float32(POWER)), group.fixed)


def _halved(groups: Sequence[_Colours], many: int) -> list[Floats]:
    """The means of clusters, (entries, channels) for each group: ``many`` in all, or fewer where there are no more."""
    clusters = [group.cluster(np.arange(len(group.points))) for group in groups if len(group.points)]
    waiting = [(-cluster.spread, number, cluster) for number, cluster in enumerate(clusters)]
    heapq.heapify(waiting)
    numbers = count(len(waiting))
    whole: list[_Cluster] = []
    while waiting and len(waiting) + len(whole) < many:
        *_, worst = heapq.heappop(waiting)
        halves = worst.halves()
        for half in halves:
            heapq.heappush(waiting, (-half.spread, next(numbers), half))
        if not halves:
            whole.append(worst)
    whole += [cluster for *_, cluster in waiting]
    return [
        np.array([one.mean for one in whole if one.colours is group], np.float32).reshape(-1, group.points.shape[1])
        for group in groups
    ]


def _moved(group: _Colours, entries: Floats) -> Floats:
    """``entries`` after some rounds of k-means, in which the fixed ones take part and stay."""
    for _ in range(_ROUNDS if len(entries) else 0):
        near = nearest(group.points, np.concatenate([group.fixed, entries])) - len(group.fixed)
        own = near >= 0
        sums = _sums(near[own], group.points[own], group.weights[own], len(entries))
        total = np.bincount(near[own], group.weights[own], len(entries)).astype(np.float32)[:, None]
        entries = np.where(total > 0, sums / np.maximum(total, 1e-9), entries)
    return entries


def _sums(where: NDArray[np.intp], points: Floats, weights: NDArray[Any], many: int) -> Floats:
    """Weighted sums of the points that belong to each of ``many``: shape (many, channels)."""
    return np.stack([np.bincount(where, channel * weights, many) for channel in points.T], axis=1).astype(np.float32)
