"""What encoder effort buys: bytes at equal similarity against processor seconds, for every effort of every format.

    pip install mozjpeg-lossless-optimization      # for the row with a final lossless pass by mozjpeg; else left out
    python benchmarks/effort.py FOLDER [--limit 24]

Each picture is encoded at several qualities, at its full size. Between them, log bytes are taken to be straight in
MS-SSIM's own logarithmic scale; the ratio of two efforts is the mean distance of their curves over the range of scores
that they share, averaged over pictures (geometric mean, bootstrap 95 % interval). Seconds are the encoding thread's,
the median over all encodings, per megapixel.
"""

from __future__ import annotations

import argparse
import io
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _pages import publish
from PIL import Image

from semcompress_plugin.evaluators.msssim import MsssimEvaluator
from semcompress_plugin.images import decode, renditions

try:
    from mozjpeg_lossless_optimization import COPY_MARKERS
    from mozjpeg_lossless_optimization import optimize as mozjpeg
except ImportError:
    mozjpeg = None

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
QUALITIES = (20, 40, 60, 75, 88)
STEPS = 50

Encoder = Callable[[Image.Image, int], bytes]


@dataclass(frozen=True, slots=True)
class Curve:
    """One picture under one effort: scores on their smooth scale, ascending, log bytes there, seconds per encoding."""

    score: np.ndarray[Any, Any]
    size: np.ndarray[Any, Any]
    seconds: list[float]


def save(image: Image.Image, quality: int, *, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, quality=quality, **options)
    return out.getvalue()


def with_mozjpeg(image: Image.Image, quality: int) -> bytes:
    assert mozjpeg is not None
    return bytes(mozjpeg(save(image, quality, format="JPEG", subsampling="4:2:0"), copy=COPY_MARKERS.ALL))


def efforts() -> dict[str, dict[str, Encoder]]:
    """Format -> effort -> encoder; the first effort of each is what the others are compared with."""
    jpeg, webp, avif = (partial(save, format=format) for format in ("JPEG", "WEBP", "AVIF"))
    both: Mapping[str, Any] = {"optimize": True, "progressive": True}
    found: dict[str, dict[str, Encoder]] = {
        "JPEG": {
            "optimised, progressive": partial(jpeg, subsampling="4:2:0", **both),
            "plain": partial(jpeg, subsampling="4:2:0"),
            "optimised": partial(jpeg, subsampling="4:2:0", optimize=True),
            "optimised, progressive, 4:2:2": partial(jpeg, subsampling="4:2:2", **both),
            "optimised, progressive, 4:4:4": partial(jpeg, subsampling="4:4:4", **both),
        },
        "WEBP": {f"method {method}": partial(webp, method=method) for method in (4, 0, 1, 2, 3, 5, 6)},
        "AVIF": {
            **{
                f"speed {s}": partial(avif, speed=s, subsampling="4:2:0", max_threads=1) for s in (6, 10, 9, 8, 7, 5, 4)
            },
            "speed 6, 4:4:4": partial(avif, speed=6, subsampling="4:4:4", max_threads=1),
        },
    }
    if mozjpeg is not None:
        found["JPEG"]["plain, then mozjpeg's lossless pass"] = with_mozjpeg
    return found


def curve(image: Image.Image, encoder: Encoder, eyes: MsssimEvaluator, seen: Any) -> Curve:
    points, seconds = [], []
    for quality in QUALITIES:
        began = time.thread_time()
        data = encoder(image, quality)
        seconds.append(time.thread_time() - began)
        with Image.open(io.BytesIO(data)) as opened:
            candidate = eyes.observe([opened.convert("RGB")])
        score = eyes.compare(seen, candidate)[0]["score"]
        points.append((-math.log(1 - score), math.log(len(data))))
    scores, sizes = np.array(sorted(points)).T
    return Curve(scores, sizes, seconds)


def distance(curve: Curve, usual: Curve) -> float:
    """Mean difference of log bytes over the scores that both curves reach."""
    low, high = max(curve.score[0], usual.score[0]), min(curve.score[-1], usual.score[-1])
    at = np.linspace(low, high, STEPS)
    return float((np.interp(at, curve.score, curve.size) - np.interp(at, usual.score, usual.size)).mean())


def measure(paths: Iterable[Path]) -> dict[str, dict[str, dict[str, float]]]:
    eyes = MsssimEvaluator()
    distances: dict[tuple[str, str], list[float]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    for path in paths:
        (image,) = renditions(decode(path.read_bytes()).image)[:1]
        (seen,) = eyes.observe([image])
        for format, encoders in efforts().items():
            curves = {name: curve(image, encoder, eyes, seen) for name, encoder in encoders.items()}
            usual = next(iter(curves.values()))
            for name, here in curves.items():
                distances.setdefault((format, name), []).append(distance(here, usual))
                per_megapixel = [s * 1e6 / (image.width * image.height) for s in here.seconds]
                seconds.setdefault((format, name), []).extend(per_megapixel)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for (format, name), logs in distances.items():
        samples = np.random.default_rng(0).choice(logs, (2000, len(logs))).mean(axis=1)
        low, high = np.quantile(samples, [0.025, 0.975]).tolist()
        figures.setdefault(format, {})[name] = {
            "bytes": math.exp(statistics.mean(logs)),
            "low": math.exp(low),
            "high": math.exp(high),
            "seconds per megapixel": statistics.median(seconds[format, name]),
        }
    return figures


def table(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    lines = ["| format | effort | bytes at equal score (95 % interval) | CPU ms a megapixel |", "|---|---|---|---|"]
    for format, rows in figures.items():
        for name, row in rows.items():
            ratio = f"{100 * row['bytes']:.1f} % ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
            lines.append(f"| {format} | {name} | {ratio} | {1e3 * row['seconds per megapixel']:.0f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=24, help="so many pictures, drawn with a seed")
    arguments = parser.parse_args(argv)
    paths = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    random.Random(0).shuffle(paths)
    figures = measure(paths[: arguments.limit])
    text = table(figures)
    print(text)
    publish("effort", figures, text)


if __name__ == "__main__":
    main()
