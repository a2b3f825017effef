"""How strong AVIF's film grain should be: what readers that no search asks see, by quality, strength and colour.

python benchmarks/grain.py FOLDER --readers READERS

READERS as of ``tools/make_readers.py``. Mean difference, over photographs of FOLDER and two readers, of the logarithm
of the Jensen-Shannon divergence from the photograph: with grain of a standard deviation, less without any. Negative is
better.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _criteria import divergence
from _curves import interval
from _grid import opened, photographs
from _pages import publish
from _readers import Look, looks
from numpy.typing import NDArray

from semcompress_plugin.compressors import avif
from semcompress_plugin.compressors._grain import deviation, texture
from semcompress_plugin.images import decode
from semcompress_plugin.types import Reference

READERS = ("lite1.center", "lite2.center")
SUBSAMPLING = "4:4:4"
SCALES = (1.0, 0.71)
QUALITIES = (25, 35, 50, 58, 65, 70, 75, 85)
STRENGTHS = (0.0, 0.5, 1.0, 2.0, 3.0)
COLOURED = (35, 50, 65)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the luma's strength
QUARTERS = 4
SURELY = 1e-5  # divergences below are all the same

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """One file of a photograph. Where ``luma`` or ``share`` is None the strength is what the product takes."""

    scale: float
    quality: int
    luma: float | None = None
    share: float | None = None
    subsampling: str = SUBSAMPLING


LUMA = tuple(Point(scale, quality, luma) for scale in SCALES for quality in QUALITIES for luma in STRENGTHS)
CHROMA = tuple(
    Point(1.0, quality, None, share, subsampling)
    for quality in COLOURED
    for share, subsampling in (*((share, SUBSAMPLING) for share in SHARES), (None, SUBSAMPLING), (None, "4:2:0"))
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readers", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=24, help="photographs for the strength of luma's grain")
    parser.add_argument("--coloured", type=int, default=72, help="photographs for that of chroma's")
    arguments = parser.parse_args()
    photos = photographs(arguments.folder)
    random.Random(0).shuffle(photos)
    asked = looks(READERS, arguments.readers)
    page, luma = of_luma(photos[: arguments.limit], asked)
    more, chroma = of_chroma(photos[: arguments.coloured], asked, float(np.mean(luma["worth"])))
    publish("grain", luma | chroma, "\n".join([*page, "", *more]))


def of_luma(photos: Sequence[Path], asked: Mapping[str, Look]) -> tuple[list[str], dict[str, list[object]]]:
    """The table of the luma's strength: its lines, and its figures."""
    shape = (len(photos), len(SCALES), len(QUALITIES), len(STRENGTHS))
    size, seen = (values.reshape(shape) for values in measured(photos, asked, LUMA))
    plain = size[..., 0].mean(axis=0), seen[..., 0].mean(axis=0)
    worth = [-0.1 * np.polyfit(seen_in_it, weight, 1)[0] for weight, seen_in_it in zip(*plain, strict=True)]
    change = seen - seen[..., :1]
    mean, error = change.mean(axis=0), change.std(axis=0) / np.sqrt(len(photos))
    lines = [
        f"| {len(photos)} photographs: scale | quality | ours | {' | '.join(f'{one:g}' for one in STRENGTHS[1:])} |",
        "|---" * (3 + len(STRENGTHS[1:])) + "|",
    ]
    figures: list[object] = []
    for i, scale in enumerate(SCALES):
        for j, quality in enumerate(QUALITIES):
            cells = " | ".join(_cell(m, e) for m, e in zip(mean[i, j, 1:], error[i, j, 1:], strict=True))
            lines.append(f"| {scale:g} | {quality} | {deviation(quality):.1f} | {cells} |")
            figures.append({"scale": scale, "quality": quality, "change": mean[i, j].round(3).tolist()})
    lines += [
        "",
        f"A tenth is worth {min(worth):.1%} to {max(worth):.1%} of the bytes, by the qualities of each scale.",
    ]
    return lines, {"strengths": list(STRENGTHS), "worth": np.round(worth, 4).tolist(), "rows": figures}


