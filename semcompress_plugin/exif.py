"""EXIF blocks as bytes. Pillow reads and writes the common tags; what must stay exactly as it is stays bytes here.

A block is a TIFF file: a header, then directories (IFDs) of 12-byte entries whose longer values lie elsewhere in the
block. Makers' notes hold offsets of their own into it, so a block from which only a little is taken must keep
everything else in its place: writing it anew would break them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Set
from typing import Any

from PIL import Image

from semcompress_plugin.tiff import COLOUR_SPACE, EXIF_IFD, INTEROP_IFD, POINTERS, PREFIX, SHORT, Tiff

ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_EMPTY = PREFIX + b"II*\0\x08\0\0\0" + bytes(6)
"""A block whose only directory has no entries."""
_ONE_SHORT = struct.Struct("<4sIHHHIHHI")
"""A whole block with one entry: header, offset of the directory, its length, the entry, padding, no next directory."""
_USER_COMMENT = 0x9286
# What says how a picture was made and whose it is, and nothing about where, by which body, or by whom else: an
# allowlist, because makers invent new tags for serial numbers and places.
_PUBLIC_TAGS = {
    0x010E, 0x010F, 0x0110, 0x0132, 0x013B, 0x8298,  # description, make, model, date, artist, copyright
    0x011A, 0x011B, 0x0128,  # density
}  # fmt: skip
_PUBLIC_EXIF_TAGS = {
    0x829A, 0x829D, 0x8822, 0x8827, 0x9000, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012,  # exposure, dates, time zones
    0x9201, 0x9202, 0x9203, 0x9204, 0x9205, 0x9206, 0x9207, 0x9208, 0x9209, 0x920A,  # shutter … focal length
    0xA001, 0xA402, 0xA403, 0xA404, 0xA405, 0xA406, 0xA434,  # colour space, modes, lens model
}  # fmt: skip
_RESOLUTION, _RESOLUTION_UNIT, _INCHES = (0x011A, 0x011B), 0x0128, 2
_DIMENSIONS = (0xA002, 0xA003)
"""PixelXDimension and PixelYDimension, which browsers read as the size to show a picture of more dots an inch at."""
_DOTS_PER_CSS_INCH = 72
_INTEROP_INDEX = 0x0001
"""R98 is sRGB, R03 Adobe RGB: without a profile the only word about the colours."""


def orientation(block: bytes | None) -> int | None:
    """1 to 8 as the EXIF standard numbers them; None where the block does not say or cannot be read."""
    try:
        tiff = Tiff(block or b"")
        value = next((tiff.integer(entry) for entry in tiff.entries(tiff.first) if entry.tag == ORIENTATION), 0)
    except (struct.error, ValueError):
        return None
    return value if 1 <= value <= 8 else None


def is_disputed(block: bytes | None) -> bool:
    """Whether a block says an orientation other than 1 in a way that some readers heed and others do not.

    It says several, or not as one SHORT (Chromium heeds no other type, others do), or its directory is cut off.
    """
    said: list[int | None] = []
    try:
        tiff = Tiff(block or b"")
        for entry in tiff.entries(tiff.first):
            if entry.tag == ORIENTATION:
                said.append(None)  # should it be none that can be read
                value = tiff.integer(entry)
                said[-1] = value if entry.type == SHORT or value == 1 else None
        tiff.next_after(tiff.first)
    except (struct.error, ValueError):
        said += [None for value in said if value != 1]
    return None in said or (len(said) > 1 and set(said) != {1})


def alike(one: bytes | None, other: bytes | None) -> bool:
    """Whether two blocks say the same, however they are written."""
    return one == other or (one is not None and other is not None and _facts(one) == _facts(other) is not None)


def whole(block: bytes, *, turned: bool = False) -> bytes | None:
    """The block without thumbnail (it shows the picture as it was stored) and, unless the pixels are still to be
    ``turned``, without orientation (it has been applied: width and height are exchanged where it did that).

    Everything else stays at its offset. None where nothing else is there, or for a block that cannot be read.
    """
    try:
        return _whole(block, turned)
    except (struct.error, ValueError):
        return None


def is_damaged(block: bytes) -> bool:
    """Whether a block holds anything, and :func:`whole` cannot read it."""
    try:
        _whole(block, turned=False)
    except (struct.error, ValueError):
        return bool(block.removeprefix(PREFIX).strip(b"\0"))
    return False


def _whole(block: bytes, turned: bool) -> bytes | None:
    tiff = Tiff(block)
    tiff.drop_thumbnail()
    if not turned:
        if orientation(block) in _SIDEWAYS:
            tiff.exchange(*_RESOLUTION)
            tiff.exchange(*_DIMENSIONS)
        tiff.drop(ORIENTATION)
    return PREFIX + bytes(tiff.data) if any(tiff.entries(tiff.first)) else None


def has_thumbnail(block: bytes) -> bool:
    """Whether a block has a second directory, the thumbnail's."""
    try:
        tiff = Tiff(block)
        return bool(tiff.next_after(tiff.first))
    except (struct.error, ValueError):
        return False


