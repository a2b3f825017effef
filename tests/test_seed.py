"""The blog post's two loops: ours beside the post's own, written out plainly, on real pictures."""

from __future__ import annotations

import gc
import io
import random
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pictures import Thumbnails, encoded, photo, reader, reference, registry, rule
from semcompress_plugin import IterativeCompressor, iterative_spec
from semcompress_plugin.compressors.iterative import KEPT
from semcompress_plugin.compressors.seed_jpeg import SeedJpegCompressor
from semcompress_plugin.compressors.seed_resize import SeedResizeCompressor
from semcompress_plugin.engine import decide, drive
from semcompress_plugin.errors import PluginError
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.images import decode, decode_candidate
from semcompress_plugin.registry import Registry
from semcompress_plugin.search import Problem
from semcompress_plugin.search.linear import Linear
from semcompress_plugin.types import (
    CompressorUse,
    Constraint,
    EvaluatorUse,
    Knob,
    Metadata,
    Metric,
    Reference,
    Rule,
    SearchUse,
    Space,
    Trial,
)
from semcompress_plugin.workshop import Workshop

SITE = Path(__file__).parent.parent / "examples" / "site" / "img"
SEED = 3


def predicted(image: Image.Image) -> int:
    """The class that the default reader sees in the usual centre crop."""
    (seen,) = ClassifierEvaluator(view="center").observe([image.convert("RGB")])
    return int(seen.probabilities[0].argmax())


def the_posts_loop(image, iteration):
    """The post's algorithm: every picture up to the one before the prediction changed (the last is its result)."""
    target = predicted(image)
    iterates = [image]
    while True:
        image = iteration(image)
        if predicted(image) != target:
            return iterates
        iterates.append(image)


def the_posts_resize(image):
    smaller = image.copy()  # the post forgets this: then its previous picture is the same object
    smaller.thumbnail((image.width - 10, image.height - 10))
    return smaller


def the_posts_jpeg(image):
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=random.randint(0, 100))
    return Image.open(buffer)


def the_rule(name: str, **options: object) -> tuple[Registry, Rule]:
    known = Registry()
    top1 = known.evaluator("classifier").metric("top1_agreement")
    return known, Rule(
        "the post's",
        ("*",),
        compress=(CompressorUse(name, known.compressor(name).knobs, options),),
        evaluators=(EvaluatorUse("classifier", "classifier", {"view": "center"}),),
        keep=(Constraint("classifier", top1, min=1),),
    )


def decided(picture, rule, known):
    (decision,) = drive(decide(picture, rule, known), Workshop(known).perform)
    return decision


def assert_same(one: Image.Image, other: Image.Image) -> None:
    assert one.size == other.size
    assert one.tobytes() == other.tobytes()


def shipped(name: str, format: str) -> Reference:
    """A picture of the example site, as it is or losslessly as ``format``."""
    data = (SITE / name).read_bytes()
    picture = decode(data, name)
    return picture if picture.format == format else decode(encoded(picture.image, format, lossless=True))


@pytest.mark.parametrize(
    ("name", "format"), [("coffee.jpg", "JPEG"), ("rocket.jpg", "JPEG"), ("rocket.jpg", "PNG"), ("rocket.jpg", "WEBP")]
)
def test_seed_resize_makes_the_posts_iterates_and_ends_where_the_post_does(name, format):
    picture = shipped(name, format)
    posts = the_posts_loop(picture.image.copy(), the_posts_resize)
    assert len(posts) > 5
    ours = SeedResizeCompressor()
    for step, iterate in enumerate(posts):
        assert_same(ours.iterate(picture, step), iterate)
    known, asked = the_rule("seed-resize")
    decision = decided(picture, asked, known)
    previews = [trial for trial in decision.trials if trial.proposal.preview]
    assert [trial.holds for trial in previews] == [True] * (len(posts) - 1) + [False]
    # the post's result, or one iterate earlier for each file that did not hold
    files = [trial for trial in decision.trials if not trial.proposal.preview]
    assert [trial.proposal.settings["steps"] for trial in files] == [len(posts) - 1 - i for i in range(len(files))]
    assert [trial.holds for trial in files] == [False] * (len(files) - 1) + [True]
    assert decision.candidate is not None
    assert decision.candidate.proposal.format == picture.format
    kept = decode_candidate(decision.candidate.data)
    assert kept.size == posts[len(posts) - len(files)].size
    if format == "PNG":
        assert len(files) == 1
        assert_same(kept, posts[-1])


