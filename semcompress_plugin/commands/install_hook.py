"""``semcompress install-hook``."""

from __future__ import annotations

import argparse
import shlex
import sys
from importlib import resources
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.hosts.git import hooks_folder
from semcompress_plugin.walk import here

_OURS = b"semcompress install-hook"


def run(arguments: argparse.Namespace) -> int:
    """Install the hook, or bring ours up to date. A hook of somebody else is a UsageError, and stays as it is."""
    target = hooks_folder(here()) / "pre-commit"
    try:
        if not _is_free(target):
            raise UsageError(
                f"{target}: another hook is there, and stays; add to it: semcompress compress --hook || exit 1"
            )
        files.create(target, script(sys.executable), overwrite=True, mode=0o755)
    except (ImageError, OSError) as error:
        raise UsageError(f"{target}: cannot be written: {error}") from error
    print(f"{target}: installed; commits now stop where a staged picture could be smaller")
    return 0


def script(python: str) -> bytes:
    """The hook, which runs semcompress with the interpreter ``python`` (an absolute path)."""
    text = (resources.files("semcompress_plugin") / "hosts" / "git-pre-commit").read_text(encoding="utf-8")
    return text.replace("python=''", f"python={shlex.quote(python)}", 1).encode("utf-8", "surrogateescape")


def _is_free(target: Path) -> bool:
    if target.is_symlink():
        return False
    return not target.exists() or (target.is_file() and _OURS in target.read_bytes())
