"""WebP."""

from __future__ import annotations

import io

from semcompress_plugin.compressors.scaling import scaled, truecolour
from semcompress_plugin.images import save_parameters
from semcompress_plugin.types import Reference, Settings


class WebpCompressor:
    """Lossy WebP; ``method`` trades seconds (0 fast, 6 slow) for bytes."""

    def __init__(self, method: int = 4) -> None:
        self.method = method

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        image = truecolour(scaled(reference, settings))
        out = io.BytesIO()
        image.save(
            out,
            format,
            quality=int(settings["quality"]),
            method=self.method,
            **save_parameters(reference.metadata, format),
        )
        return out.getvalue()
