"""Film grain for AVIF: noise that no file holds and every decoder of AV1 adds.

An encoder at few bytes smooths texture away, and readers then see something that no photograph is. AV1 can say 'add
noise of this strength' in some ten bytes (AV1 specification, 7.18.3); what the decoder adds is pseudo-random but fixed
by the file, so that everybody decodes the same pixels.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

CHROMA = 2.0
"""Standard deviation of each chroma plane's grain, of 255, at most."""
PLAIN, COLOURFUL = 0.4, 1.2
""":func:`texture` of the colours up to which they get no grain, and from which they get all of it."""

_SEED = 7391  # any number from 1 to 65535
_SHIFT = 8  # of the strengths below: the finest that AV1 has
_UNITS = 8  # of strength, at that shift, to one of 255
_SQUARE = 8
_BLUR = 2.0
_ENOUGH = 2_000_000  # pixels


@cache
def available() -> bool:
    """Whether this Pillow encodes with libaom: the other encoders take no table of grain."""
    from PIL import AvifImagePlugin

    return AvifImagePlugin.get_codec_version("aom") is not None


def deviation(quality: float) -> float:
    """Standard deviation of the luma's grain, of 255: 3 up to quality 39, falling to 0 at quality 75.

    About what gave readers that nobody asked the least divergence (benchmarks/grain.py). Below quality 40 it is flat
    from 2 to 4; from 75 on an encoder leaves out so little that any noise does more harm than good.
    """
    return min(3.0, max(0.0, (75 - quality) / 12))


def chroma_deviation(luma: float, image: Image.Image) -> float:
    """Standard deviation of each chroma plane's grain, of 255, beside grain of ``luma``.

    As the luma's, up to :data:`CHROMA`, where the picture's colours have texture; none where they have none: readers
    take coloured noise on a grey or plain picture for something that is there (benchmarks/grain.py).
    """
    share = (texture(image) - PLAIN) / (COLOURFUL - PLAIN)
    return min(luma, CHROMA) * min(1.0, max(0.0, share))


def texture(image: Image.Image) -> float:
    """How much detail the colours of most of the picture have: 0 for grey, 1 to 3 for most photographs.

    The chroma planes' standard deviation, of 255, from themselves blurred, in squares of 8 pixels: their median.
    """
    import numpy as np
    from PIL import ImageFilter

    width, height = (length // _SQUARE * _SQUARE for length in image.size)
    if image.mode in ("L", "LA") or not width * height:
        return 0.0
    medians = []
    for plane in image.convert("RGB").convert("YCbCr").split()[1:]:
        detail = np.asarray(plane, np.int16) - np.asarray(plane.filter(ImageFilter.GaussianBlur(_BLUR)), np.int16)
        squares = detail[:height, :width].reshape(height // _SQUARE, _SQUARE, width // _SQUARE, _SQUARE)
        some = squares[:: 1 + width * height // _ENOUGH]  # rows of squares: a large picture is known from a part
        medians.append(np.median(some.std(axis=(1, 3), dtype=np.float32)))
    return float(np.mean(medians))


def table(luma: float, chroma: float) -> str:
    """A film grain table as libaom reads it: white noise, as strong in dark as in bright places.

    ``luma`` and ``chroma`` are the planes' standard deviations, of 255.
    """
    return "\n".join(
        [
            "filmgrn1",
            f"E 0 {2**63 - 1} 1 {_SEED} 1",  # at all times; the parameters follow
            # lag and shift of the auto-regression, shift of the grain and of the strengths, chroma from luma, overlap,
            # then multiplier, luma's multiplier and offset for Cb and for Cr: those that change nothing
            f"\tp 0 7 0 {_SHIFT} 0 1 128 192 256 128 192 256",
            f"\tsY {_points(_strength(luma))}",
            f"\tsCb {_points(_strength(chroma))}",
            f"\tsCr {_points(_strength(chroma))}",
            "\tcY",
            "\tcCb 0",
            "\tcCr 0",
            "",
        ]
    )


def _strength(of: float) -> int:
    return round(_UNITS * of)


def _points(strength: int) -> str:
    """How many points a plane's strength has over its brightness, and they."""
    return f"2 0 {strength} 255 {strength}" if strength else "0"
