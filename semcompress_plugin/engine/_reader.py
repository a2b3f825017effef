"""A rule's evaluators looking at candidates: cheap ones first, and part by part where one part settles the matter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from semcompress_plugin.engine._specs import Specs
from semcompress_plugin.engine._tasks import Compare, Observe, Rounds, Task
from semcompress_plugin.types import (
    Constraint,
    EvaluatorSpec,
    EvaluatorUse,
    Features,
    Observation,
    Reference,
    Rule,
    Scores,
)

if TYPE_CHECKING:
    from PIL import Image


class Reader:
    """The rule's evaluators looking at candidates for one reference."""

    def __init__(self, reference: Reference, rule: Rule, specs: Specs) -> None:
        self.reference = reference
        self.constraints = rule.keep
        asked = {constraint.evaluator for constraint in rule.keep}
        self.steps = [step for use in rule.evaluators if use.name in asked for step in _steps(use, rule.keep, specs)]
        self.steps.sort(key=lambda step: step.spec.cost)
        self.observed: dict[tuple[str, str], Sequence[Observation]] = {}

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """By evaluator, for those that are asked so: the names of its parts."""
        return {
            name: tuple(step.part for step in self.steps if step.name == name)
            for name in {step.name for step in self.steps if step.part}
        }

    @property
    def cost(self) -> float:
        """Milliseconds per megapixel of a whole look, roughly."""
        return sum({step.name: step.spec.cost for step in self.steps}.values())

    def look(self, images: Sequence[Image.Image | Features], skip_failed: bool = True) -> Rounds[list[Seen]]:
        """What is seen in each image; dear evaluators are not asked about those that failed a cheaper one.

        Of steps that cost the same the one comes first at which the last image failed: the next will probably, too.
        """
        seen = [Seen({}, {}) for _ in images]
        live = list(range(len(images)))
        for step in list(self.steps):
            values = yield from self._values(step, [images[index] for index in live])
            for index, value in zip(live, values, strict=True):
                seen[index].learn(step, value)
                if self.missed({step.name: value}):
                    self.steps.sort(key=lambda other: (other.spec.cost, other is not step))
            if skip_failed:
                live = [index for index in live if not self.missed(seen[index].scores)]
            if not live:
                break
        return seen

    def _values(self, step: _Step, images: Sequence[Image.Image | Features]) -> Rounds[list[dict[str, float]]]:
        """What a step makes of each image: of every metric the worst over its renditions."""
        size = self.reference.image.size if step.spec.equal_sizes else None
        known = self.observed.get((step.name, step.part))
        tasks: list[Task] = [Observe(step.use, image, size) for image in images]
        if known is None:
            tasks.append(Observe(step.use, self.reference.image))
        seen = cast("list[Sequence[Observation]]", list((yield tasks)))
        if known is None:
            known = self.observed[step.name, step.part] = seen.pop()
        comparisons = [Compare(step.use, known, candidate) for candidate in seen]
        values = cast("Sequence[Sequence[dict[str, float]]]", (yield comparisons))
        return [_worst(renditions, step.spec) for renditions in values]

    def missed(self, scores: Scores) -> list[str]:
        """The constraints that do not hold, in words, among the evaluators that were asked."""
        return [
            f"{constraint} not held: {constraint.shown(scores[constraint.evaluator][constraint.metric.name])}"
            for constraint in self.constraints
            if constraint.evaluator in scores
            and not constraint.holds(scores[constraint.evaluator][constraint.metric.name])
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """An evaluator to ask, or one of its parts; ``name`` is what the rule calls the evaluator."""

    name: str
    part: str
    use: EvaluatorUse
    spec: EvaluatorSpec


@dataclass(slots=True)
class Seen:
    """What evaluators saw in one image: ``scores`` so far, and by ``parts`` (``metric/part``).

    The score of an evaluator of which not all parts were asked is the worst of those that were.
    """

    scores: dict[str, dict[str, float]]
    parts: dict[str, dict[str, float]]

    def learn(self, step: _Step, values: dict[str, float]) -> None:
        known = self.scores.get(step.name)
        self.scores[step.name] = values if known is None else _worst([known, values], step.spec)
        if step.part:
            told = {f"{metric}/{step.part}": value for metric, value in values.items()}
            self.parts.setdefault(step.name, {}).update(told)


def _steps(use: EvaluatorUse, constraints: Iterable[Constraint], specs: Specs) -> list[_Step]:
    """How an evaluator is asked: in parts only where a single part that breaks a bound settles the matter.

    Whether the worst of the parts lies too far on the good side one alone does not tell.
    """
    spec = specs.evaluator(use.plugin)
    bounds = [constraint for constraint in constraints if constraint.evaluator == use.name]
    if spec.parts is None or any((c.max if c.metric.higher_is_better else c.min) is not None for c in bounds):
        return [_Step(use.name, "", use, spec)]
    option = spec.parts.option
    names = spec.parts.names(use.options)
    return [_Step(use.name, name, replace(use, options={**use.options, option: name}), spec) for name in names]


def _worst(renditions: Iterable[Mapping[str, float]], spec: EvaluatorSpec) -> dict[str, float]:
    """Of each metric the worst value over all renditions; NaN, with which no bound holds, is worse than any number."""
    rows = list(renditions)
    return {
        metric.name: _worst_of([float(row[metric.name]) for row in rows], metric.higher_is_better)
        for metric in spec.metrics
    }


def _worst_of(values: Sequence[float], higher_is_better: bool) -> float:
    # min and max take NaN or leave it depending on where it stands
    return math.nan if any(map(math.isnan, values)) else (min if higher_is_better else max)(values)
