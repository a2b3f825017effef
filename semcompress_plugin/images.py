"""From a file's bytes to upright pixels with their metadata.

Whatever we could damage is refused here: animations, CMYK, more than 8 bits a channel, several pictures in one file.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePath

from PIL import (
    AvifImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageChops,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from semcompress_plugin import exif
from semcompress_plugin.ambiguity import doubt
from semcompress_plugin.av1 import stream_colours
from semcompress_plugin.colours import convertible, with_colours
from semcompress_plugin.containers import (
    avif_colours,
    behind,
    between_scans,
    gif_frames,
    has_film,
    has_gain_map,
    jpeg_scans,
    metadata_parts,
    png_chunks,
)
from semcompress_plugin.errors import BARE, ImageError, UnsupportedImageError
from semcompress_plugin.metadata import exif_block, is_panorama, metadata_of, save_parameters, xmp_orientation
from semcompress_plugin.profiles import transfer_of
from semcompress_plugin.surplus import RUBBISH, exif_in
from semcompress_plugin.types import (
    FORMATS,
    SUFFIXES,
    Limits,
    MetadataPolicy,
    OrientationPolicy,
    ProfilePolicy,
    Reference,
)

__all__ = [
    "FORMATS",
    "GREYS",
    "MODES",
    "SUFFIXES",
    "MetadataPolicy",
    "alpha_apart",
    "as_stored",
    "decode",
    "decode_candidate",
    "file_of",
    "has_transparency",
    "metadata_of",
    "orientation_of",
    "refuse_what_would_be_lost",
    "refuse_written",
    "renditions",
    "same_shape",
    "save_parameters",
    "shown_otherwise",
    "size_of",
    "turned_back",
    "upright",
]

MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
GREYS = ("1", "L", "LA")

_MOST_PARTS = 2048
"""Of a JPEG 128 MiB. Pillow joins EXIF from as many segments as there are, and copies what it has for each."""
_MOST_SCANS = 256
"""Encoders write 1 to 70. Decoders go through all pixels for each, even where it holds nothing."""
_FAINT, _MOST_FAINT = 40, 0.005
"""Levels of alpha next to empty or opaque, and the share of the pixels that may have those, edges left out."""
_EDGE = 128
"""Levels of alpha that the 3 x 3 pixels around one on an edge span at least: half of the range."""
_LFS = b"version https://git-lfs.github.com/spec/"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SRGB_AS_NUMBERS = {(primaries, transfer) for primaries in (1, 2) for transfer in (1, 2, 6, 13)}
"""H.273: BT.709 primaries or unspecified; BT.709, BT.601, sRGB or unspecified transfer: browsers show them alike."""
_FOR_HDR = {16, 18}
"""H.273: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)."""


def decode(
    data: bytes,
    name: str | None = None,
    metadata: MetadataPolicy = "keep",
    limits: Limits | None = None,
    orientation: OrientationPolicy = "apply",
    icc: ProfilePolicy = "keep",
) -> Reference:
    """The picture in ``data``, upright, with the metadata that the policy wants kept.

    ``name`` is the file's name, whose suffix must agree with the content. With ``orientation`` ``keep`` the tag is
    among that metadata; with ``icc`` ``srgb`` the pixels are in sRGB and no profile is, with ``drop-srgb`` none that
    says so. Raises :class:`UnsupportedImageError` for sound pictures that we leave alone and :class:`ImageError` for
    everything that is not a whole picture or exceeds ``limits`` (whose ``max_seconds`` and ``isolate`` are for the
    caller to see to).
    """
    limits = limits or Limits()
    _refuse_stored_metadata(data, limits)
    if jpeg_scans(data, _MOST_SCANS + 1) > _MOST_SCANS:
        raise ImageError(f"has more than {_MOST_SCANS} scans, each of which takes time to decode: save it anew")
    image = _open(data)
    assert image.format is not None  # a picture that was opened from bytes has one
    _refuse_large(image, limits)
    expected = SUFFIXES.get(PurePath(name).suffix.lower()) if name else None
    if expected and expected != image.format and image.format != "MPO":
        suffix = PurePath(name or "").suffix
        raise ImageError(f"holds {image.format}, not {expected} as {suffix!r} says: rename the file")
    _refuse_unsupported(image, data, limits, icc)
    if image.format == "GIF" and name is not None:  # under no name it is what a third party's compressor made
        raise UnsupportedImageError("is a GIF, which no compressor here writes: left alone")
    pixels = _load(image)
    _refuse_unpacked_metadata(pixels, limits)
    _refuse_ambiguous(pixels, data, orientation)
    if metadata == "strip-private" and is_panorama(pixels):
        raise UnsupportedImageError(
            "is shown all around (360°) for its XMP, which strip-private drops: left alone "
            "(`metadata: keep` keeps it, strip-all drops it)"
        )
    reference = Reference(
        upright(pixels, orientation_of(pixels)),
        source=data,
        format=image.format,
        metadata=metadata_of(pixels, metadata, data, orientation),
        orientation=orientation_of(pixels) if orientation == "keep" else 1,
    )
    return with_colours(reference, icc)


def refuse_what_would_be_lost(data: bytes) -> None:
    """Raise :class:`UnsupportedImageError` for a picture that holds what no file of ours could have.

    More than rubbish where no reader of pictures looks, which may be anything, a film or an archive; and EXIF that
    cannot be read. Where everything is to be kept neither may be lost.
    """
    for where, amount in (
        ("behind its end", len(behind(data).strip(b"\0"))),
        ("between its scans", between_scans(data)),
    ):
        if amount > RUBBISH:
            raise UnsupportedImageError(f"has {amount:,} bytes {where}, which would be lost: left alone")
    if exif.is_damaged(exif_in(data)):
        raise UnsupportedImageError("has EXIF that cannot be read, which would be lost: left alone")


def refuse_written(image: Image.Image, data: bytes) -> None:
    """Raise :class:`ImageError` for a sound file, of which ``image`` was loaded, that :func:`decode` would refuse."""
    _refuse_unsupported(image, data, Limits(), "keep")
    _refuse_ambiguous(image, data, "keep")


def as_stored(reference: Reference, format: str) -> Reference:
    """The picture as a file of ``format`` stores it, which is what compressors are handed.

    An orientation that is to be kept stands in a file of the source's own format; in another the picture is upright,
    for whether viewers heed the tag depends on the format (browsers do in JPEG, PNG and AVIF, some not in WebP).
    """
    if format == reference.format:
        return replace(reference, image=turned_back(reference.image, reference.orientation), orientation=1)
    block = reference.metadata.exif
    metadata = replace(reference.metadata, exif=None if block is None else exif.whole(block))
    return replace(reference, metadata=metadata, orientation=1)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """A copy of ``image``, turned as its orientation says (1 to 8 as EXIF numbers them)."""
    turn = _TURNS.get(orientation)
    return image.copy() if turn is None else image.transpose(turn)


def turned_back(image: Image.Image, orientation: int) -> Image.Image:
    """A copy of an upright ``image`` as a file with this orientation stores it: what :func:`upright` makes upright."""
    return upright(image, {6: 8, 8: 6}.get(orientation, orientation))


def orientation_of(image: Image.Image) -> int:
    """The orientation that the file says it has, 1 to 8; 1 where it says nothing."""
    return exif.orientation(exif_block(image)) or 1


def decode_candidate(data: bytes) -> Image.Image:
    """The upright pixels of a file that one of our compressors wrote."""
    image = file_of(data)
    return upright(image, orientation_of(image))


def file_of(data: bytes) -> Image.Image:
    """A file's pixels as it stores them, with its format and what else Pillow read. Raises :class:`ImageError`."""
    return _load(_open(data))


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of the picture in ``data`` as it is shown, for which no pixel is decoded as a rule.

    Raises :class:`ImageError`.
    """
    image = _open(data)
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)  # may have to read a PNG to its end
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(f"is damaged or cut off: {error}") from error
    return (image.height, image.width) if turned else image.size


def same_shape(size: tuple[int, int], whole: tuple[int, int]) -> bool:
    """Whether a picture of ``size`` may be one of size ``whole``, scaled.

    Rounding to whole pixels may bend the shape a little; a lost orientation bends it a lot.
    """
    (width, height), (full_width, full_height) = size, whole
    bent = abs(width * full_height - height * full_width)
    return bent <= max(full_width, full_height) + 0.02 * full_width * height


def has_transparency(image: Image.Image) -> bool:
    """Whether any pixel is not fully opaque."""
    if not image.has_transparency_data:
        return False
    alpha = image.convert("RGBA").getchannel("A")
    return alpha.histogram()[255] < image.width * image.height


def alpha_apart(one: Image.Image, other: Image.Image) -> int:
    """How far, in levels of 255, ``other`` is from ``one``, of the same size, where that is opaque or empty."""
    was, is_now = (image.convert("RGBA").getchannel("A") for image in (one, other))
    plain = was.point([255, *[0] * 254, 255])
    levels = ImageChops.darker(ImageChops.difference(was, is_now), plain).histogram()
    return max(level for level, pixels in enumerate(levels) if pixels)


def shown_otherwise(format: str, reference: Reference) -> str | None:
    """What browsers would show otherwise in a file of ``format`` than in the picture's own; None where nothing.

    Chromium 156 stretches every AVIF's alpha as if 16 to 235 were all of it, whatever the file says: soft shadows
    shrink. Hardly anybody sees that on the edges of icons and letters, where alpha has a step of its own.
    """
    if format != "AVIF" or reference.format == "AVIF" or not reference.image.has_transparency_data:
        return None
    alpha = reference.image.convert("RGBA").getchannel("A")
    most = _MOST_FAINT * alpha.width * alpha.height
    soft = _faint(alpha.histogram()) > most and _faint(alpha.histogram(_off_edges(alpha))) > most
    return "is partly transparent, which Chromium shows otherwise in an AVIF" if soft else None


def _faint(levels: Sequence[int]) -> int:
    return sum(levels[1 : _FAINT + 1]) + sum(levels[255 - _FAINT : 255])


def _off_edges(alpha: Image.Image) -> Image.Image:
    """255 where the 3 x 3 pixels around each span less than ``_EDGE``, else 0."""
    high, low = (_of_neighbours(extreme, alpha) for extreme in (ImageChops.lighter, ImageChops.darker))
    return ImageChops.difference(high, low).point([255] * _EDGE + [0] * (256 - _EDGE))


def _of_neighbours(extreme: Callable[[Image.Image, Image.Image], Image.Image], image: Image.Image) -> Image.Image:
    """The greatest or least of the 3 x 3 pixels around each; Pillow's own filters take many times as long."""
    for across, down in ((1, 0), (0, 1)):
        here = image.copy()
        for way in (1, -1):
            there = here.copy()
            there.paste(here, (way * across, way * down))
            image = extreme(image, there)
    return image


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


