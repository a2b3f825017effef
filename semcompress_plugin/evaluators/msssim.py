"""Multi-scale structural similarity (MS-SSIM) on luma and chroma: what people see, as far as a formula can say.

The formula is that of Wang, Simoncelli and Bovik (2003), with the window, constants and pooling of pytorch-msssim;
on one plane the two agree to 2e-5. Added here: chroma, tiles, and guards against shifts of colour and against what flat
graphics suffer.

=============  =====================================================================================================
planes         full-range BT.601 as Pillow's ``YCbCr``; Cb and Cr at half resolution, as JPEG mostly stores them and
               as eyes see them
per scale      cs = (2 cov(x, y) + C2) / (var(x) + var(y) + C2) under a Gaussian of 11 x 11 pixels, sigma 1.5
one plane      cs1^.0448 cs2^.2856 cs3^.3001 cs4^.2363 (l5 cs5)^.1333, each the mean over the plane at that scale (each
               scale is half the one before), none below 0
planes joined  (6 Y + Cb + Cr) / 8, the weights of video coding's joint PSNR (Ohm et al., IEEE TCSVT 22:1669, 2012)
one tile       the same with each mean over the part of the plane that lies in 64 x 64 pixels of the picture; tiles
               reach from edge to edge and overlap where the size is no multiple of 64; a smaller picture is one tile
colour shift   |mean of the candidate - mean of the reference| over a tile, / 255; the greatest of all tiles and planes
ringing        error where the reference is even, mean of a tile's worst fiftieth (:mod:`._ringing`), / 255; the
               greatest of all tiles and planes
contrast       root of the squared error of a tile of Y / (its variance + 8^2), the error's mean over the tile; the
error          greatest of all tiles of which two fifths are even (:mod:`._flat`)
tint           root mean square error of Cb or Cr where a tile of the reference is of one colour, which counts as a
               quarter of it where it is less, / 255; the greatest of all tiles and both planes
patch shift    |mean of the candidate - mean of the reference| over 8 x 8 pixels, / 255; the greatest of all such
               patches, one every 4 pixels, and all planes (:mod:`._patches`)
=============  =====================================================================================================

A plane below 161 pixels, which the formula cannot take (five scales, 11 pixels), is mirrored at its edges to 176.

The arithmetic is in ONNX graphs (tools/make_msssim.py), run a few bands of the plane at a time, so that memory does
not grow with what the graphs need in between and the processor's cache holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from semcompress_plugin.evaluators import _flat
from semcompress_plugin.evaluators._patches import cells, patch_shift
from semcompress_plugin.evaluators._ringing import even, ringing
from semcompress_plugin.evaluators._session import load_session

if TYPE_CHECKING:
    import onnxruntime
    from PIL import Image

MODELS_USED = ("msssim_reference", "msssim_contrast", "msssim_similarity")
WINDOW = 11
BLOCK = 32
CENTRE = 128.0  # what the graphs expect to be taken off the reference: small numbers keep their digits
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
PLANE_WEIGHTS = (0.75, 0.125, 0.125)
TILE = 64
TILES = (TILE, TILE // 2, TILE // 2)
SMALLEST = (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1
PADDED = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)

_RADIUS = WINDOW // 2
_SIDE = BLOCK + WINDOW - 1
_PIXELS_PER_RUN = 2**17  # measured: a run's blocks and what the graph makes of them stay in the second-level cache

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Grid:
    """How one scale of a plane is cut into blocks for the graphs, and its map pooled over tiles.

    The map has a value for the window around every pixel. ``rows`` (tile rows + 1, bands x BLOCK) and ``columns``
    (blocks x BLOCK, tile columns + 1) are averaging weights, the last for the whole plane. They are 0 where the
    blocks overhang the plane.
    """

    bands: int
    blocks: int
    rows: Floats
    columns: Floats

    def runs(self) -> Iterator[slice]:
        step = max(1, _PIXELS_PER_RUN // (self.blocks * BLOCK * BLOCK))
        return (slice(first, min(first + step, self.bands)) for first in range(0, self.bands, step))

    def blank(self) -> Floats:
        """A plane of zeros that whole blocks cover: shape (bands x BLOCK + 10, blocks x BLOCK + 10)."""
        return np.zeros((self.bands * BLOCK + WINDOW - 1, self.blocks * BLOCK + WINDOW - 1), np.float32)

    def cut(self, plane: Floats, run: slice) -> Floats:
        """The blocks of some bands, overlapping by the window's reach: shape (bands, 42, blocks x 42)."""
        views = sliding_window_view(plane, (_SIDE, _SIDE))[::BLOCK, ::BLOCK][run]
        return views.transpose(0, 2, 1, 3).reshape(len(views), _SIDE, -1)


