"""Pixels to entries of a palette: dithered where steps would be seen, and nowhere else.

Error diffusion is noise, which costs a PNG a seventh of its bytes and blurs what has edges. It is worth that where a
gradient would turn to bands: where the colours around a pixel would be off in the mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

OFF = 3
"""Levels, of any channel, by which a place is off in the mean if it is to be dithered."""
AROUND = 4
"""Pixels to each side of a place that it is the mean of."""
FAR = 16
"""Levels, of any channel, that a dithered pixel is off at most: errors add up, and would show as dots."""

Bytes = NDArray[np.uint8]


def dithered(colours: Bytes, entries: Bytes, usable: NDArray[np.bool_], plain: Bytes) -> Bytes:
    """``plain``, the numbers of the entries that each pixel is nearest to, dithered where that gives bands.

    An RGB picture (height, width, 3), up to 256 RGBA entries, and which of those are for pixels that are dithered. By
    Floyd and Steinberg, in one run over the whole picture.
    """
    as_shown = entries[plain, :3]
    error = np.subtract(colours, as_shown, dtype=np.int16)
    around = ImageFilter.BoxBlur(AROUND)
    mean = np.asarray(Image.fromarray((error + 128).clip(0, 255).astype(np.uint8)).filter(around))
    banded = usable[plain] & ((np.maximum(mean, 128) - np.minimum(mean, 128)).max(axis=2) >= OFF)
    if not banded.any():
        return plain
    # elsewhere pixels are entries already: they hand on what error comes to them, and add none
    diffused = _diffused(np.where(banded[..., None], colours, as_shown), entries, np.flatnonzero(usable))
    near = np.abs(np.subtract(colours, entries[diffused, :3], dtype=np.int16)).max(axis=2) <= FAR
    return np.where(banded & near, diffused, plain)


def _diffused(colours: Bytes, entries: Bytes, usable: NDArray[np.intp]) -> Bytes:
    palette = Image.new("P", (1, 1))
    palette.putpalette(entries[usable, :3].tobytes(), "RGB")
    few = Image.fromarray(colours).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    # lest an entry that Pillow fills a palette up with is taken
    return np.asarray(usable.astype(np.uint8)[np.minimum(np.asarray(few), len(usable) - 1)])
