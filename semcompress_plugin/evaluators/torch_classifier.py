"""Any PyTorch classifier as a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from semcompress_plugin.cores import available_cores
from semcompress_plugin.errors import PluginError
from semcompress_plugin.evaluators import _torchvision
from semcompress_plugin.evaluators._classifier_metrics import DEPTH
from semcompress_plugin.evaluators._torchvision import models
from semcompress_plugin.evaluators.classifier import Seen, compared, described, softmax

Transform = Callable[[Image.Image], torch.Tensor]


class TorchClassifier:
    """Looks with ``net``, whose answer are logits, (pictures, classes).

    ``transform`` makes a picture (mode RGB) the net's input, (3, height, width). The features that ``feature_cosine``
    compares are what enters the net's last layer. ``categories`` name the classes. See the evaluator ``classifier``
    for ``top_k`` and ``depth``; ``precision`` is float32, bfloat16 or float16.
    """

    def __init__(
        self,
        net: torch.nn.Module,
        transform: Transform,
        categories: Sequence[str] = (),
        *,
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
        top_k: int = 5,
        depth: int = DEPTH,
    ) -> None:
        self.device = _torchvision.device(device)
        self.dtype = _torchvision.DTYPES[precision]
        self.transform, self.categories, self.top_k, self.depth = transform, categories, top_k, depth
        self._entering: list[torch.Tensor] = []
        # a GPU sees a batch in less time than one thread needs to make a few pictures its input
        self._transforming = ThreadPoolExecutor(available_cores() if self.device.type != "cpu" else 1, "transform")
        _, last = _torchvision.last_layer(net)
        last.register_forward_pre_hook(self._remember)
        self.net = _torchvision.prepared(net, self.device, precision, compile)

    def observe(self, images: Sequence[Image.Image]) -> list[Seen]:
        """One :class:`Seen` per picture; on the CPU the same to the last bit whatever came with it.

        There pictures are looked at one by one: PyTorch adds up in another order for another number of pictures. On a
        GPU all of them are one batch, and the last digits may depend on how many there are.
        """
        batches = [[image] for image in images] if self.device.type == "cpu" else [images] if images else []
        return [seen for batch in batches for seen in self._look(batch)]

    def _look(self, images: Sequence[Image.Image]) -> list[Seen]:
        inputs = torch.stack(list(self._transforming.map(self.transform, images)))
        if self.device.type == "cuda":
            inputs = inputs.pin_memory()  # a copy from there need not be waited for
        with torch.inference_mode():
            self._entering.clear()
            logits = self.net(inputs.to(self.device, self.dtype, non_blocking=True, memory_format=torch.channels_last))
            probabilities = softmax(logits.float().cpu().numpy())
            features = _pooled(self._entering.pop()).float().cpu().numpy()
        return [
            Seen(("center",), row[None], feature[None]) for row, feature in zip(probabilities, features, strict=True)
        ]

    def compare(self, reference: Seen, candidates: Sequence[Seen]) -> list[dict[str, float]]:
        """For each candidate a value of every metric of the evaluator ``classifier``."""
        return compared(reference, candidates, self.top_k, self.depth)

    def describe(self, seen: Seen) -> str:
        """What the reader takes the picture for, in words, and where in WordNet that is."""
        count = seen.probabilities.shape[-1]
        names = self.categories if len(self.categories) == count else [f"class {number}" for number in range(count)]
        return described(seen, names)

    def _remember(self, layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._entering.append(inputs[0].detach())


class TorchvisionClassifier(TorchClassifier):
    """A classification model of torchvision with its own weights' transform and categories.

    ``weights`` is torchvision's name of them (default: the newest) or a local file, which is read without running
    anything that is in it. Raises PluginError for a model or weights that torchvision has not, ModelError for a file
    that is not there or does not fit.
    """

    def __init__(self, model: str | None = None, weights: str | None = None, **options: Any) -> None:
        name = named("torchvision", model)
        offered = _torchvision.entry(name, models, weights)
        state = _torchvision.state_dict("torchvision", name, models, weights)
        net = _torchvision.build(name, models, state)
        super().__init__(net, offered.transforms(), offered.meta["categories"], **options)

    @staticmethod
    def fetch(model: str | None = None, weights: str | None = None) -> Path:
        """Download weights into torchvision's cache; where they are."""
        return _torchvision.fetch(named("torchvision", model), models, weights)


def named(family: str, model: str | None) -> str:
    """``model``, or an error that says how to name one."""
    if model is None:
        raise PluginError(f"evaluator {family!r}: which model? Write {family}:NAME, or give the option model")
    return model


def _pooled(features: torch.Tensor) -> torch.Tensor:
    """(pictures, channels) of features that may still lie in a plane."""
    return features.flatten(2).mean(dim=2) if features.ndim > 2 else features
