"""Spaces as finite sets of candidates, with coordinates that run from the smallest files to the largest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.types import Knob, Proposal, Space

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Candidates of one space. ``values`` is (candidates, knobs), ``unit`` the same in coordinates from 0 to 1.

    A unit coordinate is 0 where the knob makes files smallest and 1 where it makes them largest (1 for fixed knobs).
    """

    space: Space
    values: Array
    unit: Array

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> Array | None:
        """The values of the knob ``name``, if the space has it."""
        for index, knob in enumerate(self.space.knobs):
            if knob.name == name:
                return np.asarray(self.values[:, index])
        return None

    def proposal(self, index: int) -> Proposal:
        row = self.values[index].tolist()
        settings = {
            knob.name: round(value) if knob.integer else value
            for knob, value in zip(self.space.knobs, row, strict=True)
        }
        return Proposal(self.space.compressor, self.space.format, settings)


def grid(space: Space, size: int) -> Grid:
    """About ``size`` candidates at most: a full grid where that is fine enough, else points spread evenly (Halton)."""
    free = [knob for knob in space.knobs if not knob.fixed]
    levels = _levels(free, size)
    if all(count >= min(_cardinality(knob), 5) for knob, count in zip(free, levels, strict=True)):
        axes = iter([ladder(knob, count) for knob, count in zip(free, levels, strict=True)])
        columns = [np.array([knob.low]) if knob.fixed else next(axes) for knob in space.knobs]
        mesh = np.meshgrid(*columns, indexing="ij") if columns else [np.zeros(1)]
        values = np.stack([axis.ravel() for axis in mesh], axis=-1)[:, : len(columns)]
    else:
        points = np.ones((size, len(space.knobs)))
        places = [index for index, knob in enumerate(space.knobs) if not knob.fixed]
        points[:, places] = _spread(size, len(places))
        values = np.stack([_from_unit(knob, points[:, index]) for index, knob in enumerate(space.knobs)], axis=-1)
        values = values[np.sort(np.unique(values, axis=0, return_index=True)[1])]
    return with_values(space, values)


def with_values(space: Space, values: Array) -> Grid:
    """The grid of exactly these candidates; ``values`` is (candidates, knobs)."""
    columns = [to_unit(knob, values[:, index]) for index, knob in enumerate(space.knobs)]
    return Grid(space, values, np.stack(columns, axis=-1) if columns else np.zeros((len(values), 0)))


def of_proposals(space: Space, proposals: Iterable[Proposal]) -> Grid:
    """The grid of those among ``proposals`` that belong to ``space``."""
    mine = [p for p in proposals if (p.compressor, p.format) == (space.compressor, space.format)]
    rows = [[p.settings[knob.name] for knob in space.knobs] for p in mine]
    return with_values(space, np.array(rows, float).reshape(len(mine), len(space.knobs)))


def ladder(knob: Knob, count: int) -> Array:
    """``count`` values at most of one knob, ascending, both ends included, each once."""
    if count == 1 or knob.fixed:
        return np.array([knob.high if knob.smaller == "low" else knob.low])
    values: Array = np.unique(_from_unit(knob, np.linspace(0.0, 1.0, count)))
    return values


def to_unit(knob: Knob, values: Array) -> Array:
    """0 where files are smallest, 1 where they are largest."""
    if knob.fixed:
        return np.ones(len(values))
    low, high = _scaled(knob, np.array([knob.low, knob.high]))
    unit = (_scaled(knob, values) - low) / (high - low)
    return np.asarray(unit if knob.smaller == "low" else 1.0 - unit)


def _from_unit(knob: Knob, unit: Array) -> Array:
    low, high = _scaled(knob, np.array([knob.low, knob.high]))
    values = low + (unit if knob.smaller == "low" else 1.0 - unit) * (high - low)
    if _logarithmic(knob):
        values = np.exp(values)
    # four digits: settings are recorded, read by people and typed again
    values = np.round(values) if knob.integer else np.array([float(f"{value:.4g}") for value in values.tolist()])
    return np.asarray(np.clip(values, knob.low, knob.high))


def _scaled(knob: Knob, values: Array) -> Array:
    return np.log(values) if _logarithmic(knob) else values


def _logarithmic(knob: Knob) -> bool:
    return knob.log and knob.low > 0


def _cardinality(knob: Knob) -> float:
    return knob.high - knob.low + 1 if knob.integer else math.inf


def _levels(knobs: Sequence[Knob], size: int) -> list[int]:
    """How many levels each knob gets, their product at most ``size``: equal, but for integer knobs that have fewer."""
    levels = [1] * len(knobs)
    left, room = len(knobs), float(size)
    for index in sorted(range(len(knobs)), key=lambda index: _cardinality(knobs[index])):
        levels[index] = max(1, int(min(_cardinality(knobs[index]), room ** (1 / left) + 1e-9)))
        left, room = left - 1, room / levels[index]
    return levels


def _spread(size: int, dimensions: int) -> Array:
    """(size, dimensions) points of the unit cube: its two extreme corners, their diagonal, then a Halton sequence."""
    diagonal = np.repeat(np.linspace(0.0, 1.0, min(size, 9))[::-1, None], dimensions, axis=1)
    rest = [_radical_inverse(_primes(dimensions), index + 1) for index in range(size - len(diagonal))]
    return np.concatenate([diagonal, np.array(rest).reshape(-1, dimensions)])


def _radical_inverse(bases: Sequence[int], index: int) -> list[float]:
    inverses = []
    for base in bases:
        result, fraction, left = 0.0, 1.0, index
        while left:
            left, digit = divmod(left, base)
            fraction /= base
            result += digit * fraction
        inverses.append(result)
    return inverses


def _primes(count: int) -> list[int]:
    primes: list[int] = []
    candidate = 2
    while len(primes) < count:
        if all(candidate % prime for prime in primes):
            primes.append(candidate)
        candidate += 1
    return primes
