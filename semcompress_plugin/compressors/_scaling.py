"""Shrinking in pixels, the same for every compressor."""

from __future__ import annotations

from PIL import Image

from semcompress_plugin.types import Settings


def scaled(image: Image.Image, settings: Settings) -> Image.Image:
    """``image`` at ``settings["scale"]`` of its width and height (1 if absent), never below one pixel.

    Lanczos, computed on premultiplied alpha (Pillow sees to that), so that hidden colours do not bleed into edges.
    Palette and bilevel pictures become RGB, RGBA or L first: their indices cannot be averaged.
    """
    scale = settings.get("scale", 1.0)
    if scale == 1.0:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return truecolour(image).resize(size, Image.Resampling.LANCZOS)


def truecolour(image: Image.Image) -> Image.Image:
    """``image`` without a palette: modes L, LA, RGB or RGBA; alpha stays where there is some."""
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA")
    return image