@dataclass(frozen=True, slots=True)
class _Scale:
    """The reference's side at one scale: its pixels, and per run twice the local mean, twice the variance plus C2."""

    grid: _Grid
    pixels: Bytes | Floats
    moments: tuple[tuple[NDArray[np.float16], NDArray[np.float16]], ...]


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where the reference has no texture that would hide errors: even pixels per plane, those of one colour (of the
    halved planes), and what each tile allows for (:mod:`._flat`)."""

    even: tuple[NDArray[np.bool_], ...]
    flat: NDArray[np.bool_]
    contrast: Array
    extent: Array


class Planes:
    """What is kept of a picture: Y (height, width) and Cb, Cr (half of both, rounded up), uint8, and RGB as ``halved``
    (height, width, 3), and as ``cells`` the means of 4 x 4 pixels of Y, Cb and Cr; 2.5 bytes a pixel.

    A picture that others are compared with also keeps its side of the comparison from the first one on: about 10
    bytes a pixel, for as long as this object lives.
    """

    __slots__ = ("_ground", "_lock", "_scales", "cells", "halved", "planes", "size")

    def __init__(self, image: Image.Image) -> None:
        image = image if image.mode == "RGB" else image.convert("RGB")
        luma, *chroma = bands = image.convert("YCbCr").split()
        self.size: tuple[int, int] = image.size
        self.planes: tuple[Bytes, ...] = tuple(np.asarray(band) for band in (luma, *(c.reduce(2) for c in chroma)))
        self.cells: tuple[Bytes, ...] = tuple(map(cells, bands))
        self.halved: Bytes = np.asarray(image.reduce(2))
        self._lock = Lock()
        self._scales: tuple[tuple[_Scale, ...], ...] | None = None
        self._ground: _Ground | None = None

    def scales(self) -> tuple[tuple[_Scale, ...], ...]:
        """The reference's side, per plane and scale; computed once, whichever thread asks first."""
        with self._lock:
            if self._scales is None:
                self._scales = tuple(_study(plane, tile) for plane, tile in zip(self.planes, TILES, strict=True))
            return self._scales

    def ground(self) -> _Ground:
        """Where the reference is even, and of one colour; computed once, whichever thread asks first."""
        with self._lock:
            if self._ground is None:
                where, flat = tuple(map(even, self.planes)), _flat.flat(self.planes[0], self.halved)
                contrast = _flat.contrast(self.planes[0], where[0], TILES[0])
                self._ground = _Ground(where, flat, contrast, _flat.extent(flat, TILES[1]))
            return self._ground


