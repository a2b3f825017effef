"""Pictures with a colour profile, converted to sRGB: what everything shows that is told nothing else.

Conversion is LittleCMS's (Pillow's ImageCms): relative colorimetric with black point compensation, 8 bits a channel.
Colours beyond sRGB become the nearest within. A profile that says sRGB already is dropped and no pixel touched.
"""

from __future__ import annotations

import io
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from semcompress_plugin import exif
from semcompress_plugin.errors import UnsupportedImageError
from semcompress_plugin.types import ProfilePolicy, Reference

if TYPE_CHECKING:
    from PIL import ImageCms

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Data colour space that a profile names (ICC.1, 7.2.6) -> mode of the pixels that it is for."""
_NO_DIFFERENCE = 1
"""Levels of 255: what rounding alone may change."""
_STEP = 17
_OVERRULED = (b"gAMA", b"cHRM", b"sRGB")
"""Chunks of a PNG that a profile overrules (PNG specification, 4.3)."""


def convertible(image: Image.Image) -> bool:
    """Whether a mode that no compressor writes (CMYK) can become one that all do."""
    return image.mode == "CMYK" and bool(image.info.get("icc_profile"))


def with_colours(reference: Reference, icc: ProfilePolicy) -> Reference:
    """``reference`` with the profile, and the pixels, that a rule wants.

    ``srgb``: pixels in sRGB and no profile. Raises UnsupportedImageError where the profile cannot be used, or readers
    disagree about what it means. ``drop-srgb``: the pixels as they are, and no profile where it says sRGB.
    """
    if icc == "keep" or reference.metadata.icc_profile is None:
        return reference
    if icc == "drop-srgb":
        return _without_profile(reference, reference.image.copy()) if _is_idle(reference) else reference
    return _in_srgb(reference, reference.metadata.icc_profile)


def _in_srgb(reference: Reference, profile: bytes) -> Reference:
    image = _converted(reference.image, _Conversion(profile))
    chunks = reference.metadata.png_chunks
    if image is not reference.image and any(kind == b"cICP" for kind, _ in chunks):
        raise UnsupportedImageError("has a profile and other colours by number (cICP) as well: left alone")
    return _without_profile(reference, image.copy() if image is reference.image else image)


def _is_idle(reference: Reference) -> bool:
    """Whether without its profile the picture is shown in the same colours by everything that is told nothing else."""
    mode, profile = reference.image.mode, reference.metadata.icc_profile
    assert profile is not None
    if mode == "CMYK" or any(kind == b"cICP" for kind, _ in reference.metadata.png_chunks):
        return False
    return _says_srgb(profile, "L" if mode in ("1", "L", "LA") else "RGB")


@lru_cache(maxsize=8)  # most pictures of a tree have one of a few
def _says_srgb(profile: bytes, mode: str) -> bool:
    try:
        convert = _Conversion(profile)
        return convert.space in ("RGB", "GRAY") and not convert.changes(mode)
    except UnsupportedImageError:  # then it stays, and whoever reads it makes of it what they can
        return False


def _without_profile(reference: Reference, image: Image.Image) -> Reference:
    """``reference`` with ``image``, which becomes its own, and nothing that says other colours than sRGB."""
    chunks = reference.metadata.png_chunks
    image.info.pop("icc_profile", None)
    metadata = replace(
        reference.metadata,
        icc_profile=None,
        exif=exif.as_srgb(reference.metadata.exif),
        png_chunks=tuple((kind, payload) for kind, payload in chunks if kind not in _OVERRULED),
    )
    return replace(reference, image=image, metadata=metadata)


class _Conversion:
    """From a profile to sRGB. Raises UnsupportedImageError where LittleCMS cannot do it."""

    def __init__(self, profile: bytes) -> None:
        from PIL import ImageCms  # LittleCMS: only whoever asks for a conversion needs it

        self._cms = ImageCms
        try:
            self._profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            self.space = self._profile.profile.xcolor_space.strip()
            if not self.space.isprintable():
                raise ValueError("not four letters")
        except (OSError, ValueError, ImageCms.PyCMSError) as error:  # also where those letters are no ASCII
            raise UnsupportedImageError(_DAMAGED) from error

    def __call__(self, image: Image.Image) -> Image.Image:
        """``image`` (mode L, RGB or CMYK, whichever the profile is for) as mode RGB."""
        flags = self._cms.Flags.BLACKPOINTCOMPENSATION
        if image.mode == "L":  # otherwise dark greys are off by up to ten levels; RGB and CMYK by one
            flags |= self._cms.Flags.NOOPTIMIZE
        try:
            transform: ImageCms.ImageCmsTransform = self._cms.buildTransform(
                self._profile,
                self._cms.createProfile("sRGB"),
                image.mode,
                "RGB",
                self._cms.Intent.RELATIVE_COLORIMETRIC,
                flags,
            )
            converted = self._cms.applyTransform(image, transform)
        except (OSError, ValueError, self._cms.PyCMSError) as error:
            raise UnsupportedImageError(_DAMAGED) from error
        assert converted is not None  # only a transform in place gives none
        return converted

    def changes(self, mode: str) -> bool:
        """Whether any colour of pictures of ``mode`` (L or RGB) becomes another one."""
        sample = _greys() if "L" in (mode, _MODES[self.space]) else _cube()
        after = self(sample.convert(_MODES[self.space]))
        difference = ImageChops.difference(sample.convert("RGB"), after).tobytes()
        return max(difference) > _NO_DIFFERENCE


_DAMAGED = "has a colour profile that cannot be converted (icc: srgb): left alone"


def _converted(image: Image.Image, convert: _Conversion) -> Image.Image:
    """``image`` in sRGB, in its own mode but for CMYK; the very same where no colour changes."""
    if image.mode == "CMYK":
        _refuse_misfit(image.mode, convert)
        return convert(image)
    base = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if convert.space not in ("RGB", "GRAY"):  # greys and colours may still mean the same under either
        _refuse_misfit(base, convert)
    if not convert.changes(base):
        return image
    # some readers pass over a profile for other pixels than these, some do not
    _refuse_misfit(base, convert)
    if image.mode == "1":
        raise UnsupportedImageError("is black and white, which its colour profile calls something else: left alone")
    if image.mode == "P":
        return _with_palette(image, convert)
    if "transparency" in image.info:  # of one colour, which is about to become another
        image = image.convert("LA" if base == "L" else "RGBA")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    plain = image.convert(base)
    # greys by their 256 levels, for converting each exactly takes its time
    result = plain.point(list(convert(_greys()).getchannel("G").tobytes())) if base == "L" else convert(plain)
    result.info.update(image.info)
    if alpha is not None:
        result.putalpha(alpha)
    return result


def _with_palette(image: Image.Image, convert: _Conversion) -> Image.Image:
    """The same indices, of other colours; whatever is transparent stays so."""
    assert image.palette is not None
    if image.palette.mode != "RGB":
        return _converted(image.convert("RGBA"), convert)
    colours = bytes(image.getpalette("RGB") or [])
    strip = Image.frombytes("RGB", (len(colours) // 3, 1), colours)
    result = image.copy()
    result.putpalette(convert(strip).tobytes(), "RGB")
    return result


def _refuse_misfit(mode: str, convert: _Conversion) -> None:
    if _MODES.get(convert.space) != mode:
        raise UnsupportedImageError(
            f"has a colour profile for {convert.space} and pixels of mode {mode}, on which readers disagree: left alone"
        )


def _greys() -> Image.Image:
    return Image.frombytes("L", (256, 1), bytes(range(256)))


def _cube() -> Image.Image:
    """Colours all over the cube."""
    levels = range(0, 256, _STEP)
    data = bytes(value for red in levels for green in levels for blue in levels for value in (red, green, blue))
    return Image.frombytes("RGB", (len(levels), len(levels) ** 2), data)
