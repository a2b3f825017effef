"""What third parties' plugins are held to: a mistake of theirs is one line that names them, and harms no picture."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from disk import repository, shrunk, workplace
from pictures import DIFFERENCE, Thumbnails, encoded, photo, reader, reference, registry, rule
from semcompress_plugin import CompressorSpec, EvaluatorSpec, Knob, Metric, Parts, hookimpl, save_parameters, strangers
from semcompress_plugin.cli import main
from semcompress_plugin.commands._shared import tell
from semcompress_plugin.compressors import semcompress_compressors
from semcompress_plugin.compressors.jpeg import JpegCompressor
from semcompress_plugin.engine import Candidate, Encode, Observe, decide, drive
from semcompress_plugin.errors import ImageError, PluginError
from semcompress_plugin.evaluators import semcompress_evaluators
from semcompress_plugin.images import decode
from semcompress_plugin.metadata import Metadata
from semcompress_plugin.plugins import Plugins
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.settle import settle
from semcompress_plugin.types import CompressorUse, Constraint, Effort, EvaluatorUse, Proposal, Reference, Result
from semcompress_plugin.workshop import Workshop


def installed(folder: Path, code: str) -> Path:
    """A folder of packages with the distribution ``stranger 2.5``, whose plugin has this code."""
    site = folder / "site"
    info = site / "stranger-2.5.dist-info"
    info.mkdir(parents=True)
    (site / "stranger_plugin.py").write_text(code)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text("[semcompress]\nstranger = stranger_plugin\n")
    return site


def run_with(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """semcompress in ``folder``, with what is installed at ``site``."""
    command = [sys.executable, "-m", "semcompress_plugin", *arguments]
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


QUALITY = Knob("quality", "", 1, 95, integer=True)


def saved(image: Image.Image, format: str, settings, metadata: Metadata = Metadata()) -> bytes:  # noqa: B008  # frozen
    return encoded(image, format, quality=int(settings["quality"]), **save_parameters(metadata, format))


def compressor(compress, **more: object) -> CompressorSpec:
    """A stranger's compressor ``theirs`` that does this."""
    kind = type("Theirs", (), {"compress": lambda self, reference, settings, format: compress(reference, settings)})
    given = {"formats": ("JPEG",), "knobs": (QUALITY,), "factory": kind} | more
    return CompressorSpec("theirs", "1", "", **given)  # type: ignore[arg-type]


def shrink(picture: Reference, spec: CompressorSpec, *readers: EvaluatorSpec):
    known = registry(spec, *(readers or (reader(),)))
    names = [one.name for one in readers] or ["thumbnails"]
    (decision,) = drive(decide(picture, rule(known, "theirs", evaluators=names), known), Workshop(known).perform)
    return decision


class Scribbles(Thumbnails):
    """Draws on what it is shown."""

    def observe(self, images):
        for image in images:
            ImageDraw.Draw(image).rectangle((0, 0, *image.size), fill=(255, 0, 0))
        return super().observe(images)


def test_a_reader_that_draws_on_pictures_blinds_nobody_and_harms_nothing():
    known, picture = registry(reader(), reader("scribbles", Scribbles, cost=1)), reference(photo())
    before = picture.image.tobytes()
    both = rule(known, "jpeg", evaluators=("scribbles", "thumbnails"))
    (decision,) = drive(decide(picture, both, known), Workshop(known).perform)
    assert picture.image.tobytes() == before
    assert isinstance(decision.candidate, Candidate)
    seen = Thumbnails().observe([picture.image, Image.open(io.BytesIO(decision.candidate.data))])
    assert Thumbnails().compare(seen[0], seen[1:])[0]["difference"] <= 0.01


def test_a_compressor_that_draws_on_the_picture_is_judged_by_what_the_picture_was():
    def compress(picture, settings):
        ImageDraw.Draw(picture.image).rectangle((0, 0, *picture.image.size), fill=(255, 0, 0))
        return saved(picture.image, "JPEG", settings)

    picture = reference(photo())
    before = picture.image.tobytes()
    assert shrink(picture, compressor(compress)).candidate is None
    assert picture.image.tobytes() == before


