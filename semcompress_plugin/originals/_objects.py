"""git's objects, written and read by what they are."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import BinaryIO

from semcompress_plugin import git
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.originals._base import DamagedError

_PIECE = 1 << 16
_FSCK = "an object of this git repository is damaged: run `git fsck`"


class GitObjects:
    """The objects of a repository."""

    def __init__(self, repository: git.Repository) -> None:
        self.repository = repository

    def objects(self, ids: Collection[str], kind: str = "blob") -> Iterator[tuple[str, bytes]]:
        """Objects and their content; nothing for one that is missing or of another kind."""
        seen = 0
        for one, found, pieces in self._batch(ids):
            yield one, b"".join(pieces) if found == kind else b""
            seen += 1
        if seen < len(ids):
            raise DamagedError(_FSCK)

    def _batch(self, ids: Collection[str]) -> Iterator[tuple[str, str, Iterator[bytes]]]:
        """Objects, their kind (``missing``, too) and their content in pieces, until there is one that git cannot read.

        Raises DamagedError when that is found out half way through it.
        """
        if not ids:
            return
        listed = "".join(f"{one}\n" for one in ids).encode()
        with git.output(self.repository.root, "cat-file", "--batch", "--buffer", input=listed) as output:
            while line := output.readline():
                one, kind, *size = line.decode().split()
                pieces = _pieces(output, int(size[0])) if size else iter(())
                yield one, kind, pieces
                for _ in pieces:  # that nobody wanted
                    pass

    def _sizes(self, ids: Collection[str]) -> dict[str, int]:
        listed = "".join(f"{one}\n" for one in ids).encode()
        output = self._git("cat-file", "--batch-check=%(objectname) %(objectsize)", input=listed).decode()
        return {one: int(size) for one, size in map(str.split, output.splitlines()) if size.isdigit()}

    def _trees(self, ids: Collection[str]) -> dict[str, dict[str, tuple[str, str]]]:
        """Tree -> name -> (id, ``tree`` or ``blob``); a tree that is not there is empty."""
        return {tree: dict(_entries(data, len(tree) // 2)) for tree, data in self.objects(ids, "tree")}

    def _tree(self, lines: Sequence[str]) -> str:
        return self._git("mktree", input="".join(line + "\n" for line in lines).encode()).decode().strip()

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
            blob if blob == git.blob_id(snapshot.data, len(blob)) else self._store_one(snapshot)
            for snapshot, blob in zip(snapshots, blobs, strict=True)
        ]

    def _store_one(self, snapshot: Snapshot) -> str:
        output = self._git("hash-object", "-w", "--no-filters", "--stdin", input=snapshot.data)
        return output.decode().strip()

    def digests(self, blobs: Iterable[str]) -> dict[str, str]:
        """Blob -> SHA-256 of its content, read piece by piece; nothing for one that is missing, damaged or no blob."""
        found: dict[str, str] = {}
        left = list(dict.fromkeys(blobs))
        while left:
            read = list(self._digests(left))
            found.update((blob, sha256) for blob, sha256 in read if sha256 is not None)
            left = left[len(read) + 1 :]  # git gives up at an object that is damaged
        return found

    def _digests(self, ids: Collection[str]) -> Iterator[tuple[str, str | None]]:
        with contextlib.suppress(DamagedError):
            for one, kind, pieces in self._batch(ids):
                hashed = hashlib.sha256()
                for piece in pieces:
                    hashed.update(piece)
                yield one, hashed.hexdigest() if kind == "blob" else None

    def _git(self, *arguments: str, input: bytes = b"") -> bytes:
        return git.run(self.repository.root, *arguments, input=input)


def _pieces(output: BinaryIO, size: int) -> Iterator[bytes]:
    """The content of an object of ``size`` bytes, to the line's end after it. Raises DamagedError if it is cut off."""
    while size:
        if not (piece := output.read(min(size, _PIECE))):
            raise DamagedError(_FSCK)
        yield piece
        size -= len(piece)
    if output.read(1) != b"\n":
        raise DamagedError(_FSCK)


def _entries(data: bytes, width: int) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name -> (id, kind) of a tree object: ``mode SP name NUL id`` over and over, ids of ``width`` bytes."""
    start = 0
    while start < len(data):
        end = data.index(b"\0", start)
        mode, _, name = data[start:end].partition(b" ")
        start = end + 1 + width
        yield os.fsdecode(name), (data[end + 1 : start].hex(), "tree" if mode == b"40000" else "blob")
