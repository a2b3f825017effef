"""What the evaluators on PyTorch measure and can be told, as data: imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semcompress_plugin.evaluators import _classifier_metrics
from semcompress_plugin.types import Metric

DETECTION_METRICS = (
    Metric(
        "box_recall",
        "share of the reference's boxes of which the candidate has one of the same class, at IoU 0.5 or more",
        higher_is_better=True,
    ),
    Metric(
        "box_precision",
        "share of the candidate's boxes of which the reference has one of the same class, at IoU 0.5 or more",
        higher_is_better=True,
    ),
    Metric(
        "count_change",
        "how many boxes more or fewer there are than in the reference",
        higher_is_better=False,
        maximum=float("inf"),
        unit="boxes",
    ),
)

_COMMON: Mapping[str, Any] = {
    "model": {"type": "string", "minLength": 1, "description": "torchvision's name of the model, such as resnet152"},
    "weights": {
        "type": "string",
        "minLength": 1,
        "description": "torchvision's name of the weights, such as IMAGENET1K_V1 (default: the newest), or a local "
        ".pth or .safetensors file",
    },
    "device": {"enum": ["auto", "cpu", "cuda", "mps"], "default": "auto"},
    "precision": {"enum": ["float32", "bfloat16", "float16"], "default": "float32"},
    "compile": {"type": "boolean", "default": False, "description": "compile the model: slow to start, then faster"},
}

CLASSIFICATION_OPTIONS: Mapping[str, Any] = {
    **_COMMON,
    **{name: _classifier_metrics.OPTIONS[name] for name in ("top_k", "depth")},
}
DETECTION_OPTIONS: Mapping[str, Any] = {
    **_COMMON,
    "score": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
        "description": "boxes that the detector is less sure of do not count",
    },
}