def test_a_preview_is_made_of_a_copy_too():
    class Draws:
        compress = saved  # which nobody asks for

        def preview(self, picture, settings):
            ImageDraw.Draw(picture.image).rectangle((0, 0, *picture.image.size), fill=(255, 0, 0))
            return picture.image

    spec = CompressorSpec("theirs", "1", "", ("JPEG",), (QUALITY,), Draws, previews=True)
    picture = reference(photo())
    before = picture.image.tobytes()
    proposal = Proposal("theirs", "JPEG", {"quality": 50}, preview=True)
    Workshop(registry(spec)).perform(Encode(CompressorUse("theirs", ()), picture, proposal))
    assert picture.image.tobytes() == before


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda p, s: None, "compress must return bytes, got NoneType"),
        (lambda p, s: bytearray(saved(p.image, "JPEG", s)), "compress must return bytes, got bytearray"),
        (lambda p, s: "text", "compress must return bytes, got str"),
        (lambda p, s: b"", "compress must return a JPEG file; what it wrote is empty"),
        (lambda p, s: b"garbage", "compress must return a JPEG file; what it wrote is not a picture"),
        (lambda p, s: saved(p.image, "JPEG", s)[:-200], "compress must return a JPEG file; what it wrote is damaged"),
        (lambda p, s: saved(p.image, "WEBP", s), "compress must return a JPEG file, got WEBP"),
        (lambda p, s: sys.exit(0), "SystemExit: 0"),
        (
            lambda p, s: saved(p.image.convert("CMYK"), "JPEG", s),
            "compress wrote a picture that has pixels of mode CMYK",
        ),
    ],
)
def test_what_is_no_file_of_the_format_names_the_compressor_and_settles_nothing(answer, words):
    with pytest.raises(PluginError, match=r"compressor 'theirs' of third-party failed: ") as caught:
        shrink(reference(photo()), compressor(answer))
    assert words in str(caught.value)
    assert "delete it" not in str(caught.value)  # as it is said of a file that lies somewhere


@pytest.mark.parametrize("format", ["WEBP", "PNG", "GIF"])
def test_an_animation_of_which_readers_see_one_frame_is_refused(format):
    def animates(picture, settings):
        flipped = picture.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return encoded(picture.image, format, save_all=True, append_images=[flipped])

    made = compressor(animates, formats=(format,))
    proposal = Proposal("theirs", format, {"quality": 50})
    said = (
        "theirs' of third-party failed: TypeError: compress wrote an animation of 2 frames: expected one still picture"
    )
    with pytest.raises(PluginError, match=said):
        Workshop(registry(made)).perform(Encode(CompressorUse("theirs", ()), reference(photo()), proposal))


def test_a_still_gif_is_a_file_as_any_other_and_can_be_measured(tmp_path: Path):
    site = installed(
        tmp_path,
        textwrap.dedent("""
        import io
        from semcompress_plugin import CompressorSpec, Knob, hookimpl
        class Gif:
            def compress(self, reference, settings, format):
                out = io.BytesIO()
                reference.image.convert("RGB").quantize(int(settings["colors"])).save(out, format)
                return out.getvalue()
        @hookimpl
        def semcompress_compressors():
            yield CompressorSpec("gif", "1", "", ("GIF",), (Knob("colors", "", 2, 256, integer=True),), Gif)
        """),
    )
    work = repository(tmp_path / "work")
    (work / "a.png").write_bytes(encoded(photo(), "PNG"))
    keep = "keep: {classifier: {js_divergence: {max: 0.6}}}, compress: [gif]"
    rule = f"{{name: a, files: ['*.png'], {keep}, outputs: {{formats: [gif], place: beside}}}}"
    (work / ".semcompress.yaml").write_text(f"version: 1\nrules: [{rule}]\n")
    made = run_with(site, work, "compress")
    assert (work / "a.gif").exists(), made.stdout + made.stderr
    told = run_with(site, work, "verify")
    assert (told.returncode, "verified 1 of 1" in told.stderr) == (0, True), told.stdout + told.stderr


def test_only_a_word_about_settings_lets_the_search_go_on():
    def refuses(error):
        def compress(picture, settings):
            if settings["quality"] < 50:
                raise error
            return saved(picture.image, "JPEG", settings)

        return compressor(compress)

    for error in (ValueError("too large"), OSError("encoder error -2 when writing image file")):
        assert shrink(reference(photo()), refuses(error)).candidate is not None
    for error in (FileNotFoundError(errno.ENOENT, "No such file", "cjpegli"), OSError(errno.ENOSPC, "No space left")):
        with pytest.raises(PluginError, match=r"compressor 'theirs' of third-party failed: (FileNotFound|OS)Error: "):
            shrink(reference(photo()), refuses(error))


def test_a_full_disk_is_no_bug_of_our_own_compressors_and_settles_nothing(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JpegCompressor, "compress", full)
    known = registry(reader())
    with pytest.raises(ImageError, match=r"^jpeg cannot write it: No space left on device$"):
        drive(decide(reference(photo()), rule(known, "jpeg"), known), Workshop(known).perform)


