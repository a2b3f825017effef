"""An evaluator that shows the worst of its parts is asked part by part, and about no more than is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pictures import DIFFERENCE, photo, reader, reference, registry, rule
from semcompress_plugin.engine import Observe, decide, drive, measure
from semcompress_plugin.evaluators._classifier_metrics import METRICS, PARTS
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.search import Problem
from semcompress_plugin.search._grid import grid
from semcompress_plugin.search._surrogate import Surrogate
from semcompress_plugin.search._table import load
from semcompress_plugin.types import Constraint, Knob, Parts, Proposal, Space, Trial
from semcompress_plugin.workshop import Workshop

SIDES = Parts("side", {"both": ("left", "right")}, default="both")
BOUND = 0.01


class Sides:
    """Looks at the left half, at the right half, or at both, of which the worse counts; the right is easily damaged."""

    def __init__(self, side: str = "both") -> None:
        self.sides = SIDES.names({"side": side})

    def observe(self, images):
        return [np.asarray(image.resize((32, 32), Image.Resampling.BOX), np.float64) / 255 for image in images]

    def compare(self, reference, candidates):
        halves = {"left": slice(0, 16), "right": slice(16, 32)}
        weight = {"left": 1.0, "right": 1.5}
        return [
            {
                "difference": max(
                    weight[side] * float(np.abs(reference - candidate)[:, halves[side]].mean()) for side in self.sides
                )
            }
            for candidate in candidates
        ]


def sides(parts: Parts | None = SIDES, **more):
    options = {"side": {"enum": ["left", "right", "both"]}}
    return registry(reader("sides", Sides, options=options, parts=parts, **more))


def decision(known, bound=BOUND, **more):
    """What is found, and the sides and pictures that were observed, in order."""
    workshop, observed = Workshop(known), []

    def perform(task):
        if isinstance(task, Observe):
            observed.append((task.use.options.get("side"), task.image))
        return workshop.perform(task)

    asked = rule(known, "jpeg", "webp", bound=bound, evaluators=("sides",), formats=("smallest",), **more)
    (found,) = drive(decide(reference(photo()), asked, known), perform)
    return found, observed


def test_the_same_file_is_found_with_the_same_scores_as_by_whole_looks():
    in_parts, _ = decision(sides())
    whole, _ = decision(sides(parts=None))
    assert in_parts.candidate is not None
    assert in_parts.candidate.data == whole.candidate.data
    assert in_parts.scores == whole.scores
    assert [trial.holds for trial in in_parts.trials] == [trial.holds for trial in whole.trials]


def test_what_one_part_refused_is_not_shown_to_the_next_and_what_is_kept_was_shown_to_all():
    found, observed = decision(sides())
    looked = [trial for trial in found.trials if trial.looked]
    kept = [trial for trial in looked if trial.holds]
    spared = [trial for trial in looked if len(trial.parts["sides"]) == 1]
    assert kept
    assert spared
    assert all(set(trial.parts["sides"]) == {"difference/left", "difference/right"} for trial in kept)
    for trial in looked:
        assert trial.scores["sides"]["difference"] == max(trial.parts["sides"].values())
    assert all(trial.scores["sides"]["difference"] > BOUND for trial in spared)
    passes = sum(len(trial.parts["sides"]) for trial in looked)
    assert len(observed) == passes + 2  # each part sees the reference, once
    assert found.looks == len(looked)  # a look is a look, however many parts were asked


def test_the_part_that_refused_last_is_asked_first():
    _, observed = decision(sides())
    candidates = [side for side, image in observed if image.size != (160, 120) or image is not observed[1][1]]
    assert observed[0][0] == "left"
    assert candidates.count("right") > candidates.count("left")


def test_a_reason_says_that_what_was_seen_may_not_be_the_worst():
    found, _ = decision(sides(), bound=1e-9)
    assert found.candidate is None
    assert found.reason.endswith("or worse")
    whole, _ = decision(sides(parts=None), bound=1e-9)
    assert not whole.reason.endswith("or worse")


def test_a_bound_on_the_good_side_needs_the_whole():
    """The worst of two parts is above a floor as soon as one of them is: which one alone does not tell."""
    known = sides()
    asked = rule(known, "jpeg", evaluators=("sides",))
    both = replace(asked, keep=(Constraint("sides", DIFFERENCE, min=0.001, max=BOUND),))
    (found,) = drive(decide(reference(photo()), both, known), Workshop(known).perform)
    assert found.candidate is not None
    assert not any(trial.parts for trial in found.trials)


def test_measure_asks_every_part():
    known, picture = sides(), reference(photo())
    asked = rule(known, "jpeg", evaluators=("sides",))
    other = photo(seed=1)
    found = drive(measure(picture, other, asked, known), Workshop(known).perform)
    whole = Sides()
    (expected,) = whole.compare(whole.observe([picture.image])[0], whole.observe([other]))
    assert found.scores == {"sides": expected}


def test_the_classifier_is_exactly_the_worst_of_its_parts():
    pictures = [photo((200, 150)), photo((100, 75), seed=2)]

    def compared(view):
        seen = ClassifierEvaluator(view).observe(pictures)
        return ClassifierEvaluator(view).compare(seen[0], seen[1:])[0]

    whole, parts = compared("both"), [compared(view) for view in PARTS.names({})]
    assert len(parts) == 2
    for metric in METRICS:
        worst = min if metric.higher_is_better else max
        assert whole[metric.name] == worst(part[metric.name] for part in parts)


JPEG = Space("jpeg", "JPEG", (Knob("scale", "", 0.05, 1.0, log=True), Knob("quality", "", 1, 95, integer=True)))
SWAY = next(metric for metric in METRICS if metric.name == "sway")


def believed(parts, told=None, bound=0.25):
    points = grid(JPEG, 200)
    at = Problem((JPEG,), (Constraint("c", SWAY, max=bound),), 85_500, 90_000, (500, 375), parts={"c": parts})
    surrogate = Surrogate(at, [points], load())
    before = surrogate.chance()
    if told is not None:
        trial = Trial(Proposal("jpeg", "JPEG", {}), 0, {"c": {"sway": told}}, False, parts={"c": {"sway/center": told}})
        surrogate.learn(100, trial)
    return before, surrogate


def test_every_part_must_hold():
    center, full, both = (believed(parts)[0] for parts in (("center",), ("full",), ("center", "full")))
    assert both == pytest.approx(center * full)
    assert np.ptp(center - full) > 0.01  # they are not the same


@pytest.mark.parametrize(("told", "sign"), [(0.02, 1), (0.9, -1)])
def test_what_one_part_showed_is_news_of_the_other(told: float, sign: int):
    before, surrogate = believed(("center", "full"), told)
    moved = surrogate.chance() - before
    assert sign * moved.sum() > 1
    fresh = believed(("full",))[1].process.mean[200:]
    other = surrogate.process.mean[-len(fresh) :]
    assert sign * (fresh - other).mean() > 0.05


def test_a_part_that_the_table_does_not_know_is_taken_for_the_whole():
    unknown, known = believed(("elsewhere",))[0], believed(("",))[0]
    assert unknown.tolist() == known.tolist()


def test_a_picture_that_surprises_is_believed_less_and_one_that_does_not_more():
    """The deviation of what is not known yet, after answers near to and far from what was expected."""
    spread = {}
    for name, off in (("typical", 0.0), ("odd", 6.0)):
        _, surrogate = believed(("center",))
        count = surrogate.count
        for index in (20, 90, 150):
            place = count + index
            sign = 1 if index == 90 else -1
            expected = surrogate.process.mean[place] + sign * off * np.sqrt(surrogate.process.variance[place])
            value = float(np.exp(min(expected, 0.0)))
            trial = Trial(Proposal("jpeg", "JPEG", {}), 0, {}, False, parts={"c": {"sway/center": value}})
            surrogate.learn(index, trial)
        spread[name] = surrogate._deviation(1) / np.sqrt(surrogate.process.variance[count:] + 1e-12)
    assert spread["typical"].max() < 1 < np.median(spread["odd"])
