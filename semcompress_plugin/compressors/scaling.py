"""Shrinking in pixels, the same for every compressor."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from weakref import WeakKeyDictionary

from PIL import Image

from semcompress_plugin.types import Reference, Settings

KEPT = 4_000_000
"""So many scaled pixels of one picture are kept at most, and no more than it has itself."""

_Shelf = OrderedDict[tuple[int, int], Image.Image]  # by size, the last used last
_shelves: WeakKeyDictionary[Reference, _Shelf] = WeakKeyDictionary()
_arranging = Lock()


def scaled(reference: Reference, settings: Settings) -> Image.Image:
    """The picture at ``settings["scale"]`` of its width and height (1 if absent), never below one pixel.

    Lanczos, computed on premultiplied alpha (Pillow sees to that), so that hidden colours do not bleed into edges.
    Palette and bilevel pictures become RGB, RGBA or L first: their indices cannot be averaged; at scale 1 they stay.

    A search tries several qualities at one scale: what was scaled last is kept as long as ``reference`` lives, so
    nobody may change what this returns.
    """
    image = reference.image
    scale = settings.get("scale", 1.0)
    if scale == 1.0:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    with _arranging:
        shelf = _shelves.setdefault(reference, OrderedDict())
        if size in shelf:
            shelf.move_to_end(size)
            return shelf[size]
    small = truecolour(image).resize(size, Image.Resampling.LANCZOS)
    most = min(KEPT, image.width * image.height)
    if size[0] * size[1] <= most:
        with _arranging:
            shelf[size] = small
            while sum(width * height for width, height in shelf) > most:
                shelf.popitem(last=False)
    return small


def truecolour(image: Image.Image) -> Image.Image:
    """``image`` without a palette: modes L, LA, RGB or RGBA; alpha stays where there is some."""
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert("LA" if image.mode == "L" else "RGBA")
    return image
