"""Deriving trees: what ``semcompress build`` and the site generators' plugins do."""

from semcompress_plugin.derive.build import Report, build_tree

__all__ = ["Report", "build_tree"]
