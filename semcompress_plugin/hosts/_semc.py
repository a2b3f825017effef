"""The container ``.semc``, version 1, as bytes; docs/semc.md describes it byte by byte.

As in Pillow's own plugins, SyntaxError means that something is no ``.semc`` at all, OSError that one is damaged.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

MAGIC = b"\x89SMC\r\n\x1a\n"
VERSION = 1
FORMATS = {1: "JPEG", 2: "PNG", 3: "WEBP", 4: "AVIF"}
"""Codes of what the payload may be, with Pillow's names."""

MOST_JUDGEMENT = 65_536
"""Bytes that the judgement may have."""

_START = struct.Struct(">8sBBBBIIII32s")
_CRC = struct.Struct(">I")
FIXED = _START.size + _CRC.size
"""Bytes before the judgement: 64."""

_CODES = {name: code for code, name in FORMATS.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """What a container says of its picture.

    ``size`` is width and height of the picture that was saved, in pixels; ``orientation`` (1 to 8) is the EXIF
    orientation that it had. The payload, a file of ``format``, is upright and may have fewer pixels. ``judgement``
    says what the payload was judged by.
    """

    size: tuple[int, int]
    format: str
    payload_length: int
    sha256: bytes
    judgement: Mapping[str, Any]
    orientation: int = 1

    @property
    def upright_size(self) -> tuple[int, int]:
        """``size`` after the orientation has been applied."""
        return (self.size[1], self.size[0]) if self.orientation >= 5 else self.size


def pack(
    payload: bytes, format: str, size: tuple[int, int], judgement: Mapping[str, Any], orientation: int = 1
) -> bytes:
    """A container's bytes. Raises ValueError for what it cannot hold."""
    text = json.dumps(judgement, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
    if format not in _CODES:
        raise ValueError(f"a .semc holds {', '.join(_CODES)}, not {format}")
    if len(text) > MOST_JUDGEMENT:
        raise ValueError(f"expected a judgement of at most {MOST_JUDGEMENT:,} bytes, got {len(text):,}")
    if not (min(size) > 0 and max(size) < 2**32 and 1 <= orientation <= 8 and 0 < len(payload) < 2**32):
        raise ValueError(f"a .semc cannot hold {len(payload):,} bytes for {size}, orientation {orientation}")
    sha256 = hashlib.sha256(payload).digest()
    start = _START.pack(MAGIC, VERSION, 0, orientation, _CODES[format], *size, len(text), len(payload), sha256)
    return start + _CRC.pack(zlib.crc32(text, zlib.crc32(start))) + text + payload


def accept(prefix: bytes) -> bool:
    """Whether a file that begins with ``prefix`` (at least 8 bytes) is a ``.semc`` of any version."""
    return prefix.startswith(MAGIC)


def header_length(fixed: bytes) -> int:
    """Bytes before the payload, from the first 64. Raises SyntaxError or OSError."""
    if not accept(fixed):
        raise SyntaxError("not a .semc file")
    if len(fixed) > len(MAGIC) and (version := fixed[len(MAGIC)]) != VERSION:
        raise OSError(f".semc file has version {version}, which this semcompress does not know; it knows {VERSION}")
    if len(fixed) < FIXED:
        raise OSError(f".semc file is truncated: its header has {FIXED} bytes, got {len(fixed)}")
    length: int = _START.unpack_from(fixed)[7]
    if length > MOST_JUDGEMENT:
        _damaged(f"its judgement has {length:,} bytes, more than {MOST_JUDGEMENT:,}")
    return FIXED + length


def parse(header: bytes) -> Header:
    """What stands before the payload: the first :func:`header_length` bytes. Raises SyntaxError or OSError."""
    if len(header) < header_length(header[:FIXED]):
        raise OSError(".semc file is truncated within its judgement")
    _, _, flags, orientation, code, width, height, judged, length, sha256 = _START.unpack_from(header)
    text = header[FIXED : FIXED + judged]
    (crc,) = _CRC.unpack_from(header, _START.size)
    if crc != zlib.crc32(text, zlib.crc32(header[: _START.size])):
        _damaged("the header's CRC-32 does not fit")
    if flags or code not in FORMATS or not 1 <= orientation <= 8 or not (width and height and length):
        _damaged("the header holds a value that version 1 does not know")
    return Header((width, height), FORMATS[code], length, sha256, _judgement(text), orientation)


def check(header: Header, payload: bytes) -> None:
    """Raise OSError unless ``payload`` is whole and the one that was judged."""
    if len(payload) < header.payload_length:
        raise OSError(f".semc file is truncated: its payload has {header.payload_length} bytes, got {len(payload)}")
    if hashlib.sha256(payload).digest() != header.sha256:
        _damaged("the payload's SHA-256 does not fit")


def _judgement(text: bytes) -> Mapping[str, Any]:
    try:
        judgement = json.loads(text.decode(), parse_constant=_not_json)
    except (ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON, or numbers of a mile
        raise OSError(".semc file is damaged: its judgement is not JSON") from error
    if not isinstance(judgement, dict):
        _damaged("its judgement is not a JSON object")
    return judgement


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _damaged(why: str) -> NoReturn:
    raise OSError(f".semc file is damaged: {why}")
