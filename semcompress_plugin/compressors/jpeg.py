"""JPEG."""

from __future__ import annotations

import io
from typing import Literal

from semcompress_plugin.compressors import _mozjpeg
from semcompress_plugin.compressors.scaling import scaled, truecolour
from semcompress_plugin.images import save_parameters
from semcompress_plugin.types import Reference, Settings

Coding = Literal["plain", "progressive", "smallest"]


class JpegCompressor:
    """JPEG. Transparency cannot be written: the engine keeps such pictures away.

    ``coding`` says how coefficients are packed, which changes bytes and never a pixel: ``plain`` with libjpeg's
    standard tables, which is fastest; ``progressive`` with tables made for the picture; ``smallest`` with mozjpeg's
    choice of scans as well, where it is installed.
    """

    def __init__(self, subsampling: str = "4:2:0", coding: Coding = "smallest") -> None:
        self.subsampling = subsampling
        self.coding = coding

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        image = truecolour(scaled(reference, settings))
        if image.mode in ("LA", "RGBA"):
            image = image.convert(image.mode[:-1])
        out = io.BytesIO()
        plain = self.coding == "plain" or (self.coding == "smallest" and _mozjpeg.installed())
        image.save(
            out,
            format,
            quality=int(settings["quality"]),
            subsampling=self.subsampling,
            optimize=not plain,
            progressive=not plain,
            **save_parameters(reference.metadata, format),
        )
        return _mozjpeg.packed(out.getvalue()) if self.coding == "smallest" else out.getvalue()


class FullColourJpegCompressor(JpegCompressor):
    """JPEG whose colours have as many samples as its brightness (4:4:4).

    Where colours are as detailed as brightness, 4:2:0 keeps them at a high quality only, or at none; then a lower
    quality with all of them is smaller.
    """

    def __init__(self, coding: Coding = "smallest") -> None:
        super().__init__("4:4:4", coding)
