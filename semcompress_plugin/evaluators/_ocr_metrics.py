"""What the evaluator ``ocr`` measures and can be told, as data: imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semcompress_plugin.types import Metric

MIN_CONFIDENCE = 0.5

METRICS = (
    Metric(
        "character_error_rate",
        "characters to change, add or take out to turn what is read into what was read in the reference, per character "
        "of the reference; spaces do not count",
        higher_is_better=False,
        maximum=float("inf"),
    ),
    Metric("word_recall", "share of the reference's words that are read again", higher_is_better=True),
    Metric(
        "confidence_ratio",
        "mean confidence of the words read, candidate / reference",
        higher_is_better=True,
        maximum=float("inf"),
    ),
)

OPTIONS: Mapping[str, Any] = {
    "min_confidence": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": MIN_CONFIDENCE,
        "description": "words that the reader is less sure of do not count",
    },
}
