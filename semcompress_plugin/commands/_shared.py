"""What several commands do alike."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from semcompress_plugin.errors import ImageError, PluginError, SemcompressError, UnsupportedImageError
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Constraint, Result, Rule, Status


def load_registry() -> Registry:
    """The registry; a third party's plugin that cannot be loaded is a warning."""
    registry = Registry()
    for broken in registry.broken:
        print(f"semcompress: warning: {broken}", file=sys.stderr)
    return registry


def here() -> Path:
    """The working folder, as the user spells it."""
    return Path(os.path.abspath(os.curdir))  # noqa: PTH100  # Path.cwd resolves links


def print_report(
    results: Sequence[Result], seconds: float, form: str, quiet: bool, rules: Iterable[Rule], verb: str = "compressed"
) -> None:
    """The report on standard output: JSON if asked for, else a table unless ``quiet``. Failures always show."""
    if form == "json":
        from semcompress_plugin.report import json

        print(json.report(results, seconds))
    elif not quiet:
        from semcompress_plugin.report import text

        bounds: dict[str, Sequence[Constraint]] = {rule.name: rule.keep for rule in rules}
        print(text.report(results, seconds, bounds, verb))
    else:
        from semcompress_plugin.report.text import printable

        for result in results:
            if result.status == "failed":
                print(f"semcompress: {printable(result.path)}: {result.reason}", file=sys.stderr)


def failure(error: BaseException) -> tuple[Status, str, str | None]:
    """Status and reason of what ended a picture, and the traceback if it is a bug of ours."""
    if isinstance(error, UnsupportedImageError):
        return "skipped", str(error), None
    if isinstance(error, (ImageError, PluginError)):
        return "failed", str(error), None
    if isinstance(error, MemoryError):
        return "failed", "needs more memory than there is", None
    if isinstance(error, SemcompressError):
        raise error  # concerns the whole run
    text = "".join(traceback.format_exception(error))
    return "failed", f"bug of ours: {type(error).__name__}: {error}", text


def versions(rule: Rule, registry: Registry) -> dict[str, str]:
    """Versions of everything that decides what a rule makes of a picture: the lock's ``made_with``."""
    made = {name: version(name) for name in ("semcompress-plugin", "pillow", "onnxruntime")}
    made |= {use.name: registry.compressor(use.name).version for use in rule.compress}
    return made | {use.plugin: registry.evaluator(use.plugin).version for use in rule.evaluators}
