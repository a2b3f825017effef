"""The folders of originals that a repository has used: policies change their mind about the place."""

from __future__ import annotations

import os
from pathlib import Path

from semcompress_plugin import files, git
from semcompress_plugin.errors import ImageError, OriginalsError

_FOLDERS = "folders"


def folders(repository: git.Repository) -> list[Path]:
    """The folders of originals that this repository has used."""
    try:
        lines = (repository.state / _FOLDERS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OriginalsError(f"{repository.state / _FOLDERS}: cannot be read: {error.strerror}") from error
    return [Path(os.path.normpath(repository.common / os.fsdecode(line))) for line in lines if line]


def remember(repository: git.Repository, folder: Path) -> None:
    """Note that a repository uses a folder of originals. Whoever calls holds the lock (:meth:`Lock.exclusive`)."""
    known = folders(repository)
    if folder in known or "\n" in str(folder):
        return
    lines = [
        # what lies beside the git directory moves with it
        os.path.relpath(one, repository.common) if one.is_relative_to(repository.common.parent) else str(one)
        for one in (*known, folder)
    ]
    try:
        files.create(repository.state / _FOLDERS, os.fsencode("".join(f"{line}\n" for line in lines)), overwrite=True)
    except ImageError as error:
        raise OriginalsError(f"{repository.state / _FOLDERS}: {error}") from error
