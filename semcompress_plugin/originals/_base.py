"""What a store of originals can do, and what is in one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from semcompress_plugin import files
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.files import Snapshot

NOT_HERE = (
    "its original (blob {blob}) is not in this repository: have whoever replaced it run `semcompress originals push`, "
    "then run `semcompress originals fetch`"
)
SHA256 = re.compile("[0-9a-f]{64}")
_GIT_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


Elsewhere = Callable[[], Sequence["Originals"]]
"""Finds other stores, when they are first asked for."""


class DamagedError(OriginalsError):
    """Something is kept, but it is not what it was."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An original in a store. ``blob`` is its git id, ``groups`` are the trees that hold it (a folder has neither)."""

    sha256: str
    bytes: int
    blob: str | None = None
    groups: frozenset[str] = frozenset()


class Originals(Protocol):
    """``state`` is the folder for the journal and temporary files, None where there is none.

    ``elsewhere`` are the other stores that this repository is known to have used: policies change their mind about the
    place, and what was kept stays where it is.
    """

    @property
    def state(self) -> Path | None: ...

    @property
    def elsewhere(self) -> Sequence[Originals]: ...

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        """Store contents for good; returns their git ids, or None for a store that has none.

        Raises OriginalsError when even one cannot be kept.
        """
        ...

    def get(self, entry: Entry) -> bytes:
        """The original of an entry, its SHA-256 checked; from elsewhere, too.

        Raises OriginalsError when it cannot be had.
        """
        ...

    def own(self, entry: Entry) -> bytes:
        """As :meth:`get`, from this store alone."""
        ...

    def kept(self) -> list[Kept]:
        """Everything in the store, sorted by SHA-256, each content once."""
        ...

    def drop(self, contents: Collection[str]) -> None:
        """Let go of originals by SHA-256. Whoever calls holds the lock (:meth:`Lock.exclusive`)."""
        ...


def checked(data: bytes, entry: Entry) -> bytes:
    if files.digest(data) != entry.original.sha256:
        raise DamagedError("its original is damaged: its SHA-256 is not the one in the lock")
    return data


def git_id_of(entry: Entry) -> str | None:
    """The blob that an original was kept as: a lock may be a stranger's, and git takes much for the name of a blob."""
    return entry.blob if entry.blob is not None and _GIT_ID.fullmatch(entry.blob) else None


def get(store: Originals, entry: Entry) -> bytes:
    """The original of an entry from a store, else from one of those elsewhere."""
    try:
        return store.own(entry)
    except OriginalsError:
        for other in store.elsewhere:
            with contextlib.suppress(OriginalsError):
                return other.own(entry)
        raise
