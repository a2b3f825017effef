"""The TIFF file that an EXIF block is, read and changed in place (TIFF 6.0, section 2).

Makers' notes hold offsets into a block that nobody knows all of: whatever is not taken out or put in stays where it is.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

PREFIX = b"Exif\0\0"
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
POINTERS = {EXIF_IFD, GPS_IFD, INTEROP_IFD}
_THUMBNAILS = {0x0201: 0x0202, 0x0111: 0x0117}
"""Tag of where a thumbnail stands -> tag of its length: a JPEG's, and that of pixels in one strip."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""TIFF type -> bytes of one value (TIFF 6.0, section 2)."""
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I"}
"""13 is IFD, a LONG that points to a directory (TIFF Technical Note 1)."""
SHORT, _LONG, _UNDEFINED = 3, 4, 7
COLOUR_SPACE, _SRGB = 0xA001, 1
_ADOBE_RGB = (0x0001, 2, 4)
"""Tag, type and length of the index for interoperability, whose text then is R03."""
_DIRECTORIES = 8
"""More than any camera writes."""


class Entry(NamedTuple):
    tag: int
    type: int
    values: int
    at: int
    """Where the entry's 12 bytes stand in the block."""


class Tiff:
    """A block that can be changed in place. Raises ValueError or struct.error where it cannot be read."""

    def __init__(self, block: bytes) -> None:
        self.data = bytearray(block.removeprefix(PREFIX))
        order = bytes(self.data[:4])
        if order not in (b"II*\0", b"MM\0*"):
            raise ValueError("not a TIFF header")
        self._order = "<" if order.startswith(b"I") else ">"
        self.first = self._read("I", 4)

    def entries(self, at: int) -> Iterator[Entry]:
        for place in range(at + 2, at + 2 + 12 * self._read("H", at), 12):
            yield Entry(self._read("H", place), self._read("H", place + 2), self._read("I", place + 4), place)

    def next_after(self, at: int) -> int:
        """Where the directory behind this one stands; 0 where it is the last."""
        return self._read("I", self._end(at))

    def integer(self, entry: Entry) -> int:
        if entry.type not in _INTEGERS or entry.values != 1:
            raise ValueError("not one integer")
        return self._read(_INTEGERS[entry.type], entry.at + 8)

    def name_srgb(self) -> None:
        """Overwrite the colour space and the index for interoperability, where they stand."""
        for at in self._directories():
            for entry in self.entries(at):
                if entry.tag == COLOUR_SPACE and entry.type == SHORT and entry.values == 1:
                    self._write("H", entry.at + 8, _SRGB)
                elif self.data[entry.at : entry.at + 12] == struct.pack(self._order + "HHI", *_ADOBE_RGB) + b"R03\0":
                    self.data[entry.at + 8 : entry.at + 12] = b"R98\0"

    def put(self, tag: int, value: int | bytes, below: int | None = None) -> None:
        """Give the first directory, or one ``below`` it, an entry: a SHORT, the LONG of a pointer, or bytes.

        A directory that grows moves to the end of the block; everything else stays at its offset.
        """
        at = self.first
        if below is not None:
            at = next((self.integer(entry) for entry in self.entries(at) if entry.tag == below), 0)
        if isinstance(value, bytes):
            head, value = (tag, _UNDEFINED, len(value)), self._placed(value)
        else:
            type, kind = (_LONG, "I") if tag in POINTERS else (SHORT, "H")
            head, value = (tag, type, 1), self._pack(kind, value).ljust(4, b"\0")
        place = self._with_entry(at, tag, self._pack("HHI", *head) + value)
        if below is not None:
            self.put(below, place)
        elif place != at:
            self.first = place
            self._write("I", 4, place)

    def _with_entry(self, at: int, tag: int, new: bytes) -> int:
        """Where the directory that was ``at``, or nowhere (0), stands with the 12 bytes of this entry in it."""
        entries = list(self.entries(at)) if at else []
        same = [entry for entry in entries if entry.tag == tag]
        if len(same) == 1:
            self.data[same[0].at : same[0].at + 12] = new
            return at
        kept = [(entry.tag, bytes(self.data[entry.at : entry.at + 12])) for entry in entries if entry.tag != tag]
        body = b"".join(entry for _, entry in sorted([*kept, (tag, new)]))
        end = self._end(at) if at else 0
        link = bytes(self.data[end : end + 4]) if at else b""
        return self._append(self._pack("H", len(kept) + 1) + body + link.ljust(4, b"\0"))

    def drop(self, tag: int) -> None:
        """Take entries out of the first directory: those behind them move up, values stay where they are."""
        start, end = self.first + 2, self._end(self.first)
        kept = b"".join(self.data[entry.at : entry.at + 12] for entry in self.entries(self.first) if entry.tag != tag)
        self.data[start : end + 4] = (kept + self.data[end : end + 4]).ljust(end + 4 - start, b"\0")
        self._write("H", self.first, len(kept) // 12)

    def exchange(self, one: int, other: int) -> None:
        """Let two entries of a directory that has both trade type and value, or where that stands."""
        for directory in self._directories():
            at = {entry.tag: slice(entry.at + 2, entry.at + 12) for entry in self.entries(directory)}
            if one in at and other in at:
                self.data[at[one]], self.data[at[other]] = self.data[at[other]], self.data[at[one]]

    def drop_thumbnail(self) -> None:
        """Unlink the second directory, wipe it out, and cut off where it was if nothing else lies behind."""
        link, second = self._end(self.first), self.next_after(self.first)
        self._write("I", link, 0)
        if not second:
            return
        used = max(self._used(), link + 4)
        try:
            parts = [(at, length) for at, length in self._thumbnail(second) if at >= used]
        except struct.error:
            parts = [(second, len(self.data))] if second >= used else []
        first, wiped = min((at for at, _ in parts), default=len(self.data)), 0
        for at, length in sorted(parts):  # in turn, for made-up entries may all claim the same megabytes
            start, wiped = max(at, wiped), max(at + length, wiped)
            self.data[start:wiped] = bytes(len(self.data[start:wiped]))
        if not any(self.data[first:]):
            del self.data[first:]

    def _thumbnail(self, at: int) -> Iterator[tuple[int, int]]:
        """Where the parts of the second directory stand, and how many bytes they have: itself, values, and pixels."""
        found = {entry.tag: entry for entry in self.entries(at)}
        yield at, self._end(at) + 4 - at
        yield from filter(None, map(self._elsewhere, found.values()))
        for tag, length in _THUMBNAILS.items():
            with contextlib.suppress(KeyError, ValueError):
                yield self.integer(found[tag]), self.integer(found[length])

    def _used(self) -> int:
        """The end of what the first directory and those below it refer to."""
        end = 0
        for at in self._directories():
            end = max(end, self._end(at) + 4)
            for value, length in filter(None, map(self._elsewhere, self.entries(at))):
                end = max(end, value + length)
        return min(end, len(self.data))

    def _elsewhere(self, entry: Entry) -> tuple[int, int] | None:
        """Where the value of an entry stands that has no room for it, and its bytes."""
        length = _SIZES.get(entry.type, 1) * entry.values
        return (self._read("I", entry.at + 8), length) if length > 4 else None

    def _directories(self) -> Iterator[int]:
        """Where the first directory and those below it stand; few, for a made-up block may point anywhere."""
        found = [self.first]
        for at in found:
            yield at
            pointers = (entry for entry in self.entries(at) if entry.tag in POINTERS)
            below = (self.integer(entry) for entry in pointers if entry.type in _INTEGERS and entry.values == 1)
            found += [place for place in dict.fromkeys(below) if place not in found][: _DIRECTORIES - len(found)]

    def _end(self, at: int) -> int:
        """Where a directory's entries end, and the link to the next one stands."""
        return at + 2 + 12 * self._read("H", at)

    def _placed(self, value: bytes) -> bytes:
        """What an entry says of bytes: themselves where there is room, else where they stand."""
        return value.ljust(4, b"\0") if len(value) <= 4 else self._pack("I", self._append(value))

    def _append(self, value: bytes) -> int:
        """Where in the block these bytes stand now: at its end, on an even offset as TIFF wants it."""
        self.data += bytes(len(self.data) % 2)
        self.data += value
        return len(self.data) - len(value)

    def _pack(self, kind: str, *values: int) -> bytes:
        return struct.pack(self._order + kind, *values)

    def _read(self, kind: str, at: int) -> int:
        value: int = struct.unpack_from(self._order + kind, self.data, at)[0]
        return value

    def _write(self, kind: str, at: int, value: int) -> None:
        struct.pack_into(self._order + kind, self.data, at, value)
