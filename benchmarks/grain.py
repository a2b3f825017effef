"""How strong AVIF's film grain should be: what readers that no search asks see, by quality and strength.

python benchmarks/grain.py FOLDER --readers READERS

READERS as of ``tools/make_readers.py``. Mean difference, over photographs of FOLDER and two readers, of the logarithm
of the Jensen-Shannon divergence from the photograph: with grain of a standard deviation, less without any. Negative is
better.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from _criteria import divergence
from _grid import opened, photographs
from _pages import publish
from _readers import looks

from semcompress_plugin.compressors import avif
from semcompress_plugin.compressors._grain import deviation
from semcompress_plugin.images import decode
from semcompress_plugin.types import Reference

READERS = ("lite1.center", "lite2.center")
SCALES = (1.0, 0.71)
QUALITIES = (25, 35, 50, 58, 65, 70, 75, 85)
STRENGTHS = (0.0, 0.5, 1.0, 2.0, 3.0)
SURELY = 1e-5  # divergences below are all the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readers", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=24)
    arguments = parser.parse_args()
    photos = photographs(arguments.folder)
    random.Random(0).shuffle(photos)
    asked = looks(READERS, arguments.readers)
    seen, sizes = [], []
    for path in photos[: arguments.limit]:
        reference = decode(path.read_bytes(), metadata="strip-private")
        files = encoded(reference)
        pictures = [opened(data) for data in (path.read_bytes(), *files)]
        answers = [look(pictures) for look in asked.values()]
        seen.append(np.mean([np.log(np.maximum(divergence(a[None])[0, 1:], SURELY)) for a in answers], axis=0))
        sizes.append([len(data) for data in files])
    grid = np.array(seen).reshape(len(seen), len(SCALES), len(QUALITIES), len(STRENGTHS))
    plain = np.log(sizes).reshape(grid.shape)[..., 0].mean(axis=0), grid[..., 0].mean(axis=0)
    worth = [-0.1 * np.polyfit(seen_in_it, weight, 1)[0] for weight, seen_in_it in zip(*plain, strict=True)]
    change = grid - grid[..., :1]
    mean, error = change.mean(axis=0), change.std(axis=0) / np.sqrt(len(seen))
    lines = [
        f"| {len(seen)} photographs: scale | quality | ours | {' | '.join(f'{one:g}' for one in STRENGTHS[1:])} |",
        "|---" * (3 + len(STRENGTHS[1:])) + "|",
    ]
    figures = []
    for i, scale in enumerate(SCALES):
        for j, quality in enumerate(QUALITIES):
            cells = [f"{m:+.2f} ± {e:.2f}" for m, e in zip(mean[i, j, 1:], error[i, j, 1:], strict=True)]
            lines.append(f"| {scale:g} | {quality} | {deviation(quality):.1f} | {' | '.join(cells)} |")
            figures.append({"scale": scale, "quality": quality, "change": mean[i, j].round(3).tolist()})
    lines += [
        "",
        f"A tenth is worth {min(worth):.1%} to {max(worth):.1%} of the bytes, by the qualities of each scale.",
    ]
    publish("grain", {"strengths": STRENGTHS, "worth": np.round(worth, 4).tolist(), "rows": figures}, "\n".join(lines))


def encoded(reference: Reference) -> list[bytes]:
    """AVIF at every scale, quality and strength, the last fastest."""
    compressor, law = avif.AvifCompressor(grain=True), avif.deviation
    files = []
    try:
        for scale in SCALES:
            for quality in QUALITIES:
                for strength in STRENGTHS:
                    avif.deviation = lambda quality, strength=strength: strength
                    files.append(compressor.compress(reference, {"scale": scale, "quality": quality}, "AVIF"))
    finally:
        avif.deviation = law
    return files


if __name__ == "__main__":
    main()
