"""Small things that change their colour: the mean of 8 x 8 pixels, wherever they lie.

MS-SSIM compares structure, and its tiles are 64 pixels wide: an icon that turns from red to brown, as a palette of few
colours would have it, moves their means by next to nothing. So does a thin red line that pales, as 4:2:0 would have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STEP = 4
"""Pixels from one patch to the next, which is twice as wide: they overlap, as an encoder's blocks do not."""

Bytes = NDArray[np.uint8]


def cells(band: Image.Image) -> Bytes:
    """Means of ``STEP`` x ``STEP`` pixels of one band, and of what is left of that at its right and lower edge."""
    return np.asarray(band.reduce(STEP))


def patch_shift(reference: Sequence[Bytes], candidate: Sequence[Bytes]) -> float:
    """The greatest change of a patch's mean in levels, 0 to 255, of all bands, each as :func:`cells` gives it."""
    return max(map(_greatest, reference, candidate))


def _greatest(reference: Bytes, candidate: Bytes) -> float:
    moved = np.subtract(candidate, reference, dtype=np.int16)
    pairs = moved[1:] + moved[:-1] if len(moved) > 1 else 2 * moved
    patches = pairs[:, 1:] + pairs[:, :-1] if pairs.shape[1] > 1 else 2 * pairs
    return float(np.abs(patches).max()) / 4
