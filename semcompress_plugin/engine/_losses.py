"""What a file may have lost that no evaluator need notice: profile, orientation, alpha, shape, size in pixels."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from semcompress_plugin.engine._specs import Specs
from semcompress_plugin.images import GREYS, alpha_apart, has_transparency, orientation_of, same_shape
from semcompress_plugin.profiles import space_of
from semcompress_plugin.types import Features, Proposal, Reference

if TYPE_CHECKING:
    from PIL import Image

MOST_ALPHA = 64
"""Levels of 255 by which a pixel that is opaque or not there at all may change; readers hardly see a letter's edge."""


class Losses:
    """What files lost of one reference."""

    def __init__(self, reference: Reference, specs: Specs) -> None:
        self.reference, self.specs = reference, specs

    @cached_property
    def transparent(self) -> bool:
        return has_transparency(self.reference.image)

    @cached_property
    def _for_grey(self) -> bool:
        profile = self.reference.metadata.icc_profile
        return profile is not None and space_of(profile) == "GRAY"

    def of(self, image: Image.Image | Features, proposal: Proposal | None = None) -> str | None:
        """What an image decoded from a file lacks, in words; with ``proposal``, of what that asked for as well."""
        who = "the compressor" if proposal is None else proposal.compressor
        if isinstance(image, Features):
            if image.size == self.reference.image.size:
                return None
            return f"these are features of another picture: of {' x '.join(map(str, image.size))} pixels"
        if breach := self.breach(image, proposal):
            return f"{who} {breach}"
        if self.transparent != has_transparency(image):  # as few colours may do, where more would not
            return f"{who} {'lost the transparency' if self.transparent else 'made it transparent'}"
        if not self.transparent:
            return None
        if image.size == self.reference.image.size:
            apart = alpha_apart(self.reference.image, image)
            if apart > MOST_ALPHA:
                return f"{who} changed the transparency of opaque or empty pixels by {apart} levels of 255"
        return None

    def breach(self, image: Image.Image, proposal: Proposal | None) -> str | None:
        """What a compressor did, in words that follow its name, that none may do with any settings."""
        width, height = self.reference.image.size
        if self.reference.metadata.icc_profile != (profile := image.info.get("icc_profile") or None):
            if profile is None:
                return "lost the colour profile (icc: srgb converts and drops it)"
            return "wrote another colour profile than the picture is to have"
        if self._for_grey and (image.mode in GREYS) != (self.reference.image.mode in GREYS):
            # browsers heed it for grey pixels alone
            return "wrote grey pixels as others, or others as grey, beside a colour profile for grey"
        if (
            proposal
            and proposal.format == self.reference.format
            and self.reference.orientation not in (1, orientation_of(image))
        ):
            return "lost the orientation, which is to be kept as a tag"
        if proposal and not self._has_size(image.size, proposal):
            scale = proposal.settings.get("scale", 1.0)
            changed = f"{image.width} x {image.height} pixels instead of {width} x {height}"
            if scale != 1.0:
                return f"was told scale {scale:.4g} and wrote {changed} times that"
            return f"changed the picture's size, which only a knob 'scale' may: {changed}"
        if not same_shape(image.size, (width, height)):
            return (
                f"changed the picture's shape: {image.width} x {image.height} instead of {width} x {height} or scaled"
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
