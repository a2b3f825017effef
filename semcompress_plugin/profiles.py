"""What an ICC profile is for, and whether browsers can use it, from its bytes alone: no library reads a stranger's."""

from __future__ import annotations

import struct

_HEAD, _ENTRY = 132, 12
_MATRIX, _CURVES = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")
_TABLES = (b"A2B0", b"A2B1")
_NUMBERS = b"cicp"
_USED = {*_MATRIX, *_CURVES, *_TABLES, _NUMBERS}
_PARAMETERS = (1, 3, 4, 5, 7)
"""How many numbers a parametric curve of each type has (ICC.1, 10.18)."""


def space_of(profile: bytes) -> str | None:
    """The colour space of the pixels that a profile is for (RGB, GRAY, CMYK, Lab, …); None where it is damaged.

    Of one for RGB everything is looked at that browsers need (ICC.1, 8.3): where they give up on that, an AVIF is not
    shown at all.
    """
    try:
        tags = _tags(profile)
        space = profile[16:20].decode("ascii").strip()
        sound = space.isprintable() and (space != "RGB" or _shows(tags))
    except (struct.error, ValueError, IndexError):
        return None
    return space if sound else None


def transfer_of(profile: bytes) -> int | None:
    """The transfer function that a profile names by number (ITU-T H.273; ICC.1:2022, 10.3); None where it has none."""
    try:
        named = _tags(profile).get(_NUMBERS, memoryview(b""))
    except (struct.error, ValueError):
        return None
    return named[9] if bytes(named[:4]) == _NUMBERS and len(named) >= 12 else None


def _tags(profile: bytes) -> dict[bytes, memoryview]:
    """Raises ValueError or struct.error for what is no profile, or is cut off."""
    size, version, connection, magic, count = struct.unpack_from(">I4xB11x4s12x4s88xI", profile)
    if not (_HEAD <= size <= len(profile) and version <= 4 and connection in (b"XYZ ", b"Lab ") and magic == b"acsp"):
        raise ValueError("not a profile")
    if _HEAD + count * _ENTRY > size:
        raise ValueError("more tags than bytes")
    tags: dict[bytes, memoryview] = {}
    whole = memoryview(profile)  # many entries may say that they are nearly all of it
    for index in range(count):
        tag, at, length = struct.unpack_from(">4sII", profile, _HEAD + index * _ENTRY)
        if at + length > size:
            raise ValueError("a tag beyond the end")
        if tag in _USED:
            tags.setdefault(tag, whole[at : at + length])
    return tags


def _shows(tags: dict[bytes, memoryview]) -> bool:
    """Whether three curves and a matrix, or a table, say what the colours are, and none of them is damaged."""
    curves = [_is_curve(tags[tag]) for tag in _CURVES if tag in tags]
    points = [bytes(tags[tag][:4]) == b"XYZ " and len(tags[tag]) >= 20 for tag in _MATRIX if tag in tags]
    tables = [_is_table(tags[tag]) for tag in _TABLES if tag in tags]
    return all((*curves, *points, *tables)) and (len(curves) == len(points) == 3 or bool(tables))


def _is_curve(data: memoryview) -> bool:
    kind, number = struct.unpack_from(">4s4xI", data)
    if kind == b"curv":
        return len(data) >= 12 + 2 * int(number)
    return kind == b"para" and len(data) >= 12 + 4 * _PARAMETERS[number >> 16]  # two bytes, and two that say nothing


def _is_table(data: memoryview) -> bool:
    """Of the newest kind (mAB) only the head; the others hold curves, a grid and curves (ICC.1, 10.10 and 10.11)."""
    kind, channels, out, grid = struct.unpack_from(">4s4xBBB", data)
    if kind == b"mAB ":
        return len(data) >= 32
    if kind == b"mft1":
        entries, ends, start, width = 256, 256, 48, 1
    elif kind == b"mft2":
        entries, ends = struct.unpack_from(">HH", data, 48)
        start, width = 52, 2
    else:
        return False
    numbers = int(entries * channels + out * grid**channels + ends * out)
    return bool(out == 3) and len(data) >= start + width * numbers
