"""How a listing is cut into shards. Pure: items in, shards out, one shard in memory at a time.

A run finds what an earlier one settled by the shard's name, so cuts must not move when objects come and go. They are
therefore chosen by the names at which they fall (as backup programs cut files by content): an object more or less
changes the shard that it lies in, and no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

AVERAGE = 500
"""Objects per shard: one to two minutes of one core, a lock of some 200 kB."""

_MOST = 4
"""Shards are cut at this many times the average if no name asked for it."""

_FAMILY = 64


@dataclass(frozen=True, slots=True)
class Item:
    """An object: ``key`` relative to the tree, with ``/``; its size; a ``tag`` that changes whenever it is written."""

    key: str
    bytes: int
    tag: str


@dataclass(frozen=True, slots=True)
class Shard:
    """Some neighbours of a listing. ``name`` is the same in every run that cuts at the same place."""

    name: str
    items: tuple[Item, ...]

    def __str__(self) -> str:
        return f"shard {self.name} ({len(self.items)} objects from {self.items[0].key} to {self.items[-1].key})"


def cut(items: Iterable[Item], average: int = AVERAGE) -> Iterator[Shard]:
    """Cut a listing, in which the objects of a folder come sorted by name, into shards of ``average`` objects or so.

    Pictures that might be written under one name (``a.jpg``, ``a.png``) stay in one shard, and so does everything up
    to the first dot of a name (``a.jpg``, ``a.min.jpg``, ``a.png``), unless that is a long sequence
    (``frame.000001.jpg``).
    """
    name, part = _name(""), list[Item]()
    family, stem, relatives = "", "", 0
    for item in items:
        last_family, last_stem = family, stem
        family, stem = _family(item.key), _stem(item.key)
        relatives = relatives + 1 if family == last_family else 0
        free = stem != last_stem and (relatives == 0 or relatives >= _FAMILY)
        if part and free and (_asks_for_a_cut(stem, average) or len(part) >= _MOST * average):
            yield Shard(name, tuple(part))
            name, part = _name(item.key), []
        part.append(item)
    if part:
        yield Shard(name, tuple(part))


def _asks_for_a_cut(stem: str, average: int) -> bool:
    return int.from_bytes(_hash(stem)[:8], "big") % average == 0


def _name(first: str) -> str:
    """The first shard is named alike whatever it begins with."""
    return _hash(first).hex()[:20]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _stem(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _family(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return folder + slash + name.partition(".")[0]
