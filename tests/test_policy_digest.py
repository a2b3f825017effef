"""The digest changes with what the user asks, and with nothing else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy_registry import Stand
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.policy.digest import fraction

ASKED = {
    "version": 1,
    "preset": "web",
    "evaluators": {"thumbs": {"use": "classifier", "view": "center"}, "other": {"use": "msssim"}},
    "rules": [
        {
            "name": "a",
            "files": ["*.jpg", "!raw/"],
            "compress": [{"jpeg": {"quality": [40, 95], "scale": 1, "subsampling": "4:2:0"}}, "png"],
            "keep": {"thumbs": {"js_divergence": {"max": 0.02}}, "msssim": {"score": {"min": 0.9, "max": 0.99}}},
            "outputs": {"formats": ["keep", "jpeg"], "place": "beside"},
            "min_saving": "5%",
            "search": {"frontier": {"looks": 8}},
        }
    ],
}


def digest(document, registry=None):
    return digest_of_text(yaml.safe_dump(document, sort_keys=False), registry)


def digest_of_text(text, registry=None):
    return parse_policy(text, registry or Stand(), Path()).rules[0].digest


def changed(path, value):
    document = json.loads(json.dumps(ASKED))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def shuffled(value, chance):
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    return value


@given(st.integers(0, 2**32))
def test_the_order_of_keys_does_not_matter(seed):
    assert digest(shuffled(ASKED, random.Random(seed))) == digest(ASKED)


@pytest.mark.parametrize(
    "same",
    [
        changed(("rules", 0, "min_saving"), 0.05),
        changed(("rules", 0, "min_saving"), "5.0%"),
        changed(("rules", 0, "name"), "b"),
        changed(("rules", 0, "files"), ["else/"]),
        changed(("rules", 0, "skip"), False),
        changed(("rules", 0, "preset"), "web"),
        changed(("preset",), None),
        changed(
            ("rules", 0, "compress"), ["png", {"jpeg": {"scale": 1.0, "quality": [40, 95], "subsampling": "4:2:0"}}]
        ),
        changed(
            ("rules", 0, "compress"), {"png": None, "jpeg": {"scale": 1, "quality": [40, 95], "subsampling": "4:2:0"}}
        ),
        changed(("rules", 0, "outputs", "formats"), ["jpeg", "keep"]),
        changed(("evaluators", "other"), None),
        changed(("evaluators", "msssim"), {"use": "msssim"}),
        changed(("limits",), {"max_pixels": 5}),
        changed(("originals",), "none"),
    ],
)
def test_other_words_for_the_same_wish_give_the_same_digest(same):
    assert same != ASKED
    assert digest(same) == digest(ASKED)


def test_comments_and_quotes_do_not_matter():
    one = "version: 1\nrules: [{name: a, files: [a], metadata: keep, keep: {msssim: {luma: {min: 1e-1}}}}]"
    two = "# hello\nversion: 1\nrules:\n- files: ['b']  # x\n  name: c\n  metadata: 'keep'\n  keep:\n    \"msssim\":\n"
    assert digest_of_text(one) == digest_of_text(two + "      luma: {min: 0.10}\n")


@pytest.mark.parametrize(
    "other",
    [
        changed(("rules", 0, "min_saving"), "6%"),
        changed(("rules", 0, "min_saving"), None),
        changed(("rules", 0, "skip"), True),
        changed(("rules", 0, "preset"), "text"),
        changed(("preset",), "web@1"),
        changed(("preset",), "machine"),
        changed(("rules", 0, "compress", 0, "jpeg", "quality", 0), 41),
        changed(("rules", 0, "compress", 0, "jpeg", "scale"), None),
        changed(("rules", 0, "keep", "thumbs", "js_divergence", "max"), 0.03),
        changed(("rules", 0, "keep", "msssim"), None),
        changed(("rules", 0, "outputs", "formats"), ["keep"]),
        changed(("rules", 0, "metadata"), "keep"),
        changed(("rules", 0, "orientation"), "keep"),
        changed(("rules", 0, "icc"), "srgb"),
        changed(("rules", 0, "search"), "frontier"),
        changed(("evaluators", "thumbs", "view"), "full"),
    ],
)
def test_another_wish_gives_another_digest(other):
    assert digest(other) != digest(ASKED)


def test_options_of_an_evaluator_that_only_the_preset_uses_count():
    plain, center = "version: 1", "version: 1\nevaluators: {classifier: {view: center}}"
    assert digest_of_text(plain) != digest_of_text(center)


def test_a_new_version_of_a_tool_or_a_new_option_of_it_does_not_change_the_digest():
    newer = Stand()
    for known in (newer.compressors, newer.evaluators):
        known.update({name: replace(spec, version="99", cost=1) for name, spec in known.items()})
    newer.compressors["jpeg"] = replace(newer.compressors["jpeg"], options={"subsampling": {}, "arithmetic": {}})
    assert digest(ASKED, newer) == digest(ASKED)


def test_rules_that_ask_the_same_have_the_same_digest():
    rules = parse_policy("version: 1\nrules: [{name: a, files: [a]}, {name: b, files: [b]}]", Stand(), Path()).rules
    assert rules[0].digest == rules[1].digest == digest_of_text("version: 1")
    assert len(rules[0].digest) == 64


def test_the_digest_of_a_policy_stays_what_it_was():
    # a changed value here makes every settled picture of every user outdated: think twice
    assert digest(ASKED) == "53ae4330c370dcbcd1055a286eafd98bcb308d9655703a6d844b3b59716368d1"


@given(st.integers(0, 9999))
def test_percentages_are_read_without_rounding(hundredths):
    whole, rest = divmod(hundredths, 100)
    assert fraction(f"{whole}.{rest:02}%") == float(f"0.{hundredths:04}")
