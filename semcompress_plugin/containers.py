"""The parts that picture files are made of, as bytes: for what Pillow does not tell, and before it reads anything.

Nothing here decodes pixels, and nothing raises: what cannot be read ends the walk.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from itertools import chain, islice

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)
"""Not FF 00, which is data of a scan, nor markers without a length (TEM, RST, SOI), nor bytes that fill up."""
_START_OF_SCAN, _END_OF_IMAGE, _COMMENT = 0xDA, 0xD9, 0xFE
_APP1, _APP2, _APP14, _APP15 = 0xE1, 0xE2, 0xEE, 0xEF
_HEAD_OF_SEGMENT = 4
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame (T.81, table B.1); their segments hold precision, height and width."""
_CODING = {*_FRAMES, 0xC4, 0xCC, _START_OF_SCAN, 0xDB, 0xDC, 0xDD}
"""Frames, Huffman codes, arithmetic conditioning, scans, quantisation, number of lines, restart interval."""
_ADOBE, _ADOBE_BYTES = b"Adobe", 12
"""What says whether colours are YCbCr, in APP14: its whole length (Adobe's technical note 5116, section 18)."""
_FILM_IN_XMP = (b"MotionPhoto", b"MicroVideo")
"""What telephones call it (Google's GCamera namespace, 2024)."""
_FILM_BEGINS_WITHIN = 8192
"""Bytes behind the end of a picture: it may be padded to blocks of a disk."""
_CHECKSUM = 4
_IMAGE_DATA_OF_PNG = {b"IDAT", b"fdAT", b"fcTL"}
_PIXELS_OF_PNG = {b"IHDR", b"PLTE", b"tRNS", b"IEND", b"acTL", *_IMAGE_DATA_OF_PNG}
_IMAGE_DATA_OF_WEBP = {b"VP8 ", b"VP8L", b"ANMF"}
_METADATA_OF_WEBP = {b"ICCP", b"EXIF", b"XMP "}
_BOXES_DEEP = 4
_FULL_BOX = 4
"""Bytes of version and flags that a "full" ISO box has before what it holds."""
_ITEM_PROTECTION = 2
_MOST_PARTS = 4096
"""Whoever decodes refuses files of so many, but not before they were looked at."""
_MOST_ITEMS = 1024
"""More than any grid of tiles has, with their transparency."""


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk (PNG specification, 5.3); checksums are left to the decoder."""
    return ((kind, data[at : at + length]) for kind, at, length in _png_places(data))


def _png_places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk, where its payload begins, and how long that says it is."""
    at = len(_PNG) if data.startswith(_PNG) else len(data)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, length
        at += length + 12


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment before the first scan (ITU-T T.81, B.1.1)."""
    for marker, start, end in _jpeg_places(data):
        if marker == _START_OF_SCAN:
            return
        yield marker, data[start:end]


def jpeg_coding(data: bytes) -> bytes:
    """What a JPEG's pixels are decoded from, and nothing else: tables, frame, scans, and how colours are stored.

    Neither the start of the image nor anything that may lie before, between or behind: comments, other people's
    segments, rubbish. It ends with the end of the image where there is a scan.
    """
    parts: list[bytes] = []
    scanned = False
    for marker, start, end in _jpeg_places(data):
        if marker == _END_OF_IMAGE and scanned:
            break
        if marker == _START_OF_SCAN:
            scanned, behind = True, _MARKER.search(data, end)
            end = behind.start() if behind else len(data)
        if marker in _CODING:
            parts.append(data[start - _HEAD_OF_SEGMENT : end])
        elif marker == _APP14 and data.startswith(_ADOBE, start) and end - start >= _ADOBE_BYTES:
            parts.append(segment(marker, data[start : start + _ADOBE_BYTES]))
    return b"".join(parts) + (b"\xff\xd9" if scanned else b"")


def segment(marker: int, payload: bytes) -> bytes:
    """A segment of a JPEG as it is stored: it says its length, two bytes of that included."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def jpeg_scans(data: bytes, most: int) -> int:
    """How many scans a JPEG has (T.81, B.2.3); counting ends at ``most``."""
    count = 0
    for marker, _, _ in _jpeg_places(data):
        count += marker == _START_OF_SCAN
        if count == most or (count and marker == _END_OF_IMAGE):
            break
    return count


def after_jpeg(data: bytes) -> bytes:
    """What lies behind the end of a JPEG: nothing, rubbish, or a film."""
    scanned = False
    for marker, _, end in _jpeg_places(data):
        if marker == _END_OF_IMAGE and scanned:
            return data[end:]
        scanned |= marker == _START_OF_SCAN
    return b""