def test_a_picture_of_which_a_compressor_writes_nothing_is_not_settled():
    def refuses(picture, settings):
        raise ValueError("no licence")

    with pytest.raises(PluginError, match=r"^theirs cannot write it: no licence, with whatever settings: not settled"):
        shrink(reference(photo()), compressor(refuses))
    known = registry(reader(), compressor(refuses))
    both = rule(known, "jpeg", "theirs")  # of what another one wrote there is a verdict
    (decision,) = drive(decide(reference(photo()), both, known), Workshop(known).perform)
    assert decision.candidate is not None
    (decision,) = drive(
        decide(reference(photo()), replace(both, keep=(Constraint("thumbnails", DIFFERENCE, max=0),)), known),
        Workshop(known).perform,
    )
    assert "nearest of" in decision.reason


def test_a_compressor_that_writes_what_the_rule_leaves_out_is_refused():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    private = encoded(photo(), "JPEG", quality=98, exif=exif)
    picture = decode(private, metadata="strip-private")

    def copies(reference, settings):
        return encoded(reference.image, "JPEG", quality=int(settings["quality"]), exif=exif)

    with pytest.raises(PluginError, match="wrote other metadata than the rule wants: write those of save_parameters"):
        shrink(picture, compressor(copies))
    decision = shrink(picture, compressor(lambda p, s: saved(p.image, "JPEG", s, p.metadata)))
    assert decision.candidate is not None


def test_size_in_pixels_changes_by_the_knob_scale_alone():
    def halves(picture, settings):
        return saved(picture.image.reduce(2), "JPEG", settings)

    said = "compress changed the picture's size, which only a knob 'scale' may: 80 x 60 pixels instead of 160 x 120"
    with pytest.raises(PluginError, match=f"compressor 'theirs' of third-party failed: TypeError: {said}"):
        shrink(reference(photo((160, 120))), compressor(halves))


def test_what_it_loses_with_some_settings_alone_is_a_reason_that_names_it():
    def cuts(picture, settings):
        image = picture.image.convert("RGBA" if settings["quality"] > 90 else "RGB")
        return encoded(image, "PNG")

    clear = photo().convert("RGBA")
    clear.putalpha(100)
    decision = shrink(reference(clear, "PNG"), compressor(cuts, formats=("PNG",)))
    assert decision.candidate is None
    assert "theirs lost the transparency" in decision.reason


def test_an_opaque_picture_that_it_makes_transparent_is_refused_as_well():
    def thins(picture, settings):
        return encoded(Image.new("RGBA", picture.image.size, (128, 128, 128, 254)), "PNG")

    decision = shrink(reference(photo(), "PNG"), compressor(thins, formats=("PNG",)))
    assert decision.candidate is None
    assert "theirs made it transparent" in decision.reason


def test_what_calls_itself_lossless_changes_no_pixel():
    def packs(picture, settings):
        return encoded(picture.image, "JPEG", quality=40)

    task = Encode(CompressorUse("theirs", ()), reference(photo()), Proposal("theirs", "JPEG", {}))
    with pytest.raises(PluginError, match="third-party failed: TypeError: compress changed pixels, and its spec says"):
        Workshop(registry(compressor(packs, lossless=True, knobs=()))).perform(task)
    same = compressor(lambda picture, settings: picture.source, lossless=True, knobs=())
    assert isinstance(Workshop(registry(same)).perform(task), Candidate)


def test_a_colour_profile_that_nobody_wanted_is_refused():
    def profiles(picture, settings):
        return encoded(picture.image, "JPEG", quality=50, icc_profile=b"garbage")

    with pytest.raises(
        PluginError, match="TypeError: compress wrote another colour profile than the picture is to have"
    ):
        shrink(reference(photo()), compressor(profiles))


@pytest.mark.parametrize(
    ("more", "passes"),
    [(lambda length: length // 2, False), (lambda length: length + 1, True), (lambda length: length, True)],
)
def test_below_scale_1_it_is_what_the_scale_says(more, passes):
    """By a pixel, for others may round otherwise than we do."""

    def scales(picture, settings):
        small = picture.image.resize([more(int(settings["scale"] * length)) for length in picture.image.size])
        return saved(small, "JPEG", settings)

    spec = compressor(scales, knobs=(Knob("scale", "", 0.6, 0.9), QUALITY))
    if passes:
        assert shrink(reference(photo((160, 120))), spec).candidate is not None
        return
    said = r"compress was told scale 0\.\d+ and wrote \d+ x \d+ pixels instead of 160 x 120 times that"
    with pytest.raises(PluginError, match=said):
        shrink(reference(photo((160, 120))), spec)


@pytest.mark.parametrize("spec", [*semcompress_compressors(), *semcompress_evaluators()], ids=lambda spec: spec.name)
def test_our_own_specs_have_no_mistakes(spec):
    assert list(strangers.mistakes(spec)) == []


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "png"])
@pytest.mark.parametrize("policy", ["keep", "strip-private", "strip-all"])
def test_our_own_files_pass(name, policy):
    exif = Image.Exif()
    exif[0x013B], exif[0x0112] = "somebody", 6
    exif.get_ifd(0x8825)[1] = "N"
    source = encoded(photo(), "JPEG", quality=95, exif=exif, comment=b"a comment", xmp=b"<x:xmpmeta>x</x:xmpmeta>")
    picture = decode(source, metadata=policy)
    known = Registry()
    spec = known.compressor(name)
    proposal = Proposal(name, spec.formats[0], {knob.name: knob.high for knob in spec.knobs})
    made = Workshop(known).perform(Encode(CompressorUse(name, ()), picture, proposal))
    assert isinstance(made, Candidate)
    strangers.check_file(made.data, proposal, picture.metadata)


