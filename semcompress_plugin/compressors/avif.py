"""AVIF."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image

from semcompress_plugin.compressors._grain import available, chroma_deviation, deviation, table
from semcompress_plugin.compressors.scaling import scaled, truecolour
from semcompress_plugin.images import has_transparency, save_parameters
from semcompress_plugin.types import Reference, Settings

_EXACT_ALPHA = {"alpha:lossless": "1"}
"""Otherwise ``quality`` is that of transparency as well, and letters have ragged edges where no reader minds."""


class AvifCompressor:
    """AVIF, alpha kept exactly; ``speed`` trades seconds (10 fast, 0 slow) for bytes.

    With ``grain`` decoders add the texture again, as noise, that few bytes leave out. Only libaom writes that, and
    exact alpha: where Pillow has another encoder the file is as without, and no transparent picture is written.
    """

    def __init__(self, speed: int = 6, subsampling: str = "4:2:0", grain: bool = False) -> None:
        self.speed = speed
        self.subsampling = subsampling
        self.grain = grain

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        image = truecolour(scaled(reference, settings))
        quality = int(settings["quality"])
        save = save_parameters(reference.metadata, format)
        advanced: dict[str, str] = {}
        if has_transparency(image):
            if not available():
                raise ValueError("only libaom writes transparency exactly, which this Pillow lacks")
            advanced |= _EXACT_ALPHA
        elif image.mode in ("LA", "RGBA"):
            image = image.convert(image.mode[:-1])
        strength = deviation(quality) if self.grain else 0.0
        if not (strength and available()):
            return self._written(image, format, quality, advanced, save)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "grain.tbl")
            path.write_text(table(strength, chroma_deviation(strength, image)), encoding="ascii", newline="\n")
            # of the colours alone: transparency with grain cannot be decoded
            return self._written(image, format, quality, advanced | {"color:film-grain-table": str(path)}, save)

    def _written(
        self, image: Image.Image, format: str, quality: int, advanced: dict[str, str], save: dict[str, object]
    ) -> bytes:
        out = io.BytesIO()
        # libavif's bytes differ between one and several threads: one, so that a run can be repeated
        image.save(
            out,
            format,
            quality=quality,
            speed=self.speed,
            subsampling=self.subsampling,
            max_threads=1,
            **({"codec": "aom", "advanced": advanced} if advanced else {}),
            **save,
        )
        return out.getvalue()
