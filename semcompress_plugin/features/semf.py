"""The file format ``.semf``, version 1; docs/feature.md describes it byte by byte."""

from __future__ import annotations

import binascii
from typing import NamedTuple

from semcompress_plugin.errors import ImageError
from semcompress_plugin.features.tables import ID_BYTES

MAGIC = b"SEMF"
VERSION = 1
VIEWS = ("center", "full")
"""In the order of their bits, and of their features in the file."""

STEPS = (1, 24)
LARGEST_SIDE = 2**31 - 1
_CHECK_BYTES = 2


class Semf(NamedTuple):
    """A file's parts. ``lengths`` are the numbers of symbols, one for each view."""

    model: bytes
    tables: bytes
    step: int
    views: tuple[str, ...]
    size: tuple[int, int]
    lengths: tuple[int, ...]
    payload: bytes


def write(parts: Semf) -> bytes:
    """The file's bytes."""
    flags = sum(1 << bit for bit, view in enumerate(VIEWS) if view in parts.views)
    numbers = (*parts.size, *parts.lengths, len(parts.payload))
    head = MAGIC + bytes([VERSION]) + parts.model + parts.tables + bytes([parts.step, flags])
    data = head + b"".join(map(_varint, numbers)) + parts.payload
    return data + _check(data)


def read(data: bytes) -> Semf:
    """The parts of a file. Raises :class:`ImageError`, in one line, for everything that is not a whole one."""
    if not data.startswith(MAGIC):
        raise ImageError("is not a .semf file: it does not begin with SEMF")
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise ImageError(f"is a .semf file of version {data[len(MAGIC)]}; this semcompress reads version {VERSION}")
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if _check(body) != check:
        raise ImageError("is a .semf file that is damaged or cut off: its checksum does not fit")
    try:
        return _parts(_Bytes(body, len(MAGIC) + 1))
    except ValueError as error:
        raise ImageError(f"is a .semf file that is damaged: {error}") from error


def _parts(data: _Bytes) -> Semf:
    model, tables = data.take(ID_BYTES), data.take(ID_BYTES)
    step, flags = data.take(2)
    if not STEPS[0] <= step <= STEPS[1]:
        raise ValueError(f"expected a step from {STEPS[0]} to {STEPS[1]}, got {step}")
    if not 0 < flags < 1 << len(VIEWS):
        raise ValueError(f"expected views from 1 to {(1 << len(VIEWS)) - 1}, got {flags}")
    views = tuple(view for bit, view in enumerate(VIEWS) if flags & 1 << bit)
    size = data.varint(), data.varint()
    if not all(1 <= side <= LARGEST_SIDE for side in size):
        raise ValueError(f"a picture cannot have {size[0]} x {size[1]} pixels")
    lengths = tuple(data.varint() for _ in views)
    return Semf(model, tables, step, views, size, lengths, data.rest(data.varint()))


class _Bytes:
    """Bytes that are taken from the front; ValueError where there are not so many."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError("its header ends too early")
        self.at += count
        return taken

    def varint(self) -> int:
        number = 0
        for shift in range(0, 35, 7):
            (byte,) = self.take(1)
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise ValueError("a number in its header is too long")

    def rest(self, count: int) -> bytes:
        left = len(self.data) - self.at
        if left != count:
            raise ValueError(f"expected {count} bytes of payload, got {left}")
        return self.take(count)


def _varint(number: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first, the top bit set on all but the last."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _check(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0xFFFF).to_bytes(_CHECK_BYTES, "big")
