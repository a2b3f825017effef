"""The parts of the default search: grids of candidates, the Gaussian process, the table it starts from."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from semcompress_plugin.search import Problem, _normal, _table
from semcompress_plugin.search._gp import Kriging, Local, Piece
from semcompress_plugin.search._grid import grid, ladder, to_unit, with_values
from semcompress_plugin.search._surrogate import Surrogate
from semcompress_plugin.search._targets import Target, smooth
from semcompress_plugin.types import Constraint, Knob, Metric, Proposal, Space, Trial

SCALE = Knob("scale", "", 0.05, 1.0, log=True)
QUALITY = Knob("quality", "", 1, 100, integer=True)
JS = Metric("js_divergence", "", higher_is_better=False, transform="log")
SCORE = Metric("score", "", higher_is_better=True, transform="log1m")


def space(*knobs: Knob, name: str = "webp") -> Space:
    return Space(name, name.upper(), knobs)


def test_a_grid_holds_both_ends_of_every_knob_and_each_point_once() -> None:
    points = grid(space(SCALE, QUALITY), 400)
    assert 300 <= len(points) <= 400
    assert len(np.unique(points.values, axis=0)) == len(points)
    assert points.values.min(axis=0).tolist() == [0.05, 1]
    assert points.values.max(axis=0).tolist() == [1.0, 100]


def test_a_single_integer_knob_is_searched_at_every_value() -> None:
    assert len(grid(space(Knob("scale", "", 1, 1), QUALITY), 400)) == 100


def test_many_knobs_still_have_few_candidates_with_both_extreme_corners() -> None:
    points = grid(space(*(Knob(f"k{i}", "", 0.0, 1.0, smaller="high") for i in range(9))), 300)
    assert 200 <= len(points) <= 300
    assert {0.0, 1.0} <= {float(row.mean()) for row in points.unit}


def test_a_space_without_knobs_has_one_candidate() -> None:
    points = grid(space(), 100)
    assert [points.proposal(i).settings for i in range(len(points))] == [{}]


def test_unit_coordinates_rise_with_bytes() -> None:
    assert to_unit(Knob("steps", "", 0, 10, smaller="high"), np.array([0.0, 10.0])).tolist() == [1, 0]
    assert to_unit(SCALE, np.array([0.05, math.sqrt(0.05), 1.0])) == pytest.approx([0, 0.5, 1])


def test_logarithmic_knobs_have_logarithmic_steps() -> None:
    assert ladder(Knob("x", "", 1, 100, log=True), 3).tolist() == [1, 10, 100]


def test_kriging_agrees_with_the_textbook_formula() -> None:
    """Posterior mean and variance by explicit inversion of the covariance matrix."""
    rng = np.random.default_rng(3)
    pieces = [
        Piece(
            rng.normal(size=n),
            rng.normal(size=(n, 2)),
            [Local(rng.uniform(0.5, 1, n), rng.normal(size=(n, d))) for d in dimensions],
            np.ones(n),
            c,
        )
        for n, dimensions, c in ((5, (2, 1), 0), (4, (1,), 1))
    ]
    covariance = np.eye(9)
    loadings = np.zeros((9, 3))
    for piece, here in zip(pieces, (slice(0, 5), slice(5, 9)), strict=True):
        for part in piece.local:
            distance = ((part.coordinates[:, None] - part.coordinates[None]) ** 2).sum(axis=-1)
            covariance[here, here] += np.outer(part.deviation, part.deviation) * np.exp(-0.5 * distance)
        loadings[here, piece.column : piece.column + 2] = piece.loadings
    covariance += loadings @ loadings.T
    mean = np.concatenate([piece.mean for piece in pieces])
    process = Kriging(pieces)
    told, values = [1, 7, 4], np.array([0.3, -1.0, 2.0])
    for index, value in zip(told, values.tolist(), strict=True):
        process.tell(index, value)
    gain = covariance[:, told] @ np.linalg.inv(covariance[np.ix_(told, told)])
    assert process.mean == pytest.approx(mean + gain @ (values - mean[told]))
    assert process.variance == pytest.approx(np.diag(covariance - gain @ covariance[told]), abs=1e-9)


def test_what_is_only_supposed_leaves_the_process_alone() -> None:
    piece = Piece(np.zeros(3), np.ones((3, 1)), [], np.full(3, 0.1))
    process, alone = Kriging([piece]), Kriging([piece])
    twin = process.copy()
    twin.tell(0, 5.0)
    process.tell(1, 1.0)
    alone.tell(1, 1.0)
    assert process.mean.tolist() == alone.mean.tolist()
    assert process.variance.tolist() == alone.variance.tolist()


def test_the_normal_distribution_is_the_normal_distribution() -> None:
    x = np.array([-9.0, -1.0, 0.0, 2.0, 9.0])
    assert _normal.cdf(x) == pytest.approx([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()], abs=1e-6)
    draws = np.random.default_rng(0).normal(1.0, 2.0, 200_000)
    expected = np.maximum(0.0, 1.5 - draws).mean()
    assert _normal.expected_shortfall(np.array([1.0]), np.array([2.0]), 1.5)[0] == pytest.approx(expected, rel=0.02)


def test_the_shipped_table_is_the_one_its_provenance_describes() -> None:
    known = json.loads(_table.PATH.with_suffix(".json").read_text(encoding="utf-8"))
    data = _table.PATH.read_bytes()
    assert (known["sha256"], known["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert len(data) < 400_000


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_the_table_believes_that_more_quality_is_more_bytes_and_less_divergence(name: str) -> None:
    table = _table.load()
    points = grid(space(Knob("scale", "", 0.5, 0.5), QUALITY, name=name), 100)
    middle = slice(9, 90)
    size = table.piece(points, _table.BYTES, (500, 375)).mean[middle]
    divergence = table.piece(points, _table.quantity(JS), (500, 375)).mean[middle]
    assert (np.diff(size) > 0).all()
    assert divergence[-1] < divergence[len(divergence) // 2] < divergence[0]


def test_a_tenth_of_a_large_picture_is_as_good_as_the_whole_of_a_small_one() -> None:
    table = _table.load()
    tenth, whole = (grid(space(Knob("scale", "", s, s), QUALITY), 100) for s in (0.1, 1.0))
    large = table.piece(tenth, _table.quantity(JS), (5000, 3750)).mean
    small = table.piece(whole, _table.quantity(JS), (500, 375)).mean
    assert large == pytest.approx(small)


def test_for_a_metric_at_full_size_the_size_of_the_picture_does_not_matter() -> None:
    points = grid(space(SCALE, QUALITY), 100)
    small, large = (
        _table.load().piece(points, _table.quantity(SCORE), size).mean for size in ((500, 375), (5000, 3750))
    )
    assert small.tolist() == large.tolist()


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_the_table_knows_which_metrics_jump_from_one_quality_to_the_next(name: str) -> None:
    """A classifier's divergence does; a similarity over the whole picture, at one scale, does not."""
    surfaces = _table.load().surfaces
    leaps, glides = surfaces[name, _table.quantity(JS)], surfaces[name, _table.quantity(SCORE)]
    assert glides.rough < 0.1 * 0.4 < leaps.rough <= 0.4
    assert 0 < surfaces[name, _table.BYTES].rough < 0.4


