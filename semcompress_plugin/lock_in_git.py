"""What git has of a repository's locks beside the files that lie there: in its index, in a commit, and in what a merge
brings. Of a conflict git may leave one side as the file, with no word about the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from semcompress_plugin import git
from semcompress_plugin.entries import HEADER, Index, is_newer
from semcompress_plugin.errors import OriginalsError

NAME = "semcompress.lock"
_HEAD = "HEAD"
# The last is git's own draft of what comes out, which it also has where a stash is popped or commits are squashed.
_UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE")
_JUST_MERGED = ("HEAD^1", "HEAD^2")
"""What the last commit merged, if it did: its conflict may have been settled for one side."""
_FORMAT = HEADER.partition(",")[0].partition(" ")[2]


class LocksInGit:
    """The locks of a repository. What is under way is looked up once; lines are read whenever they are asked for."""

    def __init__(self, repository: git.Repository) -> None:
        self.repository = repository

    def of(self, path: Path, *revisions: str) -> Index:
        """The lines of the lock ``path`` in the first of ``revisions`` (``:0:``, ``HEAD:``) that has it, and in all
        that is being merged, or was by the last commit.

        Raises OriginalsError where git cannot say, or has something there that is no lock.
        """
        path = Path(os.path.realpath(path.parent), path.name)
        found = (git.surely_at(self.repository, revision, path) for revision in revisions)
        first = next((data for data in found if data is not None), b"")
        under_way = dict.fromkeys((*self._unmerged.get(path, ()), *self._under_way.get(path, ())))
        known = [salvaged(data, path) for data in (first, *map(self._blob, under_way))]
        index = Index()
        # of two with one identity the line that sorts last is taken, as everywhere
        index.add(sorted(line for one in (*known, *self._settled(path)) for line in one.lines.values()))
        return index

    def _settled(self, path: Path) -> Iterator[Index]:
        """What the last commit merged; nothing of what was not fetched, or is no lock: it is a precaution."""
        for blob in dict.fromkeys(self._just_merged.get(path, ())):
            with contextlib.suppress(OriginalsError):
                yield salvaged(self._blob(blob), path)

    def _blob(self, blob: str) -> bytes:
        return self._run("cat-file", "blob", blob)

    @cached_property
    def _unmerged(self) -> dict[Path, list[str]]:
        """The blobs of all sides of what the index has in conflict."""
        found: dict[Path, list[str]] = {}
        for record in filter(None, self._run("ls-files", "--unmerged", "-z").split(b"\0")):
            facts, _, name = record.partition(b"\t")
            found.setdefault(self._path(name), []).append(facts.split()[1].decode())
        return found

    @cached_property
    def _under_way(self) -> dict[Path, list[str]]:
        return self._in(*_UNDER_WAY)

    @cached_property
    def _just_merged(self) -> dict[Path, list[str]]:
        try:
            return self._in(*_JUST_MERGED) if _JUST_MERGED[1] in self._known else {}
        except OriginalsError:
            return {}

    def _in(self, *heads: str) -> dict[Path, list[str]]:
        """The blobs of locks in which one of these commits and the last commit differ, of both."""
        found: dict[Path, list[str]] = {}
        for head in (head for head in heads if {head, _HEAD} <= self._known.keys()):
            both = self._known[_HEAD], self._known[head]
            told = self._run("diff-tree", "-r", "-z", "--no-renames", *both, "--", f":(top,glob)**/{NAME}")
            fields = told.split(b"\0")
            for facts, name in zip(fields[0:-1:2], fields[1::2], strict=True):
                _, _, ours, theirs, _ = facts.split()
                blobs = [blob.decode() for blob in (ours, theirs) if blob.strip(b"0")]
                found.setdefault(self._path(name), []).extend(blobs)
        return found

    @cached_property
    def _known(self) -> dict[str, str]:
        """Name -> object, of those heads that are there."""
        names = (_HEAD, *_UNDER_WAY, *_JUST_MERGED)
        asked = "".join(f"{name}\n" for name in names).encode()
        told = self._run("cat-file", "--batch-check=%(objectname)", input=asked).decode().splitlines()
        return {name: answer for name, answer in zip(names, told, strict=True) if " " not in answer}

    def _path(self, name: bytes) -> Path:
        return self.repository.root / os.fsdecode(name)

    def _run(self, *arguments: str, input: bytes = b"") -> bytes:
        return git.run(self.repository.root, *arguments, input=input)


def salvaged(data: bytes, path: Path) -> Index:
    """The whole lines of what is at ``path``, or git has there.

    Raises OriginalsError where that is no lock at all, or one of a newer format, of which lines may mean anything.
    """
    text = data.decode("utf-8", "surrogateescape")
    if is_foreign(text):
        raise OriginalsError(no_lock(path))
    if is_newer(text):
        raise OriginalsError(f"{path}: is of a newer format than this semcompress knows: upgrade semcompress")
    return Index.salvage(text)


def is_foreign(text: str) -> bool:
    """Whether a text has nothing of a lock, of whatever version and in whatever state: it may hold markers."""
    return bool(text.strip()) and _FORMAT not in text and not len(Index.salvage(text))


def is_ignored(path: Path) -> bool:
    """Whether git is told to ignore the lock at ``path``, and does: it tracks none there."""
    try:
        return git.find(path.parent) is not None and bool(git.run(path.parent, "check-ignore", "--", path.name))
    except OriginalsError:  # git's way to say no
        return False


def no_lock(path: Path) -> str:
    """What to say of a file by a lock's name, here or as git has it, that is none."""
    name = f"{path}: is no lock, here or in git"
    if (filter := _filter(path)) is None:
        return f"{name}: take one that is from git again"
    return (
        f"{name}, but what the filter {filter!r} makes of one: add the line `{NAME} !filter !diff !merge` to "
        f".gitattributes, then `git add --renormalize {path.name}`"
    )


def _filter(path: Path) -> str | None:
    """The filter that git is told to put the file through."""
    try:
        told = git.run(path.parent, "check-attr", "-z", "filter", "--", path.name).split(b"\0")
    except OriginalsError:
        return None
    return None if told[2] in (b"unspecified", b"unset", b"set") else os.fsdecode(told[2])
