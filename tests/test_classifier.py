"""The default reader: that it is the published network, and that its metrics say what they claim."""

from __future__ import annotations

import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from semcompress_plugin.evaluators import _model, _session, classifier
from semcompress_plugin.evaluators._classifier_metrics import METRICS
from semcompress_plugin.evaluators.classifier import (
    MODEL,
    ClassifierEvaluator,
    Seen,
    View,
    center,
    confidence_ratio,
    feature_cosine,
    full,
    js_divergence,
    softmax,
    sway,
    top1_agreement,
    topk_overlap,
)

ROOT = Path(__file__).parents[1]
VIEWS: tuple[View, ...] = ("center", "full", "both")


def photos() -> list[Image.Image]:
    """The real pictures that come with the project, upright, in RGB."""
    paths = sorted(path for path in (ROOT / "examples" / "site").rglob("*") if path.suffix in {".jpg", ".png"})
    found = []
    for path in paths:
        with Image.open(path) as image:
            found.append(ImageOps.exif_transpose(image).convert("RGB"))
    assert len(found) >= 6
    return found


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Smooth random colours: unlike white noise, something of them survives being resized."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def row(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)


# The network


def test_the_shipped_model_agrees_with_the_original_in_pytorch_on_real_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    from make_classifier import network

    pixels = np.stack([np.asarray(view(photo)) for photo in photos()[:8] for view in (center, full)])
    net = network()
    with torch.no_grad():
        normalised = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
        features = net.extract_features(normalised).mean(dim=(2, 3))
        original = softmax(net._fc(features).numpy())
    logits, seen = _session.load_session(MODEL).run(["logits", "features"], {"image": pixels})
    ours = softmax(logits)
    # float16 storage alone makes 1e-6 (median), 3e-5 (largest of 150 photos).
    assert js_divergence(original, ours).max() < 1e-4
    assert np.abs(original - ours).max() < 0.02
    assert feature_cosine(features.numpy(), seen).min() > 0.9999
    ranked = np.sort(original, axis=-1)
    clear = ranked[:, -1] - ranked[:, -2] > 0.02
    assert clear.sum() >= 6
    assert (original.argmax(-1) == ours.argmax(-1))[clear].all()


def test_the_script_makes_exactly_the_file_that_is_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    from make_classifier import build, network

    model = build(network()).SerializeToString(deterministic=True)
    assert model == (_model.MODELS / f"{MODEL}.onnx").read_bytes()


def test_labels_are_one_per_class_and_distinct() -> None:
    labels = (_model.MODELS / f"{MODEL}.labels.txt").read_text(encoding="utf-8").splitlines()
    assert len(labels) == len(set(labels)) == 1000
    assert labels[0] == "tench"
    assert labels[281] == "tabby"
    assert labels[999] == "toilet tissue"


# Views


def test_pictures_are_prepared_as_the_provenance_says() -> None:
    preprocessing = _model.provenance(MODEL)["preprocessing"]
    assert (preprocessing["side"], preprocessing["crop"]) == (classifier.SIDE, classifier.CROP)
    assert center(noise((9, 9))).size == full(noise((9, 9))).size == (classifier.SIDE, classifier.SIDE)


@pytest.mark.parametrize("size", [(512, 512), (960, 640), (1024, 512)])
def test_center_is_the_usual_resize_and_crop_where_that_cuts_whole_pixels(size: tuple[int, int]) -> None:
    image = noise(size)
    scale = 256 / min(size)
    width, height = (round(side * scale) for side in size)
    left, top = (width - 224) // 2, (height - 224) // 2
    usual = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))
    assert np.array_equal(np.asarray(usual), np.asarray(center(image)))


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (333, 251)])
def test_center_is_in_the_middle_to_a_fraction_of_a_pixel(size: tuple[int, int]) -> None:
    image = noise(size)
    apart = np.asarray(center(ImageOps.mirror(ImageOps.flip(image))), int) - np.asarray(
        ImageOps.mirror(ImageOps.flip(center(image))), int
    )
    assert np.abs(apart).max() <= 1


def test_center_is_blind_to_the_rim_and_full_is_not() -> None:
    reference = noise((640, 320))
    candidate = reference.copy()
    ImageDraw.Draw(candidate).rectangle((0, 0, 150, 320), fill="white")
    divergence = {}
    for view in VIEWS:
        reader = ClassifierEvaluator(view=view)
        seen = reader.observe([reference, candidate])
        divergence[view] = reader.compare(seen[0], seen[1:])[0]["js_divergence"]
    assert divergence["center"] == 0
    assert divergence["full"] > 0.001
    assert divergence["both"] == divergence["full"]


def test_both_takes_the_worse_view_of_each_metric() -> None:
    reference, candidate = noise((300, 200)), noise((300, 200), seed=1)
    scores = {}
    for view in VIEWS:
        reader = ClassifierEvaluator(view=view)
        seen = reader.observe([reference, candidate])
        scores[view] = reader.compare(seen[0], seen[1:])[0]
    for metric in METRICS:
        worse = min if metric.higher_is_better else max
        assert scores["both"][metric.name] == worse(scores["center"][metric.name], scores["full"][metric.name])


