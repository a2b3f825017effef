"""What a file may have lost that no evaluator need notice: profile, orientation, alpha, shape, size in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semcompress_plugin.engine._specs import Specs
from semcompress_plugin.images import alpha_apart, has_transparency, orientation_of, same_shape
from semcompress_plugin.types import Features, Proposal, Reference

if TYPE_CHECKING:
    from PIL import Image

MOST_ALPHA = 64
"""Levels of 255 by which a pixel that is opaque or not there at all may change; readers hardly see a letter's edge."""


class Losses:
    """What files lost of one reference."""

    def __init__(self, reference: Reference, specs: Specs) -> None:
        self.reference, self.specs = reference, specs
        self.transparent = has_transparency(reference.image)

    def of(self, image: Image.Image | Features, proposal: Proposal | None = None) -> str | None:
        """What an image decoded from a file lacks, in words; with ``proposal``, of what that asked for as well."""
        width, height = self.reference.image.size
        if isinstance(image, Features):
            if image.size == (width, height):
                return None
            return f"these are features of another picture: of {' x '.join(map(str, image.size))} pixels"
        if self.reference.metadata.icc_profile != (image.info.get("icc_profile") or None):
            return "the compressor lost the colour profile (icc: srgb converts and drops it)"
        if (
            proposal
            and proposal.format == self.reference.format
            and self.reference.orientation not in (1, orientation_of(image))
        ):
            return "the compressor lost the orientation, which is to be kept as a tag"
        if self.transparent and not has_transparency(image):
            return "the compressor lost the transparency"
        if self.transparent and image.size == (width, height):
            apart = alpha_apart(self.reference.image, image)
            if apart > MOST_ALPHA:
                return f"the compressor changed the transparency of opaque or empty pixels by {apart} levels of 255"
        if proposal and not self._has_size(image.size, proposal):
            scale = proposal.settings.get("scale", 1.0)
            changed = f"{image.width} x {image.height} pixels instead of {width} x {height}"
            if scale != 1.0:
                return f"the compressor was told scale {scale:.4g} and wrote {changed} times that"
            return f"the compressor changed the picture's size, which only a knob 'scale' may: {changed}"
        if not same_shape(image.size, (width, height)):
            return (
                f"the picture's shape changed: {image.width} x {image.height} instead of {width} x {height} or scaled"
            )
        return None

    def _has_size(self, size: tuple[int, int], proposal: Proposal) -> bool:
        """Whether a file has the pixels that the knob ``scale`` says; loops over previews are free.

        Exactly at scale 1. Below, others may round otherwise than we do: by a pixel, or by 2 %.
        """
        if self.specs.compressor(proposal.compressor).previews:
            return True
        scale = proposal.settings.get("scale", 1.0)
        if scale == 1.0:
            return size == self.reference.image.size
        wanted = (max(1.0, scale * length) for length in self.reference.image.size)
        return all(abs(got - want) <= max(1.0, 0.02 * want) for got, want in zip(size, wanted, strict=True))
