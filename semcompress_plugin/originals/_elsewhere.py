"""Other stores that a repository has used: policies change their mind about the place of originals."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from semcompress_plugin import files, git
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.originals._base import Originals

_FOLDERS = "folders"


def stores(repository: git.Repository | None, present: Path | None = None) -> Sequence[Originals]:
    """The stores that a repository has used; not the ``present`` one (its folder, or the repository's root)."""
    from semcompress_plugin.originals._folder import FolderOriginals  # these ask here for their fellows
    from semcompress_plugin.originals._git import GitOriginals

    if repository is None:
        return ()
    stores: list[GitOriginals | FolderOriginals] = [] if present == repository.root else [GitOriginals(repository)]
    return stores + [FolderOriginals(one, repository) for one in _folders(repository) if one != present]


def get(store: Originals, entry: Entry) -> bytes:
    """The original of an entry from a store, else from one of those elsewhere."""
    try:
        return store.own(entry)
    except OriginalsError:
        for other in store.elsewhere:
            with contextlib.suppress(OriginalsError):
                return other.own(entry)
        raise


def _folders(repository: git.Repository) -> list[Path]:
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
    known = _folders(repository)
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