# Observing


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (20_000, 10), (10, 20_000), (7, 5)])
def test_any_size_can_be_looked_at(size: tuple[int, int]) -> None:
    reader = ClassifierEvaluator()
    image = noise(size)
    first, second = reader.observe([image, image])
    assert first.probabilities.shape == (2, 1000)
    assert first.features.shape == (2, 1280)
    assert first.probabilities.sum(axis=-1) == pytest.approx(1)
    assert reader.compare(first, [second]) == [
        {
            "top1_agreement": 1,
            "topk_overlap": 1,
            "confidence_ratio": 1,
            "js_divergence": 0,
            "sway": 0,
            "feature_cosine": 1,
            "lca_height": 0,
            "wup_similarity": 1,
            "hierarchical_js": 0,
        }
    ]


def test_a_picture_is_seen_the_same_whatever_it_came_with_and_from_any_thread() -> None:
    images = [noise((64 + 9 * i, 80), seed=i) for i in range(5)]
    reader = ClassifierEvaluator()
    together = reader.observe(images)
    alone = [ClassifierEvaluator().observe([image])[0] for image in images]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda image: reader.observe([image])[0], images))
    for seen in (alone, threaded):
        for one, other in zip(together, seen, strict=True):
            assert np.array_equal(one.probabilities, other.probabilities)
            assert np.array_equal(one.features, other.features)


def test_the_model_is_opened_once_and_not_before_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def load(name: str) -> Any:
        opened.append(name)
        return _session.load_session(name)

    monkeypatch.setattr(classifier, "load_session", load)
    classifier._open.cache_clear()
    readers = [ClassifierEvaluator(view) for view in (*VIEWS, "both")]
    assert opened == []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda reader: reader.observe([noise((9, 9))]), readers))
    assert opened == [MODEL]


def test_the_picture_is_not_changed_by_looking() -> None:
    image = noise((50, 40))
    before = image.tobytes()
    ClassifierEvaluator().observe([image])
    assert image.tobytes() == before


def test_nothing_to_look_at_and_nothing_to_compare() -> None:
    reader = ClassifierEvaluator()
    assert reader.observe([]) == []
    assert reader.compare(reader.observe([noise((9, 9))])[0], []) == []


