"""What is known of a shard, as text: its lock and its report in one object. Pure.

A header, then a line of JSON for every object, sorted by key. What is settled is told by the object's size and tag, so
that a later run need not read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast

from semcompress_plugin.entries import Entry, decode, encode
from semcompress_plugin.errors import LockError
from semcompress_plugin.scale.shards import Item, Shard
from semcompress_plugin.types import OutputFile, Result, Status

FOLDER = ".semcompress"
BUILD = f"{FOLDER}/build.json"
"""What tells a derived tree: written there before anything else."""
VERSION = 1
_FORMAT = "semcompress.shard"


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one object.

    ``policy`` is the digest of the rule that governed it, None where none did. ``status`` is ``copied`` for what is
    no picture, else a result's; a failed one is never settled. ``entries`` are what the lock of a repository would
    say: none for what was merely copied.
    """

    item: Item
    status: Status | Literal["copied"]
    policy: str | None = None
    rule: str | None = None
    reason: str | None = None
    looks: int = 0
    entries: tuple[Entry, ...] = ()

    @property
    def files(self) -> dict[str, int]:
        """Key -> bytes of what lies in the derived tree because of this object."""
        written = {entry.path: entry.output.bytes for entry in self.entries}
        if not any(entry.relation == "replaced" for entry in self.entries):
            written.setdefault(self.item.key, self.item.bytes)
        return written

    def settles(self, item: Item, policy: str | None) -> bool:
        """Whether nothing need be done about ``item``, so long as :attr:`files` are there."""
        return self.status != "failed" and self.item == item and self.policy == policy

    def result(self, settled: bool = False) -> Result | None:
        """As reports have it; None for what is no picture. ``settled``: an earlier run has had the looks."""
        if self.status == "copied":
            return None
        written = [entry for entry in self.entries if entry.relation != "kept"]
        outputs = tuple(
            OutputFile(entry.path, entry.compressor or "", entry.settings, entry.output.bytes, entry.scores)
            for entry in written
        )
        before = self.item.bytes
        after = min((output.bytes for output in outputs), default=before)
        looks = 0 if settled else self.looks
        return Result(self.item.key, self.status, before, after, self.rule, outputs, looks, self.reason, settled)


@dataclass(slots=True)
class Account:
    """Sums over a shard: all that travels back from a worker, whatever the number of objects.

    ``before``, ``after`` are bytes of pictures. ``failures`` are the first of the results that failed or are above
    their budget though they were compressed (``over`` counts these), ``bugs`` the tracebacks of our own mistakes,
    ``warnings`` what plugins made of the results, each once; ``pages`` counts HTML.
    """

    files: int = 0
    compressed: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    before: int = 0
    after: int = 0
    looks: int = 0
    cached: int = 0
    copied: int = 0
    pages: int = 0
    over: int = 0
    failures: list[Result] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    NAMED = 1000
    """Failures beyond this many are counted, and named in their shard's account only."""

    def add(self, result: Result) -> None:
        self.files += 1
        setattr(self, result.status, getattr(self, result.status) + 1)
        self.before += result.before
        self.after += result.after
        self.looks += result.looks
        self.cached += result.cached
        over = result.status != "failed" and result.over_budget
        self.over += over
        if (over or result.status == "failed") and len(self.failures) < self.NAMED:
            self.failures.append(result)

    def warn(self, text: str) -> None:
        if text not in self.warnings and len(self.warnings) < self.NAMED:
            self.warnings.append(text)

    def merge(self, other: Account) -> None:
        for counter in fields(self):
            if counter.name not in ("failures", "bugs", "warnings"):
                setattr(self, counter.name, getattr(self, counter.name) + getattr(other, counter.name))
        self.failures += other.failures[: self.NAMED - len(self.failures)]
        self.bugs += other.bugs[: self.NAMED - len(self.bugs)]
        for text in other.warnings:
            self.warn(text)


def place(shard: str) -> str:
    """The key, in the derived tree, of a shard's records."""
    return f"{FOLDER}/shards/{shard[:2]}/{shard}.jsonl"


def render(shard: Shard, records: Iterable[Record]) -> str:
    """The text of a shard's records."""
    head = {
        "format": _FORMAT,
        "version": VERSION,
        "shard": shard.name,
        "first": shard.items[0].key,
        "last": shard.items[-1].key,
    }
    lines = [json.dumps(head), *(_line(record) for record in sorted(records, key=lambda record: record.item.key))]
    return "\n".join(lines) + "\n"


def parse(text: str, where: str) -> dict[str, Record]:
    """Key -> record. Raises LockError, naming ``where:line``, for what :func:`render` would not write."""
    head, _, body = text.partition("\n")
    try:
        header = json.loads(head)
        if header["format"] != _FORMAT or not isinstance(header["version"], int):
            raise ValueError("not the header of a shard")
        if header["version"] > VERSION:
            raise LockError(f"{where}: format {header['version']} is newer than this semcompress knows: upgrade it")
    except (ValueError, KeyError, TypeError) as error:
        raise LockError(
            f"{where}:1: not a shard's records ({error}): delete it to have its pictures done anew"
        ) from error
    records = {}
    for number, line in enumerate(body.splitlines(), 2):
        try:
            record = _record(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LockError(
                f"{where}:{number}: damaged ({error}): delete the object to have its pictures done anew"
            ) from error
        records[record.item.key] = record
    return records


def _line(record: Record) -> str:
    values: dict[str, Any] = asdict(record.item)
    values |= {"status": record.status, "policy": record.policy, "rule": record.rule, "reason": record.reason}
    values |= {"looks": record.looks, "entries": [json.loads(encode(entry)) for entry in record.entries]}
    return json.dumps(values)


def _record(values: Mapping[str, Any]) -> Record:
    if values["status"] not in ("compressed", "unchanged", "skipped", "failed", "copied"):
        raise ValueError(f"unknown status {values['status']!r}")
    return Record(
        Item(str(values["key"]), int(values["bytes"]), str(values["tag"])),
        cast(Status, values["status"]),
        values["policy"],
        values["rule"],
        values["reason"],
        int(values["looks"]),
        tuple(decode(json.dumps(entry)) for entry in values["entries"]),
    )
