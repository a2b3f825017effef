"""The example that draws the blog post's figures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from PIL import Image

from pictures import encoded, photo

BLOG = Path(__file__).parent.parent / "examples" / "blog"


@pytest.fixture(scope="module")
def strips():
    spec = importlib.util.spec_from_file_location("strips", BLOG / "strips.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["strips"] = module
    spec.loader.exec_module(module)
    return module


def test_one_command_draws_both_figures(strips, tmp_path, capsys):
    (tmp_path / "small.jpg").write_bytes(encoded(photo((64, 48)), "JPEG", quality=95))
    arguments = [str(tmp_path / "small.jpg"), "--out", str(tmp_path / "out"), "--steps", "3", "--tiles", "4"]
    strips.main([*arguments, "--reader", "classifier"])
    for loop in ("seed-resize", "seed-jpeg"):
        with Image.open(tmp_path / "out" / f"small-{loop}.png") as figure:
            assert figure.width == 2 * strips.MARGIN + 4 * (strips.WIDE + strips.GAP) - strips.GAP
            assert len(figure.convert("RGB").getcolors(1 << 20)) > 50
        assert f"small-{loop}.png: " in capsys.readouterr().out or loop == "seed-jpeg"


def tiles(strips, agrees: str, heights: str):
    """A chain told by letters: y and n for whether each agrees, a digit for how far up they meet."""
    blank = Image.new("RGB", (8, 6))
    pairs = enumerate(zip(agrees, heights, strict=True))
    return [strips.Tile(step, blank, "cat", 50, 1000 - step, a == "y", float(h)) for step, (a, h) in pairs]


def test_the_last_that_agrees_and_the_first_that_does_not_are_always_shown_and_marked(strips):
    chain = tiles(strips, "yyyyyynnynnnnnnn", "0000001101163666")
    assert (strips.flip(chain), strips.departure(chain)) == (6, 11)
    shown = strips.chosen(chain, 7)
    assert len(shown) == 7
    assert {0, 5, 6, 11, 15} <= {tile.step for tile in shown}
    marks = {tile.step: strips._mark(tile, 6, 11)[0] for tile in shown}
    assert marks[5] == "the last that agrees"
    assert marks[6] == "the first that does not"
    assert marks[11] == "the first that is no sister"


def test_a_chain_that_never_flips_says_so(strips):
    chain = tiles(strips, "yyyy", "0000")
    assert strips.flip(chain) is None
    assert strips.told(chain) == "cat throughout, to 997 bytes after 3 steps"
    assert [tile.step for tile in strips.chosen(chain, 3)] == [0, 2, 3]


def test_the_committed_figures_show_the_cat(strips):
    for loop in ("seed-resize", "seed-jpeg"):
        with Image.open(BLOG / f"chelsea-{loop}.png") as figure:
            assert figure.width == 2 * strips.MARGIN + 7 * (strips.WIDE + strips.GAP) - strips.GAP
        assert (BLOG / f"chelsea-{loop}.png").stat().st_size < 150_000
