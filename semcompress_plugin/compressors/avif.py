"""AVIF."""

from __future__ import annotations

import io

from semcompress_plugin.compressors._scaling import scaled, truecolour
from semcompress_plugin.images import save_parameters
from semcompress_plugin.types import Reference, Settings


class AvifCompressor:
    """AVIF; ``speed`` trades seconds (10 fast, 0 slow) for bytes."""

    def __init__(self, speed: int = 6, subsampling: str = "4:2:0") -> None:
        self.speed = speed
        self.subsampling = subsampling

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        image = truecolour(scaled(reference, settings))
        out = io.BytesIO()
        # libavif's bytes differ between one and several threads: one, so that a run can be repeated
        image.save(
            out,
            format,
            quality=int(settings["quality"]),
            speed=self.speed,
            subsampling=self.subsampling,
            max_threads=1,
            **save_parameters(reference.metadata, format),
        )
        return out.getvalue()
