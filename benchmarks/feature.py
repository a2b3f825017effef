"""The compressor ``feature`` on a folder of photos: bytes, agreement and divergence.

    python benchmarks/feature.py FOLDER

Every photo is written at ten of the knob's values, for the usual crop alone and for both views; each file is decoded
again, and the classifier's head asked what it means. For each bound on ``js_divergence`` the smallest file counts that
keeps it and the first answer; where none does, the finest one, as it is. Bytes are whole files.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _pages import publish

from semcompress_plugin.compressors.feature import FeatureCompressor
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.images import decode

STEPS = (4, 6, 8, 10, 11, 12, 13, 14, 15, 17)
BOUNDS = (0.05, 0.02, 0.01, 0.005, 0.002)
VIEWS = ("center", "both")
WORDS = {"center": "usual crop", "both": "crop and whole frame"}
METRICS = ("top1_agreement", "topk_overlap", "js_divergence", "feature_cosine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    if not photos:
        parser.error(f"{arguments.folder}: holds no .jpg")
    with ThreadPoolExecutor(arguments.threads) as pool:
        rows = np.array(list(pool.map(tried, photos)))  # photos x views x steps x (bytes, metrics)
    figures = {
        view: {f"{bound:g}": chosen(rows[:, number], bound) for bound in BOUNDS} for number, view in enumerate(VIEWS)
    }
    publish("feature", {"photos": len(photos), "js_divergence": figures}, table(len(photos), figures))


def tried(path: Path) -> list[list[list[float]]]:
    """For each view and step: the file's bytes, and the metrics of what it holds."""
    picture = decode(path.read_bytes())
    found = []
    for view in VIEWS:
        compressor, reader = FeatureCompressor(view), ClassifierEvaluator(view)
        (reference,) = reader.observe([picture.image.convert("RGB")])
        files = [compressor.compress(picture, {"step": step}, "SEMF") for step in STEPS]
        scores = reader.compare(reference, reader.observe([compressor.decode(data) for data in files]))
        found.append(
            [[len(data), *(score[name] for name in METRICS)] for data, score in zip(files, scores, strict=True)]
        )
    return found


def chosen(rows: np.ndarray, bound: float) -> dict[str, Any]:
    """What a rule with this bound makes of the photos: ``rows`` is photos x steps x (bytes, metrics)."""
    size, top1, divergence = rows[..., 0], rows[..., 1], rows[..., 3]
    holds = (divergence <= bound) & (top1 == 1)
    which = np.where(holds, size, np.inf).argmin(axis=1)  # the first, and finest, where none holds
    best = rows[np.arange(len(rows)), which]
    means = dict(zip(("bytes", *METRICS), best.mean(axis=0).tolist(), strict=True))
    return means | {
        "median_bytes": float(np.median(best[:, 0])),
        "largest_bytes": int(best[:, 0].max()),
        "median_js": float(np.median(best[:, 3])),
        "largest_js": float(best[:, 3].max()),
        "held": float(holds.any(axis=1).mean()),
    }


def table(photos: int, figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    lines = [
        f"{photos} photos; whole files.",
        "",
        "| views | bound on `js_divergence` | bytes, mean / median / largest | the same first answer | bound held | "
        "divergence, mean / largest | 5 likeliest that stay | feature cosine |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for view, bounds in figures.items():
        for bound, f in bounds.items():
            lines.append(
                f"| {WORDS[view]} | {bound} | **{f['bytes']:.0f}** / {f['median_bytes']:.0f} / {f['largest_bytes']} | "
                f"{f['top1_agreement']:.1%} | {f['held']:.1%} | {f['js_divergence']:.4f} / {f['largest_js']:.4f} | "
                f"{f['topk_overlap']:.0%} | {f['feature_cosine']:.2f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
