"""What a search may ask of its readers, as numbers that should be small: candidates for a preset's constraint.

Logits are (photographs, 1 + settings, classes), the photograph itself first. A criterion maps the looks' logits to
(photographs, 1 + settings).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.evaluators.classifier import js_divergence, softmax, sway

Array = NDArray[np.float64]
Looks = Mapping[str, NDArray[np.float32]]
Criterion = Callable[[Looks], Array]

CENTER, FULL, FLIP, SECOND = "lite0.center", "lite0.full", "lite0.flip", "lite1.center"
ALL = (CENTER, FULL, FLIP, SECOND)


def divergence(logits: NDArray[np.float32], temperature: float = 1.0) -> Array:
    """Jensen-Shannon divergence from the photograph."""
    p = softmax(logits.astype(np.float64) / temperature)
    return js_divergence(p[:, :1], p)


def swayed(logits: NDArray[np.float32]) -> Array:
    """The product's metric ``sway``."""
    p = softmax(logits)
    return sway(p[:, :1], p)


def change(logits: NDArray[np.float32]) -> Array:
    """Root mean square change of the logits, less their mean."""
    centred = logits.astype(np.float64)
    centred -= centred.mean(axis=-1, keepdims=True)
    return np.asarray(np.sqrt(((centred - centred[:, :1]) ** 2).mean(axis=-1)))


def lead(logits: NDArray[np.float32]) -> Array:
    """How far the photograph's top class is before the next one, in logits; negative where it has lost its place."""
    top = np.broadcast_to(logits[:, :1].argmax(axis=-1)[..., None], (*logits.shape[:2], 1))
    rest = logits.astype(np.float64)
    first = np.take_along_axis(rest, top, axis=-1)[..., 0]
    np.put_along_axis(rest, top, -np.inf, axis=-1)
    return np.asarray(first - rest.max(axis=-1))


def relative(power: float) -> Callable[[NDArray[np.float32]], Array]:
    """The change over a power of the lead; ``sway`` is that of power 1/2, between 0 and 1."""

    def criterion(logits: NDArray[np.float32]) -> Array:
        left = lead(logits)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(left > 0, change(logits) / np.maximum(left, 1e-9) ** power, np.inf)

    return criterion


def turned(logits: NDArray[np.float32]) -> Array:
    """1 where the top class is another: the post's criterion."""
    top = logits.argmax(axis=-1)
    return np.asarray(top != top[:, :1], np.float64)


RISK = (1.230, np.array([0.1082, -0.4662, -0.2426, 0.6086]))
"""Intercept and weights of :func:`risked`: what ``benchmarks/risk.py`` learned from the photographs to learn from."""


def clues(logits: NDArray[np.float32]) -> Array:
    """(photographs, 1 + settings, 4): what a look shows of another reader's chance to turn."""
    after = lead(logits)
    before = np.broadcast_to(after[:, :1], after.shape)
    logs = np.log(change(logits) + 1e-3), np.log(divergence(logits) + 1e-6)
    return np.stack([logs[0], np.clip(after, -20, 20), before, logs[1]], axis=-1)


def risked(logits: NDArray[np.float32]) -> Array:
    """The chance that another reader turns, as learned from Lite1: logistic in four clues; 0 for the photograph."""
    chance = 1 / (1 + np.exp(-RISK[0] - clues(logits) @ RISK[1]))
    chance[:, 0] = 0
    return np.asarray(chance)


def over(looks: tuple[str, ...], criterion: Callable[[NDArray[np.float32]], Array], how: str = "worst") -> Criterion:
    """A criterion of each look by itself; the worst, or the mean, of them counts."""

    def combined(logits: Looks) -> Array:
        values = [criterion(logits[name]) for name in looks]
        return np.asarray(np.maximum.reduce(values) if how == "worst" else np.mean(values, axis=0))

    return combined