def _open(data: bytes) -> Image.Image:
    if not data:
        raise ImageError("is empty: delete it or put the picture back")
    if data.startswith(_LFS):
        raise UnsupportedImageError("is a Git LFS pointer, not a picture: run `git lfs pull` first")
    opener = _opener(data)
    try:
        # about what is damaged beside the pixels; threads may undo each other's, no harm
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # not Image.open, whose own limit on pixels is one for the whole process
            image = opener(io.BytesIO(data)) if opener else None
    except MemoryError as error:
        raise ImageError("needs more memory than there is") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(_unpacks_to_too_much(error) or _NOT_A_PICTURE) from error
    if image is None:
        raise ImageError(_NOT_A_PICTURE)
    if not image.width * image.height:
        raise ImageError("has no pixels")
    _set_transparent_grey(image, data)
    _set_exif_as_stored(image)
    return image


def _set_transparent_grey(image: Image.Image, data: bytes) -> None:
    """Pillow widens greys of 2 or 4 bits to 8, but not the one among them that tRNS says is transparent.

    Taken from the file, it is right whatever Pillow makes of it. Bits that a grey does not have count for nothing.
    """
    if image.format == "PNG" and image.mode in ("1", "L") and "transparency" in image.info:
        most = (1 << data[24]) - 1  # IHDR's bit depth
        key = next((payload for kind, payload in png_chunks(data) if kind == b"tRNS"), b"")
        image.info["transparency"] = (int.from_bytes(key[:2], "big") & most) * 255 // most


