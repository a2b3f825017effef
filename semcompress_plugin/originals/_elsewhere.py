"""Other stores that a repository has used: what was kept stays where it is when a policy names another place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semcompress_plugin import git
from semcompress_plugin.originals._base import Originals
from semcompress_plugin.originals._folder import FolderOriginals
from semcompress_plugin.originals._git import GitOriginals
from semcompress_plugin.originals._used import folders


def stores(repository: git.Repository | None, present: Path | None = None) -> Sequence[Originals]:
    """The stores that a repository has used; not the ``present`` one (its folder, or the repository's root)."""
    if repository is None:
        return ()
    found: list[Originals] = [] if present == repository.root else [GitOriginals(repository)]
    return found + [FolderOriginals(one, repository) for one in folders(repository) if one != present]