def of_chroma(
    photos: Sequence[Path], asked: Mapping[str, Look], worth: float
) -> tuple[list[str], dict[str, list[object]]]:
    """The table of the chroma's strength by the texture of the colours, and what 4:4:4 is worth with it.

    ``worth`` is the share of the bytes that a tenth of the logarithm of a divergence is worth.
    """
    shape = (len(photos), len(COLOURED), len(CHROMA) // len(COLOURED))
    size, seen = (values.reshape(shape).mean(axis=1) for values in measured(photos, asked, CHROMA))
    textures = np.array([texture(opened(photo.read_bytes())) for photo in photos])
    names = [*(f"{share:g}" for share in SHARES[1:]), "ours"]
    change = (seen - seen[:, :1])[:, 1 : 1 + len(names)]
    lines = [f"| photographs, by texture of their colours | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    figures: list[object] = []
    for group in np.array_split(textures.argsort(), QUARTERS):
        low, high = textures[group].min(), textures[group].max()
        mean, error = change[group].mean(axis=0), change[group].std(axis=0) / np.sqrt(len(group))
        cells = " | ".join(_cell(m, e) for m, e in zip(mean, error, strict=True))
        lines.append(f"| {len(group)}: {low:.1f} to {high:.1f} | {cells} |")
        figures.append({"texture": [round(float(low), 2), round(float(high), 2)], "change": mean.round(3).tolist()})
    saved = (size[:, -2] - size[:, -1]) + 10 * worth * (seen[:, -2] - seen[:, -1])
    low, high = interval(lambda some: float(saved[some].mean()), len(photos))
    lines += [
        "",
        f"With all grain as ours, {SUBSAMPLING} instead of 4:2:0 needs {_share(saved.mean())} ({_share(low)} to "
        f"{_share(high)}) of the bytes at equal divergence.",
    ]
    return lines, {"shares": list(SHARES), "textures": figures, "subsampling": [float(saved.mean()), low, high]}


def measured(photos: Sequence[Path], asked: Mapping[str, Look], points: Sequence[Point]) -> tuple[Array, Array]:
    """(photographs, points) of the logarithm of the bytes, and of the mean logarithm of the divergence."""
    sizes, seen = [], []
    for path in photos:
        files = encoded(decode(path.read_bytes(), metadata="strip-private"), points)
        pictures = [opened(data) for data in (path.read_bytes(), *files)]
        answers = [look(pictures) for look in asked.values()]
        seen.append(np.mean([np.log(np.maximum(divergence(a[None])[0, 1:], SURELY)) for a in answers], axis=0))
        sizes.append([len(data) for data in files])
    return np.log(sizes), np.array(seen)


def encoded(reference: Reference, points: Sequence[Point]) -> list[bytes]:
    """AVIF at every point."""
    files = []
    for point in points:
        compressor = avif.AvifCompressor(subsampling=point.subsampling, grain=True)
        with strengths(point):
            files.append(compressor.compress(reference, {"scale": point.scale, "quality": point.quality}, "AVIF"))
    return files


@contextmanager
def strengths(point: Point) -> Iterator[None]:
    """The compressor's laws as ``point`` has them."""
    laws = avif.deviation, avif.chroma_deviation
    if point.luma is not None:
        avif.deviation = lambda quality: point.luma
    if point.share is not None:
        avif.chroma_deviation = lambda luma, image: point.share * luma
    try:
        yield
    finally:
        avif.deviation, avif.chroma_deviation = laws


def _cell(mean: float, error: float) -> str:
    return f"{mean:+.2f} ± {error:.2f}"


def _share(saved: float) -> str:
    return f"{np.exp(saved):.1%}"


if __name__ == "__main__":
    main()
