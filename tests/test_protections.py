"""The table of protections is in step with the code and the README; `just protections` takes them away."""

from __future__ import annotations

import re

import pytest

from protections import ROOT, Protection, protections

EACH = pytest.mark.parametrize("one", protections(), ids=lambda one: one.of)


@EACH
def test_the_code_that_gives_a_protection_stands_there_once_and_can_do_without(one: Protection):
    for path, text in one.removed(ROOT).items():
        compile(text, path, "exec")


@EACH
def test_the_tests_that_must_fail_are_there(one: Protection):
    assert one.tests
    for test in one.tests:
        path, _, name = test.partition("::")
        kind = "class" if name.startswith("Test") else "def"
        assert f"\n{kind} {name or 'test_'}" in (ROOT / path).read_text(), test


def test_every_promise_of_the_readme_is_one_that_can_be_taken_away():
    promises = (ROOT / "README.md").read_text().partition("## What we promise")[2].partition("\n## ")[0]
    named = {f"{path}::{test}" for test, path in re.findall(r"\[`(test_\w+)`\]\((tests/\w+\.py)\)", promises)}
    assert named
    assert named <= {test for one in protections() for test in one.tests}