def test_what_one_quality_shows_holds_for_the_next_at_the_same_scale_only() -> None:
    table = _table.load()
    alone = replace(table, surfaces={key: replace(s, layers=s.layers[..., :2]) for key, s in table.surfaces.items()})
    points = with_values(space(SCALE, QUALITY), np.array([[1.0, 75], [1.0, 76], [0.9, 75]]))
    for name, same in ((_table.quantity(SCORE), 0.05), (_table.quantity(JS), 0.7)):
        process = Kriging([alone.piece(points, name, (500, 375))])
        before = process.variance.copy()
        process.tell(0, 0.0)
        left = process.variance / before
        assert left[1] < same
        assert left[2] > 0.5


def test_a_metric_is_as_rough_with_an_unknown_compressor_as_with_known_ones() -> None:
    points = grid(space(Knob("loss", "", 1, 100, integer=True), name="acme"), 100)
    at = Problem((points.space,), (Constraint("c", SCORE, min=0.99),), 1e6, 10_000, (500, 375))
    left = []
    for table in (_table.load(), None):
        surrogate = Surrogate(at, [points], table)
        surrogate.learn(50, Trial(points.proposal(50), 5000, {"c": {"score": 0.99}}, True))
        left.append(float(surrogate.process.variance[len(points) + 51]))
    assert left[0] < 0.3 * left[1]
    assert _table.load().roughness("never:seen") is None


def test_a_yes_or_no_metric_is_a_number_on_either_side_of_zero() -> None:
    agreement = Metric("top1_agreement", "", higher_is_better=True, transform="step")
    target = Target(Constraint("c", agreement, min=1.0))
    numbers = [target.number(Trial(Proposal("", "", {}), 1, {"c": {"top1_agreement": v}}, bool(v))) for v in (0.0, 1.0)]
    assert numbers == [-1.0, 1.0]
    assert target.interval == (0.0, math.inf)


def test_the_table_knows_only_what_it_was_made_from() -> None:
    table = _table.load()
    assert table.knows(grid(space(SCALE, QUALITY), 9), _table.quantity(JS))
    assert not table.knows(grid(space(SCALE, QUALITY, name="acme"), 9), _table.quantity(JS))
    assert not table.knows(grid(space(SCALE), 9), _table.quantity(JS))
    assert not table.knows(grid(space(SCALE, QUALITY), 9), "js_divergence:identity")


def test_beyond_the_grid_the_table_stays_within_reason() -> None:
    table = _table.load()
    points = grid(space(SCALE, QUALITY), 400)
    for size in ((1, 1), (500, 375), (30_000, 20_000)):
        for name in (_table.BYTES, _table.quantity(JS)):
            piece = table.piece(points, name, size)
            assert np.isfinite(piece.mean).all()
            assert np.abs(piece.mean).max() < 25
            assert all((part.deviation > 0).all() for part in piece.local)
            assert (piece.rough > 0).all()


def test_a_divergence_is_straightened_near_its_maximum_and_logarithmic_near_zero() -> None:
    assert smooth(JS, 0.001) == pytest.approx(math.log(0.001), abs=0.01)
    assert smooth(JS, 0.97) - smooth(JS, 0.9) > 1
    values = [smooth(JS, value) for value in np.linspace(0, 1, 50).tolist()]
    assert values == sorted(values)
