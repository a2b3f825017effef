"""From a file's bytes to upright pixels with their metadata, and back to what an encoder needs.

Whatever we could damage is refused here: animations, CMYK, more than 8 bits a channel, several pictures in one file.
"""

from __future__ import annotations

import io
import re
from pathlib import PurePath
from typing import Any, Literal

from PIL import Image, ImageOps, PngImagePlugin

from semcompress_plugin.errors import ImageError, UnsupportedImageError
from semcompress_plugin.types import Metadata, Reference

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF")
"""What we open; every further decoder would be one more that strangers' files can attack."""

SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".gif": "GIF",
}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")

MetadataPolicy = Literal["keep", "strip-private", "strip-all"]

_LFS = b"version https://git-lfs.github.com/spec/"
_ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0112, 0x8769, 0x8825
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>')
# What says how a picture was made and whose it is, and nothing about where, by which body, or by whom else: an
# allowlist, because makers invent new tags for serial numbers and places.
_PUBLIC_TAGS = {
    0x010E, 0x010F, 0x0110, 0x0132, 0x013B, 0x8298,  # description, make, model, date, artist, copyright
}  # fmt: skip
_PUBLIC_EXIF_TAGS = {
    0x829A, 0x829D, 0x8822, 0x8827, 0x9000, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012,  # exposure, dates, time zones
    0x9201, 0x9202, 0x9203, 0x9204, 0x9205, 0x9206, 0x9207, 0x9208, 0x9209, 0x920A,  # shutter … focal length
    0xA001, 0xA402, 0xA403, 0xA404, 0xA405, 0xA406, 0xA434,  # colour space, modes, lens model
}  # fmt: skip


def decode(
    data: bytes,
    name: str | None = None,
    metadata: MetadataPolicy = "keep",
    max_pixels: int | None = None,
) -> Reference:
    """The picture in ``data``, upright, with the metadata that the policy wants kept.

    ``name`` is the file's name, whose suffix must agree with the content. Raises :class:`UnsupportedImageError` for
    sound pictures that we leave alone and :class:`ImageError` for everything that is not a whole picture.
    """
    image = _open(data, max_pixels)
    assert image.format is not None  # a picture that was opened from bytes has one
    expected = SUFFIXES.get(PurePath(name).suffix.lower()) if name else None
    if expected and expected != image.format and image.format != "MPO":
        suffix = PurePath(name or "").suffix
        raise ImageError(f"holds {image.format}, not {expected} as {suffix!r} says: rename the file")
    _refuse_unsupported(image, data)
    pixels = _load(image)
    upright = _upright(pixels)
    return Reference(upright, source=data, format=image.format, metadata=metadata_of(pixels, metadata))


def decode_candidate(data: bytes) -> Image.Image:
    """The upright pixels of a file that one of our compressors wrote."""
    return _upright(_load(_open(data, None)))


def metadata_of(image: Image.Image, policy: MetadataPolicy) -> Metadata:
    """What ``policy`` wants written back of an image's metadata. Orientation is left out of EXIF, in the image too."""
    icc = image.info.get("icc_profile") or None
    chunks = _colour_chunks(image) if image.format == "PNG" else ()
    if policy == "strip-all":
        return Metadata(icc_profile=icc, png_chunks=chunks)
    dpi = image.info.get("dpi")
    return Metadata(
        icc_profile=icc,
        exif=_exif(image, private=policy == "keep"),
        # XMP may repeat places and serial numbers under any name
        xmp=_xmp(image) if policy == "keep" else None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
        png_chunks=chunks,
    )


def has_transparency(image: Image.Image) -> bool:
    """Whether any pixel is not fully opaque."""
    if not image.has_transparency_data:
        return False
    alpha = image.convert("RGBA").getchannel("A")
    return alpha.histogram()[255] < image.width * image.height


def renditions(image: Image.Image) -> tuple[Image.Image, ...]:
    """``image`` as readers get it: mode RGB; a transparent one twice, on white and on black, and the worse counts.

    On one ground alone, white letters on nothing would be invisible and could be damaged freely.
    """
    if not has_transparency(image):
        # by way of RGBA, for a palette may come with an alpha channel that is opaque throughout
        plain = image.convert("RGBA") if image.has_transparency_data else image
        return (plain if plain.mode == "RGB" else plain.convert("RGB"),)
    rgba = image.convert("RGBA")
    return tuple(
        Image.alpha_composite(Image.new("RGBA", image.size, ground), rgba).convert("RGB")
        for ground in ("white", "black")
    )


