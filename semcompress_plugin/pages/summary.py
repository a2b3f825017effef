"""What became of the pages of a tree."""

from __future__ import annotations

from dataclasses import dataclass

from semcompress_plugin.pages.site import Left


@dataclass(frozen=True, slots=True)
class PagesReport:
    """``read`` HTML and CSS files were gone through; ``rewritten`` of them name alternatives now, in ``pictures``
    ``<picture>`` elements and ``backgrounds`` ``image-set()`` declarations. ``left`` is what was left alone, and why.
    """

    read: int = 0
    rewritten: int = 0
    pictures: int = 0
    backgrounds: int = 0
    left: tuple[Left, ...] = ()