def _set_exif_as_stored(image: Image.Image) -> None:
    """Where the boxes of an AVIF say another orientation than its EXIF, Pillow says theirs there and writes EXIF anew:
    ``?`` for each umlaut, and makers' notes elsewhere.
    """
    decoder = getattr(image, "_decoder", None) if image.format == "AVIF" else None
    if decoder is not None:
        *_, stored, turned, _ = decoder.get_info()
        if stored and turned != (exif.orientation(stored) or 1):
            with contextlib.suppress(ValueError):  # damaged: then as Pillow has it
                image.info["exif"] = exif.with_orientation(stored, turned)


_NOT_A_PICTURE = f"is not a picture that can be read ({', '.join(FORMATS)}) or its header is damaged"


def _opener(data: bytes) -> Callable[[io.BytesIO], Image.Image] | None:
    """What reads files that begin like this one."""
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.jpeg_factory
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    if data[4:8] == b"ftyp":
        return AvifImagePlugin.AvifImageFile
    return GifImagePlugin.GifImageFile if data[:6] in (b"GIF87a", b"GIF89a") else None


def _refuse_large(image: Image.Image, limits: Limits) -> None:
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise ImageError(
            f"has {pixels:,} pixels, more than {limits.max_pixels:,}: raise limits.max_pixels in the policy"
        )