def _jpeg_places(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker of each segment, and where its payload begins and ends: headers of scans, and ends of image, among them.

    What stands between segments is passed over, as decoders do: the data of scans, and rubbish. A picture within a
    segment, such as a thumbnail, is payload.
    """
    at = len(_JPEG) if data.startswith(_JPEG) else len(data)
    while found := _MARKER.search(data, at):
        marker, at = data[found.start() + 1], found.end()
        if marker == _END_OF_IMAGE:
            yield marker, at, at
            continue
        if at + 2 > len(data):
            return
        start, at = at + 2, at + max(int.from_bytes(data[at : at + 2], "big"), 2)
        yield marker, start, at


def pixels_at_a_glance(data: bytes) -> int:
    """How many pixels a file's header claims; 0 if that cannot be told."""
    return max((width * height for width, height in _sizes(data)), default=0)


def _sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Width and height, turned or not, of the picture in a file, and of its parts."""
    for marker, start, end in islice(_jpeg_places(data), _MOST_PARTS):
        if marker in _FRAMES and min(end, len(data)) - start >= 5:
            yield _pair(">HH", data, start + 1)
            return
    if data.startswith(_PNG) and len(data) >= 24:
        yield _pair(">II", data, 16)
    if data[:3] == b"GIF" and len(data) >= 10:
        yield _pair("<HH", data, 6)
    for kind, payload in islice(riff_chunks(data), _MOST_PARTS):
        if kind == b"VP8X" and len(payload) >= 10:
            yield int.from_bytes(payload[4:7], "little") + 1, int.from_bytes(payload[7:10], "little") + 1
        elif kind == b"VP8L" and len(payload) >= 5:
            bits = int.from_bytes(payload[1:5], "little")
            yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"VP8 " and len(payload) >= 10:
            width, height = _pair("<HH", payload, 6)
            yield width & 0x3FFF, height & 0x3FFF
    for kind, payload in islice(avif_boxes(data), _MOST_PARTS):
        if kind == b"ispe" and len(payload) >= 12:  # a full box (ISO 23008-12, 6.5.3)
            yield _pair(">II", payload, 4)


def _pair(layout: str, data: bytes, at: int) -> tuple[int, int]:
    one, other = struct.unpack_from(layout, data, at)
    return one, other


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk of a WebP (RFC 9649, 2.3)."""
    return ((kind, data[at : at + length]) for kind, at, length in _riff_places(data))


def _riff_places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk, where its payload begins, and how long that says it is."""
    at = 12 if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else len(data)
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, at + 8, length
        at += 8 + length + (length & 1)


def gif_frames(data: bytes, most: int) -> int:
    """How many pictures a GIF holds (GIF89a, 20); counting ends at ``most``."""
    if data[:3] != b"GIF" or len(data) < 13:
        return 0
    at, count = 13 + _gif_palette(data[10]), 0
    while count < most and at < len(data):
        if data[at] == 0x21:  # an extension: its label, then blocks
            at += 2
        elif data[at] == 0x2C and at + 10 < len(data):  # a picture: place, size, flags, palette, code size, then blocks
            count += 1
            at += 11 + _gif_palette(data[at + 9])
        else:
            break
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return count


def avif_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and payload of the boxes that describe an AVIF: those in ``meta``, four deep (ISO 14496-12, 4.2)."""
    for kind, body in _boxes(data):
        if kind == b"meta":
            yield from _below(body[_FULL_BOX:], _BOXES_DEEP)


def avif_parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and payload of the boxes that an AVIF is made of (ISO 14496-12, 4.2)."""
    return _boxes(data) if data[4:8] == b"ftyp" else iter(())


def avif_items(data: bytes, most: int) -> Iterator[bytes]:
    """The first bytes, ``most`` at most, of each of an AVIF's items (``iloc``: ISO 14496-12, 8.11.3)."""
    meta = next((body[_FULL_BOX:] for kind, body in avif_parts(data) if kind == b"meta"), b"")
    boxes = {kind: body for kind, body in _boxes(meta) if kind in (b"iloc", b"idat")}
    with contextlib.suppress(struct.error):
        for within, start, length in islice(_item_places(boxes.get(b"iloc", b"")), _MOST_ITEMS):
            yield (boxes.get(b"idat", b"") if within else data)[start : start + min(length or most, most)]


def _item_places(iloc: bytes) -> Iterator[tuple[bool, int, int]]:
    """Whether an item is in ``idat``, where there or in the file its first extent begins, and how long that is.

    Raises struct.error where the box ends.
    """
    at = 0

    def read(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise struct.error("cut off")
        return int.from_bytes(iloc[at - size : at], "big")

    version, _, sizes, more = read(1), read(3), read(1), read(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    for _ in range(read(4 if version == 2 else 2)):
        read(4 if version == 2 else 2)
        method = read(2) & 15 if version else 0
        read(2)
        base, extents = read(base_size), read(2)
        if extents:
            read(index_size)
            yield method == 1, base + read(offset_size), read(length_size)
            read((extents - 1) * (index_size + offset_size + length_size))


def metadata_parts(data: bytes) -> Iterator[int]:
    """How many bytes each part of a JPEG, PNG or WebP takes that is not needed for its pixels, as it is stored.

    Parts are segments up to the end of the image and chunks, those of image data left out: there is one for each frame,
    or for every few kilobytes. Such as pixels need, or as lie where nobody reads metadata, are 0 bytes, and so are an
    AVIF's boxes. Nothing is copied and nothing read ahead, so that whoever asks may stop. Other files have no parts.
    """
    scanned = False
    for marker, start, end in _jpeg_places(data):
        if scanned and marker == _END_OF_IMAGE:
            break
        scanned |= marker == _START_OF_SCAN
        read = not scanned and (marker == _COMMENT or _is_app(marker))
        yield min(end, len(data)) - start + _HEAD_OF_SEGMENT if read else 0
    for _ in chain(avif_parts(data), avif_boxes(data)):
        yield 0
    for kind, at, length in _png_places(data):
        if kind not in _IMAGE_DATA_OF_PNG or not length:
            yield 0 if kind in _PIXELS_OF_PNG else min(at + length + 4, len(data)) - at + 8
    for kind, at, length in _riff_places(data):
        if kind not in _IMAGE_DATA_OF_WEBP or not length:
            yield min(at + length, len(data)) - at + 8 if kind in _METADATA_OF_WEBP else 0


def has_gain_map(data: bytes) -> bool:
    """Whether a JPEG or AVIF carries a second picture that makes it brighter on HDR screens (ISO 21496-1)."""
    jpeg = any(
        (marker == _APP2 and payload.startswith(b"urn:iso:std:iso:ts:21496"))
        or (marker == _APP1 and (b"http://ns.adobe.com/hdr-gain-map/" in payload or b"HDRGainMap" in payload))
        for marker, payload in jpeg_segments(data)
    )
    # an item of type tmap derives the HDR picture from the plain one and the map
    return jpeg or any(kind == b"infe" and _item_type(payload) == b"tmap" for kind, payload in avif_boxes(data))


def _item_type(infe: bytes) -> bytes:
    """What kind of item an ``infe`` box describes (ISO 14496-12, 8.11.6): its number is longer in version 3."""
    at = _FULL_BOX + (4 if infe[:1] == b"\x03" else 2) + _ITEM_PROTECTION
    return infe[at : at + 4]


def has_film(data: bytes) -> bool:
    """Whether a film lies behind a JPEG, as telephones make 'motion' or 'live' photos."""
    behind = after_jpeg(data)
    if not behind.strip(b"\0"):
        return False
    told = any(word in payload for marker, payload in jpeg_segments(data) if marker == _APP1 for word in _FILM_IN_XMP)
    return told or b"ftyp" in behind[:_FILM_BEGINS_WITHIN] or b"MotionPhoto_Data" in behind


def behind(data: bytes) -> bytes:
    """What lies behind the end of a JPEG, PNG or WebP: no reader of pictures looks at it."""
    for kind, at, length in _png_places(data):
        if kind == b"IEND":
            return data[at + length + _CHECKSUM :]
    if any(_riff_places(data)):
        return data[8 + int.from_bytes(data[4:8], "little") :]
    return after_jpeg(data)


def between_scans(data: bytes) -> int:
    """How many bytes a JPEG holds in comments and segments of programs between its first scan and its end."""
    amount, scanned = 0, False
    for marker, start, end in _jpeg_places(data):
        if scanned and marker == _END_OF_IMAGE:
            break
        scanned |= marker == _START_OF_SCAN
        if scanned and (marker == _COMMENT or _is_app(marker)):
            amount += min(end, len(data)) - start
    return amount


def avif_colours(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer function that an AVIF names by number (ITU-T H.273), or None."""
    for kind, payload in avif_boxes(data):
        if kind == b"colr" and payload[:4] == b"nclx" and len(payload) >= 8:
            primaries, transfer = struct.unpack_from(">HH", payload, 4)
            return primaries, transfer
    return None


def _gif_palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _is_app(marker: int) -> bool:
    return _APP1 <= marker <= _APP15


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for _ in range(_MOST_PARTS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1 and at + 16 <= len(data):
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if length == 0:
            length = len(data) - at
        if length < head:
            return
        yield kind, data[at + head : at + length]
        at += length


def _below(data: bytes, levels: int) -> Iterator[tuple[bytes, bytes]]:
    for kind, body in _boxes(data):
        yield kind, body
        if levels and kind in (b"iprp", b"ipco"):
            yield from _below(body, levels - 1)
        elif levels and kind == b"iinf":  # a full box; how many there are takes 2 bytes in version 0, else 4
            yield from _below(body[_FULL_BOX + (2 if body[:1] == b"\0" else 4) :], levels - 1)
