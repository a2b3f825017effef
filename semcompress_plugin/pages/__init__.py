"""Pages that offer what lies beside a picture: ``<picture>`` in HTML and ``image-set()`` in CSS.

Text in, text out: nothing here reads or writes a file. The text stays as it was, byte for byte, outside the tags and
declarations that name a picture for which a smaller file in another format exists.
"""

from __future__ import annotations

from semcompress_plugin.pages.site import Catalogue, Left, Picture, Site, Variant, picture
from semcompress_plugin.pages.summary import PagesReport

__all__ = ["Catalogue", "Left", "PagesReport", "Picture", "Site", "Variant", "picture"]
