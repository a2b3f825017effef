"""PNG."""

from __future__ import annotations

import io

from semcompress_plugin.compressors._palette import quantised
from semcompress_plugin.compressors.scaling import scaled, truecolour
from semcompress_plugin.images import GREYS, save_parameters
from semcompress_plugin.profiles import space_of
from semcompress_plugin.types import Reference, Settings

try:
    import oxipng
except ImportError:  # no wheel for this Python yet: Pillow's own deflate, a few per cent larger
    oxipng = None  # type: ignore[assignment]  # the usual way to do without a module

TRUECOLOUR = 257


class PngCompressor:
    """PNG: with 257 colours every pixel stays as it is; with fewer, a palette, dithered where it would give bands.

    Greys with a profile for grey have no palette, under which browsers pass over it, but few levels.
    The last step is oxipng's, which finds the smallest colour type, filters and deflate stream; it keeps chunks.
    Where it is not installed, Pillow's deflate does. ``level`` is oxipng's effort, 0 to 6.
    """

    def __init__(self, level: int = 1) -> None:
        self.level = level

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        image, profile = scaled(reference, settings), reference.metadata.icc_profile
        grey = profile is not None and truecolour(image).mode in GREYS and space_of(profile) == "GRAY"
        if settings["colors"] < TRUECOLOUR:
            plain = truecolour(image)
            image = quantised(plain, int(settings["colors"]))
            image = image.convert("RGBA").convert(plain.mode) if grey else image
        out = io.BytesIO()
        parameters = save_parameters(reference.metadata, format)
        if oxipng is None:
            image.save(out, format, optimize=True, **parameters)
            return out.getvalue()
        # oxipng compresses once more: an effort here would be wasted
        image.save(out, format, compress_level=1, **parameters)
        # oxipng before 9.1.1 makes greys a palette, whatever their profile is for
        return bytes(oxipng.optimize_from_memory(out.getvalue(), level=self.level, color_type_reduction=not grey))
