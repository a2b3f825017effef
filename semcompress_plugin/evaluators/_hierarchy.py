"""ImageNet's 1000 classes in WordNet's hierarchy: how far two of them are apart, and what lies between.

The table is derived from WordNet 3.0 by tools/make_hierarchy.py. A synset may have several hypernyms, so the hierarchy
is a directed graph without circles, of one root (`entity`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.errors import ModelError
from semcompress_plugin.evaluators._model import MODELS, REINSTALL

CLASSES = 1000


class Hierarchy:
    """``names`` and ``parents`` of synsets, by their number; the first ``classes`` of them are what a reader knows."""

    def __init__(self, names: Sequence[str], parents: Sequence[Sequence[int]], classes: int = CLASSES) -> None:
        self.names, self.parents, self.classes = tuple(names), tuple(map(tuple, parents)), classes
        self._above = cache(self._distances)
        self._groups = cache(self._grouped)

    def lca_height(self, one: int, other: int) -> int:
        """Height of the lowest common ancestor of two classes; 0 for the same class.

        As in 'Making Better Mistakes' (Bertinetto et al. 2020): a synset's height is the longest way from it down to
        a class. Where WordNet gives two classes several common ancestors, the one of least height counts.
        """
        return min(self.heights[synset] for synset in self._above(one).keys() & self._above(other).keys())

    def wup_similarity(self, one: int, other: int) -> float:
        """Wu and Palmer's similarity (1994), above 0 to 1 (same class).

        ``2 d / (a + b)``: d is the depth of a common ancestor (1 for the root, by the longest way), a and b those of
        the two classes by way of it. Of several common ancestors the one counts that gives most.
        """
        above, beside = self._above(one), self._above(other)
        return max(
            2 * depth / (2 * depth + above[synset] + beside[synset])
            for synset in above.keys() & beside.keys()
            for depth in (self.depths[synset],)
        )

    def summed(self, probabilities: NDArray[np.floating[Any]], depth: int) -> NDArray[np.float64]:
        """Probabilities summed over classes that are one at ``depth`` (0: the root). (..., classes) to (..., groups).

        A class belongs to its ancestor so many steps below the root, on the way of first hypernyms; one that is not
        that deep stands for itself.
        """
        groups = self._groups(depth)
        count = int(groups.max()) + 1
        rows = probabilities.reshape(-1, probabilities.shape[-1])
        sums = [np.bincount(groups, weights=row, minlength=count) for row in rows]
        return np.reshape(sums, (*probabilities.shape[:-1], count))

    def path(self, synset: int) -> list[int]:
        """The way from a synset to the root by first hypernyms, itself first."""
        way = [synset]
        while self.parents[way[-1]]:
            way.append(self.parents[way[-1]][0])
        return way

    def in_words(self, synsets: Iterable[int]) -> str:
        """``tabby < domestic cat (1) < cat (2) < …; tiger cat < domestic cat (1)``: each one's way up, with heights.

        A way is told as far as it meets one that was told before.
        """
        told: set[int] = set()
        ways = []
        for synset in dict.fromkeys(synsets):
            first, *above = self.path(synset)
            words = [self.names[first]]
            for each in above:
                words.append(f"{self.names[each]} ({self.heights[each]})")
                if each in told:
                    break
                told.add(each)
            ways.append(" < ".join(words))
        return "; ".join(ways)

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """The longest way down from each synset to a class."""
        heights = [0] * len(self.names)
        for synset in reversed(self._from_root):
            for parent in self.parents[synset]:
                heights[parent] = max(heights[parent], heights[synset] + 1)
        return tuple(heights)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """The longest way from the root to each synset, counted in synsets: 1 for the root."""
        depths = [1] * len(self.names)
        for synset in self._from_root:
            depths[synset] = max((depths[parent] + 1 for parent in self.parents[synset]), default=1)
        return tuple(depths)

    @cached_property
    def _from_root(self) -> list[int]:
        """All synsets, each after all that are above it."""
        order: dict[int, None] = {}

        def add(synset: int) -> None:
            if synset not in order:
                for parent in self.parents[synset]:
                    add(parent)
                order[synset] = None

        for synset in range(len(self.names)):
            add(synset)
        return list(order)

    def _distances(self, synset: int) -> dict[int, int]:
        """The synset and everything above it, with how many steps it is away by the shortest way."""
        found, edge, steps = {synset: 0}, [synset], 0
        while edge:
            steps += 1
            edge = [parent for each in edge for parent in self.parents[each] if parent not in found]
            found |= dict.fromkeys(edge, steps)
        return found

    def _grouped(self, depth: int) -> NDArray[np.intp]:
        ways = (self.path(number)[::-1] for number in range(self.classes))
        return np.unique([way[min(depth, len(way) - 1)] for way in ways], return_inverse=True)[1]


@cache
def imagenet() -> Hierarchy:
    """The hierarchy that we ship. Raises ModelError when its table cannot be read."""
    path = MODELS / "wordnet_imagenet.txt"
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        rows = [line.split("\t") for line in lines]
        hierarchy = Hierarchy([row[0] for row in rows], [[int(parent) for parent in row[1:]] for row in rows])
        if len(rows) < CLASSES or sum(not row[1:] for row in rows) != 1:
            raise ValueError("lines are missing")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read the hierarchy of classes ({error}): {REINSTALL}") from error
    return hierarchy
