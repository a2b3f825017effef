"""Importing this module teaches Pillow the format SEMCOMPRESS; see :mod:`semcompress_plugin.hosts.pillow`."""

from semcompress_plugin.hosts import pillow

pillow.register()