def criteria() -> dict[str, Criterion]:
    """Those compared, by what the table calls them."""
    both, views = (CENTER, FULL), (CENTER, FULL, FLIP)
    found: dict[str, Criterion] = {"same top class (the post)": over((CENTER,), turned)}
    for temperature in (0.5, 1.0, 2.0):
        name = "JS, centre" if temperature == 1 else f"JS at temperature {temperature:g}, centre"
        found[name] = over((CENTER,), lambda logits, t=temperature: divergence(logits, t))
    found |= {
        "JS, worst of centre and whole frame": over(both, divergence),
        "JS, mean of centre and mirrored": over((CENTER, FLIP), divergence, "mean"),
        "JS, worst of 3 views": over(views, divergence),
        "JS, worst of Lite0 and Lite1": over((CENTER, SECOND), divergence),
        "JS, mean of Lite0 and Lite1": over((CENTER, SECOND), divergence, "mean"),
        "change of logits, centre": over((CENTER,), change),
        "change / lead, centre": over((CENTER,), relative(1.0)),
        "change / lead, worst of centre and whole frame": over(both, relative(1.0)),
        "change / lead, worst of Lite0 and Lite1": over((CENTER, SECOND), relative(1.0)),
        "change / lead^0.3, worst of centre and whole frame": over(both, relative(0.3)),
        "sway, centre": over((CENTER,), swayed),
        "risk, centre": over((CENTER,), risked),
        "**sway, worst of centre and whole frame**": over(both, swayed),
        "sway, worst of centre and mirrored": over((CENTER, FLIP), swayed),
        "sway, worst of 3 views": over(views, swayed),
        "sway, worst of Lite0 and Lite1": over((CENTER, SECOND), swayed),
        "sway, worst of centre, mirrored and Lite1": over((CENTER, FLIP, SECOND), swayed),
    }
    return found


@dataclass(frozen=True, slots=True)
class Priced:
    """What is paid for, and the bounds that a file must hold at any price."""

    charge: Criterion
    most: Criterion


def priced() -> dict[str, Priced]:
    """Ways to pay instead of to bound, by what the table calls them; ``most`` is held at 1."""

    def bounded(logits: Looks) -> Array:
        """Risk at most .3 and the same class in the centre, sway at most .6 of the whole frame."""
        return np.maximum.reduce([risked(logits[CENTER]) / 0.3, 2 * turned(logits[CENTER]), swayed(logits[FULL]) / 0.6])

    def free(logits: Looks) -> Array:
        return np.zeros(logits[CENTER].shape[:2])

    centre = over((CENTER,), risked)
    return {
        "price on risk, centre; bounds": Priced(centre, bounded),
        "price on risk, centre; no bound": Priced(centre, free),
        "price on risk, worst of centre and whole frame; bounds": Priced(over((CENTER, FULL), risked), bounded),
        "price on risk, mean of centre and mirrored; bounds": Priced(over((CENTER, FLIP), risked, "mean"), bounded),
        "price on sway, centre; bounds": Priced(over((CENTER,), swayed), bounded),
        "price on JS, centre; bounds": Priced(over((CENTER,), divergence), bounded),
    }


def transfer(fit: Looks, views: tuple[str, ...] = (CENTER, FULL), ridge: float = 1e-2) -> Criterion:
    """The chance that another reader turns: logistic regression on what the views show, with Lite1's turns as truth.

    ``fit`` are the logits of the photographs to learn from, Lite1's (:data:`SECOND`) among them.
    """

    def clues(logits: Looks) -> Array:
        columns = []
        for view in views:
            left = lead(logits[view])
            columns += [
                np.log(change(logits[view]) + 1e-3),
                np.logaddexp(0.0, np.clip(left, -20, 20)),
                np.broadcast_to(np.log(np.maximum(left[:, :1], 0.05)), left.shape),
                *(np.log(divergence(logits[view], t) + 1e-6) for t in (1.0, 2.0)),
            ]
        return np.stack(columns, axis=-1)

    known = clues(fit)[:, 1:].reshape(-1, 5 * len(views))
    mean, deviation = known.mean(axis=0), known.std(axis=0)

    def design(table: Array) -> Array:
        return np.concatenate([(table - mean) / deviation, np.ones((*table.shape[:-1], 1))], axis=-1)

    x, truth = design(known), turned(fit[SECOND])[:, 1:].ravel()
    weights = np.zeros(x.shape[1])
    for _ in range(50):  # Newton's method
        chance = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (chance - truth) / len(truth) + ridge * np.append(weights[:-1], 0.0)
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x / len(truth) + ridge * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, gradient)
    return lambda logits: np.asarray(1 / (1 + np.exp(-design(clues(logits)) @ weights)))
