"""The post's ResizeCompressor: every step fits the picture into 10 pixels less."""

from __future__ import annotations

from PIL import Image

from semcompress_plugin.compressors.iterative import IterativeCompressor

STEP = 10


class SeedResizeCompressor(IterativeCompressor):
    """Each iterate is the one before, fitted into (width - 10, height - 10) with its shape kept: Pillow's thumbnail.

    No side becomes smaller than one pixel (Pillow raises there); at 1 x 1 the chain ends.
    """

    def iteration(self, image: Image.Image) -> Image.Image:
        image.thumbnail((max(1, image.width - STEP), max(1, image.height - STEP)))
        return image
