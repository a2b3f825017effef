"""What a file says in a way that some readers heed and others do not: whatever we wrote would be wrong for some."""

from __future__ import annotations

from collections import Counter

from semcompress_plugin import exif
from semcompress_plugin.containers import jpeg_segments, png_chunks
from semcompress_plugin.tiff import PREFIX

_PALETTE, _PIXELS, _END = b"PLTE", b"IDAT", b"IEND"
_COLOURS = {b"cICP", b"iCCP", b"gAMA", b"cHRM", b"sRGB"}
"""Chunks that stand once, before palette and pixels (PNG specification, 5.6)."""
_TRANSPARENCY = b"tRNS"
"""It stands once, before the pixels."""
_APP1, _APP2 = 0xE1, 0xE2
_EXIF = PREFIX[:-1]
"""Chromium passes over the byte behind it, others want 0."""
_PROFILE = b"ICC_PROFILE\0"


def doubt(format: str | None, data: bytes, block: bytes | None) -> str | None:
    """What readers of a file of ``format`` disagree about, as the end of a sentence; None where that is nothing.

    ``block`` is the EXIF that we take for the file's, wherever we found it. In an AVIF boxes turn the picture.
    """
    if format != "AVIF" and exif.is_disputed(block):
        return "is turned by EXIF that is cut off, or not said as the standard has it"
    if format == "PNG":
        return _chunks_in_doubt(data, exif.orientation(block) or 1)
    return _segments_in_doubt(data) if format == "JPEG" else None


def _chunks_in_doubt(data: bytes, orientation: int) -> str | None:
    """Browsers pass over what comes too late; Pillow, and everybody who finds it in front afterwards, does not."""
    seen: Counter[bytes] = Counter()
    turns, early = [], True
    for kind, payload in png_chunks(data):
        if kind == _END:
            break
        if kind in _COLOURS or kind == _TRANSPARENCY:
            late = seen[_PIXELS] or (seen[_PALETTE] and kind in _COLOURS)
            if late or seen[kind]:
                return f"has {kind.decode()} twice, or too late"
        if kind == b"eXIf":
            turns.append(exif.orientation(PREFIX + payload) or 1)
            early &= not seen[_PIXELS]
        seen[kind] += 1
    if any(turn != 1 for turn in (*turns, orientation)) and not (early and len(turns) == 1):
        return "is turned by an eXIf that comes twice or too late, or by a text"
    return None


def _segments_in_doubt(data: bytes) -> str | None:
    """Parts of a profile are numbered from 1, and each says how many there are (ICC.1, B.4)."""
    parts = []
    for marker, payload in jpeg_segments(data):
        if marker == _APP1 and payload.startswith(_EXIF) and not payload.startswith(PREFIX):
            return "has EXIF that begins as none should"
        if marker == _APP2 and payload.startswith(_PROFILE):
            parts.append(tuple(payload[len(_PROFILE) :][:2]))
    whole = [(number, len(parts)) for number in range(1, len(parts) + 1)]
    return None if sorted(parts) == whole else "has a colour profile of which parts are missing or come twice"
