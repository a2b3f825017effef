"""A price weighs a metric against bytes: what that costs, what is chosen, what is asked, what the search expects."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pictures import DIFFERENCE, photo, reader, reference, registry, rule
from semcompress_plugin.engine import decide, drive
from semcompress_plugin.search import Problem
from semcompress_plugin.search._grid import grid
from semcompress_plugin.search._surrogate import Surrogate
from semcompress_plugin.search._targets import rough, smooth
from semcompress_plugin.search.frontier import Frontier
from semcompress_plugin.types import Constraint, Knob, Metric, Proposal, SearchUse, Space, Trial, log_cost
from semcompress_plugin.workshop import Workshop

RISK = Metric("risk", "", higher_is_better=False, transform="log")
LIKENESS = Metric("likeness", "", higher_is_better=True, transform="log1m")
SCALE = Knob("scale", "", 0.05, 1.0, log=True)
JPEG = Space("jpeg", "JPEG", (SCALE, Knob("quality", "", 1, 95, integer=True)))
SIZE = (500, 375)


def decision(picture, wanted, known):
    (found,) = drive(decide(picture, wanted, known), Workshop(known).perform)
    return found


def priced(known, price, bound=0.1, **more):
    plain = rule(known, "jpeg", bound=bound, **more)
    return replace(plain, keep=tuple(replace(constraint, price=price) for constraint in plain.keep))


def test_the_cost_is_bytes_times_a_power_of_what_is_charged():
    keep = (Constraint("a", RISK, price=8), Constraint("b", LIKENESS, min=0.5, price=2), Constraint("c", RISK, max=0.1))
    scores = {"a": {"risk": 0.1}, "b": {"likeness": 0.75}, "c": {"risk": 0.05}}
    assert math.exp(log_cost(1000, scores, keep)) == pytest.approx(1000 * math.exp(0.8 + 0.5))
    assert log_cost(1000, {}, keep) == math.log(1000)
    assert log_cost(1000, {"a": {"risk": math.nan}}, keep) == math.inf


def test_the_least_costly_of_all_that_hold_is_chosen_and_not_the_smallest():
    known, picture = registry(), reference(photo())
    found = {price: decision(picture, priced(known, price), known) for price in (0, 30, 200)}
    for price, one in found.items():
        costs = [
            log_cost(trial.bytes, trial.scores, (Constraint("thumbnails", DIFFERENCE, price=price),))
            for trial in one.trials
            if trial.holds
        ]
        assert log_cost(
            len(one.candidate.data), one.scores, (Constraint("thumbnails", DIFFERENCE, price=price),)
        ) == min(costs)
    sizes = [len(one.candidate.data) for one in found.values()]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_bound_holds_beside_a_price():
    known, picture = registry(), reference(photo())
    one = decision(picture, priced(known, 0.001, bound=0.01), known)
    assert 0 < one.scores["thumbnails"]["difference"] <= 0.01


def test_what_is_no_improvement_is_not_shown_to_dear_evaluators_and_never_chosen():
    known = registry(reader("cheap", cost=1), reader("dear", cost=100))
    wanted = rule(known, "jpeg", bound=0.1, evaluators=("cheap", "dear"))
    keep = tuple(replace(one, price=60) if one.evaluator == "cheap" else one for one in wanted.keep)
    one = decision(reference(photo()), replace(wanted, keep=keep), known)
    spared = [trial for trial in one.trials if trial.looked and "dear" not in trial.scores]
    assert any(trial.scores["cheap"]["difference"] <= 0.1 for trial in spared)
    assert not any(trial.holds for trial in spared)
    assert set(one.scores) == {"cheap", "dear"}


def test_where_everything_costs_more_than_the_picture_it_stays_and_the_reason_says_so():
    known, picture = registry(), reference(photo(), quality=60)
    one = decision(picture, priced(known, 1e6), known)
    assert one.candidate is None
    assert one.reason == "nothing at least 5% smaller is worth its price"


@pytest.mark.parametrize("search", ["frontier", "bisect"])
def test_every_search_ends_with_something_of_use(search):
    known, picture = registry(), reference(photo())
    free = decision(picture, priced(known, 0, search=SearchUse(search)), known)
    dear = decision(picture, priced(known, 100, search=SearchUse(search)), known)
    assert dear.candidate is not None
    assert dear.scores["thumbnails"]["difference"] < free.scores["thumbnails"]["difference"]


def landscape(proposal: Proposal) -> tuple[int, float]:
    scale, quality = proposal.settings["scale"], proposal.settings["quality"]
    size = 300 + SIZE[0] * SIZE[1] * scale**1.7 * 0.02 * math.exp(quality / 32)
    return round(size), min(0.9, 0.004 * scale**-2.2 + 0.2 * math.exp(-quality / 22) * scale**-0.7)


@pytest.mark.parametrize("price", [2, 8, 30])
def test_the_search_comes_near_the_least_cost_that_there_is(price: float) -> None:
    keep = (Constraint("c", RISK, max=0.5, price=price),)
    search = Frontier(Problem((JPEG,), keep, 85_500, 90_000, SIZE, 20))
    while proposals := search.ask(1):
        size, value = landscape(proposals[0])
        search.tell([Trial(proposals[0], size, {"c": {"risk": value}}, keep[0].holds(value))])
    points = grid(JPEG, 4000)
    measured = [landscape(points.proposal(index)) for index in range(len(points))]
    least = min(math.log(size) + price * value for size, value in measured if value <= 0.5)
    assert search.best is not None
    assert log_cost(search.best.bytes, search.best.scores, keep) <= least + 0.15


def test_what_a_look_is_expected_to_save_agrees_with_drawing_values_at_random() -> None:
    keep = (Constraint("a", RISK, max=0.2, price=8), Constraint("b", LIKENESS, min=0.9))
    surrogate = Surrogate(Problem((JPEG,), keep, 90_000, 90_000, SIZE), [grid(JPEG, 60)], None)
    limit = 9.0
    draws, count = np.random.default_rng(0), surrogate.count
    mean, deviation = surrogate.log_bytes()
    numbers = [
        block[:, None] + np.sqrt(variance)[:, None] * draws.standard_normal((count, 20_000))
        for block, variance in (
            (
                surrogate.process.mean[count * k : count * (k + 1)],
                surrogate.process.variance[count * k : count * (k + 1)],
            )
            for k in (1, 2)
        )
    ]
    sizes = mean[:, None] + deviation[:, None] * draws.standard_normal((count, 20_000))
    risk, alike = rough(RISK, numbers[0]), rough(LIKENESS, numbers[1])
    saved = np.maximum(0, limit - sizes - 8 * risk) * (risk <= 0.2) * (alike >= 0.9)
    assert surrogate.expected_gain(limit) == pytest.approx(saved.mean(axis=1), abs=0.04, rel=0.1)


@pytest.mark.parametrize("metric", [RISK, LIKENESS, Metric("plain", "", higher_is_better=True)])
def test_the_smooth_scale_can_be_left_again(metric: Metric) -> None:
    values = np.array([0.001, 0.01, 0.3, 0.7, 0.97])
    assert rough(metric, np.array([smooth(metric, value) for value in values])) == pytest.approx(values)
