"""From a folder of photographs to a table: recording grids and making the search's prior of them, by their commands."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pictures import encoded, photo
from semcompress_plugin import workshop
from semcompress_plugin.search import _table
from semcompress_plugin.search._grid import with_values
from semcompress_plugin.types import Knob, Space

TOOLS = Path(__file__).parents[1] / "tools"
GRID = "scale=.25,.5,1:quality=20,60,90"
FINE = f"scale=1:quality={','.join(map(str, range(40, 56)))}"
VIEWS = ["--evaluator", "center=classifier:view=center", "--evaluator", "full=classifier:view=full"]


def both(grid: str) -> list[str]:
    """WebP as usual, and with an option that changes its files."""
    return ["--compressor", f"webp:{grid}", "--compressor", f"webp:method=0:{grid}"]


def tool(name: str):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of four small photographs, and their photographs."""
    place = tmp_path_factory.mktemp("prior")
    (place / "photos").mkdir()
    for seed in range(4):
        data = encoded(photo((280, 210), seed), "JPEG", quality=95)
        (place / "photos" / f"{seed}.jpg").write_bytes(data)
    record = tool("record_grids").main
    photos, files = str(place / "photos"), str(place / "files")
    record([photos, str(place / "grid.jsonl"), *both(GRID), *VIEWS, "--files", files])
    record([photos, str(place / "fine.jsonl"), *both(FINE), *VIEWS, "--limit", "2"])
    return place


def test_the_commands_lead_from_photographs_to_a_table_that_the_search_can_read(folder: Path) -> None:
    make = tool("make_prior")
    make.main([str(folder / "grid.jsonl"), "--fine", str(folder / "fine.jsonl"), "--out", str(folder / "prior.npz")])
    table = _table.load(folder / "prior.npz")
    names = {name for _, name in table.surfaces}
    assert {"bytes", "sway:log", "sway/center:log", "sway/full:log", "js_divergence/center:log"} <= names
    assert json.loads((folder / "prior.json").read_text(encoding="utf-8"))["photographs"] == 4
    # the whole is the worst of its parts
    whole, *parts = (table.surfaces["webp", f"sway{part}:log"].layers[..., 0] for part in ("", "/center", "/full"))
    assert (whole >= np.maximum(*parts) - 0.01).all()


def test_a_compressor_with_an_option_that_was_recorded_has_surfaces_of_its_own(folder: Path) -> None:
    make = tool("make_prior")
    make.main([str(folder / "grid.jsonl"), "--fine", str(folder / "fine.jsonl"), "--out", str(folder / "prior.npz")])
    table = _table.load(folder / "prior.npz")

    def bytes_of(**options: object) -> float:
        knobs = (Knob("scale", "", 0.05, 1.0, log=True), Knob("quality", "", 1, 100, integer=True))
        point = with_values(Space("webp", "WEBP", knobs, options=options), np.array([[0.5, 60.0]]))
        return float(table.piece(point, _table.BYTES, (280, 210)).mean[0])

    assert bytes_of(method=0) == bytes_of(method=0, unheard_of=True) > bytes_of() + 0.05, "method 0 packs worse"
    assert bytes_of() == bytes_of(method=4), "of other values nothing is known"


def test_the_value_of_an_option_may_have_colons() -> None:
    record = tool("record_grids")
    text = 'avif:subsampling="4:4:4":grain=true:scale=.5,1:quality=50'
    grid = record.parse_compressor(text, record.Registry())
    assert [use.options for use, _ in grid] == [{"subsampling": "4:4:4", "grain": True}] * 2
    named, _ = record.described(grid)[0]
    assert _table.parts(named) == ["avif", "grain=true", 'subsampling="4:4:4"']


def test_another_recording_of_a_grid_looks_at_the_kept_files_and_encodes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop.Workshop, "encode", lambda self, task: pytest.fail("encoded again"))
    again = folder / "again.jsonl"
    tool("record_grids").main(
        [str(folder / "photos"), str(again), *both(GRID), *VIEWS, "--files", str(folder / "files")]
    )
    assert again.read_text(encoding="utf-8") == (folder / "grid.jsonl").read_text(encoding="utf-8")


def test_another_grid_or_photograph_has_files_of_its_own(folder: Path) -> None:
    record = tool("record_grids")
    texts = (GRID, f"method=0:{GRID}", "scale=1:quality=50")
    grids = [record.parse_compressor(f"webp:{text}", record.Registry()) for text in texts]
    photos = [folder / "photos" / f"{seed}.jpg" for seed in range(2)]
    places = {record._archive(folder / "elsewhere", grid, path) for grid in grids for path in photos}
    assert len(places) == 6


def test_the_documented_commands_name_every_recording_that_the_shipped_table_was_made_from() -> None:
    """``just record-prior`` and ``just prior``: as many recordings, of the same evaluators."""
    shipped = json.loads(_table.PATH.with_suffix(".json").read_text(encoding="utf-8"))
    text = (TOOLS.parent / "justfile").read_text(encoding="utf-8")
    recipe = text.partition("\nrecord-prior:")[2].partition("\n\n")[0]
    assert recipe.count("record_grids.py") == len(shipped["recordings"])
    machine = next(line for line in text.splitlines() if line.startswith("machine :="))
    for reader in shipped["recordings"][0]["readers"]:
        assert f"--evaluator {reader}=" in machine
