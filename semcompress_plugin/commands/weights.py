"""``semcompress weights fetch EVALUATOR``."""

from __future__ import annotations

import argparse

from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.errors import UsageError


def run(arguments: argparse.Namespace) -> int:
    """Download what an evaluator such as ``torchvision:resnet152`` looks with. Nothing else ever does."""
    fetch = load_registry().fetcher(arguments.evaluator)
    if fetch is None:
        raise UsageError(f"{arguments.evaluator} has no weights to fetch: it comes with all that it needs")
    print(fetch(weights=arguments.weights))
    return 0