def save_parameters(metadata: Metadata, format: str) -> dict[str, Any]:
    """Keyword arguments that make ``Image.save`` write ``metadata`` into a file of ``format``.

    Everything is passed explicitly, also as empty, since Pillow otherwise falls back to what it finds in the image.
    """
    parameters: dict[str, Any] = {"icc_profile": metadata.icc_profile, "exif": metadata.exif or b""}
    if format in ("JPEG", "WEBP", "AVIF"):
        parameters["xmp"] = metadata.xmp or b""
    if format in ("JPEG", "PNG") and metadata.dpi:
        parameters["dpi"] = metadata.dpi
    if format == "JPEG":
        parameters["comment"] = b""
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for kind, payload in metadata.png_chunks:
            chunks.add(kind, payload)
        if metadata.xmp:
            chunks.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
        parameters["pnginfo"] = chunks
    return parameters


def _open(data: bytes, max_pixels: int | None) -> Image.Image:
    if not data:
        raise ImageError("is empty: delete it or put the picture back")
    if data.startswith(_LFS):
        raise UnsupportedImageError("is a Git LFS pointer, not a picture: run `git lfs pull` first")
    limit = max_pixels or Image.MAX_IMAGE_PIXELS
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"is too large: {error}") from error
    except MemoryError as error:
        raise ImageError("needs more memory than there is") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(
            f"is not a picture that can be read ({', '.join(FORMATS)}) or its header is damaged"
        ) from error
    pixels = image.width * image.height
    if limit is not None and pixels > limit:
        raise ImageError(f"has {pixels:,} pixels, more than {limit:,}: raise limits.max_pixels in the policy")
    if not pixels:
        raise ImageError("has no pixels")
    return image


def _refuse_unsupported(image: Image.Image, data: bytes) -> None:
    if image.format == "MPO" or getattr(image, "n_frames", 1) > 1:
        kind = "several pictures in one JPEG (MPO or HDR gain map)" if image.format == "MPO" else "animated"
        raise UnsupportedImageError(f"is {kind}: left alone")
    if image.format == "GIF":
        raise UnsupportedImageError("is a GIF, which no compressor here writes: left alone")
    if image.mode not in MODES:
        raise UnsupportedImageError(f"has pixels of mode {image.mode}, which are not kept exactly yet: left alone")
    if _deep(image.format, data):
        raise UnsupportedImageError("has more than 8 bits a channel, which would be lost: left alone")


def _deep(format: str | None, data: bytes) -> bool:
    """Whether the file stores more than 8 bits a channel, which Pillow hides by clipping."""
    if format == "PNG":
        return data[24] > 8  # IHDR's bit depth; the PNG specification puts it there in every file
    if format == "AVIF":
        at = data.find(b"av1C")  # AV1CodecConfigurationBox: marker+version, profile+level, tier+high_bitdepth+…
        return at >= 0 and len(data) > at + 6 and bool(data[at + 6] & 0x40)
    return False


def _load(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except MemoryError as error:
        raise ImageError("needs more memory than there is") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(f"is damaged or cut off: {error}") from error
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # an unreadable EXIF block says nothing about the pixels
        return image
    return upright


def _exif(image: Image.Image, *, private: bool) -> bytes | None:
    """EXIF without orientation (it has been applied) and thumbnail (it would show the old picture)."""
    try:
        exif = image.getexif()
        exif.pop(_ORIENTATION, None)
        if not private:
            details = exif.get_ifd(_EXIF_IFD)
            public = {tag: value for tag, value in exif.items() if tag in _PUBLIC_TAGS}
            public_details = {tag: value for tag, value in details.items() if tag in _PUBLIC_EXIF_TAGS}
            exif = Image.Exif()
            exif.update(public)
            if public_details:
                exif.get_ifd(_EXIF_IFD).update(public_details)
        return exif.tobytes() if len(exif) or exif.get_ifd(_EXIF_IFD) else None
    except Exception:  # a damaged EXIF block cannot be written back; the pixels are sound
        return None


def _xmp(image: Image.Image) -> bytes | None:
    """XMP without orientation, which readers take from here where EXIF has none."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    return _XMP_ORIENTATION.sub(b"", xmp) if xmp else None


def _colour_chunks(image: Image.Image) -> tuple[tuple[bytes, bytes], ...]:
    """gAMA, cHRM and sRGB as PNG stores them (PNG specification, 11.3.2), which Pillow reads but does not write."""
    chunks: list[tuple[bytes, bytes]] = []
    info = image.info
    if "gamma" in info:
        chunks.append((b"gAMA", _fixed_point(info["gamma"])))
    if "chromaticity" in info:
        chunks.append((b"cHRM", b"".join(map(_fixed_point, info["chromaticity"]))))
    if "srgb" in info:
        chunks.append((b"sRGB", bytes([info["srgb"]])))
    return tuple(chunks)


def _fixed_point(value: float) -> bytes:
    return round(value * 100_000).to_bytes(4, "big")
