"""Importing this module teaches Pillow the format SEMCOMPRESS; see :mod:`semcompress_plugin.hosts.pillow`."""  # noqa: N999  # as Pillow calls its plugins

from semcompress_plugin.hosts import pillow

pillow.register()