@pytest.mark.parametrize("options", [{"view": "side"}, {"top_k": 0}, {"top_k": 1001}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ClassifierEvaluator(**options)


# Comparing


def seen(probabilities: NDArray[np.float64], features: NDArray[np.float64]) -> Seen:
    return Seen(("center",), probabilities[None], features[None].astype(np.float32))


def test_compare_gives_every_declared_metric_of_each_candidate_in_order() -> None:
    reference = seen(row(0.5, 0.3, 0.2), row(1, 0))
    same, turned = seen(row(0.5, 0.3, 0.2), row(2, 0)), seen(row(0.25, 0.5, 0.25), row(0, 3))
    first, second = ClassifierEvaluator("center", top_k=1).compare(reference, [same, turned])
    assert list(first) == list(second) == [metric.name for metric in METRICS]
    assert first == {
        "top1_agreement": 1,
        "topk_overlap": 1,
        "confidence_ratio": 1,
        "js_divergence": 0,
        "sway": 0,
        "feature_cosine": 1,
        "lca_height": 0,
        "wup_similarity": 1,
        "hierarchical_js": 0,
    }
    assert second["top1_agreement"] == second["topk_overlap"] == second["feature_cosine"] == 0
    assert second["confidence_ratio"] == 0.5
    assert all(type(value) is float for value in second.values())


def test_describe_says_label_and_confidence_of_each_view() -> None:
    probabilities = np.zeros((2, 1000))
    probabilities[0, 281], probabilities[0, 282], probabilities[1, 285], probabilities[1, 0] = 0.618, 0.382, 0.9, 0.1
    both = Seen(("center", "full"), probabilities, np.zeros((2, 1280), np.float32))
    described = ClassifierEvaluator().describe(both)
    assert described.startswith("tabby 62 % (centre), Egyptian cat 90 % (whole frame); tabby < domestic cat (1) < cat")
    assert described.endswith("< entity (18); Egyptian cat < domestic cat (1)")


def test_top1_agreement_by_hand() -> None:
    reference = row(0.2, 0.5, 0.3)
    candidates = np.array([[0.1, 0.8, 0.1], [0.1, 0.44, 0.46]])
    assert top1_agreement(reference, candidates).tolist() == [1, 0]


def test_topk_overlap_by_hand() -> None:
    reference = row(0.4, 0.3, 0.2, 0.1)
    candidates = np.array([[0.3, 0.4, 0.1, 0.2], [0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.3, 0.2]])
    assert topk_overlap(reference, candidates, 2).tolist() == [1, 0, 0.5]
    assert topk_overlap(reference, candidates, 4).tolist() == [1, 1, 1]


def test_topk_overlap_counts_the_earlier_of_equals() -> None:
    # Enough of them for a sort that does not keep their order to show itself.
    tied = np.random.default_rng(0).integers(1, 4, 1000) / 2000
    first = sorted(range(1000), key=lambda i: (-tied[i], i))[:50]
    clear = np.zeros(1000)
    clear[first] = 1 / 50
    assert topk_overlap(tied, clear, 50) == 1


def test_confidence_ratio_by_hand_follows_the_reference_class_and_may_exceed_1() -> None:
    reference = row(0.5, 0.3, 0.2)
    candidates = np.array([[0.25, 0.7, 0.05], [0.75, 0.25, 0]])
    assert confidence_ratio(reference, candidates).tolist() == [0.5, 1.5]


def test_js_divergence_by_hand() -> None:
    assert js_divergence(row(1, 0), row(0, 1)) == 1
    # m = (3/4, 1/4): half of 1 * log2(4/3), plus half of 1/2 log2(2/3) + 1/2 log2(2)
    by_hand = (math.log2(4 / 3) + math.log2(2 / 3) / 2 + 1 / 2) / 2
    assert js_divergence(row(1, 0), row(0.5, 0.5)) == pytest.approx(by_hand, rel=1e-14)


def test_js_divergence_copes_with_a_class_that_all_but_vanishes() -> None:
    assert js_divergence(row(1, 1e-300), row(1e-300, 1)) == 1


def test_js_divergence_is_exact_for_nearly_equal_distributions() -> None:
    # To second order it is the sum of (p - q)^2 / p, / (8 ln 2): far below the rounding of p itself.
    step = 2.0**-30
    expected = 2 * step**2 / 0.5 / (8 * math.log(2))
    assert js_divergence(row(0.5, 0.5), row(0.5 + step, 0.5 - step)) == pytest.approx(expected, rel=1e-6)


def test_sway_by_hand_weighs_the_change_of_the_scores_against_the_root_of_the_lead() -> None:
    # scores 5, 1, 0 become 5, 3, 1: less their means (2 and 3) that is a change of 3 -> 2, -1 -> 0, -2 -> -2; lead 2
    change = math.sqrt((1 + 1 + 0) / 3)
    before, after = softmax(row(5, 1, 0)), softmax(row(5, 3, 1))
    assert sway(before, after) == pytest.approx(change / (change + math.sqrt(2)))


def test_sway_follows_the_reference_class_and_is_1_once_it_lost_its_lead() -> None:
    before = softmax(row(3, 1, 0))
    assert sway(before, softmax(row(3, 3, 0))) == 1
    assert sway(before, softmax(row(1, 9, 0))) == 1
    assert sway(before, before) == 0


def test_the_same_change_sways_less_where_the_lead_is_larger() -> None:
    sure, unsure = row(9, 1, 0), row(2, 1, 0)
    moved = row(0, 0.4, -0.4)
    assert sway(softmax(sure), softmax(sure + moved)) < sway(softmax(unsure), softmax(unsure + moved)) < 1


def test_sway_copes_with_one_class_with_ties_and_with_classes_that_vanish() -> None:
    assert sway(row(1), row(1)) == 0
    assert sway(row(0.5, 0.5), row(0.5, 0.5)) == 0
    assert 0 < sway(row(1, 0), row(1, 1e-9)) < 1
    assert sway(row(1, 0), row(0, 1)) == 1


def test_feature_cosine_by_hand() -> None:
    candidates = np.array([[6.0, 8], [-4, 3], [-3, -4], [0, 0]])
    assert feature_cosine(row(3, 4), candidates).tolist() == [1, 0, -1, 0]
    assert feature_cosine(row(3, 4), row(4, 3)) == pytest.approx(24 / 25)
    assert feature_cosine(row(0, 0), row(0, 0)) == 1


def test_softmax_by_hand_and_without_overflow() -> None:
    assert softmax(row(0, math.log(3))).tolist() == pytest.approx([0.25, 0.75])
    assert softmax(row(1000, 0)).tolist() == [1, 0]


finite = st.floats(0, 1, allow_subnormal=False)
distributions = (
    arrays(np.float64, 6, elements=finite).filter(lambda weights: weights.sum() > 1e-9).map(lambda w: w / w.sum())
)


@given(distributions, distributions)
def test_js_divergence_is_symmetric_and_within_0_and_1(p: NDArray[np.float64], q: NDArray[np.float64]) -> None:
    divergence = js_divergence(p, q)
    assert divergence == js_divergence(q, p)
    assert 0 <= divergence <= 1
    assert js_divergence(p, p) == 0


@given(distributions, distributions, st.integers(1, 6))
def test_metrics_stay_in_their_ranges_and_are_perfect_for_the_same(
    p: NDArray[np.float64], q: NDArray[np.float64], k: int
) -> None:
    reader = ClassifierEvaluator("center", top_k=k)
    same, other = reader.compare(seen(p, p), [seen(p, p), seen(q, q)])
    for metric in METRICS:
        assert metric.minimum <= other[metric.name] <= metric.maximum
        assert same[metric.name] == (1 if metric.higher_is_better else 0)
