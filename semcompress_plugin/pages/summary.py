"""What became of the pages of a tree."""

from __future__ import annotations

from dataclasses import dataclass

from semcompress_plugin.pages.site import Left


@dataclass(frozen=True, slots=True)
class PagesReport:
    """``read`` HTML, XHTML and CSS files were gone through; ``rewritten`` of them have changed, and have ``pictures``
    new ``<picture>`` elements and ``backgrounds`` new ``image-set()``. ``left`` is what was left alone, and why.
    """

    read: int = 0
    rewritten: int = 0
    pictures: int = 0
    backgrounds: int = 0
    left: tuple[Left, ...] = ()
