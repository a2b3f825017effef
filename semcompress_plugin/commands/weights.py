"""``semcompress weights fetch EVALUATOR``."""

from __future__ import annotations

import argparse

from semcompress_plugin import strangers
from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.errors import NOT_THEIRS, SemcompressError, UsageError
from semcompress_plugin.plugins import DISTRIBUTION


def run(arguments: argparse.Namespace) -> int:
    """Download what an evaluator such as ``torchvision:resnet152`` looks with. Nothing else ever does."""
    registry, name = load_registry(), arguments.evaluator
    provider = registry.provider(registry.evaluator(name))
    try:
        fetch = registry.fetcher(name)
        if fetch is None:
            raise UsageError(f"{name} has no weights to fetch: it comes with all that it needs")
        print(fetch(weights=arguments.weights))
    except (SemcompressError, *NOT_THEIRS):
        raise
    except BaseException as error:
        if provider.distribution == DISTRIBUTION:
            raise
        raise strangers.fault("evaluator", name, provider, error) from error
    return 0
