"""Where the originals of replaced pictures are kept: in the git repository, in a folder, or nowhere.

In git each group of originals becomes one tree (SHA-256 -> blob), held by one ref that is named after it. Writers thus
never touch the same ref: no update can be lost and no push refused. Once there are many such refs they are folded into
one that holds their trees.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Sequence
from functools import cached_property, partial
from pathlib import Path

from semcompress_plugin import git
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import OriginalsError, UsageError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.originals._base import NOT_HERE, Kept, Originals, get, git_id_of
from semcompress_plugin.originals._elsewhere import stores
from semcompress_plugin.originals._folder import USERS, FolderOriginals, belongings, is_original, tells_of_originals
from semcompress_plugin.originals._git import REFS, GitOriginals
from semcompress_plugin.words import quoted

__all__ = [
    "REFS",
    "USERS",
    "FolderOriginals",
    "GitOriginals",
    "Kept",
    "NoOriginals",
    "Originals",
    "belongings",
    "git_id_of",
    "is_original",
    "open_originals",
    "tells_of_originals",
]

_ALLOWED = "semcompress.originals"


def open_originals(folder: Path, setting: str | None, *, needed: bool = True) -> Originals:
    """The store for pictures governed by a policy in ``folder``.

    ``setting`` is the policy's ``originals``: a folder relative to it, ``none``, or None where the policy does not
    say. Without a word and without a git repository there is nowhere to keep originals: a UsageError, unless they are
    not ``needed`` (nothing will be replaced).
    """
    repository = git.find(folder)
    if setting == "none":
        return NoOriginals(repository)
    if setting is not None:
        place = Path(os.path.normpath(folder / Path(setting).expanduser()))
        if repository is not None:
            _confine(place, setting, repository)
        return FolderOriginals(place, repository, folder, partial(stores, repository, place))
    if repository is not None:
        return GitOriginals(repository, partial(stores, repository, repository.root))
    if needed:
        raise UsageError(
            f"{folder}: not in a git repository, so say in the policy where originals are kept: "
            "'originals: .semcompress/originals' (a folder, relative to the policy) or 'originals: none' (all lost)"
        )
    return NoOriginals(None)


def _confine(place: Path, setting: str, repository: git.Repository) -> None:
    """A policy may be a stranger's: outside its repository it chooses no folder that this machine has not allowed."""
    real = Path(os.path.realpath(place))
    if real.is_relative_to(repository.root):
        if ".git" in real.relative_to(repository.root).parts:
            raise UsageError(f"originals: {setting}: lies within .git, which is git's alone: name another folder")
        return
    listed = b""
    with contextlib.suppress(OriginalsError):  # git's way to say that it is not set
        listed = git.run(repository.root, "config", "--type=path", "-z", "--get-all", _ALLOWED)
    allowed = (os.path.realpath(repository.root / os.fsdecode(name)) for name in listed.split(b"\0") if name)
    if str(real) not in allowed:
        raise UsageError(
            f"originals: {setting}: lies outside the repository {repository.root}, where no policy writes unless you "
            f"allow it on this machine: git config --add {_ALLOWED} {quoted(str(real))}"
        )


class NoOriginals:
    """``originals: none``, said outright: what is replaced is gone."""

    def __init__(self, repository: git.Repository | None = None) -> None:
        self.state = None if repository is None else repository.state
        self._repository = repository

    @cached_property
    def elsewhere(self) -> Sequence[Originals]:
        return stores(self._repository)

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        return [None] * len(snapshots)

    def get(self, entry: Entry) -> bytes:
        return get(self, entry)

    def own(self, entry: Entry) -> bytes:
        noted = None if self.state is None else git_id_of(entry)
        raise OriginalsError(
            "its original was not kept (originals: none)" if noted is None else NOT_HERE.format(blob=noted[:12])
        )

    def kept(self) -> list[Kept]:
        return []

    def drop(self, contents: Collection[str]) -> None:
        pass