METRIC = {"name": "m", "summary": "", "higher_is_better": False}
VIEW = Parts("view", {"both": ("left", "right")}, default="both")


def metric(**changes: object) -> EvaluatorSpec:
    return evaluator(metrics=(Metric(**(METRIC | changes)),))  # type: ignore[arg-type]


def knob(**changes: object) -> CompressorSpec:
    one = Knob(**({"name": "k", "summary": "", "low": 1, "high": 9} | changes))  # type: ignore[arg-type]
    return CompressorSpec("theirs", "1", "", ("JPEG",), (one,), dict)  # type: ignore[arg-type]


def evaluator(**changes: object) -> EvaluatorSpec:
    usual = {"name": "theirs", "version": "1", "summary": "", "metrics": (DIFFERENCE,), "factory": Thumbnails}
    return EvaluatorSpec(**(usual | changes))  # type: ignore[arg-type]


def with_formats(*formats: object) -> CompressorSpec:
    return CompressorSpec("theirs", "1", "", formats=formats[0], knobs=(QUALITY,), factory=dict)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (with_formats("JPEG"), "formats: expected a tuple of some of JPEG, PNG, WEBP, AVIF, GIF, got 'JPEG'"),
        (with_formats(("jpeg",)), "formats: expected"),
        (with_formats(()), "formats: expected"),
        (with_formats(("BMP",)), "formats: expected"),
        (knob(low=9, high=1), "knob k: expected numbers with low <= high, got 9 to 1"),
        (knob(high=float("inf")), "knob k: expected numbers"),
        (knob(low=0, log=True), "knob k: expected a low above 0, since it is log, got 0"),
        (knob(smaller="down"), "knob k: expected smaller to be one of low, high, got 'down'"),
        (knob(smaller=["low"]), "knob k: expected smaller to be one of low, high, got ['low']"),
        (knob(name=5), "knob 5: expected name to be letters, digits, '.', '_' and '-', got 5"),
        (knob(name="q r:"), "knob q r:: expected name to be letters"),
        (knob(name=[]), "knob []: expected name to be letters"),
        (knob(summary=None), "knob k: expected summary to be text, got None"),
        (knob(integer="no"), "knob k: expected integer to be True or False, got 'no'"),
        (knob(log=1), "knob k: expected log to be True or False, got 1"),
        (knob(name="scale", high=3), "knob scale: expected numbers above 0 and at most 1, shares of a picture's width"),
        (knob(name="scale", low=0, high=1), "knob scale: expected numbers above 0 and at most 1"),
        (compressor(None, writes=5), "writes: expected text or None, got 5"),
        (compressor(None, search=["linear"]), "search: expected one of frontier"),
        (compressor(None, previews="yes"), "previews: expected True or False, got 'yes'"),
        (compressor(None, lossless=0), "lossless: expected True or False, got 0"),
        (compressor(None, alpha=None), "alpha: expected True or False, got None"),
        (compressor(None, efforts={"slow": {}}), "efforts: expected"),
        (compressor(None, efforts={"fast": {}}), "efforts: expected Effort(options, bytes above 0) for each, got {}"),
        (compressor(None, efforts={"fast": Effort({"o": 1}, 0)}), "efforts: expected Effort(options, bytes above 0)"),
        (compressor(None, efforts={"fast": Effort({}, math.inf)}), "for each, got Effort(options={}, bytes=inf)"),
        (compressor(None, efforts={"best": Effort({}, "x")}), "for each, got Effort(options={}, bytes='x')"),
        (compressor(None, efforts={"draft": Effort(None)}), "for each, got Effort(options=None, bytes=1.0)"),
        (compressor(None, search="bisct"), "search: expected one of frontier"),
        (compressor(None, cost=float("nan")), "cost: expected milliseconds per megapixel, got nan"),
        (compressor(None, options=["threshold"]), "options: expected a mapping"),
        (evaluator(options={"threshold": 40}), "option threshold: expected a JSON schema such as"),
        (evaluator(options={"threshold": {"type": "int"}}), "option threshold: expected a JSON schema such as"),
        (
            evaluator(options={"x": {"oneOf": [{"type": "integer"}]}}),
            "option x: expected keywords among additionalProp",
        ),
        (evaluator(options={"x": {"type": "integer", "multipleOf": 2}}), "uniqueItems, got 'multipleOf'"),
        (evaluator(options={"x": {"items": {"anyOf": [{"$ref": "#"}]}}}), "uniqueItems, got '$ref'"),
        (evaluator(options={"x": {"pattern": "("}}), "'integer'}, pattern being a regular expression, got '('"),
        (evaluator(options={"x": {"enum": "ab"}}), "'integer'}, enum being a list of values, got 'ab'"),
        (evaluator(options={"x": {"minimum": "1"}}), "'integer'}, minimum being a number, got '1'"),
        (evaluator(options={"x": {"minItems": 1.5}}), "minItems being a whole number of at least 0, got 1.5"),
        (
            evaluator(options={"x": {"properties": {"a": 3}}}),
            "option x: expected a JSON schema such as {'type': 'integer'}",
        ),
        (compressor(None, options={"quality": {"type": "integer"}}), "knobs and options: expected each name once"),
        (knob(integer=True, low=1.5), "knob k: expected whole numbers, since it is integer, got 1.5 to 9"),
        (evaluator(options={"x": True}), "option x: expected a JSON schema such as {'type': 'integer'}, got True"),
        (evaluator(options={"x": {"anyOf": [True]}}), "option x: expected a JSON schema such as {'type': 'integer'}"),
        (evaluator(parts=Parts("view", ["both"], "both")), "parts: expected an option, values with their parts"),
        (evaluator(parts=Parts("view", {"both": "ab"}, "both")), "parts: expected an option, values with their parts"),
        (evaluator(parts=VIEW), "parts: expected the name of one of its options, got 'view'"),
        (
            evaluator(parts=VIEW, options={"view": {"enum": ["left", "right"]}}),
            "allows, one of left, right, got 'both'",
        ),
        (evaluator(parts=VIEW, options={"view": {"enum": ["left", "both"]}}), "allows, one of left, both, got 'right'"),
        (evaluator(options={"use": {"type": "string"}}), "options: expected names other than 'use'"),
        (evaluator(name=None), "name: expected letters"),
        (evaluator(metrics=DIFFERENCE), "metrics: expected a tuple of Metric"),
        (evaluator(metrics=("difference",)), "metrics: expected a tuple of Metric"),
        (evaluator(metrics=(DIFFERENCE, DIFFERENCE)), "metrics: expected each name once, got 'difference'"),
        (metric(minimum=1, maximum=0), "metric m: expected numbers with minimum < maximum, got 1 to 0"),
        (metric(minimum="0"), "metric m: expected numbers"),
        (metric(transform="sqrt"), "metric m: expected transform to be one of identity, log, log1m, step, got 'sqrt'"),
        (metric(name=5), "metric 5: expected name to be letters, digits, '.', '_' and '-', got 5"),
        (metric(name=""), "metric : expected name to be letters"),
        (metric(name="a b"), "metric a b: expected name to be letters"),
        (metric(summary=None), "metric m: expected summary to be text, got None"),
        (metric(unit=5), "metric m: expected unit to be text, got 5"),
        (metric(higher_is_better="yes"), "metric m: expected higher_is_better to be True or False, got 'yes'"),
        (evaluator(batch=True), "batch: expected a whole number of at least 1, got True"),
        (evaluator(reads=5), "reads: expected a tuple of networks' names, got 5"),
        (evaluator(reads="efficientnet"), "reads: expected a tuple of networks' names, got 'efficientnet'"),
        (evaluator(equal_sizes="no"), "equal_sizes: expected True or False, got 'no'"),
        (evaluator(concurrent="no"), "concurrent: expected True or False, got 'no'"),
        (evaluator(argument=[]), "argument: expected the name of one of its options, got []"),
        (
            evaluator(options={"x": {"type": "integer", "default": "8"}}),
            "option x: expected a default that it allows, a whole number, got '8'",
        ),
        (
            evaluator(options={"x": {"type": "array", "items": {"enum": ["a", "b"]}, "default": ["c"]}}),
            "option x: expected a default that it allows, a list, got ['c']",
        ),
        (evaluator(batch=0), "batch: expected a whole number of at least 1, got 0"),
        (evaluator(cost="cheap"), "cost: expected milliseconds per megapixel, got 'cheap'"),
        (evaluator(parts=3), "parts: expected Parts or None, got 3"),
        (evaluator(argument="model"), "argument: expected the name of one of its options, got 'model'"),
        (evaluator(factory="nowhere"), "factory: expected 'module:attribute' or a callable, got 'nowhere'"),
    ],
)
def test_a_spec_that_cannot_be_worked_with_is_left_out_and_told_of(spec, words):
    known = registry(spec)
    assert not {"theirs", None} & {*known.compressors, *known.evaluators}
    assert any("third-party cannot be used: its " in str(one) and words in str(one) for one in known.broken), (
        known.broken
    )
    with pytest.raises(PluginError, match="unknown evaluator 'theirs'"):
        known.evaluator("theirs")


