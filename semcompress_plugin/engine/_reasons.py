"""Why a hunt ended as it did, in one line."""

from __future__ import annotations

import math
from collections.abc import Iterable

from semcompress_plugin.engine._hunt import Hunt
from semcompress_plugin.types import Constraint, Rule, Trial


def why_ended(hunt: Hunt) -> str | None:
    """Why the walk over previews that led to the best ended, where nothing failed a constraint."""
    assert hunt.best is not None
    name = hunt.best.proposal.compressor
    walk = [trial for trial in hunt.trials if trial.proposal.preview and trial.proposal.compressor == name]
    if not walk or any(trial.looked and not trial.holds for trial in walk):
        return None
    if not walk[-1].looked:
        return hunt.obstacle
    settings = " ".join(f"{knob} {value:g}" for knob, value in walk[-1].proposal.settings.items())
    return f"{name}: everything still holds at {settings}, where the search ends"


def why_nothing(hunt: Hunt, rule: Rule) -> str:
    # pixels that came without a file have nothing to be smaller than
    nothing = "nothing" if math.isinf(hunt.limit) else f"nothing at least {rule.min_saving:.0%} smaller"
    # a preview may hold, and its file not
    looked = [trial for trial in hunt.trials if trial.looked and not trial.holds]
    if not looked:
        return hunt.obstacle or f"{nothing} was found to look at"
    nearest = max(looked, key=lambda trial: _all_missed(trial, rule.keep))
    settings = " ".join(f"{name} {value:g}" for name, value in nearest.proposal.settings.items())
    missed = min(
        (constraint for constraint in rule.keep if constraint.evaluator in nearest.scores),
        key=lambda constraint: constraint.slack(nearest.scores[constraint.evaluator][constraint.metric.name]),
    )
    value = nearest.scores[missed.evaluator][missed.metric.name]
    size = "before encoding" if nearest.proposal.preview else f"{nearest.bytes:,} bytes"
    seen = nearest.parts.get(missed.evaluator, {})
    spared = any(f"{missed.metric.name}/{part}" not in seen for part in hunt.reader.parts.get(missed.evaluator, ()))
    return (
        f"{nothing} holds; nearest of {len(looked)} looks: "
        f"{nearest.proposal.compressor} {settings}, {size}, {missed} but got {missed.shown(value)}"
        f"{' or worse' if spared else ''}"
    )


def _all_missed(trial: Trial, constraints: Iterable[Constraint]) -> float:
    """The sum of all negative slacks, 0 at most; a constraint whose evaluator was not asked counts as missed by far."""
    slacks = [
        constraint.slack(trial.scores[constraint.evaluator][constraint.metric.name])
        if constraint.evaluator in trial.scores
        else -100.0
        for constraint in constraints
    ]
    return sum(slack for slack in slacks if slack < 0)
