"""PNG."""

from __future__ import annotations

import io

from PIL import Image

from semcompress_plugin.compressors.scaling import scaled, truecolour
from semcompress_plugin.images import save_parameters
from semcompress_plugin.types import Reference, Settings

try:
    import oxipng
except ImportError:  # no wheel for this Python yet: Pillow's own deflate, a few per cent larger
    oxipng = None  # type: ignore[assignment]  # the usual way to do without a module

TRUECOLOUR = 257
_SAMPLE = 100_000


class PngCompressor:
    """PNG: with 257 colours every pixel stays as it is; with fewer, a palette with error diffusion.

    The last step is oxipng's, which finds the smallest colour type, filters and deflate stream; it keeps chunks.
    Where it is not installed, Pillow's deflate does. ``level`` is oxipng's effort, 0 to 6.
    """

    def __init__(self, level: int = 1) -> None:
        self.level = level

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        image = scaled(reference, settings)
        if settings["colors"] < TRUECOLOUR:
            image = _quantised(truecolour(image), int(settings["colors"]))
        out = io.BytesIO()
        parameters = save_parameters(reference.metadata, format)
        if oxipng is None:
            image.save(out, format, optimize=True, **parameters)
            return out.getvalue()
        # oxipng compresses once more: an effort here would be wasted
        image.save(out, format, compress_level=1, **parameters)
        return bytes(oxipng.optimize_from_memory(out.getvalue(), level=self.level))


def _quantised(image: Image.Image, colors: int) -> Image.Image:
    """``image`` with at most ``colors`` colours. Pillow's median cut does not know alpha; its octree does."""
    if image.mode in ("LA", "RGBA"):
        return image.convert("RGBA").quantize(colors, Image.Quantize.FASTOCTREE)
    rgb = image.convert("RGB")
    palette = _sample(rgb).quantize(colors, Image.Quantize.MEDIANCUT, kmeans=1)
    return rgb.quantize(colors, palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def _sample(image: Image.Image) -> Image.Image:
    """Every n-th pixel of a large picture: refining a palette takes 4 s a megapixel, and a sample does as well."""
    ratio = (_SAMPLE / (image.width * image.height)) ** 0.5
    if ratio >= 1:
        return image
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.NEAREST)