@pytest.mark.parametrize("spec", [metric(name=5), knob(name=5)], ids=["metric", "knob"])
def test_a_name_that_is_no_text_is_one_warning_and_policies_are_read(spec):
    known = registry(spec)
    assert len(known.broken) == 1
    assert parse_policy("version: 1\npreset: web\n", known, Path(), "p").rules


def test_defaults_that_the_schema_allows_are_no_mistake():
    size = {"type": "integer", "minimum": 4, "default": 8}
    several = {"type": "array", "items": size, "default": (4, 5)}
    inner = {"type": "object", "additionalProperties": False, "properties": {"size": size}, "default": {"size": 5}}
    assert list(strangers.mistakes(evaluator(options={"a": size, "b": several, "c": inner}))) == []


def test_parts_and_infinite_metrics_are_no_mistake():
    endless = Metric("m", "", higher_is_better=False, maximum=float("inf"))
    spec = evaluator(metrics=(endless,), parts=VIEW, options={"view": {"enum": ["left", "right", "both"]}})
    assert list(strangers.mistakes(spec)) == []


@pytest.mark.parametrize("value", [-0.5, 1.5, float("inf")])
def test_a_value_outside_its_metrics_range_is_an_error(value):
    class Wild(Thumbnails):
        def compare(self, reference, candidates):
            return [{"difference": value} for _ in candidates]

    with pytest.raises(PluginError, match=r"gave .* for 'difference': its spec says from 0 to 1$"):
        shrink(reference(photo()), compressor(lambda p, s: saved(p.image, "JPEG", s)), reader("wild", Wild))


