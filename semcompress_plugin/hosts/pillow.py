"""Pillow's format SEMCOMPRESS: saves the smallest file for which a reader sees the same, and opens ``.semc``.

``register()`` makes it known to Pillow, as does importing :mod:`semcompress_plugin.SemcompressImagePlugin`;
importing this module does not. docs/hosts/pillow.md describes the options of ``save``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from PIL import Image, ImageFile

from semcompress_plugin import exif
from semcompress_plugin.compressors.scaling import truecolour
from semcompress_plugin.hosts import _semc
from semcompress_plugin.hosts._encode import FORMAT, SUFFIX, encode, saved
from semcompress_plugin.hosts._judgement import KEY, recorded
from semcompress_plugin.images import MODES, same_shape, turned_back

__all__ = ["FORMAT", "SemcImageFile", "encode", "recorded", "register"]

MIME = "image/x-semcompress"

_HANDED_ON = ("icc_profile", "exif", "xmp", "dpi")


def register() -> None:
    """Make the format known to Pillow; doing so twice does no harm."""
    Image.register_open(FORMAT, SemcImageFile, _semc.accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME)


class SemcImageFile(ImageFile.ImageFile):
    """An image in a ``.semc``: of the size that was saved, whatever size the payload has.

    ``info["semcompress"]`` says what it was judged by, ``info["stored_size"]`` how many pixels are stored. ``draft``
    gives those pixels, as long as they are not fewer than asked for.
    """

    format = FORMAT
    format_description = "semcompress container"

    _header: _semc.Header | None = None
    _start = 0

    def _open(self) -> None:
        assert self.fp is not None
        self._start = self.fp.tell()
        fixed = self.fp.read(_semc.FIXED)
        length = _semc.header_length(fixed)
        header = _semc.parse(fixed + self.fp.read(length - _semc.FIXED))
        self._start += length
        with _as_damage(), _payload(_Window(self.fp, self._start, header.payload_length), header) as payload:
            self._mode = _mode_when_loaded(payload)
            stored = payload.size
            self.info = {key: payload.info[key] for key in _HANDED_ON if payload.info.get(key)}
            self._orient(header.orientation)
        _check_sizes(stored, header)
        self.info |= {KEY: dict(header.judgement), "stored_size": _turned(stored, header)}
        self._size = header.size
        self._header = header

    def load(self) -> Any:
        """Decode the payload and bring it to the claimed size (Lanczos). Raises OSError for a damaged one."""
        if self._im is None and self.fp is not None and self._header is not None:
            header = self._header
            self.fp.seek(self._start)
            data = self.fp.read(header.payload_length)
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                _semc.check(header, data)
            with _as_damage(), _payload(io.BytesIO(data), header) as payload:
                payload.load()
                image = truecolour(payload)
                if image.mode != self._mode:
                    raise ValueError(f"its payload has mode {image.mode}, not {self._mode}")
                # asked for upright, as the payload is
                size = _turned(self.size, header)
                image = image.resize(size, Image.Resampling.LANCZOS) if image.size != size else image
                image = turned_back(image, header.orientation) if header.orientation != 1 else image
            self.im = image.im
            if self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Have ``load`` give the stored pixels, unless ``size`` asks for more; the mode stays as it is."""
        stored = self.info.get("stored_size")
        if size is None or stored is None or self._im is not None or stored[0] < size[0] or stored[1] < size[1]:
            return None
        self._size = stored
        return self.mode, (0, 0, *stored)

    def verify(self) -> None:
        """Raise OSError unless the payload is whole and the one that was judged; decodes nothing."""
        if self.fp is not None and self._header is not None:
            self.fp.seek(self._start)
            _semc.check(self._header, self.fp.read(self._header.payload_length))
        super().verify()

    def _orient(self, orientation: int) -> None:
        """Make EXIF say the orientation that the header says."""
        block = self.info.get("exif")
        if (exif.orientation(block) or 1) != orientation:
            self.info["exif"] = exif.with_orientation(block, orientation)


class _Window(io.RawIOBase):
    """A part of a file, so that the payload's plugin reads no more of it than it needs."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self.file, self.start, self.length, self.position = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.length}[whence]
        self.position = max(0, origin + offset)
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.start + self.position)
        data = self.file.read(max(0, min(len(buffer), self.length - self.position)))
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


@contextmanager
def _as_damage() -> Iterator[None]:
    """Whatever a payload's decoder raises, as the OSError that damaged files raise."""
    try:
        yield
    except (Image.DecompressionBombError, Warning, MemoryError):
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise OSError(f".semc file is damaged: {error}") from error


@contextmanager
def _payload(file: IO[bytes] | _Window, header: _semc.Header) -> Iterator[ImageFile.ImageFile]:
    """The payload's image, opened by the plugin of the format that the header names and no other."""
    with Image.open(file, formats=(header.format,)) as image:  # type: ignore[arg-type]  # reads, seeks and tells
        if getattr(image, "n_frames", 1) > 1:
            raise ValueError("its payload holds several pictures")
        if image.mode not in MODES:
            raise ValueError(f"its payload has mode {image.mode}")
        yield image


def _mode_when_loaded(image: Image.Image) -> str:
    """The mode that :func:`truecolour` will give, before any pixel is decoded."""
    if image.mode in ("P", "RGB", "L") and image.has_transparency_data:
        return "RGBA"
    return {"P": "RGB", "1": "L"}.get(image.mode, image.mode)


def _check_sizes(stored: tuple[int, int], header: _semc.Header) -> None:
    """Raise OSError unless ``stored`` can be the claimed picture scaled down."""
    (width, height), (full_width, full_height) = stored, header.upright_size
    if not same_shape(stored, header.upright_size) or width > full_width or height > full_height:
        raise OSError(f".semc file is damaged: {width}x{height} cannot be {full_width}x{full_height} scaled down")


def _turned(size: tuple[int, int], header: _semc.Header) -> tuple[int, int]:
    """``size`` with width and height changed over if the orientation does so; its own inverse."""
    return (size[1], size[0]) if header.orientation >= 5 else size


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    # everything is computed before the first byte is written
    fp.write(saved(im, os.fsdecode(filename), im.encoderinfo))


def _save_all(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    others = im.encoderinfo.get("append_images") or []
    if getattr(im, "n_frames", 1) > 1 or list(others):
        raise OSError(f"cannot write several images as {FORMAT}: it holds one; save without save_all and append_images")
    _save(im, fp, filename)
