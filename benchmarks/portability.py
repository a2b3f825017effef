"""In which form to ship the classifier: how far each is from the original, how fast, and the same on every processor?

    python tools/make_classifier.py --help     # what to install; besides: apt-get install qemu-user
    python benchmarks/portability.py CALIBRATE MEASURE --cpu Haswell --cpu Nehalem

CALIBRATE and MEASURE are folders of photos, seen in the centre view. Agreement is between a form and the original in
PyTorch on the same photo; portability is between verdicts (reference against compressed candidate) here and on an
emulated processor.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from _pages import publish
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from semcompress_plugin.evaluators.classifier import center, js_divergence, softmax  # noqa: E402  # path above

QUALITIES = (20, 60)
FORMS = ("float32", "float16", "int8-7bit", "int8-8bit")
Pixels = NDArray[np.uint8]


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def look(path: Path, pixels: Pixels) -> NDArray[np.float32]:
    """Logits (n, 1000) of pictures (n, 224, 224, 3), one run each."""
    opened = session(path)
    return np.concatenate([opened.run(["logits"], {"image": pixels[i : i + 1]})[0] for i in range(len(pixels))])


def photos(folder: Path) -> Iterator[Image.Image]:
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            yield image.convert("RGB")


def centers(folder: Path) -> Pixels:
    return np.stack([np.asarray(center(image)) for image in photos(folder)])


def make_forms(folder: Path, calibrate: Pixels) -> list[Path]:
    """The forms to compare: float32, float16 storage, and int8 with 7- and 8-bit weights."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    import make_classifier

    class Photos(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.rest = iter(calibrate)

        def get_next(self) -> dict[str, Pixels] | None:
            pixels = next(self.rest, None)
            return None if pixels is None else {"image": pixels[None]}

    net = make_classifier.network()
    forms = [folder / f"{name}.onnx" for name in FORMS]
    for path, storage in zip(forms, (np.float32, np.float16), strict=False):
        path.write_bytes(make_classifier.build(net, storage).SerializeToString(deterministic=True))
    for path, reduce in zip(forms[2:], (True, False), strict=True):
        quantize_static(
            forms[0],
            path,
            Photos(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm", "Add", "Clip", "GlobalAveragePool", "Flatten"],
        )
    return forms


def original(pixels: Pixels) -> NDArray[np.float32]:
    """Logits of the network in PyTorch."""
    import torch

    import make_classifier

    torch.set_num_threads(1)
    net = make_classifier.network()
    with torch.no_grad():
        rows = [net((torch.from_numpy(row).permute(2, 0, 1)[None].float() - 127) / 128) for row in pixels]
    return np.asarray(torch.cat(rows).numpy())


def milliseconds(path: Path, pixels: Pixels, batch: int) -> float:
    """Per picture; the fastest of 40 runs, as the machine may be busy."""
    opened = session(path)
    best = float("inf")
    for _ in range(40):
        start = time.perf_counter()
        opened.run(None, {"image": pixels[:batch]})
        best = min(best, time.perf_counter() - start)
    return best / batch * 1000


def agreement(forms: list[Path], pixels: Pixels) -> dict[str, dict[str, float]]:
    """By form: bytes, and how it stands beside the network in PyTorch."""
    truth, found = original(pixels), {}
    for path in forms:
        start = time.perf_counter()
        session(path)
        opened = (time.perf_counter() - start) * 1000
        logits = look(path, pixels)
        js = js_divergence(softmax(truth), softmax(logits))
        same = (truth.argmax(-1) == logits.argmax(-1)).mean()
        found[path.stem] = {
            "bytes": path.stat().st_size,
            "top-1": float(same),
            "JS median": float(np.median(js)),
            "JS p90": float(np.percentile(js, 90)),
            "JS max": float(js.max()),
            "ms to open": opened,
            "ms a look": milliseconds(path, pixels, 1),
            "ms a look, 8 at once": milliseconds(path, pixels, 8),
        }
        print(path.stem, found[path.stem], flush=True)
    return found


def pairs(folder: Path, count: int) -> Pixels:
    """(photos, 1 + candidates, 224, 224, 3): each photo, followed by its WebP candidates."""

    def compressed(image: Image.Image, quality: int) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "WEBP", quality=quality)
        return Image.open(file).convert("RGB")

    chosen = list(photos(folder))[::10][:count]
    return np.stack(
        [
            np.stack([np.asarray(center(seen)) for seen in (image, *(compressed(image, q) for q in QUALITIES))])
            for image in chosen
        ]
    )


def verdicts(logits: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """JS divergence and top-1 agreement of each candidate with its reference."""
    seen = softmax(logits)
    return js_divergence(seen[:, :1], seen[:, 1:]), seen[:, :1].argmax(-1) == seen[:, 1:].argmax(-1)


def portability(forms: list[Path], pixels: Pixels, processors: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """By processor and form: how far verdicts are from those here, and how many change sides."""
    np.save(folder / "pixels.npy", pixels)
    flat, shape = pixels.reshape(-1, *pixels.shape[2:]), (*pixels.shape[:2], -1)
    here = {path: verdicts(look(path, flat).reshape(shape)) for path in forms}
    found: dict[str, dict[str, Any]] = {}
    for processor in processors:
        for path in forms:
            out = folder / "logits.npy"
            child = [sys.executable, __file__, "--child", str(path), str(folder), str(out)]
            subprocess.run(["qemu-x86_64", "-cpu", processor, *child], check=True, stderr=subprocess.DEVNULL)
            (js, top), (js_there, top_there) = here[path], verdicts(np.load(out).reshape(shape))
            apart = np.abs(js - js_there)
            found.setdefault(processor, {})[path.stem] = {
                "verdicts": int(js.size),
                "JS, largest difference": float(apart.max()),
                "top-1 that differ": int((top != top_there).sum()),
                "bound .01 that differ": int(((js <= 0.01) != (js_there <= 0.01)).sum()),
            }
            print(processor, path.stem, found[processor][path.stem], flush=True)
    return found


def page(figures: dict[str, Any]) -> str:
    """Both tables as they stand in the docs."""
    lines = [
        "| form | bytes | top-1 | JS median | JS p90 | JS max | ms a look | ms, 8 at once |",
        "|---" * 8 + "|",
    ]
    for form, row in figures["agreement"].items():
        lines.append(
            f"| {form} | {row['bytes']:,} | {row['top-1']:.1%} | {row['JS median']:.1e} | {row['JS p90']:.1e} "
            f"| {row['JS max']:.1e} | {row['ms a look']:.1f} | {row['ms a look, 8 at once']:.1f} |"
        )
    lines += [
        "",
        "| emulated processor | form | largest difference of a JS divergence | top-1 verdicts that differ "
        "| verdicts on the bound .01 that differ |",
        "|---" * 5 + "|",
    ]
    for processor, forms in figures["processors"].items():
        for form, row in forms.items():
            lines.append(
                f"| {processor} | {form} | {row['JS, largest difference']:.1e} "
                f"| {row['top-1 that differ']} of {row['verdicts']} "
                f"| {row['bound .01 that differ']} of {row['verdicts']} |"
            )
    return "\n".join(lines)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        model, folder, out = map(Path, sys.argv[2:])
        pixels: Any = np.load(folder / "pixels.npy")
        np.save(out, look(model, pixels.reshape(-1, *pixels.shape[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calibrate", type=Path)
    parser.add_argument("measure", type=Path)
    parser.add_argument("--cpu", action="append", default=[], help="a processor that qemu-x86_64 knows; repeat")
    parser.add_argument("--form", action="append", choices=FORMS, help="only this form on them; repeat (default: all)")
    parser.add_argument("--pictures", type=int, default=10, help="for the emulated processors (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        forms = make_forms(folder, centers(arguments.calibrate)[:100])
        figures: dict[str, Any] = {"agreement": agreement(forms, centers(arguments.measure))}
        chosen = [path for path in forms if not arguments.form or path.stem in arguments.form]
        seen = pairs(arguments.measure, arguments.pictures)
        figures["processors"] = portability(chosen, seen, arguments.cpu, folder)
    if arguments.cpu:
        publish("portability", figures, page(figures))


if __name__ == "__main__":
    main()
