"""What lies in a file and is handed on by no policy: thumbnails, content credentials, what only its maker can read.

Whatever we write is rid of it. A file that stays as it is keeps it, of which the report of a run tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from semcompress_plugin import exif
from semcompress_plugin.containers import (
    avif_items,
    avif_parts,
    behind,
    between_scans,
    jpeg_segments,
    png_chunks,
    riff_chunks,
)
from semcompress_plugin.tiff import PREFIX

RUBBISH = 100
"""Bytes behind the end of a picture that may be a program's mark, or an end that stands there twice."""
_HANDED_ON = {
    0xE0: (b"JFIF\0",),
    0xE1: (PREFIX, b"http://ns.adobe.com/xap/1.0/\0"),
    0xE2: (b"ICC_PROFILE\0",),
    0xEE: (b"Adobe",),
}
"""Segments of programs in a JPEG, and what those begin with that we write ourselves."""
_JFIF_BYTES = 14
"""Of a JFIF segment without thumbnail (JFIF 1.02)."""
_CHUNKS_OF_WEBP = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"EXIF", b"XMP "}
_CHUNKS_OF_PNG = {
    b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"cICP", b"iCCP", b"gAMA", b"cHRM", b"sRGB",  # pixels and colours
    b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs",
    b"bKGD", b"sBIT", b"hIST", b"sPLT", b"oFFs", b"sCAL", b"sTER", b"iDOT",  # which tell nothing
    b"vpAg", b"caNv",  # ImageMagick's canvas
}  # fmt: skip
_BOXES_OF_AVIF = {b"ftyp", b"meta", b"mdat"}
_MOST_EXIF = 1 << 17
"""Bytes of an AVIF's item that are looked at: no JPEG has room for half as many."""


def has_surplus(data: bytes) -> bool:
    """Whether a JPEG, PNG, WebP or AVIF has anything that none which we write under ``strip-private`` has.

    What :class:`~semcompress_plugin.types.Metadata` holds is compared elsewhere.
    """
    rest = behind(data)
    file = data[: len(data) - len(rest)]
    return (
        any(_is_foreign(*one) for one in jpeg_segments(file))
        or any(kind not in _CHUNKS_OF_PNG for kind, _ in png_chunks(file))
        or any(kind not in _CHUNKS_OF_WEBP for kind, _ in riff_chunks(file))
        or any(kind not in _BOXES_OF_AVIF and body.strip(b"\0") for kind, body in avif_parts(file))
        or exif.has_thumbnail(exif_in(file))
        or exif.is_damaged(exif_in(file))
        or between_scans(data) > 0
        or len(rest.strip(b"\0")) > RUBBISH
    )


def _is_foreign(marker: int, payload: bytes) -> bool:
    if not 0xE0 <= marker <= 0xEF:
        return False
    return not payload.startswith(_HANDED_ON.get(marker, ())) or (marker == 0xE0 and len(payload) > _JFIF_BYTES)


def exif_in(data: bytes) -> bytes:
    """The EXIF of a JPEG, PNG, WebP or AVIF as it is stored; empty for other files, and where there is none."""
    parts = [part for marker, part in jpeg_segments(data) if marker == 0xE1 and part.startswith(PREFIX)]
    if parts:
        return PREFIX + b"".join(part.removeprefix(PREFIX) for part in parts)
    chunks = (*png_chunks(data), *riff_chunks(data))
    blocks = (payload for kind, payload in chunks if kind in (b"eXIf", b"EXIF"))
    return next(chain(blocks, _exif_items(data)), b"")


def _exif_items(data: bytes) -> Iterator[bytes]:
    """An AVIF's EXIF is an item that begins with how far behind these 4 bytes it starts (ISO 23008-12, A.2.1)."""
    for item in avif_items(data, _MOST_EXIF):
        block = item[4 + int.from_bytes(item[:4], "big") :]
        if block.startswith((b"II*\0", b"MM\0*")):
            yield block
