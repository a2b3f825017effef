"""What a worker does with one shard: everything between a source's objects and the derived tree.

Objects are written whole and the shard's records after them: whenever a worker is killed, every object is the whole
old one or the whole new one, and what its last records do not tell is done again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from semcompress_plugin.budget import marked, objection
from semcompress_plugin.cache import Cache, made_key
from semcompress_plugin.claims import Claims, contested
from semcompress_plugin.containers import pixels_at_a_glance
from semcompress_plugin.engine import Decision, Rounds, decide
from semcompress_plugin.entries import Content, Entry, Relation
from semcompress_plugin.errors import ImageError, UnsupportedImageError, failure
from semcompress_plugin.files import digest
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.runner import Job, Runner
from semcompress_plugin.scale.account import Account, Record, parse, place, render
from semcompress_plugin.scale.desk import Desk, Order, desk
from semcompress_plugin.scale.shards import Item, Shard
from semcompress_plugin.shrink import output_name
from semcompress_plugin.types import SUFFIXES, EffortName, Reference, Result, Rule, Status

SECONDS_BETWEEN_RECORDS = 60.0
_TRANSFERS = 8
"""Objects that are fetched ahead, and as many that are being written, while others are looked at."""

_PAGES = frozenset({".html", ".htm", ".xhtml"})


def work(order: Order, shard: Shard, stop: threading.Event | None = None) -> Account:
    """Do one shard; its sums. Once ``stop`` is set it begins nothing more, and records what is finished.

    Raises SemcompressError for what concerns the whole build: see :func:`~semcompress_plugin.scale.desk.desk`, a
    plugin or model that is not here, a shard's records that are damaged.
    """
    there = desk(order)
    there.workshop.forgive()
    with ThreadPoolExecutor(_TRANSFERS, "fetch") as fetching, ThreadPoolExecutor(_TRANSFERS, "write") as writing:
        return _Work(there, order, shard, fetching, writing, stop or threading.Event()).done()


@dataclass(slots=True)
class _Picture:
    """A picture on its way through the runner."""

    item: Item
    rule: Rule
    desk: Desk
    decoders: Decoders
    effort: EffortName
    fetched: Future[bytes]
    cache: Cache
    sha256: str = ""

    def glance(self) -> int:
        return pixels_at_a_glance(self.fetched.result())

    def load(self) -> Reference:
        data = self.fetched.result()
        self.sha256 = digest(data)
        settled = self.desk.in_place
        # what was shrunk in place is never shrunk again: its original is not at hand here
        if settled.settles(self.sha256, self.rule.digest) or any(
            entry.relation != "kept" for entry in settled.by_output(self.sha256)
        ):
            raise UnsupportedImageError("was settled in place, so it is copied as it is")
        if self.desk.source.is_local and self.cache.get(made_key(self.sha256)) is not None:
            raise UnsupportedImageError("was made by an earlier build, and is copied as it is")
        return self.decoders.decode_for(self.rule, data, PurePosixPath(self.item.key).name)

    def study(self, reference: Reference) -> Rounds[tuple[Decision, ...]]:
        return decide(reference, self.rule, self.desk.registry, effort=self.effort)

    def settle(self, decisions: tuple[Decision, ...]) -> tuple[Record, dict[str, bytes]]:
        """What is to be recorded once these objects are written."""
        made = [
            (d, d.candidate, output_name(self.item.key, d.candidate.proposal.format)) for d in decisions if d.candidate
        ]
        reasons = [d.reason for d in decisions if d.reason and (d.candidate or not made)]
        relation: Relation = "replaced" if self.rule.outputs.place == "replace" else "beside"
        entries = tuple(
            self._entry(
                Content(digest(candidate.data), len(candidate.data)),
                "replaced" if key == self.item.key else relation,
                key,
                decision,
            )
            for decision, candidate, key in made
        )
        looks = sum(decision.looks for decision in decisions)
        if not entries:
            entries = (self._entry(Content(self.sha256, self.item.bytes), "kept", self.item.key),)
        record = self.record("compressed" if made else "unchanged", "; ".join(dict.fromkeys(reasons)) or None)
        return replace(record, looks=looks, entries=entries), {key: found.data for _, found, key in made}

    def record(self, status: Status, reason: str | None = None) -> Record:
        return Record(self.item, status, self.rule.digest, self.rule.name, reason)

    def _entry(self, output: Content, relation: Relation, key: str, decision: Decision | None = None) -> Entry:
        proposal = decision.candidate.proposal if decision and decision.candidate else None
        return Entry(
            original=Content(self.sha256, self.item.bytes),
            output=output,
            relation=relation,
            policy=self.rule.digest,
            path=key,
            name=PurePosixPath(self.item.key).name,
            compressor=proposal.compressor if proposal else None,
            settings=proposal.settings if proposal else {},
            scores=decision.scores if decision else {},
            looks=decision.looks if decision else 0,
            generation=0 if relation == "kept" else 1,
            made_with=self.desk.made_with[self.rule.name],
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A record that holds as soon as ``written`` is through."""

    record: Record
    written: Future[None]


