"""JPEG."""

from __future__ import annotations

import io

from semcompress_plugin.compressors._scaling import scaled, truecolour
from semcompress_plugin.images import save_parameters
from semcompress_plugin.types import Reference, Settings


class JpegCompressor:
    """Progressive JPEG with optimised tables. Transparency cannot be written: the engine keeps such pictures away."""

    def __init__(self, subsampling: str = "4:2:0") -> None:
        self.subsampling = subsampling

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        image = scaled(truecolour(reference.image), settings)
        if image.mode in ("LA", "RGBA"):
            image = image.convert(image.mode[:-1])
        out = io.BytesIO()
        image.save(
            out,
            format,
            quality=int(settings["quality"]),
            subsampling=self.subsampling,
            optimize=True,
            progressive=True,
            **save_parameters(reference.metadata, format),
        )
        return out.getvalue()
