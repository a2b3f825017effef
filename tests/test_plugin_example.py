"""What docs/plugins.md shows: a whole package, built, installed and used as its readers would, and a compressor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from disk import git, repository
from pictures import photo
from semcompress_plugin.engine import Candidate, Encode
from semcompress_plugin.plugins import Plugins
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import CompressorUse, Proposal, Reference
from semcompress_plugin.workshop import Workshop

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
PHOTO = "coffee.jpg"
BLOCKS = dict(re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the example installed beside us."""
    place = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place)]
    subprocess.run([*pip, str(ROOT / "examples" / "plugin")], check=True)
    return os.environ | {"PYTHONPATH": str(place)}


def run(installed: dict[str, str], *command: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, env=installed, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


TYPED = """
from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from random import Random

from PIL import Image, ImageFilter

from semcompress_plugin import (
    Compressor,
    CompressorSpec,
    Effort,
    Evaluator,
    EvaluatorSpec,
    IterativeCompressor,
    Knob,
    Metric,
    Parts,
    Reference,
    Result,
    hookimpl,
    iterative_spec,
    save_parameters,
    scaled,
    truecolour,
)


class Blur(IterativeCompressor):
    def iteration(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.BoxBlur(1))


class Blot(IterativeCompressor):
    def iteration(self, image: Image.Image, rng: Random) -> Image.Image:
        image.putpixel((rng.randrange(image.width), rng.randrange(image.height)), 0)
        return image


class Grey:
    def observe(self, images: Sequence[Image.Image]) -> list[float]:
        return [image.convert("L").resize((1, 1)).tobytes()[0] / 255 for image in images]

    def compare(self, reference: float, candidates: Sequence[float]) -> list[Mapping[str, float]]:
        return [{"difference": abs(reference - candidate)} for candidate in candidates]


class Plain:
    def __init__(self, optimize: bool = False) -> None:
        self.optimize = optimize

    def compress(self, reference: Reference, settings: Mapping[str, float], format: str) -> bytes:
        out = io.BytesIO()
        parameters = save_parameters(reference.metadata, format)
        image = truecolour(scaled(reference, settings)).convert("RGB")
        image.save(out, format, quality=int(settings["quality"]), optimize=self.optimize, **parameters)
        return out.getvalue()


grey: Evaluator = Grey()
compressors: tuple[Compressor, ...] = (Plain(), Blur(), Blot(then={"quality": 90}, seed=7))


@hookimpl
def semcompress_evaluators() -> Iterable[EvaluatorSpec]:
    difference = Metric("difference", "change of the mean grey", higher_is_better=False)
    half = Parts("half", {"both": ("left", "right")}, default="both")
    yield EvaluatorSpec("grey", "1", "mean grey", metrics=(difference,), factory=Grey)
    yield EvaluatorSpec("halves", "1", "mean grey", metrics=(difference,), factory="typed:Grey", parts=half)


@hookimpl
def semcompress_compressors() -> Iterable[CompressorSpec]:
    quality = Knob("quality", "quality", low=1, high=95, integer=True)
    yield CompressorSpec(
        "plain",
        "1",
        "",
        formats=("JPEG",),
        knobs=(quality,),
        factory=Plain,
        options={"optimize": {"type": "boolean", "default": False}},
        efforts={"fast": Effort({"optimize": False}), "best": Effort({"optimize": True}, 0.97)},
    )
    yield iterative_spec("blur", "1", "blurred", Blur)
    yield iterative_spec("blot", "1", "blotted", "typed:Blot")


@hookimpl
def semcompress_result(result: Result) -> None:
    with open("log.txt", "a") as log:
        log.write(f"{result.path} {result.before} -> {result.after}\\n")
"""


def test_a_typed_plugin_passes_mypy_strict_in_either_form_of_a_step(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "typed.py").write_text(TYPED)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "typed.py"]
    done = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True)
    assert "Success" in done.stdout, done.stdout + done.stderr


def test_the_example_passes_mypy_strict(tmp_path):
    pytest.importorskip("mypy")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "semcompress_dhash"]
    done = subprocess.run(mypy, cwd=ROOT / "examples" / "plugin", capture_output=True, text=True)
    assert "Success" in done.stdout, done.stdout + done.stderr


def test_python_shrinks_a_picture_and_measures_it_as_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes((ROOT / "examples/site/img" / PHOTO).read_bytes())
    (tmp_path / "policy.yaml").write_text("version: 1\npreset: web\n")
    exec(BLOCKS["python"], {})
    assert capsys.readouterr().out.startswith("True {'classifier': {")


def test_the_page_shows_the_files_of_the_example():
    shown = {name: code for name, code in BLOCKS.items() if name.startswith("examples/")}
    assert len(shown) == 4
    for name, code in shown.items():
        assert code == (ROOT / name).read_text(encoding="utf-8"), name


def test_the_installed_example_is_listed_passes_its_tests_and_binds_what_may_be_written(installed, tmp_path):
    listed = json.loads(run(installed, "semcompress_plugin", "plugins", "--format", "json", cwd=tmp_path))
    (reader,) = (one for one in listed["evaluators"] if one["name"] == "dhash")
    assert reader["distribution"] == "semcompress-dhash"
    run(installed, "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "examples" / "plugin"), cwd=tmp_path)

    root = repository(tmp_path / "r")
    (root / "a.jpg").write_bytes((ROOT / "examples/site/img" / PHOTO).read_bytes())
    (root / ".semcompress.yaml").write_text(BLOCKS["policy"])
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")
    report = json.loads(run(installed, "semcompress_plugin", "compress", "--format", "json", cwd=root, code=1))
    (result,) = report["results"]
    (output,) = result["outputs"]
    assert output["scores"]["duplicates"]["distance"] <= 0.02
    assert output["bytes"] < result["before"]


def test_the_compressor_shown_writes_what_can_be_read_in_two_sizes():
    module = types.ModuleType("shown")
    exec(BLOCKS["compressor"], vars(module))
    plugins = Plugins(found=[])
    plugins.register(module, "shown")
    workshop, reference = Workshop(Registry(plugins)), Reference(photo((120, 80), 2))
    files = []
    for colors in (256, 8):
        proposal = Proposal("few", "WEBP", {"scale": 0.5, "colors": colors})
        candidate = workshop.perform(Encode(CompressorUse("few", ()), reference, proposal))
        assert isinstance(candidate, Candidate), candidate
        assert candidate.image.size == (60, 40)
        files.append(candidate.data)
    assert len(files[0]) > len(files[1])