@pytest.mark.parametrize("name", ["coffee.jpg", "rocket.jpg"])
def test_seed_jpeg_makes_the_posts_generations_and_keeps_the_one_before_the_prediction_changes(name):
    picture = shipped(name, "JPEG")
    random.seed(SEED)
    posts = the_posts_loop(picture.image.copy(), the_posts_jpeg)
    assert len(posts) > 2
    ours = SeedJpegCompressor(seed=SEED)
    for step, iterate in enumerate(posts):
        assert_same(ours.iterate(picture, step), iterate)
    known, asked = the_rule("seed-jpeg", seed=SEED)
    decision = decided(picture, asked, known)
    # the file is the generation itself, so nothing but its size can be wrong with it
    files = [trial for trial in decision.trials if not trial.proposal.preview]
    assert [trial.looked for trial in files] == [False] * (len(files) - 1) + [True]
    steps = len(posts) - len(files)
    assert decision.candidate is not None
    assert decision.candidate.proposal.settings == {"steps": steps}
    assert_same(decode_candidate(decision.candidate.data), posts[steps])


def test_where_the_first_step_already_changes_the_class_the_picture_stays_as_the_post_returns_it():
    picture = shipped("chelsea.jpg", "JPEG")
    assert len(the_posts_loop(picture.image.copy(), the_posts_resize)) == 1
    known, asked = the_rule("seed-resize")
    decision = decided(picture, asked, known)
    assert decision.candidate is None
    assert "steps 1, before encoding, classifier.top1_agreement min 1 but got 0" in decision.reason


