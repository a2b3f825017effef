"""Trees of objects behind fsspec URLs: local folders, S3 and its like, memory.

Listings stream, and what is written appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from semcompress_plugin import files
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.scale.shards import Item
from semcompress_plugin.walk import place_below

_WHOLE = frozenset({"file", "local", "memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
"""Protocols under which a write is seen only once it is complete."""

_PIECE = 8 << 20
_EXTRAS = {"s3": "s3", "s3a": "s3"}


class Store:
    """The tree at ``url``: a folder's path, or an URL such as ``s3://bucket/prefix``.

    Endpoints and credentials are fsspec's own affair (``AWS_ENDPOINT_URL``, ``~/.aws``, ``~/.config/fsspec``), on
    every machine that opens the tree. Raises UsageError for a protocol that is unknown or lacks its package, and for
    a storage that does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") if "://" in url else str(Path(url).absolute())
        self._fs, root = _filesystem(self.url)
        self._root = root.rstrip("/")
        self.protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        self.is_local = "file" in self.protocols
        """Whether it is a folder of this machine."""
        self._is_s3 = "s3" in self.protocols

    def __str__(self) -> str:
        return self.url

    def check_writable(self) -> None:
        """Raise UsageError where an interrupted write would leave half an object."""
        if not self.protocols & _WHOLE:
            kinds = ", ".join(sorted(_WHOLE))
            raise UsageError(f"{self.url}: nobody knows that what is written there is written whole; use {kinds}")

    def lies_within(self, other: Store) -> bool:
        """Whether this tree is ``other``, or lies in it."""
        if self.is_local and other.is_local:
            return place_below(Path(self._root), Path(other._root)) is not None
        return bool(self._fs == other._fs) and f"{self._root}/".startswith(f"{other._root}/")

    def list(self) -> Iterator[Item]:
        """Every object, the objects of a folder sorted by name. Symbolic links are passed by.

        Raises UsageError when the tree cannot be listed.
        """
        try:
            if self.is_local:
                yield from _walk_local(self._root, "")
            elif self._is_s3:
                yield from self._listed()
            else:
                yield from self._walk(self._root)
        except (SystemExit, KeyboardInterrupt, GeneratorExit):
            raise
        except Exception as error:  # every kind of storage fails in its own way
            raise UsageError(f"{self.url}: cannot be listed: {_said(error)}") from error

    def sizes(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> bytes for those of ``keys`` that exist."""
        try:
            if not self._is_s3:
                return {key: size for key in keys if (size := self._size(key)) is not None}
            return self._sizes_by_range(keys) if keys else {}
        except Exception as error:
            raise ImageError(f"{self.url}: cannot be listed: {_said(error)}") from error

    def read(self, key: str) -> bytes:
        """An object's bytes. Raises ImageError with the reason in one line."""
        try:
            data: bytes = self._fs.cat_file(self._path(key))
        except FileNotFoundError as error:
            raise ImageError("does not exist") from error
        except Exception as error:
            raise ImageError(f"cannot be read: {_said(error)}") from error
        return data

    def find(self, key: str) -> bytes | None:
        """An object's bytes, or None where there is none."""
        try:
            found: bytes = self._fs.cat_file(self._path(key))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise ImageError(f"{self.url}/{key}: cannot be read: {_said(error)}") from error
        return found

    def write(self, key: str, data: bytes) -> None:
        """Write an object whole, over one that may be there. Raises ImageError with the reason in one line."""
        if self.is_local:
            files.create(Path(self._path(key)), data, overwrite=True)
            return
        try:
            self._fs.pipe_file(self._path(key), data)
        except Exception as error:
            raise ImageError(f"cannot be written: {_said(error)}") from error

    def copy(self, key: str, source: Store) -> None:
        """Copy an object of ``source``, of any size, to the same key here: by the storage itself where it can."""
        here, there = self._path(key), source._path(key)
        try:
            if self.is_local:
                with source._fs.open(there, "rb") as stream:
                    files.pour(Path(here), stream, like=Path(there) if source.is_local else None)
            elif self._fs == source._fs:
                self._fs.cp_file(there, here)
            else:
                self._stream(source, there, here)
        except ImageError:
            raise
        except Exception as error:
            raise ImageError(f"cannot be copied: {_said(error)}") from error

    def sweep(self, keys: Iterable[str]) -> None:
        """Remove what killed processes left half-written where these objects lie."""
        if self.is_local:
            files.sweep(Path(self._path(key)).parent for key in keys)

    def folds_case(self) -> bool:
        """Whether keys that differ in case only are one object: on some folders; object storage tells them apart."""
        return self.is_local and files.folds_case(Path(self._root))

    def _stream(self, source: Store, there: str, here: str) -> None:
        target = self._fs.open(here, "wb", autocommit=False, block_size=_PIECE)
        try:
            with source._fs.open(there, "rb") as stream:
                shutil.copyfileobj(stream, target, _PIECE)
            target.close()
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to hear about
                target.discard()
            target.closed = True  # or its end of life would commit what there is
            raise
        target.commit()

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _below(self, path: str) -> str:
        return path[len(self._root) :].strip("/")

    def _size(self, key: str) -> int | None:
        try:
            if self.is_local:
                return Path(self._path(key)).stat().st_size
            return int(self._fs.info(self._path(key))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _walk(self, folder: str) -> Iterator[Item]:
        """Folder by folder, for storages that have folders."""
        for entry in sorted(self._fs.ls(folder, detail=True), key=lambda entry: str(entry["name"])):
            if entry["type"] == "directory":
                yield from self._walk(entry["name"])
            else:
                yield _item(self._below(entry["name"]), entry)

    def _listed(self) -> Iterator[Item]:
        """The objects of an S3 prefix, which is there only if something lies under it."""
        empty = True
        for entry in self._pages():
            empty = False
            yield _item(self._below(entry["name"]), entry)
        if empty:
            raise FileNotFoundError("nothing lies there")

    def _pages(self, after: str = "") -> Iterator[dict[str, Any]]:
        """The objects of an S3 prefix as S3 sorts them, a page in memory at a time; s3fs itself would hold them all."""
        bucket, _, prefix = self._root.partition("/")
        wanted = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else ""}
        if after:
            wanted["StartAfter"] = wanted["Prefix"] + after
        while True:
            page = self._fs.call_s3("list_objects_v2", **wanted)
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # what consoles make so that a folder can be seen
                    yield {"name": f"{bucket}/{entry['Key']}", "size": entry["Size"], "ETag": entry["ETag"]}
            if not page.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def _sizes_by_range(self, keys: Sequence[str]) -> dict[str, int]:
        """A request for a thousand neighbours instead of one for each."""
        wanted, found = set(keys), dict[str, int]()
        first, last = min(keys, key=_order), max(keys, key=_order)
        for entry in self._pages(after=first[:-1]):
            key = self._below(entry["name"])
            if _order(key) > _order(last):
                break
            if key in wanted:
                found[key] = int(entry["size"])
        return found


def _filesystem(url: str) -> tuple[Any, str]:
    protocol = url.partition("://")[0] if "://" in url else "file"
    try:
        from fsspec.core import url_to_fs

        # s3fs would ask for every object's size, to fetch large ones in parts; we fetch several objects at once
        options = {"max_concurrency": 1} if protocol in ("s3", "s3a") else {}
        found: tuple[Any, str] = url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        extra = "remote" if error.name == "fsspec" else _EXTRAS.get(protocol)
        if extra is None:  # fsspec knows which package of whose brings that storage
            raise UsageError(f"{url}: needs a package: {_said(error)}") from error
        raise UsageError(f"{url}: needs a package: pip install 'semcompress-plugin[{extra}]' ({error})") from error
    except ValueError as error:
        raise UsageError(f"{url}: no storage that fsspec knows: {_said(error)}") from error
    except Exception as error:  # some ask their server at once, each in its own way
        raise UsageError(f"{url}: cannot be listed: {_said(error)}") from error
    return found


def _walk_local(folder: str, above: str) -> Iterator[Item]:
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk_local(entry.path, f"{above}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            yield Item(above + entry.name, status.st_size, f"{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}")


def _item(key: str, entry: dict[str, Any]) -> Item:
    """An entry of a listing, whose storage calls by its own name what changes with the content."""
    names = ("ETag", "etag", "md5Hash", "content_md5", "generation", "mtime", "LastModified", "modified", "created")
    tag = next((str(entry[name]) for name in names if entry.get(name) is not None), "")
    return Item(key, int(entry["size"]), tag.strip('"'))


def _order(key: str) -> bytes:
    """S3 sorts by UTF-8."""
    return key.encode("utf-8", "surrogatepass")


def _said(error: BaseException) -> str:
    """The first line of what an error says."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
