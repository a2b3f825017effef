"""What travels beside the pixels: read from a picture as a policy wants it, and handed to an encoder.

docs/metadata.md has the table of what becomes of what; tests/metadata_table.py holds the same table against files.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from PIL import Image, PngImagePlugin

from semcompress_plugin import exif
from semcompress_plugin.containers import jpeg_segments, png_chunks, segment
from semcompress_plugin.profiles import space_of
from semcompress_plugin.types import Metadata, MetadataPolicy, OrientationPolicy, Reference

_XMP_ORIENTATION = re.compile(
    rb"""tiff:Orientation\s*+=\s*+(["'])\s*+([0-9])\s*+\1|<tiff:Orientation>\s*+([0-9])\s*+</tiff:Orientation>"""
)
"""An attribute or an element. It begins with text and gives no space back: what strangers write is read once."""
_PANORAMA = b"http://ns.google.com/photos/1.0/panorama/"
_APP0, _APP1, _APP2, _APP8, _APP11, _APP13, _APP14, _APP15, _COMMENT = (
    0xE0, 0xE1, 0xE2, 0xE8, 0xEB, 0xED, 0xEE, 0xEF, 0xFE,
)  # fmt: skip
_NOT_COPIED: Mapping[int, bytes | tuple[bytes, ...]] = {
    _APP0: b"",  # density, written anew, and a thumbnail
    _APP1: (b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"),  # written anew
    _APP2: (b"ICC_PROFILE\0", b"MPF\0"),  # written anew; where other pictures lie in a file that was another
    _APP8: b"SPIFF\0",  # size and colours as they were
    _APP11: b"",  # content credentials, which vouch for bytes that are gone
    _APP14: b"",  # how the pixels are stored
}
"""What segments of a JPEG begin with that its new file has otherwise, or that would be untrue in it."""
_PHOTOSHOP = b"Photoshop 3.0\0"
_PHOTOSHOP_RESOURCES = {b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa"}
_LONGEST_SEGMENT = 0xFFFF - 2
_PHOTOSHOP_THUMBNAILS = {0x0409, 0x040C}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_PUBLIC_TEXTS = {b"Title", b"Author", b"Description", b"Copyright", b"Creation Time"}
"""Keywords of the PNG specification (11.3.3.2) that say what EXIF's public tags say."""
_DRAWINGS = {
    b"mxfile": "draw.io", b"mxGraphModel": "draw.io", b"application/vnd.excalidraw+json": "Excalidraw",
    b"plantuml": "PlantUML",
}  # fmt: skip
"""Keywords under which programs keep what they drew the picture from: without it nobody can edit the drawing again."""
_CARRIED_OTHERWISE = {
    b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1", b"Raw profile type xmp",
}  # fmt: skip
_EXIF_BY_PRIVATE_NAMES = {b"exIf", b"zxIf"}
_COLOURS = (b"cICP", b"gAMA", b"cHRM", b"sRGB")
_SRGB_GAMMA = 45455
_SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""White, red, green, blue; in 1/100,000 (PNG specification, 11.3.2.1)."""
_SRGB_NUMBERS = b"\x01\x0d\0\x01"
_ROUNDING = 1000
_COLOUR_ALONE = ("WEBP", "AVIF")
"""Formats that we write in colour whatever the picture: a profile for other pixels is passed over, or shows nothing."""


def metadata_of(
    image: Image.Image,
    policy: MetadataPolicy,
    source: bytes | None = None,
    orientation: OrientationPolicy = "apply",
) -> Metadata:
    """What ``policy`` wants written back of an image's metadata; its orientation only where that is to be kept.

    ``source`` is the file that the image comes from, where there is one: Pillow does not tell everything.
    """
    icc = image.info.get("icc_profile") or None
    chunks = list(png_chunks(source)) if source else []
    colours = _colour_chunks(chunks) if chunks else _colour_info(image)
    block, turned = exif_block(image), orientation == "keep"
    shown = exif.shown_size(block, image.size) if image.format == "JPEG" else None
    if policy == "strip-all":
        how = exif.how_shown(block, shown, turned=turned) if block else None
        return Metadata(icc_profile=icc, exif=how, png_chunks=colours)
    keep = policy == "keep"
    texts = tuple(_beside_pixels(chunks, keep))
    return Metadata(
        icc_profile=icc,
        exif=_exif(block, shown, keep, turned),
        # XMP may repeat places and serial numbers under any name
        xmp=_xmp(image) if keep else None,
        dpi=_dpi(image),
        png_chunks=colours + texts,
        jpeg_segments=tuple(_segments(source)) if keep and source else (),
        comment=_comment(image) if keep else None,
    )


def _exif(block: bytes | None, shown: tuple[int, int] | None, keep: bool, turned: bool) -> bytes | None:
    if block is None:
        return None
    return exif.whole(block, turned=turned) if keep else exif.public(block, shown, turned=turned)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch, across and down; None where an image says nothing of it, or nothing that can be read."""
    dpi = image.info.get("dpi")
    if not isinstance(dpi, (tuple, list)):
        return None
    try:
        across, down = map(float, dpi)
    except (TypeError, ValueError, OverflowError):
        return None
    return (across, down) if math.isfinite(across) and math.isfinite(down) else None


def save_parameters(metadata: Metadata, format: str) -> dict[str, Any]:
    """Keyword arguments that make ``Image.save`` write ``metadata`` into a file of ``format``.

    Everything is passed explicitly, also as empty, since Pillow otherwise falls back to what it finds in the image.
    Raises ValueError where the format cannot say what the colours mean.
    """
    if format != "PNG" and not _says_all(metadata):
        raise ValueError("its colours are described by gAMA, cHRM or cICP, which only PNG has, and not by a profile")
    if (
        format in _COLOUR_ALONE
        and metadata.icc_profile is not None
        and (space := space_of(metadata.icc_profile)) != "RGB"
    ):
        what = "damaged" if space is None else f"for {space}, not RGB (icc: srgb converts what can be converted)"
        raise ValueError(f"its colour profile is {what}")
    parameters: dict[str, Any] = {"icc_profile": metadata.icc_profile, "exif": metadata.exif or b""}
    if format == "AVIF" and metadata.exif:
        parameters["exif"] = exif.for_avif(metadata.exif)
    if format in ("JPEG", "WEBP", "AVIF"):
        parameters["xmp"] = metadata.xmp or b""
    if format in ("JPEG", "PNG") and metadata.dpi:
        parameters["dpi"] = metadata.dpi
    if format == "JPEG":
        parameters["comment"] = metadata.comment or b""
        parameters["extra"] = b"".join(segment(*one) for one in metadata.jpeg_segments)
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for kind, payload in metadata.png_chunks:
            chunks.add(kind, payload)
        if metadata.xmp:
            chunks.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
        comments = [payload for marker, payload in metadata.jpeg_segments if marker == _COMMENT]
        for comment in filter(None, (*comments, metadata.comment)):
            chunks.add_itxt("Comment", comment.decode("utf-8", "replace"))
        parameters["pnginfo"] = chunks
    return parameters


def carries(here: Metadata, wanted: Metadata) -> bool:
    """Whether a file that has all of ``here`` needs no change where ``wanted`` is what it should have.

    What says how pixels look, EXIF and XMP must be the same; of what only some formats have a place for, nothing may
    be too much.
    """
    same = (here.icc_profile, here.xmp) == (wanted.icc_profile, wanted.xmp) and exif.alike(here.exif, wanted.exif)
    parts = {*here.png_chunks, *here.jpeg_segments}
    return same and parts <= {*wanted.png_chunks, *wanted.jpeg_segments} and here.comment in (None, wanted.comment)


def lost_in(format: str, reference: Reference, *, replaces: bool) -> str | None:
    """What would be lost of a picture in a file of ``format``, in its place or beside it; None where nothing would.

    Colours are not among it: whether those can be said depends on what a compressor makes of the pixels.
    """
    metadata, size = reference.metadata, reference.image.size
    if format == reference.format:
        return None
    if reference.format == "WEBP" and reference.orientation != 1:
        return "is turned by EXIF, on which readers disagree in a WebP"
    if replaces and format != "PNG":
        for keyword in map(_keyword, metadata.png_chunks):
            if keyword in _DRAWINGS:
                return f"holds its {_DRAWINGS[keyword]} drawing, for which only PNG has a place"
    if "JPEG" in (format, reference.format):
        shown = exif.shown_size(metadata.exif, size if reference.orientation < 5 else size[::-1])
        if shown:
            return f"says in EXIF that it is shown as {shown[0]} x {shown[1]}, which browsers heed in JPEG only"
    return None


def exif_block(image: Image.Image) -> bytes | None:
    """An image's EXIF as it is stored, wherever its format keeps it."""
    block = image.info.get("exif")
    if isinstance(block, bytes) and block:
        return block
    raw = image.info.get("Raw profile type exif") or image.info.get("Raw profile type APP1")
    return _raw_profile(raw) if isinstance(raw, str) else None


def xmp_orientation(image: Image.Image) -> int | None:
    """The orientation that XMP claims, 0 to 9, or None."""
    found = _XMP_ORIENTATION.search(_xmp_packet(image) or b"")
    return int(found[2] or found[3]) if found else None


def is_panorama(image: Image.Image) -> bool:
    """Whether XMP says how viewers are to show the picture all around (Google's namespace GPano)."""
    packet = _xmp_packet(image) or b""
    return _PANORAMA in packet and b"ProjectionType" in packet


def _xmp(image: Image.Image) -> bytes | None:
    """XMP without orientation, which some readers take from here where EXIF has none, or rather than from EXIF."""
    packet = _xmp_packet(image)
    return b"".join(_without_orientation(packet)) if packet else None


def _without_orientation(packet: bytes) -> Iterator[bytes]:
    """What stands around attributes, which go with the white space before them, and elements that say orientation."""
    done = 0
    for found in _XMP_ORIENTATION.finditer(packet):
        before = packet[done : found.start()]
        yield before.rstrip() if found[2] else before
        done = found.end()
    yield packet[done:]


def _xmp_packet(image: Image.Image) -> bytes | None:
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not found and isinstance(raw := image.info.get("Raw profile type xmp"), str):
        found = _raw_profile(raw)
    return found.encode() if isinstance(found, str) else found or None


def _raw_profile(text: str) -> bytes | None:
    """A profile as ImageMagick writes it into text: a newline, its kind, its length, and hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:])) or None
    except ValueError:
        return None


def _comment(image: Image.Image) -> bytes | None:
    found = image.info.get("comment")
    return found if isinstance(found, bytes) and found else None


def _segments(source: bytes) -> Iterator[tuple[int, bytes]]:
    """What only JPEG has a place for: the rest of a long XMP packet, IPTC with what else Photoshop keeps there, the
    comments before the last, and what makers keep in segments of their own.
    """
    photoshop, comments = [], []
    for marker, payload in jpeg_segments(source):
        if marker == _COMMENT:
            comments.append(payload)
        elif marker == _APP13 and payload.startswith(_PHOTOSHOP):
            photoshop.append(payload[len(_PHOTOSHOP) :])
        elif _APP0 <= marker <= _APP15 and not (marker in _NOT_COPIED and payload.startswith(_NOT_COPIED[marker])):
            yield marker, payload
    # one of them may go on in the next segment
    resources = b"".join(_without_thumbnails(b"".join(photoshop)))
    step = _LONGEST_SEGMENT - len(_PHOTOSHOP)
    yield from ((_APP13, _PHOTOSHOP + resources[at : at + step]) for at in range(0, len(resources), step))
    yield from ((_COMMENT, comment) for comment in comments[:-1])


def _without_thumbnails(blocks: bytes) -> Iterator[bytes]:
    """Photoshop's image resources: '8BIM', number, padded name, length, padded data (Adobe's file format, 2019).

    What is none is handed on as it is.
    """
    at = 0
    while blocks[at : at + 4] in _PHOTOSHOP_RESOURCES and at + 7 <= len(blocks):
        (number,) = struct.unpack_from(">H", blocks, at + 4)
        name = 1 + blocks[at + 6]
        data = at + 6 + name + name % 2
        length = int.from_bytes(blocks[data : data + 4], "big")
        end = data + 4 + length + length % 2
        if number not in _PHOTOSHOP_THUMBNAILS:
            yield blocks[at:end]
        at = end
    yield blocks[at:]


def _beside_pixels(chunks: Iterable[tuple[bytes, bytes]], keep: bool) -> Iterator[tuple[bytes, bytes]]:
    for chunk in chunks:
        keyword = _keyword(chunk)
        if keyword is not None:
            if keyword not in _CARRIED_OTHERWISE and (keep or keyword in _PUBLIC_TEXTS or keyword in _DRAWINGS):
                yield chunk
        elif keep and (chunk[0] == b"tIME" or _may_be_copied(chunk[0])):
            yield chunk


def _may_be_copied(kind: bytes) -> bool:
    """Whether a private chunk says by its name that it holds true of other pixels, too (PNG specification, 5.4)."""
    copied = kind.isalpha() and kind[:2].islower() and kind[3:].islower()
    return copied and kind not in _EXIF_BY_PRIVATE_NAMES


def _keyword(chunk: tuple[bytes, bytes]) -> bytes | None:
    """What a chunk of text calls itself; None for other chunks."""
    kind, payload = chunk
    return payload.split(b"\0", 1)[0] if kind in _TEXTS else None


def _colour_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple({kind: (kind, payload) for kind, payload in chunks if kind in _COLOURS}.values())


def _colour_info(image: Image.Image) -> tuple[tuple[bytes, bytes], ...]:
    """gAMA, cHRM and sRGB as PNG stores them (PNG specification, 11.3.2), of an image whose file is not at hand."""
    chunks: list[tuple[bytes, bytes]] = []
    info = image.info
    if image.format == "PNG":
        if "gamma" in info:
            chunks.append((b"gAMA", _fixed_point(info["gamma"])))
        if "chromaticity" in info:
            chunks.append((b"cHRM", b"".join(map(_fixed_point, info["chromaticity"]))))
        if "srgb" in info:
            chunks.append((b"sRGB", bytes([info["srgb"]])))
    return tuple(chunks)


def _fixed_point(value: float) -> bytes:
    return round(value * 100_000).to_bytes(4, "big")


def _says_all(metadata: Metadata) -> bool:
    """Whether a picture looks the same without the chunks that only PNG has, beside its profile or without one.

    cICP overrules a profile, which overrules everything else unless it is damaged (PNG specification, 4.3).
    """
    if metadata.icc_profile is None:
        return _is_srgb(metadata.png_chunks)
    if any(kind == b"cICP" for kind, _ in metadata.png_chunks):
        return False
    return _is_srgb(metadata.png_chunks) or space_of(metadata.icc_profile) is not None


def _is_srgb(chunks: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a picture without these chunks would look the same: they say sRGB, or next to it, or nothing."""
    found = dict(chunks)
    if b"cICP" in found:
        return found[b"cICP"] == _SRGB_NUMBERS
    if b"sRGB" in found:
        return True
    gamma, primaries = found.get(b"gAMA"), found.get(b"cHRM")
    if gamma is not None and abs(int.from_bytes(gamma, "big") - _SRGB_GAMMA) > _ROUNDING:
        return False
    if primaries is None:
        return True
    values = struct.unpack(">8I", primaries.ljust(32, b"\0")[:32])
    return all(abs(one - other) <= _ROUNDING for one, other in zip(values, _SRGB_CHROMATICITIES, strict=True))
