"""One picture: what is chosen, what is refused, and why nothing was found."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from PIL import Image, ImageCms

import icc
from pictures import Thumbnails, photo, reader, reference, registry, rule
from semcompress_plugin import CompressorSpec, Constraint, EvaluatorSpec, Knob, Metric
from semcompress_plugin.engine import Observe, decide, drive, measure
from semcompress_plugin.engine._reader import _worst
from semcompress_plugin.errors import PluginError
from semcompress_plugin.images import decode_candidate
from semcompress_plugin.workshop import Workshop


def decisions(picture, rule, known):
    return drive(decide(picture, rule, known), Workshop(known).perform)


def test_the_smallest_candidate_that_holds_is_chosen_and_its_scores_are_of_the_written_bytes():
    known, picture = registry(), reference(photo())
    (decision,) = decisions(picture, rule(known, "jpeg"), known)
    holding = [trial.bytes for trial in decision.trials if trial.holds]
    assert decision.candidate is not None
    assert len(decision.candidate.data) == min(holding)
    eyes = Thumbnails()
    before, after = eyes.observe([picture.image, decode_candidate(decision.candidate.data)])
    assert decision.scores == {"thumbnails": eyes.compare(before, [after])[0]}
    assert decision.looks == sum(trial.looked for trial in decision.trials) > 0


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("values", [(0.9, math.nan), (math.nan, 0.9), (math.nan,)])
def test_what_no_number_was_found_for_in_one_rendition_no_other_hides(values, higher):
    spec = EvaluatorSpec("eyes", "1", "", (Metric("score", "", higher_is_better=higher),), Thumbnails)
    assert math.isnan(_worst([{"score": value} for value in values], spec)["score"])


def test_a_tighter_bound_needs_more_bytes():
    known, picture = registry(), reference(photo())
    loose, tight = (decisions(picture, rule(known, "jpeg", bound=bound), known)[0].candidate for bound in (0.05, 0.01))
    assert loose is not None
    assert tight is not None
    assert len(loose.data) < len(tight.data)


def test_no_candidate_larger_than_the_best_so_far_is_looked_at():
    known, picture = registry(), reference(photo())
    (decision,) = decisions(picture, rule(known, "jpeg"), known)
    best = math.inf
    for trial in decision.trials:
        assert not trial.looked or trial.bytes < best
        best = min(best, trial.bytes) if trial.holds else best


def test_what_does_not_save_enough_is_no_result_and_the_reason_says_so():
    known, picture = registry(), reference(photo(), quality=5)
    (decision,) = decisions(picture, rule(known, "jpeg", bound=0.0001), known)
    assert decision.candidate is None
    assert "5% smaller" in decision.reason


def test_an_unreachable_bound_names_the_nearest_candidate_and_what_it_missed():
    known, picture = registry(), reference(photo())
    (decision,) = decisions(picture, rule(known, "jpeg", bound=0.0), known)
    assert decision.candidate is None
    assert "nearest" in decision.reason
    assert "thumbnails.difference max 0 but got" in decision.reason


def test_one_decision_per_output_format():
    known, picture = registry(), reference(photo())
    found = decisions(picture, rule(known, "jpeg", "webp", formats=("webp", "keep")), known)
    assert [decision.output for decision in found] == ["webp", "keep"]
    with_format = [(d.candidate.proposal.format, d.candidate.data[:4]) for d in found if d.candidate]
    assert with_format == [("WEBP", b"RIFF"), ("JPEG", b"\xff\xd8\xff\xe0")]


def test_smallest_takes_whichever_format_wins():
    known, picture = registry(), reference(photo())
    small = rule(known, "jpeg", "webp", formats=("smallest",))
    (decision,) = decisions(picture, small, known)
    each = decisions(picture, rule(known, "jpeg", "webp", formats=("jpeg", "webp")), known)
    assert decision.candidate is not None
    assert len(decision.candidate.data) == min(len(other.candidate.data) for other in each if other.candidate)


def test_a_format_that_no_compressor_writes_is_said():
    known = registry()
    (decision,) = decisions(reference(photo()), rule(known, "webp"), known)
    assert decision.reason == "no compressor of the rule writes JPEG (it has webp)"


def test_a_transparent_picture_is_never_written_as_jpeg():
    known = registry()
    image = photo().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    (decision,) = decisions(reference(image, "PNG"), rule(known, "jpeg", formats=("jpeg",)), known)
    assert decision.reason == "is transparent, which JPEG cannot be"
    (decision,) = decisions(reference(image, "PNG"), rule(known, "webp", formats=("webp",)), known)
    assert decision.candidate is not None
    assert decision.candidate.image.mode == "RGBA"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_without_colours_is_not_written_for_their_sake(mode):
    known = registry()
    picture = reference(photo().convert(mode), "PNG")
    (decision,) = decisions(picture, rule(known, "jpeg", "jpeg-444", formats=("jpeg",)), known)
    tried = {trial.proposal.compressor for trial in decision.trials}
    assert tried == ({"jpeg"} if mode == "L" else {"jpeg", "jpeg-444"})
    (decision,) = decisions(picture, rule(known, "jpeg-444", formats=("jpeg",)), known)
    assert (decision.candidate is None) == (decision.reason == "has no colours") == (mode == "L")


def _soft(format):
    """A shadow, as pages have them below cards."""
    from PIL import ImageDraw, ImageFilter

    image, shade = photo().convert("RGBA"), Image.new("L", (160, 120))
    ImageDraw.Draw(shade).rectangle((30, 30, 130, 90), fill=160)
    image.putalpha(shade.filter(ImageFilter.GaussianBlur(12)))
    return reference(image, format, **({"lossless": True} if format == "WEBP" else {}))


def _edges(format, size=(320, 240)):
    """Empty and opaque, with a pixel between them that is neither."""
    from PIL import ImageDraw

    image, (width, height) = photo(size).convert("RGBA"), size
    mask = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(mask).ellipse((width / 2, height / 2, width * 3.5, height * 3.5), fill=255)
    image.putalpha(mask.reduce(4))
    return reference(image, format)


def test_soft_transparency_is_not_written_as_avif_which_chromium_shows_otherwise():
    known = registry()
    faint = photo().convert("RGBA")
    faint.putalpha(128)  # in the middle of the range hardly anything changes
    icon = _edges("PNG", (24, 24))
    sharp = (_edges("PNG"), icon, reference(faint, "PNG"), _soft("AVIF"), reference(photo(), "PNG"))
    for picture, avif in ((_soft("PNG"), False), (_soft("WEBP"), False), *((one, True) for one in sharp)):
        (decision,) = decisions(picture, rule(known, "avif", bound=1.0, formats=("avif",)), known)
        if avif:
            assert decision.candidate is not None, decision.reason
        else:
            assert decision.reason == "is partly transparent, which Chromium shows otherwise in an AVIF"
    (decision,) = decisions(_soft("PNG"), rule(known, "avif", "webp", bound=1.0, formats=("smallest",)), known)
    assert decision.candidate.proposal.format == "WEBP"


def test_white_letters_on_nothing_are_not_free_to_be_damaged():
    """On a white ground alone this picture is blank and any damage would pass."""
    known = registry()
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (16, 16, 48, 48))
    blank = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    found = drive(
        measure(reference(image, "PNG"), blank, rule(known, "png"), known),
        Workshop(known).perform,
    )
    assert not found.holds


@pytest.mark.parametrize(("alpha", "holds"), [(255 - 64, True), (255 - 65, False), (0, False)])
def test_opaque_pixels_stay_nearly_that_whatever_readers_see(alpha, holds):
    known = registry()
    image = Image.new("RGBA", (320, 320), (128, 128, 128, 0))
    image.paste((128, 128, 128, 255), (16, 16, 300, 300))
    image.paste((128, 128, 128, 100), (300, 300, 320, 320))
    other = image.copy()
    other.putpixel((40, 40), (128, 128, 128, alpha))
    other.putpixel((310, 310), (128, 128, 128, 250))  # one that is neither may: readers judge
    found = drive(measure(reference(image, "PNG"), other, rule(known, "png"), known), Workshop(known).perform)
    assert found.holds is holds
    assert holds or found.reason.endswith(
        f"changed the transparency of opaque or empty pixels by {255 - alpha} levels of 255"
    )


class Forgetful:
    """A compressor that drops what travels beside the pixels."""

    def compress(self, reference, settings, format):
        from pictures import encoded

        image = Image.new("RGB", reference.image.size)
        image.paste(reference.image)
        return encoded(image, "JPEG", quality=int(settings["quality"]))


@pytest.mark.parametrize(
    ("parameters", "mode", "words"),
    [({"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}, "RGB", "colour profile")],
)
def test_a_compressor_that_loses_the_profile_is_found_out(parameters, mode, words):
    quality = Knob("quality", "", 1, 95, integer=True)
    spec = CompressorSpec("forgetful", "1", "", formats=("JPEG",), knobs=(quality,), factory=Forgetful)
    known = registry(reader(), spec)
    with pytest.raises(PluginError, match=f"'forgetful' of third-party failed: TypeError: compress lost the {words}"):
        decisions(reference(photo().convert(mode), **parameters), rule(known, "forgetful"), known)


class Colourful:
    """A compressor that writes greys as a palette or in colour."""

    def compress(self, reference, settings, format):
        from pictures import encoded

        return encoded(reference.image.quantize(16), format, icc_profile=reference.metadata.icc_profile)


def test_a_compressor_that_gives_grey_a_palette_beside_a_profile_for_grey_is_found_out():
    spec = CompressorSpec("colourful", "1", "", formats=("PNG",), knobs=(), factory=Colourful)
    known = registry(reader(), spec)
    grey = photo().convert("L")
    with pytest.raises(PluginError, match="compress wrote grey pixels as others, or others as grey"):
        decisions(reference(grey, "PNG", icc_profile=icc.grey()), rule(known, "colourful"), known)
    for image, profile in ((grey, icc.rgb()), (photo(), icc.grey())):  # heeded for both, and for neither
        decisions(reference(image, "PNG", icc_profile=profile), rule(known, "colourful"), known)
    few = drive(
        measure(reference(grey, "PNG", icc_profile=icc.grey()), grey.quantize(16), rule(known, "png"), known),
        Workshop(known).perform,
    )
    assert not few.holds


def test_a_compressor_that_turns_the_picture_is_found_out():
    known, picture = registry(), reference(photo((160, 120)))
    turned = picture.image.transpose(Image.Transpose.ROTATE_90)
    found = drive(measure(picture, turned, rule(known, "jpeg"), known), Workshop(known).perform)
    assert (found.holds, found.reason) == (
        False,
        "the compressor changed the picture's shape: 120 x 160 instead of 160 x 120 or scaled",
    )


def test_a_dear_evaluator_is_not_asked_about_what_a_cheap_one_refused():
    known = registry(reader("cheap", cost=1), reader("dear", cost=100))
    strict = rule(known, "jpeg", evaluators=("dear", "cheap"))
    (decision,) = decisions(reference(photo()), strict, known)
    looked = [trial for trial in decision.trials if trial.looked]
    assert any("dear" not in trial.scores for trial in looked)
    for trial in looked:
        assert "cheap" in trial.scores
        assert ("dear" in trial.scores) == (trial.scores["cheap"]["difference"] <= 0.01)


def test_the_search_is_told_what_encoding_and_looking_cost(monkeypatch):
    known = registry(reader("cheap", cost=3), reader("dear", cost=40))
    problems, make = [], known.make_search
    monkeypatch.setattr(known, "make_search", lambda name, at, **how: problems.append(at) or make(name, at, **how))
    both = rule(known, "jpeg", "webp", evaluators=("dear", "cheap"), formats=("smallest",))
    decisions(reference(photo()), both, known)
    (problem,) = problems
    assert problem.look == 43
    assert [space.cost for space in problem.spaces] == [known.compressor(name).cost for name in ("jpeg", "webp")]


def test_the_search_is_told_the_options_of_a_compressor(monkeypatch):
    known = registry(reader())
    problems, make = [], known.make_search
    monkeypatch.setattr(known, "make_search", lambda name, at, **how: problems.append(at) or make(name, at, **how))
    plain = rule(known, "webp", formats=("smallest",))
    (use,) = plain.compress
    decisions(reference(photo()), replace(plain, compress=(replace(use, options={"method": 2}),)), known)
    assert [space.options for space in problems[0].spaces] == [{"method": 2}]


def test_an_evaluator_that_needs_equal_sizes_gets_them():
    known = registry(reader(equal_sizes=True))
    sizes = []

    def perform(task):
        if isinstance(task, Observe):
            sizes.append((task.size, task.image.size))
        return workshop.perform(task)

    workshop = Workshop(known)
    drive(decide(reference(photo()), rule(known, "jpeg"), known), perform)
    scaled = [wanted for wanted, size in sizes if size != (160, 120)]
    assert scaled
    assert set(scaled) == {(160, 120)}


def test_the_reference_is_observed_once():
    known, picture = registry(), reference(photo())
    workshop, seen = Workshop(known), []

    def perform(task):
        seen.append(isinstance(task, Observe) and task.image is picture.image)
        return workshop.perform(task)

    drive(decide(picture, rule(known, "jpeg", "webp", formats=("webp", "keep")), known), perform)
    assert sum(seen) == 1


@pytest.mark.parametrize("formats", [("webp", "keep"), ("keep", "webp")])
def test_keep_and_the_name_of_the_pictures_own_format_are_one_output(formats):
    known = registry()
    asked = rule(known, "jpeg", "webp", formats=formats)
    found = decisions(reference(photo(), "WEBP", quality=98), asked, known)
    assert [(one.output, one.candidate is not None) for one in found] == [("webp", True)]
    assert [one.output for one in decisions(reference(photo()), asked, known)] == list(formats)


def test_the_engine_does_not_touch_the_reference_image():
    known, picture = registry(), reference(photo())
    before = (picture.image.size, picture.image.mode, picture.image.tobytes())
    decisions(picture, rule(known, "jpeg", "webp", formats=("webp", "keep")), known)
    assert (picture.image.size, picture.image.mode, picture.image.tobytes()) == before


def test_a_picture_too_large_for_the_format_is_no_bug():
    known = registry()
    wide = reference(Image.new("RGB", (20_000, 10)))
    use = rule(known, "webp", formats=("webp",))
    (decision,) = decisions(wide, use, known)
    refused = [trial for trial in decision.trials if not trial.looked and not trial.bytes]
    assert refused, "a WebP has at most 16,383 pixels a side"
    assert decision.candidate is not None
    assert decision.candidate.image.width <= 16_383


def test_measure_asks_every_evaluator_and_says_what_was_missed():
    known = registry(reader("cheap", cost=1), reader("dear", cost=100))
    strict = rule(known, "jpeg", evaluators=("dear", "cheap"))
    picture = reference(photo())
    found = drive(measure(picture, photo(seed=1), strict, known), Workshop(known).perform)
    assert set(found.scores) == {"cheap", "dear"}
    assert not found.holds
    assert "cheap.difference max 0.01 not held" in found.reason
    same = drive(measure(picture, picture.image, strict, known), Workshop(known).perform)
    assert same.holds


@pytest.mark.parametrize(
    ("bounds", "value", "words"),
    [
        ({"min": 0.998}, 0.997963, "min 0.998 but got 0.99796"),
        ({"min": 0.998}, math.nextafter(0.998, 0), "min 0.998 but got 0.9979999999999999"),
        ({"max": 0.01}, 0.010000004, "max 0.01 but got 0.010000004"),
        ({"max": 0.01}, 0.02, "max 0.01 but got 0.02"),
        ({"min": 0.12345649}, 0.1234563, "min 0.12345649 but got 0.123456"),
        ({"min": 0.5, "max": 0.75}, 0.12345678, "min 0.5 max 0.75 but got 0.1235"),
        ({"min": 0.998}, math.nan, "min 0.998 but got nan"),
        ({"max": 5}, math.inf, "max 5 but got inf"),
    ],
)
def test_a_value_is_told_in_as_many_digits_as_tell_it_from_the_bound(bounds, value, words):
    constraint = Constraint("reader", Metric("m", "", higher_is_better=True), **bounds)
    assert f"{constraint} but got {constraint.shown(value)}" == f"reader.m {words}"


class Nearly(Thumbnails):
    """Misses a bound of 0.25 by less than four digits show."""

    def compare(self, reference, candidates):
        return [{"difference": 0.250004} for _ in candidates]


def test_reasons_do_not_contradict_themselves_by_rounding():
    known = registry(reader(factory=Nearly))
    picture, how = reference(photo()), rule(known, "jpeg", bound=0.25)
    (decision,) = drive(decide(picture, how, known), Workshop(known).perform)
    assert "thumbnails.difference max 0.25 but got 0.250004" in decision.reason
    measured = drive(measure(picture, picture.image, how, known), Workshop(known).perform)
    assert measured.reason == "thumbnails.difference max 0.25 not held: 0.250004"


class Undecided(Thumbnails):
    """Cannot say anything about what it sees on black."""

    def compare(self, reference, candidates):
        return [{"difference": math.nan if reference.mean() < 0.5 else 0.0} for _ in candidates]


class Misnaming(Thumbnails):
    def compare(self, reference, candidates):
        return [{"diference": 0.0} for _ in candidates]


class Wordy(Thumbnails):
    def compare(self, reference, candidates):
        return [{"difference": "much"} for _ in candidates]


class Silent(Thumbnails):
    def compare(self, reference, candidates):
        return None


class Plain(Thumbnails):
    def compare(self, reference, candidates):
        return [0.0 for _ in candidates]


class Unarmed(Thumbnails):
    def __init__(self):
        raise OSError("weights file missing")


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Undecided, "NaN for 'difference'"),
        (Misnaming, "no 'difference'"),
        (Wordy, "'much' for 'difference': expected a number"),
        (Silent, "compare must give a list with an answer for each picture, got None"),
        (Plain, "compare must give a mapping of metrics for each candidate, got 0.0"),
        (Unarmed, r"OSError: weights file missing \(test_engine.py, line \d+\)"),
    ],
)
def test_a_strangers_reader_without_a_verdict_is_named_and_nothing_passes(factory, words):
    known = registry(reader(factory=factory))
    image = Image.new("RGBA", (64, 64), (128, 128, 128, 0))
    with pytest.raises(PluginError, match=f"'thumbnails' of third-party failed: .*{words}"):
        drive(measure(reference(image, "PNG"), image, rule(known, "png"), known), Workshop(known).perform)
