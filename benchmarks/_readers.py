"""The readers of the benchmarks: those that a search may ask, and those that it never asks and that judge it.

A *look* is a reader with a view, such as ``lite0.flip``: one row of logits per picture. Every look computes a picture's
answer from that picture alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcompress_plugin.evaluators.classifier import MODEL
from semcompress_plugin.evaluators.classifier import center as product_center
from semcompress_plugin.evaluators.classifier import full as product_full

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]
View = Callable[[Image.Image, int, float], Pixels]

BATCH = 16
SHIFT = 0.04  # of the shorter side, right and down; the crop leaves a sixteenth
ZOOM = 0.8  # of the crop's side


@dataclass(frozen=True, slots=True)
class Look:
    """``ask`` maps (n, side, side, 3) RGB bytes to (n, 1000) logits; ``view`` cuts them out of a picture."""

    side: int
    ratio: float
    view: View
    ask: Callable[[Pixels], Logits]

    def __call__(self, pictures: Sequence[Image.Image]) -> Logits:
        answers = []
        for start in range(0, len(pictures), BATCH):
            pixels = [self.view(picture, self.side, self.ratio) for picture in pictures[start : start + BATCH]]
            answers.append(self.ask(np.stack(pixels)))
        return np.concatenate(answers)


def _square(image: Image.Image, side: int, share: float, offset: float = 0.0) -> Pixels:
    """A square of ``share`` of the shorter side, ``offset`` of it off the centre, at ``side`` pixels."""
    shorter = min(image.size)
    half, x, y = share * shorter / 2, image.width / 2 + offset * shorter, image.height / 2 + offset * shorter
    return np.asarray(
        image.resize((side, side), Image.Resampling.BICUBIC, box=(x - half, y - half, x + half, y + half))
    )


VIEWS: Mapping[str, View] = {
    "center": lambda image, side, ratio: _square(image, side, ratio),
    "flip": lambda image, side, ratio: _square(image, side, ratio)[:, ::-1],
    "shift": lambda image, side, ratio: _square(image, side, ratio, SHIFT),
    "zoom": lambda image, side, ratio: _square(image, side, ratio * ZOOM),
    "full": lambda image, side, ratio: np.asarray(product_full(image)),
}
RATIOS = {224: 224 / 256, 240: 240 / 272, 260: 260 / 292}


def looks(names: Sequence[str], folder: Path) -> dict[str, Look]:
    """The looks called ``names``; ``folder`` holds what ``tools/make_readers.py`` wrote, and ``mobilenet*.tflite``."""
    readers: dict[str, tuple[int, Callable[[Pixels], Logits]]] = {}
    made = {}
    for name in names:
        reader, _, view = name.partition(".")
        if reader not in readers:
            readers[reader] = _mobilenet(folder) if reader == "mobilenet" else _lite(reader, folder)
        side, ask = readers[reader]
        cut = VIEWS[view]
        if name == "lite0.center":  # exactly what the product shows its reader
            cut = lambda image, side, ratio: np.asarray(product_center(image))  # noqa: E731  # a view like the others
        made[name] = Look(side, RATIOS[side], cut, ask)
    return made


def _lite(name: str, folder: Path) -> tuple[int, Callable[[Pixels], Logits]]:
    """An EfficientNet-Lite, one thread; ``lite0`` is the one that the product ships."""
    import onnxruntime

    from semcompress_plugin.evaluators._session import load_session

    if name == "lite0":
        session = load_session(MODEL)
    else:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
    side: int = session.get_inputs()[0].shape[1]
    return side, lambda pixels: session.run(["logits"], {"image": pixels})[0]


def _mobilenet(folder: Path) -> tuple[int, Callable[[Pixels], Logits]]:
    """An int8 MobileNetV2 of another family; its class 0 is 'background' and left out."""
    from ai_edge_litert.interpreter import Interpreter

    (path,) = folder.glob("mobilenet*.tflite")
    net = Interpreter(str(path), num_threads=1)
    net.allocate_tensors()
    (taken,), (given,) = net.get_input_details(), net.get_output_details()
    side = int(taken["shape"][1])

    def ask(pixels: Pixels) -> Logits:
        rows: list[Any] = []
        for picture in pixels:
            net.set_tensor(taken["index"], picture[None])
            net.invoke()
            rows.append(net.get_tensor(given["index"])[0, -1000:])
        return np.stack(rows).astype(np.float32)

    return side, ask
