"""What the README shows works as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from pictures import DIFFERENCE, registry
from semcompress_plugin import EvaluatorSpec
from semcompress_plugin.cli import parser
from semcompress_plugin.policy import parse_policy

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_policy_shown_is_valid():
    policies = [block for block in blocks("yaml") if block.startswith("version:")]
    assert policies
    for text in policies:
        assert parse_policy(text, registry(), Path()).rules


def test_every_command_shown_can_be_parsed():
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("semcompress ")]
    assert len(lines) >= 5
    for line in lines:
        parser().parse_args(shlex.split(line, comments=True)[1:])


def test_the_reader_shown_is_one():
    (code,) = blocks("python")
    names: dict[str, type] = {}
    exec(code, names)
    spec = EvaluatorSpec("mean-grey", "1", "", metrics=(DIFFERENCE,), factory=names["MeanGrey"])
    from PIL import Image

    reader = registry(spec).make_evaluator("mean-grey")
    white, black = reader.observe([Image.new("RGB", (2, 2), colour) for colour in ("white", "black")])
    assert reader.compare(white, [white, black]) == [{"difference": 0}, {"difference": 1}]


def test_every_hook_id_is_in_the_readme():
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()):
        assert f"`{hook['id']}`" in README or f"id: {hook['id']}\n" in README


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def test_every_promise_names_a_test_that_there_is():
    promises = README.partition("## What we promise")[2].partition("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) >= 6
    for row in rows:
        named = re.findall(r"\[`(test_\w+)`\]\((tests/\w+\.py)\)", row)
        assert named, row
        for test, path in named:
            assert f"\ndef {test}(" in (ROOT / path).read_text(), test
