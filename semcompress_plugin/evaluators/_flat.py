"""What flat graphics lose that MS-SSIM's constants hide: pale text and lines, and the colour of their areas.

C2 is 58.5 squared levels, so that thin strokes, 36 levels darker than a page, are hardly more to the formula than the
page alone; and a page of a light grey that turns green by two levels is similar to itself. In photographs texture hides
both from eyes too: only tiles that are even in part are looked at, and colour only where the reference is one colour.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.evaluators._ringing import spread, starts

FAINT = 8
"""Levels that count as contrast where a reference has less: skies are even, and not all errors in them are seen."""

EVEN_PART = 0.4
"""The share of a tile that must be even for its contrast to count: a sky with a mountain in it is no drawing."""

LEAST_PART = 0.25
"""The share of a tile that one colour counts for where a tile has less of it."""

CHROMA = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
"""Full-range BT.601: what R, G and B weigh in Cb, and in Cr."""

Bytes = NDArray[np.uint8]
Array = NDArray[np.float64]


def contrast(plane: Bytes, where: NDArray[np.bool_], tile: int) -> Array:
    """Of each tile the squared error, summed, that is as strong as its contrast: shape (tile rows, tile columns).

    That is its variance plus ``FAINT`` squared, times its pixels, and infinite where less than ``EVEN_PART`` of a tile
    is even (``where``).
    """
    pixels = math.prod(min(tile, length) for length in plane.shape)
    allowed = []
    for strip in _strips(len(plane), tile):
        values = plane[strip].astype(np.float32)
        total, squares = _along(values.sum(axis=0), tile), _along(np.einsum("ij,ij->j", values, values), tile)
        enough = _along(where[strip].sum(axis=0), tile) >= EVEN_PART * pixels
        allowed.append(np.where(enough, squares - total**2 / pixels + pixels * FAINT**2, math.inf))
    return np.stack(allowed)


def flat(luma: Bytes, halved: Bytes) -> NDArray[np.bool_]:
    """Where a picture is of one colour, 3 x 3 pixels of its luma and of its ``halved`` RGB: shape of the latter."""
    height, width, _ = halved.shape
    moving = spread(luma) > 0
    moving = np.pad(moving, ((0, 2 * height - luma.shape[0]), (0, 2 * width - luma.shape[1])))
    moving = moving[::2] | moving[1::2]
    moving = moving[:, ::2] | moving[:, 1::2]
    for channel in np.moveaxis(halved, 2, 0):
        moving |= spread(channel) > 0
    return ~moving


def extent(where: NDArray[np.bool_], tile: int) -> Array:
    """Of each tile how many pixels it has ``where``, at least ``LEAST_PART`` of it, and infinite where it has none."""
    count = np.stack([_along(where[strip].sum(axis=0), tile) for strip in _strips(len(where), tile)])
    least = LEAST_PART * math.prod(min(tile, length) for length in where.shape)
    return np.where(count == 0, math.inf, np.maximum(count, least))


def contrast_error(reference: Bytes, candidate: Bytes, allowed: Array, tile: int) -> float:
    """The error of a tile as a share of its :func:`contrast`, both as roots; the greatest of all tiles.

    Tiles reach from edge to edge, as those of :mod:`~semcompress_plugin.evaluators.msssim` do.
    """
    worst = 0.0
    for strip, limits in zip(_strips(len(reference), tile), allowed, strict=True):
        if np.isfinite(limits).any():
            difference = np.subtract(reference[strip], candidate[strip], dtype=np.float32)
            squares = np.einsum("ij,ij->j", difference, difference)
            worst = max(worst, float((_along(squares, tile) / limits).max()))
    return math.sqrt(worst)


def tint(reference: Bytes, where: NDArray[np.bool_], extents: Array, candidate: Bytes, tile: int) -> float:
    """How far a candidate's Cb or Cr is off ``where`` the reference is of one colour, in levels: 0 to 255.

    Of each tile the root mean square over its :func:`extent`; the greater of both, and the greatest of all tiles. Both
    pictures are halved RGB, since a colour that was rounded to Cb and Cr twice is off by two levels where it is off by
    one.
    """
    worst = 0.0
    for strip, limits in zip(_strips(len(reference), tile), extents, strict=True):
        if np.isfinite(limits).any():
            difference = np.subtract(reference[strip], candidate[strip], dtype=np.float32)
            for weights in CHROMA:
                moved = difference @ weights
                moved *= where[strip]
                squares = np.einsum("ij,ij->j", moved, moved)
                worst = max(worst, float((_along(squares, tile) / limits).max()))
    return math.sqrt(worst)


def _strips(height: int, tile: int) -> list[slice]:
    """The rows of the tiles."""
    rows = min(tile, height)
    return [slice(top, top + rows) for top in starts(height, rows, tile)]


def _along(columns: NDArray[Any], tile: int) -> Array:
    """Sums over the tiles of a strip, of its columns' sums."""
    size = min(tile, len(columns))
    before = np.concatenate([[0.0], np.cumsum(columns, dtype=np.float64)])
    first = np.array(starts(len(columns), size, tile))
    return np.asarray(before[first + size] - before[first])