class PanicException(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (PanicException("at lib.rs"), "PanicException: at lib.rs"),
        (MemoryError(), "Mem"),
    ],
)
def test_who_exits_panics_or_runs_out_of_memory_is_named(error, words):
    def fails(*_):
        raise error

    named = type("Fails", (Thumbnails,), {"observe": fails})
    workshop = Workshop(registry(reader(factory=named), compressor(fails)))
    with pytest.raises(PluginError, match=f"evaluator 'thumbnails' of third-party failed: {words}"):
        workshop.perform(Observe(EvaluatorUse("thumbnails", "thumbnails"), photo()))
    encode = Encode(CompressorUse("theirs", ()), reference(photo()), Proposal("theirs", "JPEG", {"quality": 50}))
    with pytest.raises(PluginError, match=f"compressor 'theirs' of third-party failed: {words}"):
        workshop.perform(encode)


def test_an_interruption_is_no_fault_of_whoever_is_at_work():
    def interrupted(*_):
        raise KeyboardInterrupt

    workshop = Workshop(registry(reader(factory=type("Slow", (Thumbnails,), {"observe": interrupted}))))
    with pytest.raises(KeyboardInterrupt):
        workshop.perform(Observe(EvaluatorUse("thumbnails", "thumbnails"), photo()))


@pytest.mark.parametrize("error", [RuntimeError("no model"), SystemExit(3), PanicException()])
def test_a_factory_that_fails_is_called_once(error):
    called = []

    def factory():
        called.append(1)
        raise error

    workshop = Workshop(registry(reader(factory=factory), compressor(None, factory=factory)))
    observe = Observe(EvaluatorUse("thumbnails", "thumbnails"), photo())
    encode = Encode(CompressorUse("theirs", ()), reference(photo()), Proposal("theirs", "JPEG", {"quality": 50}))
    for task, words in ((observe, "evaluator 'thumbnails' of"), (encode, "compressor 'theirs' of")) * 3:
        with pytest.raises(PluginError, match=words):
            workshop.perform(task)
    assert len(called) == 2
    workshop.forgive()
    with pytest.raises(PluginError, match="evaluator 'thumbnails' of"):
        workshop.perform(observe)
    assert len(called) == 3


