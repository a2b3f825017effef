"""The versions of everything that decides what a rule makes of a picture."""

from __future__ import annotations

from functools import cache

from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Rule


@cache
def version(distribution: str) -> str:
    """The installed version of a distribution."""
    from importlib.metadata import version  # takes a while to import

    return version(distribution)


def versions(rule: Rule, registry: Registry) -> dict[str, str]:
    """Name -> version, of tools and plugins: the lock's ``made_with``."""
    made = {name: version(name) for name in ("semcompress-plugin", "pillow", "onnxruntime")}
    made |= {use.name: registry.compressor(use.name).version for use in rule.compress}
    return made | {use.plugin: registry.evaluator(use.plugin).version for use in rule.evaluators}