def _refuse_stored_metadata(data: bytes, limits: Limits) -> None:
    """Before Pillow sees it, which takes time and memory for each part, however small."""
    amount = 0
    for number, size in enumerate(metadata_parts(data), 1):
        if number > _MOST_PARTS:
            raise ImageError(f"has metadata in more than {_MOST_PARTS:,} parts: remove it ({BARE} does)")
        amount += size
    _refuse_metadata(amount, limits)


def _refuse_unpacked_metadata(image: Image.Image, limits: Limits) -> None:
    _refuse_metadata(sum(len(value) for value in image.info.values() if isinstance(value, (bytes, str))), limits)


def _refuse_metadata(amount: int, limits: Limits) -> None:
    if amount > limits.max_metadata:
        raise ImageError(
            f"has {amount:,} bytes of metadata, more than {limits.max_metadata:,}: "
            "raise limits.max_metadata in the policy"
        )


def _refuse_unsupported(image: Image.Image, data: bytes, limits: Limits, icc: ProfilePolicy) -> None:
    frames = _frames(image, data, limits.max_frames)
    if frames > limits.max_frames:
        raise ImageError(f"has more than {limits.max_frames:,} frames: raise limits.max_frames in the policy")
    if image.format == "MPO" or has_gain_map(data):
        raise UnsupportedImageError("is several pictures in one file (MPO or HDR gain map): left alone")
    if frames > 1 or (image.format == "PNG" and any(kind == b"acTL" for kind, _ in png_chunks(data))):
        raise UnsupportedImageError("is animated: left alone")
    if has_film(data):
        raise UnsupportedImageError("has a film behind it (motion photo), which would be lost: left alone")
    if image.mode not in MODES and not (icc == "srgb" and convertible(image)):
        raise UnsupportedImageError(f"has pixels of mode {image.mode}, which are not kept exactly yet: left alone")
    if _deep(image.format, data):
        raise UnsupportedImageError("has more than 8 bits a channel, which would be lost: left alone")
    if image.format == "PNG" and any(kind in (b"mDCV", b"cLLI") for kind, _ in png_chunks(data)):
        raise UnsupportedImageError("is made for HDR screens (mDCV, cLLI), which would be lost: left alone")
    if _transfer(image, data) in _FOR_HDR:
        raise UnsupportedImageError(
            "is made for HDR screens (PQ or HLG), on which errors are larger than readers see: left alone"
        )
    if image.format == "AVIF" and not image.info.get("icc_profile"):
        colours = avif_colours(data)
        named = [colours] if colours is not None else list(stream_colours(data))
        if other := next((one for one in named if one not in _SRGB_AS_NUMBERS), None):
            where = "nclx" if colours is not None else "AV1"
            raise UnsupportedImageError(
                f"has colours by number ({where} {other[0]}/{other[1]}), not sRGB and without a profile: left alone"
            )