@pytest.mark.parametrize(
    ("promise", "words"),
    [({"previews": True}, "no method preview"), ({"writes": "net", "formats": ("THEIRS",)}, "no method decode")],
)
def test_a_compressor_without_the_method_that_its_spec_promises_is_told_of_when_it_is_made(promise, words):
    known = registry(compressor(lambda p, s: saved(p.image, "JPEG", s), **promise))
    task = Encode(CompressorUse("theirs", ()), reference(photo()), Proposal("theirs", "JPEG", {"quality": 50}))
    with pytest.raises(PluginError, match=f"compressor 'theirs' of third-party failed: TypeError: .*{words}"):
        Workshop(known).perform(task)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("stranger_plugin:nothing", "AttributeError: module 'stranger_plugin' has no attribute 'nothing'"),
        ("stranger_nowhere:nothing", "ModuleNotFoundError: No module named 'stranger_nowhere'"),
        ("stranger_syntax:nothing", "SyntaxError: "),
        ("gc:enable", "its factory made None, which has no method observe or compare"),
        ("builtins:list", "its factory made [], which has no method observe or compare"),
    ],
)
def test_what_can_never_be_made_ends_the_run_in_one_line(tmp_path: Path, factory: str, words: str):
    work = tmp_path / "work"
    work.mkdir()
    for seed in range(3):
        (work / f"{seed}.jpg").write_bytes(encoded(photo(seed=seed), "JPEG", quality=98))
    keep = "rules: [{name: a, files: ['*'], keep: {theirs: {difference: {max: 0.1}}}}]"
    (work / ".semcompress.yaml").write_text(f"version: 1\noriginals: none\n{keep}\n")
    code = f"""
        from semcompress_plugin import EvaluatorSpec, Metric, hookimpl
        @hookimpl
        def semcompress_evaluators():
            yield EvaluatorSpec("theirs", "1", "", metrics=(Metric("difference", "", False),), factory={factory!r})
    """
    site = installed(tmp_path, textwrap.dedent(code))
    (site / "stranger_syntax.py").write_text("def nothing(")
    done = run_with(site, work, "compress")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"semcompress: evaluator 'theirs' of stranger 2.5 cannot be used: {words}" in done.stderr


def test_an_error_that_cannot_be_told_is_told_by_its_kind():
    class UnspeakableError(Exception):
        def __str__(self):
            raise RuntimeError("not even this")

    class Mute(Thumbnails):
        def observe(self, images):
            raise UnspeakableError

    workshop = Workshop(registry(reader(factory=Mute)))
    line = Mute.observe.__code__.co_firstlineno + 1
    said = rf"evaluator 'thumbnails' of third-party failed: UnspeakableError \(test_strangers\.py, line {line}\)"
    with pytest.raises(PluginError, match=said):
        workshop.perform(Observe(EvaluatorUse("thumbnails", "thumbnails"), photo()))


def test_an_error_within_a_library_names_the_plugins_own_line():
    class Clumsy(Thumbnails):
        def observe(self, images):
            return [image.convert("NO SUCH MODE") for image in images]

    workshop = Workshop(registry(reader(factory=Clumsy)))
    line = Clumsy.observe.__code__.co_firstlineno + 1
    with pytest.raises(PluginError, match=rf"\(test_strangers\.py, line {line}\)"):
        workshop.perform(Observe(EvaluatorUse("thumbnails", "thumbnails"), photo()))


def test_of_an_error_of_a_mile_the_beginning_is_told():
    class Talks(Thumbnails):
        def observe(self, images):
            raise ValueError("x" * 100_000)

    with pytest.raises(PluginError, match=r": ValueError: x{300}… \(test_strangers") as caught:
        Workshop(registry(reader(factory=Talks))).perform(Observe(EvaluatorUse("thumbnails", "thumbnails"), photo()))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("given", "words"), [({}, "and nothing else"), ({"difference": 1, 3: 4}, "only difference, 3")]
)
def test_a_metric_that_is_not_given_is_named_beside_what_is(given, words):
    with pytest.raises(ValueError, match=f"^compare gave no 'm', {words}$"):
        strangers.check_values([given], metric())


def test_a_description_that_fails_names_the_reader():
    class Mute(Thumbnails):
        def describe(self, observation):
            raise KeyError("nothing to say")

    with pytest.raises(PluginError, match="evaluator 'thumbnails' of third-party failed: KeyError"):
        Workshop(registry(reader(factory=Mute))).describe(EvaluatorUse("thumbnails", "thumbnails"), photo())


def test_who_fails_to_hear_of_results_is_one_warning_and_the_others_hear(capsys):
    heard = []

    class Deaf:
        @hookimpl
        def semcompress_result(self, result):
            raise OSError("no room")

    class Hears:
        @hookimpl
        def semcompress_result(self, result):
            heard.append(result)

    plugins = Plugins(found=[])
    plugins.register(Hears(), "hears")
    plugins.register(Deaf(), "deaf")
    results = [Result(name, "unchanged", 1, 1) for name in ("a.jpg", "b.jpg")]
    tell(results, Registry(plugins))
    assert heard == results
    (line,) = capsys.readouterr().err.splitlines()  # one line for all pictures
    assert "warning: plugin 'deaf' of deaf failed to take a result: OSError: no room (test_strangers.py, line" in line


