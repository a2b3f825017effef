"""What the evaluator ``msssim`` costs: milliseconds per megapixel, memory, and the same blur written otherwise.

    python benchmarks/msssim.py [PHOTO …] [--runs 5]

A pair is all that a first candidate needs: both observed, the reference's side, the comparison; every further
candidate spares the reference's side. Without PHOTO a picture is made up: the arithmetic takes as long whatever it
shows. What one thread takes is its processor time, so that other work on the machine counts less; what two take is
wall time, beside one thread's in the same run. The rival is the 11 x 11 Gaussian as two grouped convolutions over the
same three channels.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from _pages import publish
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from semcompress_plugin.evaluators import msssim
from semcompress_plugin.evaluators._session import load_session

SIZES = ((500, 375), (1000, 1000), (2000, 1500), (4000, 3000))


def milliseconds(call: Callable[[], object], runs: int, clock: Callable[[], float] = time.process_time) -> float:
    """Median time, after one call that is not counted."""
    call()
    times = []
    for _ in range(runs):
        started = clock()
        call()
        times.append(clock() - started)
    return 1000 * statistics.median(times)


def invented(size: tuple[int, int]) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return Image.fromarray(noise).resize(size)


def pair(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75)
    return image, Image.open(out).convert("RGB")


def costs(image: Image.Image, runs: int) -> dict[str, float]:
    """Milliseconds per megapixel of each step."""
    reader = msssim.MsssimEvaluator()
    first, second = pair(image)
    reference, candidate = reader.observe([first, second])
    steps: dict[str, Callable[[], object]] = {
        "observe": lambda: reader.observe([first]),
        "reference": lambda: reader.observe([first])[0].scales(),
        "compare": lambda: reader.compare(reference, [candidate]),
        "pair": lambda: (lambda seen: reader.compare(seen[0], seen[1:]))(reader.observe([first, second])),
    }
    megapixels = image.width * image.height / 1e6
    found = {name: milliseconds(step, runs) / megapixels for name, step in steps.items()}
    found["reference"] -= found["observe"]
    return {name: round(value, 1) for name, value in found.items()}


def two_threads(image: Image.Image, runs: int) -> dict[str, float]:
    """Wall milliseconds per megapixel pair: one thread, two at pairs of their own, two inside each session."""
    reader = msssim.MsssimEvaluator()
    first, second = pair(image)

    def work(_: int = 0) -> object:
        seen = reader.observe([first, second])
        return reader.compare(seen[0], seen[1:])

    found = {"one thread": milliseconds(work, runs, time.perf_counter)}
    with ThreadPoolExecutor(2) as pool:
        found["two threads, a pair each"] = (
            milliseconds(lambda: list(pool.map(work, range(2))), runs, time.perf_counter) / 2
        )
    shared = msssim._sessions
    sessions = tuple(load_session(name, threads=2) for name in msssim.MODELS_USED)
    msssim._sessions = lambda: sessions
    try:
        found["two threads in each session"] = milliseconds(work, runs, time.perf_counter)
    finally:
        msssim._sessions = shared
    return {name: round(value / (image.width * image.height / 1e6), 1) for name, value in found.items()}


def as_convolutions(runs: int) -> dict[str, float]:
    """One comparison's three blurs of a megapixel in ms: our graph with all it does besides, and bare convolutions."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return {}
    side = 1024
    window = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    weights = np.tile((window / window.sum()).astype(np.float32), (3, 1))
    shape = [1, 3, side + 10, side + 10]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "down"], ["t"], group=3),
            helper.make_node("Conv", ["t", "along"], ["y"], group=3),
        ],
        "blur",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, side, side])],
        [
            numpy_helper.from_array(weights.reshape(3, 1, 11, 1), "down"),
            numpy_helper.from_array(weights.reshape(3, 1, 1, 11), "along"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random(shape, np.float32)
    plane = np.asarray(invented((side, side)).convert("L"))
    scale = msssim._study(plane, msssim.TILE)[0]
    difference = np.ones_like(plane, np.float32)
    graph_of_ours = msssim._sessions()[1]
    megapixels = side * side / 1e6
    return {
        "convolutions, blurs only": round(milliseconds(lambda: session.run(None, {"x": x}), runs) / megapixels, 1),
        "ours, everything": round(
            milliseconds(lambda: msssim._pool(graph_of_ours, scale, difference), runs) / megapixels, 1
        ),
    }


def peak_mebibytes() -> float | None:
    """The most memory that this process has held, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="*", type=Path, help="pictures to measure with, at their own size")
    parser.add_argument("--runs", type=int, default=5, help="median of so many (default: 5)")
    arguments = parser.parse_args()
    images = [Image.open(path).convert("RGB") for path in arguments.photo] or [invented(size) for size in SIZES]
    before = peak_mebibytes()
    table = {f"{image.width}x{image.height}": costs(image, arguments.runs) for image in images}
    peak = peak_mebibytes()
    found = {
        "ms per megapixel, one thread": table,
        "wall ms per megapixel pair": two_threads(invented((1000, 1000)), arguments.runs),
        "finest scale of one plane, ms per megapixel": as_convolutions(arguments.runs),
        "peak MiB": {"before": before, "after": peak},
    }
    publish("msssim", found, page(found))


def page(found: dict[str, Any]) -> str:
    """The figures as they stand in the docs."""
    steps = {"observe": "observe", "reference": "reference's side", "compare": "compare", "pair": "whole pair"}
    lines = [f"| milliseconds per megapixel | {' | '.join(steps.values())} |", "|---" * (len(steps) + 1) + "|"]
    for size, costs in found["ms per megapixel, one thread"].items():
        lines.append(f"| {size} | {' | '.join(f'{costs[step]:.1f}' for step in steps)} |")
    wall = "; ".join(f"{name} {value:.0f} ms" for name, value in found["wall ms per megapixel pair"].items())
    lines += ["", f"Wall time per megapixel pair: {wall}."]
    if rival := found["finest scale of one plane, ms per megapixel"]:
        told = "; ".join(f"{name} {value:.0f} ms" for name, value in rival.items())
        lines += ["", f"The finest scale of one plane, per megapixel: {told}."]
    if found["peak MiB"]["after"]:
        lines += ["", f"Peak memory of a process that measured all of these: {found['peak MiB']['after']:.0f} MiB."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
