"""Search strategies: what they are asked to solve, and which there are. Their code is imported when one is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from semcompress_plugin.types import Constraint, Space


@dataclass(frozen=True, slots=True)
class Problem:
    """One picture's search: find the smallest file below ``ceiling`` bytes for which every constraint holds.

    ``spaces`` are searched together: the smallest file of any of them wins. ``source_bytes`` is the size of the
    file as it stood, if there was one; ``size`` is the picture's width and height in pixels. ``looks`` is the
    budget: a strategy proposes at most so many settings (``frontier`` at most as many again that turn out to be none
    which can be encoded: that is no look). The same problem, with the same answers, is searched in the same way.
    ``parts`` names, by evaluator, the parts that are asked one by one: each must hold its evaluator's bounds, and
    trials say what each showed. ``look`` is what a look costs beside encoding, in rough milliseconds per megapixel
    of the picture.
    """

    spaces: tuple[Space, ...]
    constraints: tuple[Constraint, ...]
    ceiling: float = math.inf
    source_bytes: int | None = None
    size: tuple[int, int] = (1, 1)
    looks: int = 16
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    look: float = 20.0


@dataclass(frozen=True)
class SearchSpec:
    """A strategy as data. ``factory`` is ``"module:attribute"``, called with the problem and the rule's options.

    ``options`` is a JSON schema of those options (an object schema's ``properties``). ``looks`` is its budget where a
    rule gives none.
    """

    name: str
    summary: str
    factory: str
    options: Mapping[str, Any] = field(default_factory=dict)
    looks: int = 16


DEFAULT = "frontier"
"""The search of compressors that name none."""

_STEPS = {"type": "integer", "minimum": 2, "maximum": 1000}

STRATEGIES: Mapping[str, SearchSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            SearchSpec(
                "frontier",
                "looks where the chance that all constraints hold, times the bytes saved, is largest for its time",
                f"{__name__}.frontier:Frontier",
                options={
                    "gain": {"type": "number", "minimum": 0, "maximum": 1},
                    "prior": {"type": "boolean", "default": True},
                },
            ),
            SearchSpec(
                "bisect",
                "bisection along one ladder of settings per compressor",
                f"{__name__}.bisect:Bisect",
            ),
            SearchSpec(
                "exhaustive",
                "every setting of a grid: the optimum, for benchmarks",
                f"{__name__}.exhaustive:Exhaustive",
                options={"steps": _STEPS | {"default": 9}},
            ),
            SearchSpec(
                "linear",
                "one knob, step by step, until a constraint fails",
                f"{__name__}.linear:Linear",
                options={"knob": {"type": "string"}, "steps": _STEPS | {"default": 100}},
                looks=10_000,  # it ends by itself
            ),
        )
    }
)
