"""Where the originals of replaced pictures are kept: in the git repository, in a folder, or nowhere.

In git each group of originals becomes one tree (SHA-256 -> blob), held by one ref that is named after it. Writers thus
never touch the same ref: no update can be lost and no push refused. Once there are many such refs they are folded into
one that holds their trees.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from semcompress_plugin import files, git
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import ImageError, OriginalsError, UsageError
from semcompress_plugin.files import Snapshot

REFS = "refs/semcompress"
_FOLD_BEYOND = 64


class Originals(Protocol):
    """``state`` is the folder for the journal and temporary files, None where there is none."""

    @property
    def state(self) -> Path | None: ...

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        """Store contents for good; returns their git ids, or None for a store that has none.

        Raises OriginalsError when even one cannot be kept.
        """
        ...

    def get(self, entry: Entry) -> bytes:
        """The original of an entry, its SHA-256 checked. Raises OriginalsError when it cannot be had."""
        ...


def open_originals(folder: Path, setting: str | None, *, needed: bool = True) -> Originals:
    """The store for pictures governed by a policy in ``folder``.

    ``setting`` is the policy's ``originals``: a folder relative to it, ``none``, or None where the policy does not
    say. Without a word and without a git repository there is nowhere to keep originals: a UsageError, unless they are
    not ``needed`` (nothing will be replaced).
    """
    repository = git.find(folder)
    if setting == "none":
        return NoOriginals(None if repository is None else repository.state)
    if setting is not None:
        place = folder / Path(setting).expanduser()
        return FolderOriginals(place, place if repository is None else repository.state)
    if repository is not None:
        return GitOriginals(repository)
    if needed:
        raise UsageError(
            f"{folder}: not in a git repository, so say in the policy where originals are kept: "
            "'originals: ../originals' (a folder, relative to the policy) or 'originals: none' (they are lost)"
        )
    return NoOriginals(None)


class NoOriginals:
    """``originals: none``, said outright: what is replaced is gone."""

    def __init__(self, state: Path | None) -> None:
        self.state = state

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        return [None] * len(snapshots)

    def get(self, entry: Entry) -> bytes:
        raise OriginalsError("its original was not kept (originals: none)")


class FolderOriginals:
    """``originals: DIR``: one file per content, ``ab/abcdef…`` after its SHA-256."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        for snapshot in snapshots:
            place = self._place(snapshot.sha256)
            try:
                if not _holds(place, snapshot.sha256):
                    files.create(place, snapshot.data, overwrite=True, mode=0o444)
            except ImageError as error:
                raise OriginalsError(f"{place}: {error}") from error
        return [None] * len(snapshots)

    def get(self, entry: Entry) -> bytes:
        place = self._place(entry.original.sha256)
        try:
            return _checked(files.read(place).data, entry)
        except ImageError as error:
            raise OriginalsError(f"its original {place} {error}") from error

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256


class GitOriginals:
    """Blobs in the repository, held by refs of our own off every branch: neither cloned nor pruned."""

    def __init__(self, repository: git.Repository) -> None:
        self.repository = repository
        self._folded = False

    @property
    def state(self) -> Path:
        return self.repository.state

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        if not snapshots:
            return []
        blobs = self._store(snapshots)
        names = {snapshot.sha256: blob for snapshot, blob in zip(snapshots, blobs, strict=True)}
        tree = self._tree([f"100644 blob {blob}\t{sha256}" for sha256, blob in names.items()])
        self._git("update-ref", f"{REFS}/originals/{tree}", tree)
        if not self._folded:
            self._fold()
            self._folded = True
        return list(blobs)

    def get(self, entry: Entry) -> bytes:
        if entry.blob is None:
            raise OriginalsError("its original was not kept in this repository")
        try:
            data = self._git("cat-file", "blob", entry.blob)
        except OriginalsError as error:
            raise OriginalsError(
                f"its original (blob {entry.blob[:12]}) is not in this repository: have whoever replaced it push "
                f"'{REFS}/*', then run git fetch REMOTE '{REFS}/*:{REFS}/*'"
            ) from error
        return _checked(data, entry)

    def _store(self, snapshots: Sequence[Snapshot]) -> list[str]:
        """Write blobs: in one go from the files on disk, one by one from memory where that is not what we read."""
        blobs: list[str] = []
        paths = [str(snapshot.path.absolute()) for snapshot in snapshots]
        if not any("\n" in path or path.endswith("\r") for path in paths):
            with contextlib.suppress(OriginalsError):  # a file has just vanished; we still have its bytes
                listed = "".join(path + "\n" for path in paths).encode("utf-8", "surrogateescape")
                output = self._git("hash-object", "-w", "--no-filters", "--stdin-paths", input=listed)
                blobs = output.decode().split()
        if len(blobs) != len(snapshots):
            blobs = [""] * len(snapshots)
        return [
            blob if blob == _git_id(snapshot.data, len(blob)) else self._store_one(snapshot)
            for snapshot, blob in zip(snapshots, blobs, strict=True)
        ]

    def _store_one(self, snapshot: Snapshot) -> str:
        output = self._git("hash-object", "-w", "--no-filters", "--stdin", input=snapshot.data)
        return output.decode().strip()

    def _fold(self) -> None:
        """Hold many trees by one ref. The new ref stands before the old ones go, so nothing is ever unheld."""
        listed = self._git("for-each-ref", "--format=%(objectname) %(refname)", f"{REFS}/originals/")
        refs = [line.split() for line in listed.decode().splitlines()]
        if len(refs) <= _FOLD_BEYOND:
            return
        tree = self._tree(sorted({f"040000 tree {held}\t{held}" for held, _ in refs}))
        self._git("update-ref", f"{REFS}/folded/{tree}", tree)
        deletions = "".join(f"delete {ref} {held}\n" for held, ref in refs)
        with contextlib.suppress(OriginalsError):  # another process was faster; what is left is folded next time
            self._git("update-ref", "--stdin", input=deletions.encode())

    def _tree(self, lines: Sequence[str]) -> str:
        return self._git("mktree", input="".join(line + "\n" for line in lines).encode()).decode().strip()

    def _git(self, *arguments: str, input: bytes = b"") -> bytes:
        return git.run(self.repository.root, *arguments, input=input)


def _git_id(data: bytes, length: int) -> str:
    """git's id of a blob; repositories come with ids of 40 digits (SHA-1) or 64 (SHA-256)."""
    hashed = hashlib.sha256() if length == 64 else hashlib.sha1(usedforsecurity=False)
    hashed.update(b"blob %d\0" % len(data))
    hashed.update(data)
    return hashed.hexdigest()


def _holds(place: Path, sha256: str) -> bool:
    try:
        return files.read(place).sha256 == sha256
    except ImageError:
        return False


def _checked(data: bytes, entry: Entry) -> bytes:
    if files.digest(data) != entry.original.sha256:
        raise OriginalsError("its original is damaged: its SHA-256 is not the one in the lock")
    return data