class MsssimEvaluator:
    """Measures how far candidates are from a reference of the same size, for people; see the module's formula.

    ``score``, ``luma``, ``chroma`` (the worse of the two planes) and ``worst_tile`` are 1 for equal pictures and 0 at
    worst; the others are 0 for equal pictures and 1 at worst. All instances and threads share
    the model, which is opened at the first comparison (:class:`~semcompress_plugin.errors.ModelError` if it is not
    what was shipped).
    """

    def observe(self, images: Sequence[Image.Image]) -> list[Planes]:
        """One :class:`Planes` per picture (mode RGB, any size from 1x1 up)."""
        return [Planes(image) for image in images]

    def compare(self, reference: Planes, candidates: Sequence[Planes]) -> list[dict[str, float]]:
        """For each candidate a value of every metric. Raises ``ValueError`` when its size is not the reference's."""
        for candidate in candidates:
            if candidate.size != reference.size:
                ours, theirs = ("x".join(map(str, planes.size)) for planes in (reference, candidate))
                raise ValueError(f"msssim: expected a candidate of the reference's size, {ours}, got {theirs}")
        return [self._compare(reference, candidate) for candidate in candidates]

    def _compare(self, reference: Planes, candidate: Planes) -> dict[str, float]:
        similarities, shifts = zip(*map(_judge, reference.scales(), candidate.planes), strict=True)
        ground = reference.ground()
        whole = [float(similarity[-1, -1]) for similarity in similarities]
        joined = sum(weight * similarity for weight, similarity in zip(PLANE_WEIGHTS, similarities, strict=True))
        return {
            "score": float(joined[-1, -1]),
            "luma": whole[0],
            "chroma": min(whole[1:]),
            "worst_tile": float(joined[:-1, :-1].min()),
            "colour_shift": min(1.0, max(float(np.abs(shift[:-1, :-1]).max()) for shift in shifts) / 255),
            "ringing": max(map(ringing, reference.planes, ground.even, candidate.planes, TILES)) / 255,
            "contrast_error": min(
                1.0, _flat.contrast_error(reference.planes[0], candidate.planes[0], ground.contrast, TILES[0])
            ),
            "tint": _flat.tint(reference.halved, ground.flat, ground.extent, candidate.halved, TILES[1]) / 255,
            "patch_shift": patch_shift(reference.cells, candidate.cells) / 255,
        }


def _study(plane: Bytes, tile: int) -> tuple[_Scale, ...]:
    """The reference's side of one plane, finest scale first."""
    before, padded = _mirror(plane)
    session = _sessions()[0]
    scales = []
    pixels: Bytes | Floats = padded
    for scale in range(len(SCALE_WEIGHTS)):
        if scale:
            pixels = _halve(pixels.astype(np.float32, copy=False))
        grid = _grid(plane.shape, before, pixels.shape, scale, tile)
        whole = _laid_out(grid, pixels, CENTRE)
        moments = tuple(tuple(session.run(["mean", "spread"], {"x": grid.cut(whole, run)})) for run in grid.runs())
        scales.append(_Scale(grid, pixels, moments))
    return tuple(scales)


def _judge(scales: Sequence[_Scale], plane: Bytes) -> tuple[Array, Array]:
    """MS-SSIM and the mean difference per tile, for one plane: two arrays (tile rows + 1, tile columns + 1).

    The last row and column stand for the whole plane.
    """
    _, contrast, similarity = _sessions()
    _, padded = _mirror(plane)
    difference = np.subtract(padded, scales[0].pixels, dtype=np.float32)
    product: Any = 1.0
    shift: Array | None = None
    for scale, weight in zip(scales, SCALE_WEIGHTS, strict=True):
        if scale is not scales[0]:
            difference = _halve(difference)
        loss, moved = _pool(similarity if scale is scales[-1] else contrast, scale, difference)
        # The means of tiles that are worse than unrelated are negative, and rounding may leave one just above 1.
        product = product * np.clip(1 - loss, 0, 1) ** weight
        shift = moved if shift is None else shift
    assert shift is not None
    return product, shift


def _pool(session: onnxruntime.InferenceSession, scale: _Scale, difference: Floats) -> tuple[Array, Array]:
    """The graph's ``loss`` and ``shift`` of one scale, over tiles, gathered from its runs."""
    grid = scale.grid
    pixels, changes = _laid_out(grid, scale.pixels, CENTRE), _laid_out(grid, difference)
    pooled = np.zeros((2, len(grid.rows), grid.columns.shape[1]))
    for run, (mean, spread) in zip(grid.runs(), scale.moments, strict=True):
        rows = grid.rows[:, run.start * BLOCK : run.stop * BLOCK]
        touched = np.flatnonzero(rows.any(axis=1))
        inputs = {
            "x": grid.cut(pixels, run),
            "d": grid.cut(changes, run),
            "mean": mean,
            "spread": spread,
            "rows": rows[touched],
            "columns": grid.columns,
        }
        pooled[:, touched] += session.run(["loss", "shift"], inputs)
    return pooled[0], pooled[1]