def _transfer(image: Image.Image, data: bytes) -> int | None:
    """The transfer function that a PNG's cICP or a profile names by number; None where none does."""
    numbers = next((body for kind, body in png_chunks(data) if kind == b"cICP" and len(body) == 4), None)
    return transfer_of(image.info.get("icc_profile") or b"") if numbers is None else numbers[1]


def _refuse_ambiguous(image: Image.Image, data: bytes, orientation: OrientationPolicy) -> None:
    """What readers disagree about already: whatever we made of it would be wrong for some."""
    if what := doubt(image.format, data, exif_block(image)):
        raise UnsupportedImageError(f"{what}, on which readers disagree: left alone")
    if image.format == "WEBP" and orientation == "apply" and orientation_of(image) != 1:
        raise UnsupportedImageError(
            "is turned by EXIF, on which readers disagree in a WebP (browsers do not turn it): left alone "
            "(`orientation: keep` leaves it lying)"
        )
    if exif.orientation(exif_block(image)) is None and (xmp_orientation(image) or 1) != 1:
        raise UnsupportedImageError("is turned by XMP but not by EXIF, on which readers disagree: left alone")
    ratio = image.info["jfif_density"] if image.info.get("jfif_unit") == 0 else image.info.get("aspect")
    across, down = ratio or (1, 1)
    if across != down:
        raise UnsupportedImageError(f"has pixels that are not square ({across} to {down}): left alone")


def _frames(image: Image.Image, data: bytes, most: int) -> int:
    # Pillow counts a GIF's frames by reading all of them
    return gif_frames(data, most + 1) if image.format == "GIF" else getattr(image, "n_frames", 1)


def _deep(format: str | None, data: bytes) -> bool:
    """Whether the file stores more than 8 bits a channel, which Pillow hides by clipping."""
    if format == "PNG":
        return data[24] > 8  # IHDR's bit depth; the PNG specification puts it there in every file
    if format == "AVIF":
        # colour and alpha have one each, which may lie in several kinds of boxes;
        # AV1CodecConfigurationBox: marker+version, profile+level, tier+high_bitdepth+…
        return any(
            int.from_bytes(data[end : end + 1]) & 0x40 for end in (m.end() + 2 for m in re.finditer(b"av1C", data))
        )
    return False


def _load(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except MemoryError as error:
        raise ImageError("needs more memory than there is") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(_unpacks_to_too_much(error) or f"is damaged or cut off: {error}") from error
    return image


def _unpacks_to_too_much(error: Exception) -> str | None:
    """Pillow's word for a small chunk of a PNG that unpacks to more than a megabyte."""
    large = isinstance(error, ValueError) and "too large" in str(error)
    return f"has metadata that unpacks to too much: remove it ({BARE} does)" if large else None
