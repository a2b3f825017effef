"""``semcompress schema``."""

from __future__ import annotations

import argparse

from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.policy import schema
from semcompress_plugin.report.json import dumps


def run(arguments: argparse.Namespace) -> int:
    print(dumps(schema(load_registry())))
    return 0
