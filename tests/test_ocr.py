"""The evaluator ``ocr``, with the real engine and its real models."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from semcompress_plugin.cli import main
from semcompress_plugin.errors import ModelError, PluginError
from semcompress_plugin.registry import Registry

LINES = ("Save the quick brown fox", "Total 1,234.56 EUR due")


def drawn(lines: tuple[str, ...] = LINES, size: int = 16) -> Image.Image:
    image = Image.new("RGB", (300, 20 + 36 * len(lines)), "white")
    for row, line in enumerate(lines):
        font = ImageFont.load_default(size)
        ImageDraw.Draw(image).text((20, 16 + 36 * row), line, fill=(30, 30, 80), font=font)
    return image


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


@pytest.fixture(scope="module")
def reader():
    pytest.importorskip("rapidocr", reason="the extra [ocr] is not installed here")
    return Registry().make_evaluator("ocr")


@pytest.fixture(scope="module")
def seen(reader):
    return reader.observe([drawn()])[0]


def word(text: str, left: float, top: float, confidence: float = 1.0):
    from semcompress_plugin.evaluators.ocr import Word

    return Word(text, confidence, (left, top, left + 0.1, top + 0.1))


def test_words_are_read_with_places_and_confidence_in_reading_order(reader, seen):
    assert [word.text for word in seen] == " ".join(LINES).split()
    assert all(0.5 <= word.confidence <= 1 for word in seen)
    assert all(
        0 <= left < right <= 1 and 0 <= top < bottom <= 1 for left, top, right, bottom in (word.box for word in seen)
    )
    assert seen[0].box[0] == pytest.approx(20 / 300, abs=0.02)
    assert reader.observe([drawn()])[0] == seen  # the same each time
    assert reader.describe(seen) == f'"{" ".join(LINES)}"'


def test_a_good_jpeg_reads_the_same_and_a_bad_one_does_not(reader, seen):
    small = drawn(size=11)
    (reference, *candidates) = reader.observe([small, jpeg(small, 95), jpeg(small, 5)])
    good, bad = reader.compare(reference, candidates)
    assert good["character_error_rate"] == 0
    assert good["word_recall"] == 1
    assert bad["character_error_rate"] > 0.05
    assert bad["word_recall"] < 0.9
    assert bad["confidence_ratio"] < good["confidence_ratio"]


def test_no_text_is_no_error_unless_the_other_one_has_some(reader, seen):
    nothing, pixel = reader.observe([Image.new("RGB", (200, 80), "white"), Image.new("RGB", (1, 1))])
    assert nothing == pixel == ()
    assert reader.describe(nothing) == "no text"
    same, more = reader.compare(nothing, [pixel, seen])
    assert same == {"character_error_rate": 0, "word_recall": 1, "confidence_ratio": 1}
    assert more["character_error_rate"] == sum(len(word.text) for word in seen)
    (less,) = reader.compare(seen, [nothing])
    assert less == {"character_error_rate": 1, "word_recall": 0, "confidence_ratio": 0}


def test_metrics_count_characters_without_spaces_and_words_as_often_as_they_stand(reader):
    reference = (word("one", 0, 0), word("two", 0.2, 0), word("two", 0.4, 0))
    joined, once = (word("onetwo", 0, 0), word("two", 0.4, 0)), (word("one", 0, 0), word("tvo", 0.2, 0, 0.5))
    together, changed = reader.compare(reference, [joined, once])
    assert together["character_error_rate"] == 0
    assert together["word_recall"] == pytest.approx(1 / 3)
    assert changed["character_error_rate"] == pytest.approx(4 / 9)
    assert changed["word_recall"] == pytest.approx(1 / 3)
    assert changed["confidence_ratio"] == pytest.approx(0.75)


def test_words_of_a_row_stay_in_order_when_their_boxes_shift():
    pytest.importorskip("rapidocr", reason="the extra [ocr] is not installed here")
    from semcompress_plugin.evaluators.ocr import in_reading_order

    words = [word("left", 0, 0.03), word("right", 0.5, 0), word("below", 0, 0.2)]
    assert [w.text for w in in_reading_order(words)] == ["left", "right", "below"]


def test_words_less_sure_than_asked_do_not_count(reader, seen):
    surest = max(word.confidence for word in seen)
    strict = Registry().make_evaluator("ocr", {"min_confidence": surest})
    (found,) = strict.observe([drawn()])
    assert found == tuple(word for word in seen if word.confidence >= surest)
    assert 0 < len(found) < len(seen)
    with pytest.raises(ValueError, match="min_confidence: expected 0 to 1, got 2"):
        Registry().make_evaluator("ocr", {"min_confidence": 2})


def test_a_policy_that_asks_for_the_same_text_gets_a_smaller_picture_that_reads_the_same(reader, repository: Path):
    picture = repository / "shot.jpg"
    drawn().save(picture, quality=100, subsampling=0)
    (repository / ".semcompress.yaml").write_text(
        "version: 1\nrules:\n  - name: shots\n    files: ['*.jpg']\n    compress: [{jpeg: {scale: 1}}]\n"
        "    keep: {ocr: {character_error_rate: {max: 0}, word_recall: {min: 1}}}\n"
        "    search: {frontier: {looks: 6}}\n"
    )
    before = picture.stat().st_size
    (reference,) = reader.observe([Image.open(picture).convert("RGB")])
    assert main(["compress", "--quiet"]) == 1
    assert picture.stat().st_size < 0.95 * before
    (candidate,) = reader.observe([Image.open(picture).convert("RGB")])
    (scores,) = reader.compare(reference, [candidate])
    assert scores["character_error_rate"] == 0
    assert scores["word_recall"] == 1
    (line,) = (json.loads(text) for text in (repository / "semcompress.lock").read_text().splitlines()[-1:])
    assert line["scores"]["ocr"]["character_error_rate"] == 0


def test_models_that_are_gone_are_said_and_never_downloaded(reader, monkeypatch, tmp_path):
    from semcompress_plugin.evaluators import ocr

    monkeypatch.setattr(ocr, "MODELS", tmp_path)
    ocr._engine.cache_clear()
    with pytest.raises(ModelError, match=r"PP-OCRv6_det_small\.onnx.* pip install --force-reinstall --no-deps 'rapid"):
        reader.observe([drawn()])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["rapidocr", "rapidfuzz"])
def test_without_the_extra_one_line_says_how_to_install_it(monkeypatch, missing):
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "semcompress_plugin.evaluators.ocr", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "rapidfuzz":
        pytest.importorskip("rapidocr", reason="the extra [ocr] is not installed here")
    with pytest.raises(PluginError) as raised:
        Registry().make_evaluator("ocr")
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith("install it with: pip install 'semcompress-plugin[ocr]'")


def test_listing_names_metrics_and_extra_and_imports_no_engine():
    code = (
        "import sys; from semcompress_plugin.cli import main; main(['plugins', '--format', 'json']); "
        "sys.exit(bool({'rapidocr', 'rapidfuzz', 'cv2', 'numpy'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (listed,) = (each for each in json.loads(done.stdout)["evaluators"] if each["name"] == "ocr")
    assert listed["extra"] == "ocr"
    assert [metric["name"] for metric in listed["metrics"]] == [
        "character_error_rate",
        "word_recall",
        "confidence_ratio",
    ]
