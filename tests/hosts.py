"""What tests of hosts share: their documentation, a small site's pictures, and what to do where a host is missing."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from pictures import encoded, photo

ROOT = Path(__file__).parents[1]
LOOSE = "keep: {msssim: {score: {min: 0.95}}}"
"""Bounds that cost few looks: what a test of a host is about is elsewhere."""


def page(name: str) -> str:
    return (ROOT / "docs" / "hosts" / f"{name}.md").read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The blocks of code in ``language`` on the host's page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.DOTALL | re.MULTILINE)


def missing(host: str) -> NoReturn:
    """Skip, for the stated reason; in CI, where every host of the default suite must be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{host}; CI must not skip it")
    pytest.skip(host)


def big(path: Path, seed: int = 0, size: tuple[int, int] = (320, 240)) -> bytes:
    """Write a photo that can be smaller, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(photo(size, seed), "PNG" if path.suffix == ".png" else "JPEG", quality=97))
    return path.read_bytes()


def program(folder: Path) -> Path:
    """A ``semcompress`` that is this Python's, and says which arguments it got in ``called`` beside it."""
    folder.mkdir(parents=True)
    path = folder / "semcompress"
    path.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{folder}/called"\nexec "{sys.executable}" -m semcompress_plugin "$@"\n'
    )
    path.chmod(0o755)
    return path
