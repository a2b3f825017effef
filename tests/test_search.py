"""What every search strategy owes the engine, and what each of them is for."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from semcompress_plugin.search import STRATEGIES, Problem
from semcompress_plugin.types import Constraint, Knob, Metric, Proposal, Search, Space, Trial

DIVERGENCE = Metric("divergence", "", higher_is_better=False, transform="log")
SCALE = Knob("scale", "", 0.05, 1.0, log=True)
QUALITY = Knob("quality", "", 1, 100, integer=True)
STEPS = Knob("steps", "", 0, 40, integer=True, smaller="high")
PLANE = Space("webp", "WEBP", (SCALE, QUALITY))
STRANGE = Space("acme", "ACME", (Knob("effort", "", -3.0, 3.0, smaller="high"), Knob("bits", "", 2, 9, integer=True)))
LINE = Space("chain", "PNG", (STEPS,))
POINT = Space("fixed", "PNG", (Knob("quality", "", 7, 7, integer=True),))

Landscape = Callable[[Proposal], tuple[int, float]]
"""Bytes and divergence of a proposal."""


def make(name: str, problem: Problem, **options: object) -> Search:
    module, _, attribute = STRATEGIES[name].factory.partition(":")
    search: Search = getattr(importlib.import_module(module), attribute)(problem, **options)
    return search


def problem(*spaces: Space, bound: float = 0.01, looks: int = 16, ceiling: float = 60_000) -> Problem:
    return Problem(spaces, (Constraint("reader", DIVERGENCE, max=bound),), ceiling, 64_000, (500, 375), looks)


def smooth(proposal: Proposal) -> tuple[int, float]:
    """More generous settings make larger files and smaller divergences."""
    space = next(s for s in (PLANE, STRANGE, LINE, POINT) if s.compressor == proposal.compressor)
    generosity = 1.0
    for knob in space.knobs:
        if not knob.fixed:
            unit = (proposal.settings[knob.name] - knob.low) / (knob.high - knob.low)
            generosity *= 0.1 + 0.9 * (unit if knob.smaller == "low" else 1 - unit)
    return round(200 + 80_000 * generosity**1.5), 0.5 * 10 ** (-3 * generosity)


def run(search: Search, landscape: Landscape, constraint: Constraint, ceiling: float, n: int = 1) -> Iterator[Trial]:
    """Play the engine: look only at files that are small enough."""
    best = ceiling
    while proposals := search.ask(n):
        trials = []
        for proposal in proposals:
            size, value = landscape(proposal)
            if size > best:
                trials.append(Trial(proposal, size, {}, holds=False, looked=False))
            else:
                holds = constraint.holds(value)
                trials.append(Trial(proposal, size, {"reader": {constraint.metric.name: value}}, holds))
        best = min([best, *(trial.bytes - 1 for trial in trials if trial.holds)])
        search.tell(trials)
        yield from trials


def play(search: Search, landscape: Landscape, at: Problem, n: int = 1) -> list[Trial]:
    return list(run(search, landscape, at.constraints[0], at.ceiling, n))


def smallest(trials: list[Trial]) -> int:
    return min(trial.bytes for trial in trials if trial.holds)


def test_naming_the_strategies_imports_no_numpy() -> None:
    code = "import sys, semcompress_plugin.search; sys.exit('numpy' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_declared_options_are_those_the_strategy_takes(name: str) -> None:
    module, _, attribute = STRATEGIES[name].factory.partition(":")
    parameters = inspect.signature(getattr(importlib.import_module(module), attribute)).parameters
    takes = {k: p.default for k, p in parameters.items() if k not in ("problem", "candidates", "table")}
    assert set(takes) == set(STRATEGIES[name].options)
    declared = {k: schema["default"] for k, schema in STRATEGIES[name].options.items() if "default" in schema}
    assert declared == {k: value for k, value in takes.items() if value is not None}


@pytest.mark.parametrize("n", [1, 3, 100])
@pytest.mark.parametrize("spaces", [(PLANE,), (LINE,), (POINT,), (STRANGE,), (PLANE, STRANGE, POINT)], ids=str)
@pytest.mark.parametrize("name", STRATEGIES)
def test_no_proposal_comes_twice_none_exceeds_the_budget_all_lie_in_their_space(
    name: str, spaces: tuple[Space, ...], n: int
) -> None:
    for looks in (1, 7):
        at = problem(*spaces, looks=looks)
        trials = play(make(name, at), smooth, at, n)
        assert 1 <= len(trials) <= looks
        seen = [(t.proposal.compressor, *sorted(t.proposal.settings.items())) for t in trials]
        assert len(set(seen)) == len(seen)
        for trial in trials:
            space = next(s for s in spaces if s.compressor == trial.proposal.compressor)
            assert trial.proposal.format == space.format
            assert set(trial.proposal.settings) == {knob.name for knob in space.knobs}
            for knob in space.knobs:
                value = trial.proposal.settings[knob.name]
                assert knob.low <= value <= knob.high
                assert isinstance(value, int) or not knob.integer


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_problem_is_searched_in_the_same_way(name: str) -> None:
    at = problem(PLANE, STRANGE)
    assert play(make(name, at), smooth, at) == play(make(name, at), smooth, at)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_space_of_one_point_is_looked_at_once(name: str) -> None:
    at = problem(POINT, bound=0.1)
    assert [dict(t.proposal.settings) for t in play(make(name, at), smooth, at)] == [{"quality": 7}]


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_is_proposed_once_the_search_is_over(name: str) -> None:
    at = problem(PLANE, looks=5)
    search = make(name, at)
    play(search, smooth, at)
    assert search.ask(1) == search.ask(8) == []


def test_exhaustive_visits_every_corner_of_every_space() -> None:
    at = problem(PLANE, LINE, looks=1000)
    trials = play(make("exhaustive", at, steps=5), smooth, at)
    settings = [tuple(trial.proposal.settings.values()) for trial in trials]
    assert len(settings) == 5 * 5 + 5
    assert {(0.05, 1), (0.05, 100), (1.0, 1), (1.0, 100), (0,), (40,)} <= set(settings)


def test_linear_steps_down_until_a_constraint_fails() -> None:
    at = problem(LINE, looks=100)
    trials = play(make("linear", at), smooth, at)
    steps = [trial.proposal.settings["steps"] for trial in trials]
    assert steps == list(range(len(steps)))
    # files too large to be looked at come first and do not end the walk; the first look that fails does
    assert [t.holds for t in trials if t.looked] == [True] * (sum(t.looked for t in trials) - 1) + [False]
    assert not trials[0].looked


def test_linear_steps_the_named_knob_and_leaves_the_others_at_their_best() -> None:
    at = problem(PLANE, bound=0.4, looks=100)
    trials = play(make("linear", at, knob="scale", steps=5), smooth, at)
    assert {trial.proposal.settings["quality"] for trial in trials} == {100}
    assert [trial.proposal.settings["scale"] for trial in trials][:2] == [1.0, 0.4729]


def test_linear_walks_every_space() -> None:
    at = problem(LINE, POINT, STRANGE, looks=500)
    trials = play(make("linear", at), smooth, at)
    assert {trial.proposal.compressor for trial in trials} == {"chain", "fixed", "acme"}


def test_bisection_of_one_knob_finds_the_boundary() -> None:
    at = problem(LINE)
    trials = play(make("bisect", at), smooth, at)
    optimum = min(
        size
        for step in range(41)
        for size, value in [smooth(Proposal("chain", "PNG", {"steps": step}))]
        if value <= 0.01 and size <= at.ceiling
    )
    assert smallest(trials) == optimum
    assert len(trials) <= 6


def test_bisection_shares_its_budget_between_spaces() -> None:
    at = problem(PLANE, STRANGE, looks=8)
    compressors = [trial.proposal.compressor for trial in play(make("bisect", at), smooth, at)]
    assert compressors == ["webp"] * 4 + ["acme"] * (len(compressors) - 4)
    assert len(compressors) > 4


def test_bisection_climbs_to_the_top_when_nothing_else_holds() -> None:
    at = problem(PLANE, bound=0.00051, ceiling=1e9)
    trials = play(make("bisect", at), smooth, at)
    assert smallest(trials) == smooth(Proposal("webp", "WEBP", {"scale": 1.0, "quality": 100}))[0]