def only_orientation(block: bytes | None) -> bytes | None:
    """A block that says how the pixels are to be turned and nothing else; None where ``block`` does not."""
    value = orientation(block)
    return None if value is None else PREFIX + _ONE_SHORT.pack(b"II*\0", 8, 1, ORIENTATION, SHORT, 1, value, 0, 0)


def with_orientation(block: bytes | None, value: int) -> bytes:
    """``block``, or an empty one, with this orientation (1 to 8), without thumbnail, everything else at its offset.

    Raises ValueError for a block that cannot be read.
    """
    return _with(block, ORIENTATION, value)


def with_user_comment(block: bytes | None, comment: bytes) -> bytes:
    """``block``, or an empty one, with this comment, which begins with its character code (Exif 2.32, table 9).

    It takes the place of one that is there; a thumbnail goes, everything else stays at its offset. Raises ValueError
    for a block that cannot be read.
    """
    return _with(block, _USER_COMMENT, comment, below=EXIF_IFD)


def for_avif(block: bytes) -> bytes | Image.Exif:
    """``block`` for Pillow's AVIF writer, which makes boxes of its orientation and writes anew what is mere bytes."""
    return block if orientation(block) is None else _Turned(block)


def as_srgb(block: bytes | None) -> bytes | None:
    """The block of a picture that was converted to sRGB: where it named other colours, it names those."""
    try:
        tiff = Tiff(block or b"")
        tiff.name_srgb()
        return PREFIX + bytes(tiff.data)
    except (struct.error, ValueError):
        return block


def public(block: bytes, shown: tuple[int, int] | None = None, *, turned: bool = False) -> bytes | None:
    """What tells when, with what and by whom the picture was made; nothing of where, and no serial numbers.

    And what :func:`how_shown` gives. None where nothing is left, or for a block that cannot be read.
    """
    return _selected(block, _PUBLIC_TAGS, _PUBLIC_EXIF_TAGS, shown, turned)


def how_shown(block: bytes, shown: tuple[int, int] | None = None, *, turned: bool = False) -> bytes | None:
    """What says how the pixels are shown: the orientation, where they are still to be ``turned``, and the size that
    the picture is ``shown`` at because this block says so (see :func:`shown_size`).

    None where that is nothing, or for a block that cannot be read.
    """
    if shown:
        return _selected(block, {*_RESOLUTION, _RESOLUTION_UNIT}, set(), shown, turned)
    return only_orientation(block) if turned else None


