"""What PNGs of few colours weigh and keep: our palettes against Pillow's and pngquant's.

    apt-get install pngquant marble-data kdenlive-data wireshark-doc python-imexam-doc gnome-user-docs octave-doc
    python benchmarks/palettes.py /usr/share/doc /usr/share/help [--limit 100]

PNGs of more than 256 colours, drawn by lot, at some palette sizes; every file goes through oxipng. The bounds are those
of preset ``web`` on ``msssim``, on white and, where a picture is transparent, on black. pngquant is asked as a program.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import oxipng
from _pages import publish
from PIL import Image

from semcompress_plugin.compressors._palette import quantised
from semcompress_plugin.evaluators.msssim import MsssimEvaluator
from semcompress_plugin.images import has_transparency
from semcompress_plugin.policy import default_policy
from semcompress_plugin.registry import Registry

COLORS = (64, 128, 256)
PIXELS = 64 * 64, 4_000_000

Quantise = Callable[[Image.Image, int], Image.Image]


def pillows(image: Image.Image, colors: int) -> Image.Image:
    """Median cut with a round of k-means and error diffusion; the octree where there is alpha."""
    if image.mode == "RGBA":
        return image.quantize(colors, Image.Quantize.FASTOCTREE)
    palette = image.quantize(colors, Image.Quantize.MEDIANCUT, kmeans=1)
    return image.quantize(colors, palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def pngquants(image: Image.Image, colors: int) -> Image.Image:
    whole = io.BytesIO()
    image.save(whole, "PNG", compress_level=1)
    asked = ["pngquant", str(colors), "--speed", "3", "-"]
    few = Image.open(io.BytesIO(subprocess.run(asked, input=whole.getvalue(), capture_output=True, check=True).stdout))
    few.load()
    return few


WAYS: dict[str, Quantise] = {"ours": quantised, "Pillow": pillows, "pngquant": pngquants}


def pictures(folders: Sequence[Path], limit: int) -> list[Image.Image]:
    paths = sorted(path for folder in folders for path in folder.rglob("*.png") if path.is_file())
    random.Random(0).shuffle(paths)
    found: dict[str, Image.Image] = {}
    for path in paths:
        digest = hashlib.sha256(data := path.read_bytes()).hexdigest()
        if digest in found or len(found) == limit:
            continue
        with Image.open(io.BytesIO(data)) as image:
            if getattr(image, "is_animated", False) or not PIXELS[0] <= image.width * image.height <= PIXELS[1]:
                continue
            image.load()
            picture = image.convert("RGBA" if has_transparency(image) else "RGB")
        if picture.getcolors(256) is None:
            found[digest] = picture
    return list(found.values())


def on(image: Image.Image, colour: str) -> Image.Image:
    whole = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", whole.size, colour), whole).convert("RGB")


def measured(images: Sequence[Image.Image], ways: dict[str, Quantise]) -> dict[str, Any]:
    (rule,) = default_policy(Registry(), Path(), "web").rules
    bounds, reader = [one for one in rule.keep if one.evaluator == "msssim"], MsssimEvaluator()
    rows: dict[str, list[dict[str, float]]] = {f"{way} {colors}": [] for colors in COLORS for way in ways}
    for image in images:
        backs = ("white", "black") if image.mode == "RGBA" else ("white",)
        references = [reader.observe([on(image, back)])[0] for back in backs]
        for colors, (way, quantise) in itertools.product(COLORS, ways.items()):
            began = time.process_time()
            few = quantise(image, colors)
            seconds = time.process_time() - began
            out = io.BytesIO()
            few.save(out, "PNG", compress_level=1)
            scores = [
                reader.compare(reference, reader.observe([on(few, back)]))[0]
                for reference, back in zip(references, backs, strict=True)
            ]
            rows[f"{way} {colors}"].append(
                {
                    "bytes": len(oxipng.optimize_from_memory(out.getvalue(), level=1)),
                    "holds": all(bound.holds(one[bound.metric.name]) for bound in bounds for one in scores),
                    "patch_shift": max(one["patch_shift"] for one in scores),
                    "worst_tile": min(one["worst_tile"] for one in scores),
                    "seconds": seconds / (image.width * image.height / 1e6),
                }
            )
    return {"pictures": len(images), **{way: summary(found) for way, found in rows.items()}}


def summary(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows], float)

    return {
        "bytes": column("bytes").sum(),
        "mean bytes": float(np.exp(np.log(column("bytes")).mean())),
        "hold": column("holds").mean(),
        "patch_shift": float(np.quantile(column("patch_shift"), 0.9)),
        "worst_tile": float(np.quantile(column("worst_tile"), 0.1)),
        "seconds": float(np.median(column("seconds"))),
    }


def table(figures: dict[str, Any]) -> str:
    lines = [
        f"| {figures['pictures']} PNGs, colours | bytes | geometric mean | hold under `web` | worst tenth: patch_shift "
        "| worst_tile | our seconds per megapixel |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, one in figures.items():
        if way != "pictures":
            seconds = "" if way.startswith("pngquant") else f"{one['seconds']:.2f}"
            lines.append(
                f"| {way} | {one['bytes']:,.0f} | {one['mean bytes']:,.0f} | {100 * one['hold']:.0f} % "
                f"| {one['patch_shift']:.3f} | {one['worst_tile']:.3f} | {seconds} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    arguments = parser.parse_args()
    ways = WAYS if shutil.which("pngquant") else {way: WAYS[way] for way in ("ours", "Pillow")}
    figures = measured(pictures(arguments.folders, arguments.limit), ways)
    publish("palettes", figures, table(figures))
    print(table(figures))


if __name__ == "__main__":
    main()
