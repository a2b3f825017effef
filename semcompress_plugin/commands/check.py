"""``semcompress check``: what ``compress`` would change; writes nothing."""

from __future__ import annotations

import argparse

from semcompress_plugin.commands import compress


def run(arguments: argparse.Namespace) -> int:
    return compress.run(arguments, write=False)
