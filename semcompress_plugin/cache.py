"""Results that can be had again: disposable, shared by processes, safe to delete at any time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semcompress_plugin import files
from semcompress_plugin.errors import ImageError

GIB = 1 << 30
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of semcompress: it may be deleted at any time.\n"


@dataclass(frozen=True, slots=True)
class Cached:
    """What was stored: any JSON object, and named contents."""

    meta: Mapping[str, Any]
    payloads: Mapping[str, bytes]


def cache_key(*parts: Any) -> str:
    """A key for whatever decides a result, given as JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def made_key(sha256: str) -> str:
    """The key under which the output of a build is remembered as ours: the trees that builds make have no lock."""
    return cache_key("made", sha256)


def traded_key(sha256: str) -> str:
    """The key of a content that a build in place puts in another's place, or that had it: neither would be lost where a
    killed build has left it under another name.
    """
    return cache_key("traded", sha256)


def source_key(sha256: str, name: str) -> str:
    """The key under which a file that a build put in the place of its source remembers where it came from."""
    return cache_key("made from", sha256, name)


def default_folder() -> Path:
    """``SEMCOMPRESS_CACHE``, else the user's cache folder as the platform has it."""
    if chosen := os.environ.get("SEMCOMPRESS_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("semcompress", appauthor=False)


class Cache:
    """Entries under ``folder/results``, of at most ``limit`` bytes in all: the longest unused go first.

    An entry is one file: its own SHA-256, a line of JSON, the contents. What is damaged is not there; what cannot be
    stored is not stored. Nothing here raises for the state of the disk.
    """

    def __init__(self, folder: Path | None = None, limit: int = GIB) -> None:
        self.folder = default_folder() if folder is None else folder
        self._results = self.folder / "results"
        self._limit = limit
        self._until_trim = 0

    def get(self, key: str) -> Cached | None:
        """What :meth:`put` stored under ``key``, or None."""
        path = self._path(key)
        try:
            data = files.read(path).data
            seal, _, body = data.partition(b"\n")
            if seal != files.digest(body).encode():
                return None
            head, _, rest = body.partition(b"\n")
            record = json.loads(head)
            payloads = {}
            for name, size in record["payloads"]:
                payloads[name], rest = rest[:size], rest[size:]
            found = Cached(record["meta"], payloads)
        except (ImageError, ValueError, KeyError, TypeError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used just now
        return found

    def put(self, key: str, meta: Mapping[str, Any], payloads: Mapping[str, bytes] | None = None) -> None:
        """Store under ``key``; the last of several writers wins."""
        contents = payloads or {}
        record = {"meta": meta, "payloads": [[name, len(data)] for name, data in contents.items()]}
        body = b"".join([json.dumps(record).encode(), b"\n", *contents.values()])
        if len(body) > self._limit:
            return
        if self._until_trim <= 0:
            self._trim()
            self._until_trim = self._limit // 16
        self._until_trim -= len(body)
        sealed = b"%b\n%b" % (files.digest(body).encode(), body)
        with contextlib.suppress(ImageError):
            files.create(self._path(key), sealed, overwrite=True, durable=False)

    def _path(self, key: str) -> Path:
        return self._results / key[:2] / key

    def _trim(self) -> None:
        """Delete the longest unused until a sixteenth of the room is free: the rest of this run may fill that."""
        with contextlib.suppress(ImageError):
            if not (tag := self.folder / "CACHEDIR.TAG").exists():
                files.create(tag, _TAG)
        found: list[tuple[float, int, str]] = []
        with contextlib.suppress(OSError):
            for shelf in list(os.scandir(self._results)):
                files.sweep([Path(shelf.path)])
                with contextlib.suppress(OSError), os.scandir(shelf) as entries:
                    found += [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries]
        excess = sum(size for _, size, _ in found) - self._limit * 15 // 16
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108  # thousands of them
                excess -= size
