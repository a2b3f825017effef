"""Drafts and final efforts: what is tried out cheaply is written with care, and judged again before it is kept."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from PIL import Image

from pictures import Thumbnails, photo, reader, reference, registry, rule
from semcompress_plugin.compressors import _mozjpeg
from semcompress_plugin.compressors.jpeg import JpegCompressor
from semcompress_plugin.engine import Candidate, Encode, decide, drive
from semcompress_plugin.images import decode_candidate
from semcompress_plugin.types import CompressorSpec, Effort, Knob, Metadata, Proposal, Reference, SearchUse
from semcompress_plugin.workshop import Workshop

BOUND = 0.02


def scores(picture: Reference, data: bytes) -> dict[str, float]:
    eyes = Thumbnails()
    before, after = eyes.observe([picture.image, decode_candidate(data).convert("RGB")])
    return eyes.compare(before, [after])[0]


def watched(picture, how, known, effort="fast", spoil=None):
    """The decision, and every Encode task with its result; ``spoil`` may change results."""
    tools, seen = Workshop(known), []

    def perform(task):
        result = tools.perform(task)
        if isinstance(task, Encode):
            result = spoil(task, result) if spoil else result
            seen.append((task, result))
        return result

    (decision,) = drive(decide(picture, how, known, None, effort), perform)
    return decision, seen


def test_a_jpeg_is_searched_in_plain_coding_and_written_once_in_the_smallest() -> None:
    known, picture = registry(), reference(photo())
    decision, seen = watched(picture, rule(known, "jpeg", bound=BOUND), known)
    codings = [task.use.options["coding"] for task, _ in seen]
    assert set(codings[:-1]) == {"plain"}
    assert codings[-1] == "smallest"
    assert decision.candidate is not None
    assert decision.candidate.data == seen[-1][1].data
    assert not decision.candidate.proposal.draft


def test_a_file_with_the_draft_s_pixels_needs_no_further_look() -> None:
    known, picture = registry(), reference(photo())
    decision, _ = watched(picture, rule(known, "jpeg", bound=BOUND), known)
    last = decision.trials[-1]
    assert last.holds
    assert not last.looked
    assert decision.scores == {"thumbnails": scores(picture, decision.candidate.data)}


@pytest.mark.parametrize("coding", ["plain", "progressive", "smallest"])
def test_coding_changes_no_pixel_and_keeps_metadata(coding: str) -> None:
    exif = Image.Exif()
    exif[0x013B] = "somebody"
    picture = replace(reference(photo()), metadata=Metadata(exif=exif.tobytes(), icc_profile=b"p" * 200, dpi=(72, 72)))
    usual = JpegCompressor(coding="plain").compress(picture, {"quality": 60}, "JPEG")
    here = JpegCompressor(coding=coding).compress(picture, {"quality": 60}, "JPEG")
    assert decode_candidate(here).tobytes() == decode_candidate(usual).tobytes()
    with Image.open(io.BytesIO(here)) as image:
        assert image.info["icc_profile"] == b"p" * 200
        assert image.getexif()[0x013B] == "somebody"
        assert image.info["dpi"] == (72, 72)


def test_the_smallest_coding_is_smaller_than_the_progressive_one_than_the_plain_one() -> None:
    picture = reference(photo())
    sizes = [len(JpegCompressor(coding=c).compress(picture, {"quality": 60}, "JPEG")) for c in ("plain", "progressive")]
    assert sizes[1] < sizes[0]
    if _mozjpeg.installed():
        assert len(JpegCompressor().compress(picture, {"quality": 60}, "JPEG")) < sizes[1]


def test_without_mozjpeg_pillow_writes_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mozjpeg, "optimize", None)
    picture = reference(photo())
    by_pillow = JpegCompressor(coding="progressive").compress(picture, {"quality": 60}, "JPEG")
    assert JpegCompressor().compress(picture, {"quality": 60}, "JPEG") == by_pillow


@pytest.mark.parametrize(("compressor", "option", "values"), [("webp", "method", {4, 6}), ("avif", "speed", {6, 5})])
def test_effort_best_writes_what_was_found_with_more_effort_and_looks_again(compressor, option, values) -> None:
    known, picture = registry(), reference(photo())
    how = rule(known, compressor, bound=BOUND, formats=(compressor,))
    fast, _ = watched(picture, how, known)
    best, seen = watched(picture, how, known, "best")
    assert {task.use.options[option] for task, _ in seen} == values
    assert len(best.candidate.data) <= len(fast.candidate.data)
    assert best.scores == {"thumbnails": scores(picture, best.candidate.data)}
    assert best.scores["thumbnails"]["difference"] <= BOUND


def test_where_no_final_file_holds_the_draft_is_kept() -> None:
    def spoil(task: Encode, result: object) -> object:
        if task.use.options["method"] != 6 or not isinstance(result, Candidate):
            return result
        return replace(result, image=Image.new("RGB", result.image.size, "red"))

    known, picture = registry(), reference(photo())
    decision, seen = watched(picture, rule(known, "webp", bound=BOUND, formats=("webp",)), known, "best", spoil)
    assert decision.candidate.proposal.draft
    assert decision.scores == {"thumbnails": scores(picture, decision.candidate.data)}
    finals = [task for task, _ in seen if task.use.options["method"] == 6]
    assert 1 < len(finals) <= 4
    tried = [task.proposal.settings["quality"] for task in finals]
    assert tried[1] >= tried[0]  # gentler, not harsher


@pytest.mark.parametrize("more", [1_000, 1_000_000], ids=["than its draft", "than allowed"])
def test_a_final_file_that_is_larger_is_not_kept(more: int) -> None:
    def bloat(task: Encode, result: object) -> object:
        if task.use.options["method"] != 6 or not isinstance(result, Candidate):
            return result
        return replace(result, data=result.data + bytes(more))

    known, picture = registry(), reference(photo())
    decision, seen = watched(picture, rule(known, "webp", bound=BOUND, formats=("webp",)), known, "best", bloat)
    drafts = [result.data for task, result in seen if task.use.options["method"] == 4]
    assert decision.candidate.data in drafts
    assert decision.candidate.proposal.draft
    assert decision.scores == {"thumbnails": scores(picture, decision.candidate.data)}


def test_previews_are_no_drafts_and_what_they_led_to_is_written_with_the_final_effort() -> None:
    class Loop:
        def __init__(self, slow: bool) -> None:
            self.slow = slow

        def preview(self, picture, settings):
            return picture.image.resize((picture.image.width >> int(settings["steps"]), picture.image.height))

        def compress(self, picture, settings, format):
            out = io.BytesIO()
            shrunk = self.preview(picture, settings).resize(picture.image.size)
            shrunk.save(out, "JPEG", quality=50, optimize=self.slow)
            return out.getvalue()

    efforts = {"draft": Effort({"slow": False}), "fast": Effort({"slow": True})}
    options = {"slow": {"type": "boolean"}}
    knob = Knob("steps", "", 0, 5, integer=True, smaller="high")
    spec = CompressorSpec(
        "loop", "1", "", ("JPEG",), (knob,), Loop, options, previews=True, efforts=efforts, search="linear"
    )
    known, picture = registry(spec, reader()), reference(photo())
    decision, seen = watched(picture, rule(known, "loop", bound=0.03, search=SearchUse("linear", looks=20)), known)
    previews = [task.proposal.settings["steps"] for task, _ in seen if task.proposal.preview]
    assert len(previews) == len(set(previews)), "each is looked at once"
    assert decision.candidate is not None
    assert not decision.candidate.proposal.draft
    assert decision.candidate.data == seen[-1][1].data
    assert seen[-1][0].use.options["slow"] is True


def test_an_option_that_the_rule_gives_is_used_throughout() -> None:
    known, picture = registry(), reference(photo())
    how = rule(known, "webp", bound=BOUND, formats=("webp",))
    how = replace(how, compress=tuple(replace(use, options={"method": 1}) for use in how.compress))
    _, seen = watched(picture, how, known, "best")
    assert {task.use.options["method"] for task, _ in seen} == {1}


def test_what_was_found_before_is_written_with_the_final_effort_at_once() -> None:
    known, picture = registry(), reference(photo())
    how, tools = rule(known, "jpeg", bound=BOUND), Workshop(known)
    (first,) = drive(decide(picture, how, known), tools.perform)
    remembered = {"JPEG": Proposal("jpeg", "JPEG", dict(first.candidate.proposal.settings))}
    (again,) = drive(decide(picture, how, known, remembered), tools.perform)
    assert again.candidate.data == first.candidate.data
    assert again.looks == 1
