"""A reader of text: PP-OCRv6 by RapidOCR, with the models that lie in its wheel, on ONNX Runtime.

What a picture says is compared with what the reference was read to say, not with the truth: a word that was misread
before may be misread likewise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import rapidocr
from PIL import Image
from rapidfuzz.distance import Levenshtein

from semcompress_plugin.errors import ModelError
from semcompress_plugin.evaluators._ocr_metrics import MIN_CONFIDENCE

MODELS = Path(rapidocr.__file__).parent / "models"
DETECTION, RECOGNITION = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
LONGEST = 2000
"""Pixels of the longer side at which lines are looked for; they are then read at full size."""


@dataclass(frozen=True, slots=True)
class Word:
    """``box`` is left, top, right, bottom as shares of width and height; ``confidence`` 0 to 1."""

    text: str
    confidence: float
    box: tuple[float, float, float, float]


def in_reading_order(words: Sequence[Word]) -> tuple[Word, ...]:
    """Rows from top to bottom, each from left to right.

    A word belongs to a row when its middle is above the bottom of the row's highest word: a pixel more or less, in
    which the boxes of one word differ from candidate to candidate, therefore moves none.
    """
    rows: list[list[Word]] = []
    for word in sorted(words, key=_middle):
        if rows and _middle(word) < rows[-1][0].box[3]:
            rows[-1].append(word)
        else:
            rows.append([word])
    return tuple(word for row in rows for word in sorted(row, key=lambda word: word.box))


def character_error_rate(reference: Sequence[Word], candidate: Sequence[Word]) -> float:
    """Levenshtein distance / length of the reference's text (at least 1), both without spaces; 0 and up.

    Where there is a space is a guess from the width of a gap, which even lossless changes sway.
    """
    one, other = ("".join(word.text for word in words) for words in (reference, candidate))
    return Levenshtein.distance(one, other) / max(len(one), 1)


def word_recall(reference: Sequence[Word], candidate: Sequence[Word]) -> float:
    """The share, 0 to 1, of the reference's words that the candidate has too, each as often; 1 where there are none."""
    one, other = (Counter(word.text for word in words) for words in (reference, candidate))
    return (one & other).total() / one.total() if one else 1.0


def confidence_ratio(reference: Sequence[Word], candidate: Sequence[Word]) -> float:
    """Mean confidence of the candidate's words / of the reference's; 1 where that has none, 0 where only it has."""
    if not reference:
        return 1.0
    one, other = (sum(word.confidence for word in words) / max(len(words), 1) for words in (reference, candidate))
    return other / one if one else 1.0


class OcrEvaluator:
    """Reads the words of pictures. Words less sure than ``min_confidence`` (0 to 1) do not count.

    The models are opened at the first look (:class:`~semcompress_plugin.errors.ModelError` where they are missing;
    they are never downloaded) and shared by all instances. Text is read as it stands: a line upside down is not turned.
    """

    def __init__(self, min_confidence: float = MIN_CONFIDENCE) -> None:
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence: expected 0 to 1, got {min_confidence!r}")
        self.min_confidence = min_confidence

    def observe(self, images: Sequence[Image.Image]) -> list[tuple[Word, ...]]:
        """The words of each picture in reading order."""
        return [self._read(image) for image in images]

    def compare(self, reference: Sequence[Word], candidates: Sequence[Sequence[Word]]) -> list[dict[str, float]]:
        """A value of every metric for each candidate."""
        return [
            {
                "character_error_rate": character_error_rate(reference, candidate),
                "word_recall": word_recall(reference, candidate),
                "confidence_ratio": confidence_ratio(reference, candidate),
            }
            for candidate in candidates
        ]

    def describe(self, seen: Sequence[Word]) -> str:
        """What is read, in quotation marks."""
        return f'"{" ".join(word.text for word in seen)}"' if seen else "no text"

    def _read(self, image: Image.Image) -> tuple[Word, ...]:
        pixels = np.ascontiguousarray(np.asarray(image)[..., ::-1])  # as OpenCV has them: blue first
        with _looking:  # an engine keeps state while it reads
            found = _engine()(pixels)
        size = np.array(image.size)
        lines = found.word_results if found.txts else ()
        words = [
            Word(text, float(confidence), _box(np.asarray(corners) / size))
            for line in lines
            for text, confidence, corners in line
            if corners is not None and confidence >= self.min_confidence
        ]
        return in_reading_order(words)


def _middle(word: Word) -> float:
    return (word.box[1] + word.box[3]) / 2


def _box(corners: np.ndarray[Any, np.dtype[np.floating[Any]]]) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return left, top, right, bottom


_looking = Lock()


@cache
def _engine() -> rapidocr.RapidOCR:
    for name in (DETECTION, RECOGNITION):
        if not (MODELS / name).is_file():
            raise ModelError(
                f"{MODELS / name}: the model that belongs to RapidOCR is missing; bring it back with: "
                "pip install --force-reinstall --no-deps 'rapidocr==3.10.*'"
            )
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Global.return_word_box": True,
            "Global.text_score": 0.0,  # words are judged, not lines
            "Global.max_side_len": 1_000_000,  # it would scale the picture before anything is read
            "Det.limit_type": "max",
            "Det.limit_side_len": LONGEST,
            # by path: what is only named would be downloaded where it is missing
            "Det.model_path": str(MODELS / DETECTION),
            "Rec.model_path": str(MODELS / RECOGNITION),
            # in a batch lines are padded to the longest, which decides about the others' last digits
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