def test_another_seed_draws_other_qualities_and_the_same_seed_the_same():
    picture = reference(photo())
    one, same, other = (SeedJpegCompressor(seed=seed).iterate(picture, 4).tobytes() for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_loop_that_nothing_stops_ends_at_one_pixel_and_says_so():
    asked = rule(known := registry(reader(factory=Blind)), "seed-resize", bound=1.0, search=SearchUse())
    decision = decided(reference(photo((90, 65)), quality=100), asked, known)
    assert decision.candidate is not None
    assert decode_candidate(decision.candidate.data).size == (1, 1)
    assert "1 x 1 pixels" in decision.reason


def test_a_lottery_that_never_changes_the_class_ends_at_the_last_step_and_says_so():
    known = registry(reader(factory=Blind))
    asked = rule(known, "seed-jpeg", bound=1.0, search=SearchUse())
    asked = narrowed(asked, "steps", 1, 12)
    decision = decided(reference(photo(), quality=100), asked, known)
    assert decision.candidate is not None
    assert "steps 12, where the search ends" in decision.reason


def test_a_loop_that_a_constraint_ended_needs_no_words():
    known = registry()
    decision = decided(reference(photo(), quality=100), rule(known, "seed-resize", search=SearchUse()), known)
    assert decision.candidate is not None
    assert decision.reason is None


@pytest.mark.parametrize("compressor", [SeedResizeCompressor(), SeedJpegCompressor()])
def test_the_callers_picture_stays_as_it_is(compressor):
    picture = reference(photo())
    pixels, size = picture.image.tobytes(), picture.image.size
    compressor.compress(picture, {"steps": 3}, "JPEG")
    assert (picture.image.size, picture.image.tobytes()) == (size, pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_the_last_picture_is_written_in_the_files_own_format_with_its_profile(format):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Reference(photo((80, 60)), metadata=Metadata(icc_profile=profile))
    good, poor = (
        SeedResizeCompressor(then={"quality": quality}).compress(picture, {"steps": 2}, format) for quality in (95, 5)
    )
    image = Image.open(io.BytesIO(good))
    assert (image.format, image.size, image.info["icc_profile"]) == (format, (54, 40), profile)
    assert (len(poor) < len(good)) == (format != "PNG")


def test_a_smaller_picture_is_a_smaller_file_also_where_the_source_had_a_low_quality():
    picture = reference(photo((400, 300)), quality=40)
    data = SeedResizeCompressor().compress(picture, {"steps": 2}, "JPEG")
    assert Image.open(io.BytesIO(data)).size == (374, 280)
    assert len(data) <= len(picture.source) * 374 / 400
    generous = reference(photo((400, 300)), quality=99)
    data = SeedResizeCompressor().compress(generous, {"steps": 2}, "JPEG")
    assert data == SeedResizeCompressor().compress(replace(generous, source=None), {"steps": 2}, "JPEG")


def test_pixels_in_memory_need_no_profile_but_the_file_has_it():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    known = registry()
    for name in ("seed-resize", "seed-jpeg"):
        picture = reference(photo(), quality=100, icc_profile=profile)
        decision = decided(picture, rule(known, name, bound=0.02, search=SearchUse()), known)
        assert decision.candidate is not None
        assert decision.candidate.image.info["icc_profile"] == profile


def test_seed_jpeg_writes_the_metadata_that_the_rule_keeps():
    exif = Image.Exif()
    exif[0x0110] = "Camera"
    picture = Reference(photo(), metadata=Metadata(exif=exif.tobytes()))
    data = SeedJpegCompressor().compress(picture, {"steps": 3}, "JPEG")
    assert Image.open(io.BytesIO(data)).getexif()[0x0110] == "Camera"
    assert_same(decode_candidate(data), SeedJpegCompressor().iterate(picture, 3))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_kind_of_pixels_goes_through_the_loop(mode):
    picture = decode(encoded(photo((60, 45)).convert(mode), "PNG"))
    assert SeedResizeCompressor().iterate(picture, 2).size == (34, 25)
    assert SeedJpegCompressor().iterate(picture, 2).size == (60, 45)


class Counted(IterativeCompressor):
    """Counts its steps; changes the picture in place, as the post did."""

    calls = 0

    def iteration(self, image):
        self.calls += 1
        image.putpixel((0, 0), (self.calls % 256, 0, 0))
        return image


def test_a_chain_is_walked_once_forward_and_only_a_few_pictures_of_it_are_remembered():
    chain, picture = Counted(), reference(photo())
    for steps in range(1, 11):
        chain.compress(picture, {"steps": steps}, "PNG")
    assert chain.calls == 10
    chain.iterate(picture, 10 - KEPT + 1)
    assert chain.calls == 10
    chain.iterate(picture, 2)
    assert chain.calls == 12


def test_what_is_made_again_equals_what_was_forgotten():
    picture, one, other = reference(photo()), SeedJpegCompressor(seed=1), SeedJpegCompressor(seed=1)
    one.iterate(picture, 9)
    assert_same(one.iterate(picture, 2), other.iterate(picture, 2))


def test_a_picture_that_is_done_with_is_forgotten():
    chain, picture = SeedResizeCompressor(), reference(photo())
    image = weakref.ref(chain.iterate(picture, 3))
    assert image() is not None
    del picture
    gc.collect()
    assert image() is None


class Drawing(IterativeCompressor):
    def iteration(self, image, rng):
        return image.point(lambda value: min(255, value + rng.randint(0, 1)))


class Nothing(IterativeCompressor):
    def iteration(self, image):
        image.thumbnail((10, 10))


def test_a_third_party_writes_the_step_and_nothing_else():
    known = registry(reader(), iterative_spec("brighter", "1", "brighter and brighter", Drawing, steps=40))
    asked = rule(known, "brighter", bound=0.02, search=SearchUse())
    decision = decided(reference(photo(), quality=100), asked, known)
    assert decision.candidate is not None
    assert decision.candidate.proposal.settings["steps"] > 2


def test_a_step_that_gives_no_picture_is_the_third_partys_fault():
    known = registry(reader(), iterative_spec("nothing", "1", "forgets to return", Nothing))
    with pytest.raises(PluginError, match=r"'nothing'.*third-party.*iteration must return a picture, got None"):
        decided(reference(photo()), rule(known, "nothing", search=SearchUse()), known)


def test_each_compressor_is_searched_as_suits_it_unless_the_rule_says_how():
    known = registry()
    both = rule(known, "seed-resize", "jpeg", search=SearchUse())
    trials = decided(reference(photo(), quality=100), both, known).trials
    mine = [trial.proposal for trial in trials if trial.proposal.compressor == "seed-resize"]
    assert any(proposal.preview for proposal in mine)
    assert not any(t.proposal.preview for t in trials if t.proposal.compressor == "jpeg")
    assert 0 < sum(t.proposal.compressor == "jpeg" for t in trials) <= 16
    bisected = rule(known, "seed-resize", search=SearchUse("bisect", 6))
    trials = decided(reference(photo(), quality=100), bisected, known).trials
    assert not any(trial.proposal.preview for trial in trials)
    assert len(trials) <= 6


# the search alone: what it asks for when previews and files turn out so and so


METRIC = Metric("difference", "", higher_is_better=False)
LOOP = Space("loop", "JPEG", (Knob("steps", "", 1, 300, integer=True, smaller="high"),), previews=True)


def walk(holds_until: int, *, files_until: int = 300, looks: int = 10_000, ceiling: int = 10**9) -> list[Trial]:
    """Previews hold up to one step, files up to another; a file has 1000 bytes for each step that is left."""
    search = Linear(Problem((LOOP,), (Constraint("reader", METRIC, max=1),), looks=looks))
    trials = []
    while proposals := search.ask(4):
        (proposal,) = proposals
        step = int(proposal.settings["steps"])
        size = 0 if proposal.preview else 1000 * (301 - step)
        looked = size <= ceiling
        holds = looked and step <= (holds_until if proposal.preview else files_until)
        trials.append(Trial(proposal, size, {}, holds, looked))
        search.tell(trials[-1:])
    return trials


def steps(trials: list[Trial], preview: bool) -> list[float]:
    return [trial.proposal.settings["steps"] for trial in trials if trial.proposal.preview == preview]


def test_previews_go_forward_one_by_one_until_one_fails_then_the_last_good_one_is_written():
    trials = walk(holds_until=150)
    assert steps(trials, preview=True) == list(range(1, 152))
    assert steps(trials, preview=False) == [150]


def test_where_files_fail_one_step_earlier_is_taken():
    assert steps(walk(holds_until=20, files_until=17), preview=False) == [20, 19, 18, 17]
    assert steps(walk(holds_until=20, ceiling=1000), preview=False) == list(range(20, 0, -1))


def test_the_first_preview_that_fails_leaves_nothing_to_write():
    trials = walk(holds_until=0)
    assert (steps(trials, preview=True), steps(trials, preview=False)) == ([1], [])


def test_the_end_of_the_budget_is_spent_on_a_file():
    trials = walk(holds_until=100, looks=10)
    assert steps(trials, preview=True) == list(range(1, 10))
    assert steps(trials, preview=False) == [9]


class Blind(Thumbnails):
    """Sees no difference, whatever happens."""

    def compare(self, reference, candidates):
        return [{"difference": 0.0} for _ in candidates]


def narrowed(asked: Rule, name: str, low: int, high: int) -> Rule:
    (use,) = asked.compress
    knobs = tuple(replace(knob, low=low, high=high) if knob.name == name else knob for knob in use.knobs)
    return replace(asked, compress=(replace(use, knobs=knobs),))
