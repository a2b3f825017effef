"""torchvision's detectors as readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semcompress_plugin.evaluators import _torchvision
from semcompress_plugin.evaluators._boxes import Boxes, compared
from semcompress_plugin.evaluators._torchvision import models
from semcompress_plugin.evaluators.torch_classifier import named

FAMILY = "torchvision-detection"


class TorchvisionDetector:
    """A detection model of torchvision. Boxes less sure than ``score`` do not count.

    See :class:`~semcompress_plugin.evaluators.torch_classifier.TorchvisionClassifier` for ``weights`` and errors.
    """

    def __init__(
        self,
        model: str | None = None,
        weights: str | None = None,
        *,
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
        score: float = 0.5,
    ) -> None:
        name = named(FAMILY, model)
        offered = _torchvision.entry(name, models.detection, weights)
        net = _torchvision.build(
            name, models.detection, _torchvision.state_dict(FAMILY, name, models.detection, weights)
        )
        self.device, self.dtype, self.score = _torchvision.device(device), _torchvision.DTYPES[precision], score
        self.transform, self.categories = offered.transforms(), offered.meta["categories"]
        self.net = _torchvision.prepared(net, self.device, precision, compile)

    def observe(self, images: Sequence[Image.Image]) -> list[Boxes]:
        """What is found in each picture; corners are shares of its size, so that scaled candidates compare.

        One by one: torchvision pads the pictures of a batch to the size of the largest, which shows in what is found.
        """
        return [self._look(image) for image in images]

    def compare(self, reference: Boxes, candidates: Sequence[Boxes]) -> list[dict[str, float]]:
        """``box_recall``, ``box_precision`` and ``count_change`` of each candidate."""
        return [compared(reference, candidate) for candidate in candidates]

    def describe(self, seen: Boxes) -> str:
        """``2 x dog, 1 x frisbee``."""
        labels = [self.categories[label] if label < len(self.categories) else f"class {label}" for label in seen.labels]
        return ", ".join(f"{labels.count(label)} x {label}" for label in dict.fromkeys(labels)) or "nothing"

    @staticmethod
    def fetch(model: str | None = None, weights: str | None = None) -> Path:
        """Download weights into torchvision's cache; where they are."""
        return _torchvision.fetch(named(FAMILY, model), models.detection, weights)

    def _look(self, image: Image.Image) -> Boxes:
        with torch.inference_mode():
            (found,) = self.net([self.transform(image).to(self.device, self.dtype)])
        return self._boxes(found, image.size)

    def _boxes(self, found: dict[str, torch.Tensor], size: tuple[int, int]) -> Boxes:
        scores = found["scores"].float().cpu().numpy()
        sure = scores >= self.score
        corners = found["boxes"].float().cpu().numpy() / np.array([*size, *size])
        return Boxes(corners[sure], found["labels"].cpu().numpy()[sure], scores[sure])
