"""A JPEG's or WebP's own image data, packed anew: no pixel changes, and what the rule drops is gone."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping

from PIL import Image

from semcompress_plugin.compressors._mozjpeg import packed_apart
from semcompress_plugin.containers import jpeg_coding, jpeg_segments, riff_chunks, segment
from semcompress_plugin.errors import ImageError
from semcompress_plugin.images import file_of, save_parameters
from semcompress_plugin.types import Metadata, Reference, Settings

_APP0, _APP14, _APP15, _COMMENT = 0xE0, 0xEE, 0xEF, 0xFE
_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")
_ICC, _ALPHA, _EXIF, _XMP = 0x20, 0x10, 0x08, 0x04
"""Flags of a WebP's VP8X chunk (RFC 9649, 2.7)."""


class RepackCompressor:
    """The source's coded pixels in a new file, with the metadata that is wanted: nothing is lost.

    A JPEG's coefficients go into the scans that mozjpeg finds smallest. What is written is decoded and compared with
    the picture, pixel by pixel. Raises ValueError where it is not the same, as of a picture that is to be turned or
    whose colours are to be converted: that takes a new coding.
    """

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        if reference.source is None or reference.format != format:
            raise ValueError(f"there is no {format} file to repack")
        data = _REPACKED[format](reference.source, reference.metadata)
        try:
            pixels = file_of(data)
        except ImageError as error:
            raise ValueError(f"what it repacked {error}") from error
        if pixels.mode != reference.image.mode or pixels.tobytes() != reference.image.tobytes():
            raise ValueError("its pixels are to be turned or converted, which takes a new coding")
        return data


def _jpeg(source: bytes, metadata: Metadata) -> bytes:
    """The wanted metadata, and what pixels are decoded from."""
    wanted = list(jpeg_segments(_stub("JPEG", metadata)))
    # a JFIF segment says YCbCr: where there was none, it may be untrue
    jfif = any(marker == _APP0 and payload.startswith(b"JFIF\0") for marker, payload in jpeg_segments(source))
    beside = (one for one in wanted if _is_beside(one[0]) or (jfif and one[0] == _APP0))
    return packed_apart(b"\xff\xd8" + b"".join(segment(*one) for one in beside) + jpeg_coding(source))


def _is_beside(marker: int) -> bool:
    return (_APP0 < marker <= _APP15 and marker != _APP14) or marker == _COMMENT


def _webp(source: bytes, metadata: Metadata) -> bytes:
    """The extended format where anything lies beside the pixels or says that they are transparent (RFC 9649, 2.7)."""
    found, wanted = dict(riff_chunks(source)), dict(riff_chunks(_stub("WEBP", metadata)))
    pixels = [(kind, found[kind]) for kind in _PIXELS if kind in found]
    beside = {kind: wanted[kind] for kind in (b"ICCP", b"EXIF", b"XMP ") if kind in wanted}
    if b"VP8X" in found and (beside or b"ALPH" in found):
        says = {b"ICCP": _ICC, b"EXIF": _EXIF, b"XMP ": _XMP}
        flags = found[b"VP8X"][0] & _ALPHA | sum(says[kind] for kind in beside)
        extended = [(b"VP8X", bytes([flags]) + found[b"VP8X"][1:])]
        profile = [(b"ICCP", beside.pop(b"ICCP"))] if b"ICCP" in beside else []
        pixels = [*extended, *profile, *pixels, *beside.items()]
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2) for kind, payload in pixels
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _stub(format: str, metadata: Metadata) -> bytes:
    """A file of one pixel that has the metadata, as Pillow writes it."""
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, format, **save_parameters(metadata, format))
    return out.getvalue()


_REPACKED: Mapping[str, Callable[[bytes, Metadata], bytes]] = {"JPEG": _jpeg, "WEBP": _webp}