def _selected(
    block: bytes, tags: Set[int], exif_tags: Set[int], shown: tuple[int, int] | None, turned: bool
) -> bytes | None:
    try:
        given = Image.Exif()
        given.load(block)
        kept = Image.Exif()
        kept.update(_exact({tag: value for tag, value in given.items() if tag in tags}))
        if turned and (value := orientation(block)) is not None:
            kept[ORIENTATION] = value
        details = _exact({tag: v for tag, v in _directory(given, EXIF_IFD).items() if tag in exif_tags})
        if shown:
            details.update(zip(_DIMENSIONS, shown, strict=True))
        if not turned and orientation(block) in _SIDEWAYS:
            for values, (across, down) in ((kept, _RESOLUTION), (details, _DIMENSIONS)):
                if across in values and down in values:
                    values[across], values[down] = values[down], values[across]
        index = _directory(given, INTEROP_IFD).get(_INTEROP_INDEX)
        if index and COLOUR_SPACE in exif_tags:
            details[INTEROP_IFD] = _exact({_INTEROP_INDEX: index})
        if details:
            kept.get_ifd(EXIF_IFD).update(details)
        return kept.tobytes() if len(kept) or details else None
    except Exception:  # Pillow raises nearly anything on damaged blocks; such a one cannot be written back
        return None


def shown_size(block: bytes | None, size: tuple[int, int]) -> tuple[int, int] | None:
    """Width and height in CSS pixels at which Chromium shows a JPEG of ``size``, both as stored, where that is another.

    Screenshots of dense screens say it: so many dots an inch, and the size in pixels that are 1/72 inch wide. It counts
    where both agree.
    """
    try:
        given = Image.Exif()
        given.load(block or b"")
        details = _directory(given, EXIF_IFD)
        width, height = (int(details[tag]) for tag in _DIMENSIONS)
        across, down = (_DOTS_PER_CSS_INCH / given[tag] for tag in _RESOLUTION)
        agree = (width, height) == (int(size[0] * across + 0.5), int(size[1] * down + 0.5))
        inches = given.get(_RESOLUTION_UNIT) == _INCHES
    except Exception:  # Pillow raises nearly anything on damaged blocks, and nothing says that dots are numbers
        return None
    return (width, height) if agree and inches and (width, height) != size else None


def _facts(block: bytes) -> list[dict[int, object]] | None:
    """What Pillow reads in each directory; None for a block that cannot be read."""
    try:
        given = Image.Exif()
        given.load(block)
        below = [_directory(given, pointer) for pointer in sorted(POINTERS)]
        return [{tag: value for tag, value in given.items() if tag not in POINTERS}, *below]
    except Exception:  # Pillow raises nearly anything on damaged blocks
        return None


def _directory(exif: Image.Exif, pointer: int) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(pointer))
    except KeyError:  # Pillow 12, where there is a directory for EXIF and in it none for interoperability
        return {}


class _Text(str):
    """Text that is written as it was read: Pillow takes its bytes for Latin-1, and writes a ``?`` for what is no ASCII.

    Programs write UTF-8 there, or the code page of their country: only the bytes are known.
    """

    def encode(self, encoding: str = "latin-1", errors: str = "replace") -> bytes:
        return str.encode(self, "latin-1", errors)


def _exact(values: Mapping[int, Any]) -> dict[int, Any]:
    return {tag: _Text(value) if isinstance(value, str) else value for tag, value in values.items()}


class _Turned(Image.Exif):
    """A block that says an orientation. Whoever takes that out has the rest as it is, at its offsets."""

    def __init__(self, block: bytes) -> None:
        super().__init__()
        self.load(block)
        self._block = block

    def tobytes(self, offset: int = 8) -> bytes:
        tiff = Tiff(self._block)
        tiff.drop(ORIENTATION)
        return PREFIX + bytes(tiff.data)


def _with(block: bytes | None, tag: int, value: int | bytes, below: int | None = None) -> bytes:
    try:
        tiff = Tiff(block or _EMPTY)
        tiff.drop_thumbnail()  # it could not be cut off any more behind a directory that moved
        tiff.put(tag, value, below)
    except struct.error as error:
        raise ValueError("EXIF that is cut off") from error
    return PREFIX + bytes(tiff.data)
