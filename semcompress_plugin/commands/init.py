"""``semcompress init``."""

from __future__ import annotations

import argparse
from pathlib import PurePosixPath

from semcompress_plugin import files
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.init import FORMATS, OTHERS, draft
from semcompress_plugin.policy import POLICY_NAME
from semcompress_plugin.types import SUFFIXES
from semcompress_plugin.walk import find_images, repository_root
from semcompress_plugin.words import counted, printable


def run(arguments: argparse.Namespace) -> int:
    folder = arguments.folder
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder")
    target = folder / POLICY_NAME
    found = [item.path for item in find_images([folder], suffixes=SUFFIXES.keys() | OTHERS) if item.error is None]
    sizes = ((PurePosixPath(path.relative_to(folder).as_posix()), path.stat().st_size) for path in found)
    text = draft(sizes, None if repository_root(folder) else ".semcompress/originals")
    if target.exists() and not arguments.force:
        raise UsageError(f"{target}: is there already; --force overwrites it")
    try:
        files.create(target, text.encode(), overwrite=arguments.force)
    except ImageError as error:
        raise UsageError(f"{target}: {error}") from error
    count = sum(path.suffix.lower() in FORMATS for path in found)
    what = f"written for {counted(count, 'picture', 'pictures')}" if count else "written, though no picture is here yet"
    print(f"{printable(str(target))}: {what}; read it, then run `semcompress check`")
    return 0