@pytest.mark.parametrize(("command", "heard"), [("check", 0), ("compress", 1), ("verify", 0)])
def test_plugins_hear_of_what_was_done_and_of_nothing_else(repository: Path, monkeypatch, command: str, heard: int):
    (repository / "a.jpg").write_bytes(encoded(photo(), "JPEG", quality=98))
    told = []
    monkeypatch.setattr(Plugins, "tell", lambda self, result: told.append(result.path) or [])
    assert main([command, "a.jpg"]) in (0, 1)
    assert told == ["a.jpg"] * heard


def test_a_decoder_that_fails_is_named():
    class Theirs:
        compress = saved  # which nobody asks for

        def decode(self, data):
            raise KeyError("no such table")

    spec = CompressorSpec("theirs", "1", "", ("THEIRS",), (QUALITY,), Theirs, writes="net")
    with pytest.raises(PluginError, match="compressor 'theirs' of third-party failed: KeyError"):
        Workshop(registry(spec)).decode("theirs", b"")


BROKEN = {
    "exits": "import sys; sys.exit(0)",
    "panics": "raise type('PanicException', (BaseException,), {})('at lib.rs')",
    "misspelt": "from semcompress_plugin import hookimpl\n@hookimpl\ndef semcompress_evaluater(): return []",
    "no spec": "from semcompress_plugin import hookimpl\n@hookimpl\ndef semcompress_evaluators(): return ['bad']",
    "no list": "from semcompress_plugin import hookimpl\n@hookimpl\ndef semcompress_evaluators(): return 7",
}


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_whatever_is_installed_originals_can_be_had(tmp_path: Path, code: str):
    root = repository(tmp_path / "r")
    (root / "a.jpg").write_bytes(b"the original")
    lock, store = workplace(root)
    assert settle([shrunk(root / "a.jpg", lock, b"small")], lock, store) == [None]
    site = installed(tmp_path, code)
    told = run_with(site, root, "plugins")
    assert "stranger" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert run_with(site, root, "originals", "list").returncode == 0
    restored = run_with(site, root, "restore", "--all")
    assert restored.returncode == 0, restored.stderr
    assert (root / "a.jpg").read_bytes() == b"the original"


def test_what_a_plugin_prints_is_no_part_of_the_report(tmp_path: Path):
    code = """
        print("imported")
        from semcompress_plugin import CompressorSpec, Knob, hookimpl
        class Talks:
            def __init__(self):
                print("made")
            def compress(self, reference, settings, format):
                print("at work")
                raise ValueError
        @hookimpl
        def semcompress_compressors():
            print("asked")
            yield CompressorSpec("talks", "1", "", ("JPEG",), (Knob("q", "", 1, 9, integer=True),), Talks)
        @hookimpl
        def semcompress_result(result):
            print("told")
    """
    site = installed(tmp_path, textwrap.dedent(code))
    work = repository(tmp_path / "work")
    (work / "a.jpg").write_bytes(encoded(photo(), "JPEG", quality=98))
    rule = "{name: a, files: ['*'], keep: {classifier: {sway: {max: 0.1}}}, compress: [talks]}"
    (work / ".semcompress.yaml").write_text(f"version: 1\nrules: [{rule}]\n")
    done = run_with(site, work, "compress", "--format", "json")
    assert len(json.loads(done.stdout)["results"]) == 1
    assert {"imported", "asked", "made", "at work", "told"} <= {*done.stderr.splitlines()}


def test_numbers_of_numpy_are_numbers():
    class Numpy(Thumbnails):
        def compare(self, reference, candidates):
            return [{"difference": np.float32(one["difference"])} for one in super().compare(reference, candidates)]

    spec = compressor(lambda p, s: saved(p.image, "JPEG", s))
    assert shrink(reference(photo()), spec, reader("numpy", Numpy)).candidate is not None


@pytest.mark.parametrize("value", ["0.001", b"0.001", None])
def test_what_is_no_number_is_no_metric(value):
    with pytest.raises(TypeError, match="for 'm': expected a number"):
        strangers.check_values([{"m": value}], metric())


@pytest.mark.parametrize("value", [1, True, 0.5, np.float32(0.5), np.array(0.5)])
def test_what_can_be_taken_for_a_number_is_a_metric(value):
    strangers.check_values([{"m": value}], metric())


def test_booleans_may_say_what_else_a_mapping_or_list_holds():
    schema = {"type": "object", "additionalProperties": False, "properties": {"a": {"items": True}}}
    assert list(strangers.mistakes(evaluator(options={"x": schema}))) == []