def _laid_out(grid: _Grid, plane: Bytes | Floats, centre: float = 0) -> Floats:
    """The plane minus ``centre`` for :meth:`_Grid.cut`, mirrored at its edges as far as a window reaches."""
    (height, width), r = plane.shape, _RADIUS
    whole = grid.blank()
    np.subtract(plane, centre, out=whole[r : r + height, r : r + width], dtype=np.float32)
    for view, length in ((whole, height), (whole.T, width)):
        view[:r] = view[2 * r - 1 : r - 1 : -1]
        view[r + length : 2 * r + length] = view[r + length - 1 : length - 1 : -1]
    return whole


def _mirror(plane: Bytes) -> tuple[tuple[int, int], Bytes]:
    """The plane, each axis below 161 mirrored at its edges to 176, and how much was put before each axis."""
    lacking = [PADDED - length if length < SMALLEST else 0 for length in plane.shape]
    before = lacking[0] // 2, lacking[1] // 2
    if not any(lacking):
        return before, plane
    widths = [(start, lack - start) for start, lack in zip(before, lacking, strict=True)]
    return before, np.pad(plane, widths, mode="symmetric")


def _halve(plane: Floats) -> Floats:
    """2 x 2 means; an odd axis has a row of zeros put before it, as pytorch-msssim does."""
    return _pairs(_pairs(plane).T).T * np.float32(0.25)


def _pairs(plane: Floats) -> Floats:
    """Sums of neighbouring rows; the first of an odd number stays alone."""
    odd = len(plane) % 2
    sums = np.empty_like(plane[::2])
    np.add(plane[odd::2], plane[odd + 1 :: 2], out=sums[odd:])
    if odd:
        sums[0] = plane[0]
    return sums


def _grid(picture: tuple[int, ...], before: tuple[int, int], plane: tuple[int, ...], scale: int, tile: int) -> _Grid:
    """The grid of a plane that was ``picture`` before mirroring, at one scale (0 is the finest)."""
    rows, columns = (
        _weights(length, start, shown, scale, tile) for length, start, shown in zip(picture, before, plane, strict=True)
    )
    return _Grid(rows.shape[1] // BLOCK, columns.shape[1] // BLOCK, rows, np.ascontiguousarray(columns.T))


def _weights(length: int, before: int, cells: int, scale: int, tile: int) -> Floats:
    """Averaging weights over one axis of a map of ``cells``: shape (tiles + 1, cells rounded up to whole blocks).

    Tiles are laid evenly over the ``length`` pixels of the picture, and own the cells whose window is centred in
    them. The published mean, the last row, counts only windows that lie wholly in the plane; tiles count those at the
    edges too (mirrored), or damage in a corner would hardly show in any of them.
    """
    size = min(tile, length)
    starts = before + np.linspace(0, length - size, -(-length // tile))
    span = min(max(1, round(size / 2**scale)), cells)
    first = np.clip(np.rint(starts / 2**scale).astype(int), 0, cells - span)
    at = np.arange(-(-cells // BLOCK) * BLOCK)
    within = (at >= first[:, None]) & (at < first[:, None] + span)
    inside = (at >= _RADIUS) & (at < cells - _RADIUS)
    return np.concatenate([within / span, [inside / inside.sum()]]).astype(np.float32)


_opening = Lock()


@cache
def _open() -> tuple[onnxruntime.InferenceSession, ...]:
    return tuple(load_session(name) for name in MODELS_USED)


def _sessions() -> tuple[onnxruntime.InferenceSession, ...]:
    with _opening:
        return _open()
