"""Pictures of few colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcompress_plugin.compressors._clusters import Floats, Group, clustered, nearest
from semcompress_plugin.compressors._dither import dithered
from semcompress_plugin.images import has_transparency

FLAT = 0.004
"""A colour that more than this share of the pixels has, with its neighbours, is that of an area: it stays exactly."""

_MOST = 1 << 17
"""Colours above which neighbours are taken for one when their entry is looked up: a photograph has a million."""

Numbers = NDArray[np.uint32]
"""Pixels or colours: red, green, blue and alpha as one number each."""


def quantised(image: Image.Image, colors: int) -> Image.Image:
    """``image`` with at most ``colors`` colours, at least 2; those of flat areas, and none at all, exactly as they are.

    A page's white that turns off-white, or is dithered, is seen at once and costs bytes, too. Opaque pixels stay
    opaque; the others, of shadows and the edges of shapes, become what is next to them on black and on white.
    """
    transparent = has_transparency(image)
    numbers = np.array(image.convert("RGBA")).view(np.uint32)[..., 0]
    if transparent:
        numbers = _of_one_emptiness(numbers)
    colours, counts = np.unique(numbers, return_counts=True)
    palette = _palette(numbers, colours, counts, colors)
    indices = palette.next_to(numbers, colours)
    picture = image.convert("RGB")
    if transparent:  # of which nothing is left to diffuse
        picture.paste(_few(indices, palette.entries, "RGB").convert("RGB"), mask=Image.fromarray(_alpha(numbers) < 255))
    indices = dithered(picture, palette.entries, palette.opaque, indices)
    for index, colour in enumerate(palette.exact):
        indices[numbers == colour] = index
    return _few(indices, palette.entries, "RGBA" if transparent else "RGB")


@dataclass(frozen=True, slots=True, eq=False)
class _Palette:
    """``entries`` (up to 256, 4) of RGBA: first the ``exact`` colours; which of them are for opaque pixels."""

    exact: Numbers
    entries: NDArray[np.uint8]
    opaque: NDArray[np.bool_]

    def next_to(self, numbers: Numbers, colours: Numbers) -> NDArray[np.uint8]:
        """The entry that each pixel is nearest to, of those for opaque pixels if it is, and else of the others.

        ``colours`` are those that the pixels have, sorted.
        """
        for bits in range(1, 8):
            if len(colours) <= _MOST:
                break
            rough = np.array([*[0xFF << bits & 0xFF] * 3, 0xFF], np.uint8).view(np.uint32)
            numbers, colours = numbers & rough, np.unique(colours & rough)
        is_opaque, found = _alpha(colours) == 255, np.empty(len(colours), np.uint8)
        for group, mine in ((one, np.flatnonzero(self.opaque == one)) for one in (True, False)):
            some = is_opaque == group
            if some.any():
                found[some] = mine[nearest(_as_seen(_channels(colours[some])), _as_seen(self.entries[mine]))]
        return found[np.searchsorted(colours, numbers)]


def _palette(numbers: Numbers, colours: Numbers, counts: NDArray[np.int64], colors: int) -> _Palette:
    exact = _exact(numbers, colors // 4)
    others = ~np.isin(colours, exact)
    groups = []
    for is_opaque in (True, False):
        mine = others & (is_opaque == (_alpha(colours) == 255))
        fixed = exact[is_opaque == (_alpha(exact) == 255)]
        groups.append(Group(_as_seen(_channels(colours[mine])), counts[mine], _as_seen(_channels(fixed))))
    opaque, shaded = map(_as_stored, clustered(groups, colors - len(exact)))
    shaded[:, 3] = np.minimum(shaded[:, 3], 254)  # the others are opaque
    entries = np.concatenate([_channels(exact), opaque, shaded])
    return _Palette(exact, entries, entries[:, 3] == 255)


def _exact(numbers: Numbers, most: int) -> Numbers:
    """The colours of areas, the largest first; and none at all before them, if that is there."""
    corner = numbers[:-1, :-1]
    within = (corner == numbers[1:, :-1]) & (corner == numbers[:-1, 1:]) & (corner == numbers[1:, 1:])
    colours, counts = np.unique(corner[within], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    areas = colours[order][counts[order] > FLAT * numbers.size]
    empty = numbers[_alpha(numbers) == 0][:1]
    return np.concatenate([empty, areas[~np.isin(areas, empty)]])[:most]


def _of_one_emptiness(numbers: Numbers) -> Numbers:
    """``numbers`` with one colour where nothing is seen of it: the most frequent, for some programs blend it in."""
    empty = _alpha(numbers) == 0
    if empty.any():
        colours, counts = np.unique(numbers[empty], return_counts=True)
        numbers[empty] = colours[counts.argmax()]
    return numbers


def _as_seen(channels: NDArray[np.uint8]) -> Floats:
    """RGBA as what reaches the eye: colours multiplied by alpha, and alpha, 0 to 255 each."""
    seen = channels.astype(np.float32)
    seen[:, :3] *= seen[:, 3:] / 255
    return seen


def _as_stored(seen: Floats) -> NDArray[np.uint8]:
    """RGBA, rounded, of what :func:`_as_seen` gives."""
    stored = seen.copy()
    stored[:, :3] *= 255 / np.maximum(seen[:, 3:], 1e-6)
    return np.rint(stored).clip(0, 255).astype(np.uint8)


def _channels(colours: Numbers) -> NDArray[np.uint8]:
    """(colours, 4): red, green, blue, alpha."""
    return np.ascontiguousarray(colours).view(np.uint8).reshape(-1, 4)


def _alpha(numbers: Numbers) -> NDArray[np.uint8]:
    return np.asarray(numbers.view(np.uint8).reshape(*numbers.shape, 4)[..., 3])


def _few(indices: NDArray[np.uint8], entries: NDArray[np.uint8], mode: str) -> Image.Image:
    few = Image.fromarray(indices)
    few.putpalette(entries[:, : len(mode)].tobytes(), mode)
    return few
