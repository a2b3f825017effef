"""What an encoder spills into even areas: the ripples around letters, and blots of colour, that averages hide.

On flat graphics nearly all of a picture is even, and similar to itself at any quality; what is spoilt lies within a
few pixels of an edge, at the finest scale, which MS-SSIM weighs least.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

EVEN = 2
"""Levels (of 255) that the pixels around one may span where a reference is even: noise of a good encoder."""

SHARE = 0.02
"""The share of a tile that is looked at: where it is worst."""

Bytes = NDArray[np.uint8]


def even(plane: Bytes) -> NDArray[np.bool_]:
    """Where the 3 x 3 pixels around each span at most ``EVEN`` levels: shape (height, width)."""
    return np.asarray(spread(plane) <= EVEN)


def ringing(reference: Bytes, where: NDArray[np.bool_], candidate: Bytes, tile: int) -> float:
    """How far a candidate's plane is off ``where`` the reference's is even, in levels: 0 to 255.

    Of each tile of ``tile`` x ``tile`` pixels the mean over the worst fiftieth of all its pixels, others than even ones
    counting as equal; the greatest of all tiles. They reach from edge to edge, as those of
    :mod:`~semcompress_plugin.evaluators.msssim` do.
    """
    difference = np.maximum(reference, candidate) - np.minimum(reference, candidate)
    difference *= where
    (height, width), worst = difference.shape, 0.0
    rows, columns = min(tile, height), min(tile, width)
    most = math.ceil(SHARE * rows * columns)
    for top in starts(height, rows, tile):
        strip = difference[top : top + rows]
        tiles = np.stack([strip[:, left : left + columns].ravel() for left in starts(width, columns, tile)])
        tiles = tiles[tiles.max(axis=1) > worst]
        if len(tiles):
            tail = np.partition(tiles, tiles.shape[1] - most, axis=1)[:, -most:]
            worst = max(worst, float(tail.mean(axis=1).max()))
    return worst


def spread(plane: Bytes) -> Bytes:
    """How many levels the 3 x 3 pixels around each span: shape (height, width)."""
    padded = np.pad(plane, 1, mode="edge")
    high, low = (_of_neighbours(extreme, padded) for extreme in (np.maximum, np.minimum))
    return high - low


def starts(length: int, size: int, tile: int) -> list[int]:
    """Where along one axis the tiles begin, which are ``size`` long: from edge to edge."""
    return [round(start) for start in np.linspace(0, length - size, -(-length // tile)).tolist()]


def _of_neighbours(extreme: np.ufunc, padded: Bytes) -> Bytes:
    """The greatest or least of the 3 x 3 values around each but those at the edges."""
    rows = extreme(extreme(padded[:-2], padded[1:-1]), padded[2:])
    return np.asarray(extreme(extreme(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))
