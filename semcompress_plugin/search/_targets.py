"""Constraints as intervals of numbers that vary smoothly with the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from semcompress_plugin.types import Constraint, Metric, Trial

_SATURATED = 0.02
_SPAN = {"log": 7.0, "log1m": 5.0, "step": 3.0}


def smooth(metric: Metric, value: float) -> float:
    """``value`` on a scale where it varies evenly with the settings: the metric's own, straightened near the worst.

    A divergence close to its maximum can hardly grow: there, the logarithm of what is left counts as well (a logit).
    """
    if metric.transform == "log" and not metric.higher_is_better and math.isfinite(metric.maximum):
        return metric.smooth(value) - math.log(max(1.0 - value / metric.maximum, _SATURATED))
    return metric.smooth(value)


@dataclass(frozen=True, slots=True)
class Target:
    """One constraint as an interval [low, high] of a number that varies smoothly; inside, it holds.

    A yes/no metric has no scale: it becomes 1 for yes and -1 for no, and holds above 0. ``part``: of an evaluator that
    is asked in parts, the one that must show it.
    """

    constraint: Constraint
    part: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        metric, low, high = self.constraint.metric, self.constraint.min, self.constraint.max
        if metric.transform == "step":
            return 0.0, math.inf
        return -math.inf if low is None else smooth(metric, low), math.inf if high is None else smooth(metric, high)

    @property
    def bound(self) -> float:
        """The edge that small files cross; the middle of an interval with two edges."""
        edges = [edge for edge in self.interval if math.isfinite(edge)]
        return sum(edges) / len(edges) if edges else 0.0

    @property
    def sign(self) -> float:
        """1 where larger files have larger numbers, else -1."""
        return 1.0 if self.constraint.metric.higher_is_better else -1.0

    @property
    def span(self) -> float:
        """How far the number typically moves between the smallest and the largest file."""
        metric = self.constraint.metric
        if metric.transform in _SPAN:
            return _SPAN[metric.transform]
        if math.isfinite(metric.maximum - metric.minimum):
            return max(metric.maximum - metric.minimum, 1e-6)
        return max(abs(self.bound), 1e-6)

    def number(self, trial: Trial) -> float | None:
        """What the trial showed, if its evaluator, or this part of it, was asked.

        Nothing is learned from how absurd an answer is: it counts as a whole span from the bound at most, and what
        is no number at all as that far on the wrong side.
        """
        metric = self.constraint.metric
        scores, name = (trial.parts, f"{metric.name}/{self.part}") if self.part else (trial.scores, metric.name)
        value = scores.get(self.constraint.evaluator, {}).get(name)
        if value is None:
            return None
        if metric.transform == "step":
            return 1.0 if self.constraint.holds(value) else -1.0
        number = smooth(metric, value)
        if math.isnan(number):
            return self.bound - self.sign * self.span
        low, high = (edge if math.isfinite(edge) else self.bound for edge in self.interval)
        return min(max(number, low - self.span), high + self.span)
