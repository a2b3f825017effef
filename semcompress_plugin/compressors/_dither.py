"""Pixels to entries of a palette: dithered where steps would be seen, and nowhere else.

Error diffusion is noise, which costs a PNG a seventh of its bytes and blurs what has edges. It is worth that where a
gradient would turn to bands: where the colours around a pixel would be off in the mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

OFF = 3
"""Levels, of any channel, by which a place is off in the mean if it is to be dithered."""
AROUND = 4
"""Pixels to each side of a place that it is the mean of."""
FAR = 16
"""Levels, of any channel, that a dithered pixel is off at most: errors add up, and would show as dots."""

_EVEN = 128

Bytes = NDArray[np.uint8]


def dithered(picture: Image.Image, entries: Bytes, usable: NDArray[np.bool_], plain: Bytes) -> Bytes:
    """``plain``, the numbers of the entries that each pixel is nearest to, dithered where that gives bands.

    An RGB picture, up to 256 RGBA entries, and which of those are for pixels that are dithered. By Floyd and Steinberg,
    in one run over the whole picture.
    """
    shown = _shown(plain, entries)
    error = ImageChops.subtract(picture, shown, offset=_EVEN).filter(ImageFilter.BoxBlur(AROUND))
    banded = usable[plain] & (_apart(error, Image.new("RGB", picture.size, (_EVEN,) * 3)) >= OFF)
    if not banded.any():
        return plain
    # elsewhere pixels are entries already: they hand on what error comes to them, and add none
    diffused = _diffused(Image.composite(picture, shown, Image.fromarray(banded)), entries, np.flatnonzero(usable))
    return np.where(banded & (_apart(picture, _shown(diffused, entries)) <= FAR), diffused, plain)


def _diffused(picture: Image.Image, entries: Bytes, usable: NDArray[np.intp]) -> Bytes:
    palette = Image.new("P", (1, 1))
    palette.putpalette(entries[usable, :3].tobytes(), "RGB")
    few = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    # lest an entry that Pillow fills a palette up with is taken
    return np.asarray(usable.astype(np.uint8)[np.minimum(np.asarray(few), len(usable) - 1)])


def _shown(indices: Bytes, entries: Bytes) -> Image.Image:
    few = Image.fromarray(indices)
    few.putpalette(entries[:, :3].tobytes(), "RGB")
    return few.convert("RGB")


def _apart(one: Image.Image, other: Image.Image) -> Bytes:
    """By how many levels two pictures differ, in the channel that does most: shape (height, width)."""
    red, green, blue = ImageChops.difference(one, other).split()
    return np.asarray(ImageChops.lighter(ImageChops.lighter(red, green), blue))
