"""The post's JPEGCompressor: every step saves as JPEG at a random quality and opens that again."""

from __future__ import annotations

import io
from random import Random
from typing import Any

from PIL import Image

from semcompress_plugin.compressors.iterative import IterativeCompressor
from semcompress_plugin.images import file_of, save_parameters
from semcompress_plugin.types import Reference, Settings

WORST, BEST = 0, 100


class SeedJpegCompressor(IterativeCompressor):
    """Each iterate is the one before as a JPEG of a quality drawn evenly from 0 to 100, so generations accumulate.

    What is written is the last generation itself, with the metadata that the rule keeps. Transparency cannot be
    written: the engine keeps such pictures away.
    """

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(seed=seed)

    def iteration(self, image: Image.Image, rng: Random) -> Image.Image:
        return file_of(_encoded(image, rng.randint(WORST, BEST)))

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        """The last step again, this time with metadata: the same pixels, since the same encoder gets the same."""
        steps = int(settings["steps"])
        draws = Random(self.seed)
        *_, quality = (draws.randint(WORST, BEST) for _ in range(steps))
        before = self.iterate(reference, steps - 1)
        return _encoded(before, quality, **save_parameters(reference.metadata, format))


def _encoded(image: Image.Image, quality: int, **parameters: Any) -> bytes:
    if image.mode in ("LA", "RGBA"):
        image = image.convert(image.mode[:-1])
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, **parameters)
    return out.getvalue()