class _Work:
    def __init__(
        self,
        there: Desk,
        order: Order,
        shard: Shard,
        fetching: ThreadPoolExecutor,
        writing: ThreadPoolExecutor,
        stop: threading.Event,
    ) -> None:
        self.desk, self.order, self.shard, self.stop = there, order, shard, stop
        self.fetching, self.writing = fetching, writing
        self.place, self.cache = place(shard.name), Cache()
        self.account = Account()
        self.records: dict[str, Record] = {}
        self.claims = Claims()
        """Of keys in the derived tree."""
        for item in shard.items:
            self.claims.occupy(item.key, item.key)
        self.since = time.monotonic()

    def done(self) -> Account:
        old = self._old()
        copies, pictures = self._unsettled(old)
        if copies or pictures:
            self.desk.out.sweep(item.key for item in self.shard.items)
        under_way: deque[_Outcome] = deque()
        for outcome in self._outcomes(copies, pictures):
            under_way.append(outcome)
            if len(under_way) > _TRANSFERS:
                self._conclude(under_way.popleft())
        for outcome in under_way:
            self._conclude(outcome)
        if self.records != old:
            self._save()
        return self.account

    def _old(self) -> dict[str, Record]:
        found = self.desk.out.find(self.place)
        return {} if found is None else parse(found.decode("utf-8", "surrogateescape"), f"{self.desk.out}/{self.place}")

    def _save(self) -> None:
        text = render(self.shard, self.records.values())
        self.desk.out.write(self.place, text.encode("utf-8", "surrogateescape"))
        self.since = time.monotonic()

    def _unsettled(self, old: dict[str, Record]) -> tuple[list[tuple[Item, Rule | None]], list[tuple[Item, Rule]]]:
        """What is to be copied and what is to be looked at; everything else is noted as it was recorded."""
        there = self.desk.out.sizes([key for record in old.values() for key in record.files])
        copies: list[tuple[Item, Rule | None]] = []
        pictures: list[tuple[Item, Rule]] = []
        for item in self.shard.items:
            rule = self._rule(item)
            self.account.pages += PurePosixPath(item.key).suffix.lower() in _PAGES
            record = old.get(item.key)
            if record and all(there.get(key) == size for key, size in record.files.items()):
                record = self._still(record, item, rule)
            else:
                record = None
            if record:
                for key in record.files:
                    self.claims.occupy(key, item.key)
                self._note(record, settled=True)
            elif rule is None or rule.skip:
                copies.append((item, rule))
            else:
                pictures.append((item, rule))
        return copies, pictures

    def _rule(self, item: Item) -> Rule | None:
        return self.desk.policy.rule_for(item.key) if _is_picture(item) else None

    def _still(self, record: Record, item: Item, rule: Rule | None) -> Record | None:
        """The record, if it settles ``item``: untouched since, or written again with the bytes that it had."""
        policy = rule.digest if rule else None
        if record.settles(item, policy):
            return record
        same = replace(record, item=item)
        if record.entries and record.item.bytes == item.bytes and same.settles(item, policy):
            with contextlib.suppress(ImageError):
                if digest(self.desk.source.read(item.key)) == record.entries[0].original.sha256:
                    return same
        return None

    def _outcomes(
        self, copies: Iterable[tuple[Item, Rule | None]], pictures: Iterable[tuple[Item, Rule]]
    ) -> Iterator[_Outcome]:
        for item, rule in copies:
            if self.stop.is_set():
                return
            record = Record(item, "copied")
            if _is_picture(item):
                reason = "no rule matches" if rule is None else None
                record = Record(item, "skipped", rule.digest if rule else None, rule.name if rule else None, reason)
            yield self._copied(record)
        with Decoders() as decoders:
            fetched = self._fetched(pictures, decoders)
            jobs = (Job(it, it.load, it.study, it.rule.limits.max_seconds, it.glance) for it in fetched)
            for done in Runner(self.desk.workshop, self.order.threads).run(jobs):
                if done.error is not None:
                    status, reason, bug = failure(done.error)
                    if bug:
                        self.account.bugs.append(f"{done.key.item.key}\n{bug}")
                    yield self._copied(done.key.record(status, reason))
                else:
                    assert done.answer is not None
                    yield self._written(done.key, *done.key.settle(done.answer))

    def _fetched(self, pictures: Iterable[tuple[Item, Rule]], decoders: Decoders) -> Iterator[_Picture]:
        """The pictures in order, a few of them fetched before they are asked for."""
        ahead: deque[_Picture] = deque()
        for item, rule in pictures:
            if self.stop.is_set():
                return
            for format in set(rule.outputs.formats) - {"keep", "smallest"}:
                # in the order of the listing, whichever picture is ready first
                self.claims.claim(output_name(item.key, format.upper()), item.key)
            data = self.fetching.submit(self.desk.source.read, item.key)
            ahead.append(_Picture(item, rule, self.desk, decoders, self.order.effort, data, self.cache))
            if len(ahead) > _TRANSFERS:
                yield ahead.popleft()
        yield from ahead

    def _written(self, picture: _Picture, record: Record, writes: dict[str, bytes]) -> _Outcome:
        owner = picture.item.key
        for key in writes:
            other = owner if key == owner else self.claims.claim(key, owner)
            if other != owner:
                return self._copied(picture.record("failed", contested(other)))
        if any(key not in writes for key in record.files):
            return _Outcome(record, self.writing.submit(self._write, writes, owner))
        return _Outcome(record, self.writing.submit(self._write, writes))

    def _write(self, writes: dict[str, bytes], copy: str | None = None) -> None:
        for key, data in writes.items():
            self.desk.out.write(key, data)
            if self.desk.out.is_local:  # so that no run within the derived tree takes it for a source
                self.cache.put(made_key(digest(data)), {})
        if copy is not None:
            self.desk.out.copy(copy, self.desk.source)

    def _copied(self, record: Record) -> _Outcome:
        return _Outcome(record, self.writing.submit(self._write, {}, record.item.key))

    def _conclude(self, outcome: _Outcome) -> None:
        """Wait for its writes, then believe the record."""
        record = outcome.record
        try:
            outcome.written.result()
        except ImageError as error:
            reason = record.reason if record.status == "failed" else str(error)
            record = replace(record, status="failed", reason=reason, entries=())
        self._note(record)
        if time.monotonic() - self.since > SECONDS_BETWEEN_RECORDS:
            self._save()

    def _note(self, record: Record, settled: bool = False) -> None:
        self.records[record.item.key] = record
        result = record.result(settled)
        if result is None:
            self.account.copied += 1
        else:
            result = self._judged(record, result)
            self.account.add(result)
            for text in self.desk.registry.plugins.tell(result):
                self.account.warn(text)  # files and reports are not a plugin's business

    def _judged(self, record: Record, result: Result) -> Result:
        """The result, with what a budget has to say: no record holds that, for a budget settles nothing anew."""
        rule = self._rule(record.item)
        if rule is None or result.status == "failed":
            return result
        if result.outputs:
            largest = max(output.bytes for output in result.outputs)
        else:
            largest = 0 if rule.outputs.place == "beside" and not rule.skip else result.after
        over = objection(largest, rule)
        return result if over is None or self._is_spared(record) else marked(result, over)

    def _is_spared(self, record: Record) -> bool:
        if not self.desk.baseline:
            return False
        if record.entries:
            return record.entries[0].original.sha256 in self.desk.baseline
        return digest(self.desk.source.read(record.item.key)) in self.desk.baseline


def _is_picture(item: Item) -> bool:
    return PurePosixPath(item.key).suffix.lower() in SUFFIXES
