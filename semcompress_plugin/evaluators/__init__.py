"""The built-in evaluators as data; their code, and the model runtime, are imported when a policy uses them."""

from __future__ import annotations

from collections.abc import Iterable

from semcompress_plugin.evaluators import _classifier_metrics, _msssim_metrics, _ocr_metrics, _torch_metrics
from semcompress_plugin.hookspecs import hookimpl
from semcompress_plugin.types import EvaluatorSpec

_HERE = __name__


@hookimpl
def semcompress_evaluators() -> Iterable[EvaluatorSpec]:
    return (
        EvaluatorSpec(
            "classifier",
            "1",
            "EfficientNet-Lite0 on ImageNet's 1000 classes, 224 px",
            metrics=_classifier_metrics.METRICS,
            factory=f"{_HERE}.classifier:ClassifierEvaluator",
            options=_classifier_metrics.OPTIONS,
            cost=20,
            concurrent=True,
            batch=1,  # more at once are no faster, and keep one thread busy while others run out of work
            reads=("efficientnet_lite0",),
            parts=_classifier_metrics.PARTS,
        ),
        EvaluatorSpec(
            "msssim",
            "1",
            "multi-scale structural similarity on luma and chroma, at full size",
            metrics=_msssim_metrics.METRICS,
            factory=f"{_HERE}.msssim:MsssimEvaluator",
            cost=45,
            equal_sizes=True,
            concurrent=True,
        ),
        EvaluatorSpec(
            "ocr",
            "1",
            "the words that a text reader (RapidOCR, PP-OCRv6) finds in the picture",
            metrics=_ocr_metrics.METRICS,
            factory=f"{_HERE}.ocr:OcrEvaluator",
            options=_ocr_metrics.OPTIONS,
            cost=3000,
            extra="ocr",
        ),
        EvaluatorSpec(
            "torchvision",
            "1",
            "any classification model of torchvision, as torchvision:resnet152",
            metrics=_classifier_metrics.METRICS,
            factory=f"{_HERE}.torch_classifier:TorchvisionClassifier",
            options=_torch_metrics.CLASSIFICATION_OPTIONS,
            cost=200,
            extra="torch",
            batch=32,
            argument="model",
        ),
        EvaluatorSpec(
            "torchvision-detection",
            "1",
            "any detection model of torchvision, as torchvision-detection:fasterrcnn_resnet50_fpn",
            metrics=_torch_metrics.DETECTION_METRICS,
            factory=f"{_HERE}.torchvision_detection:TorchvisionDetector",
            options=_torch_metrics.DETECTION_OPTIONS,
            cost=1000,
            extra="torch",
            batch=1,  # in a batch the largest picture would decide how the others are padded
            argument="model",
        ),
    )
