"""``semcompress build`` over shards: where sources or derived tree are URLs, or an executor was named."""

from __future__ import annotations

import argparse
import json
import posixpath
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from semcompress_plugin import bugs
from semcompress_plugin.baseline import NAME as BASELINE_NAME
from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.lock import NAME as LOCK_NAME
from semcompress_plugin.originals import USERS, is_original, tells_of_originals
from semcompress_plugin.policy import POLICY_NAME, Policy, parse_policy
from semcompress_plugin.types import Result
from semcompress_plugin.walk import PASSED_BY
from semcompress_plugin.words import counted, percent, printable, size

if TYPE_CHECKING:
    from semcompress_plugin.scale.account import Account
    from semcompress_plugin.scale.desk import Order
    from semcompress_plugin.scale.executors import Pool
    from semcompress_plugin.scale.shards import Item
    from semcompress_plugin.scale.store import Store

_DEFAULT_POLICY = "version: 1\npreset: web\n"


def wanted(arguments: argparse.Namespace) -> bool:
    """Whether a build's arguments ask for shards."""
    return bool(arguments.executor) or any("://" in str(place) for place in (arguments.source, arguments.out))


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    from semcompress_plugin.scale.executors import open_pool
    from semcompress_plugin.scale.store import Store

    if arguments.source is None or arguments.out is None:
        raise UsageError("a build over shards needs SRC and OUT")
    source, out = Store(str(arguments.source)), Store(str(arguments.out))
    out.check_writable()
    if source.lies_within(out):
        raise UsageError(f"{out}: would be written over its own sources")
    if out.lies_within(source):
        raise UsageError(f"{out}: lies within {source}, where another build would find it: build to a place outside")
    average = _shard_size(out, arguments.shard_size)
    order, policy = _order(source, out, arguments.policy)
    order = replace(order, effort=arguments.effort)
    with open_pool(arguments.executor or "threads", arguments.jobs) as pool:
        for store in (source, out):
            if not pool.here and "memory" in store.protocols:
                raise UsageError(f"{store}: is the memory of this process, which no worker sees")
        total = _build(order, source, out, average, pool, arguments, policy)
    _report(total, time.monotonic() - started, out, policy, arguments)
    if total.bugs:
        return bugs.report("\n".join(total.bugs))
    return int(total.failed + total.over > 0)


def _order(source: Store, out: Store, named: Path | None) -> tuple[Order, Policy]:
    """What goes out to workers; the policy is checked here, before anybody works by it."""
    from semcompress_plugin.files import digest
    from semcompress_plugin.scale.desk import Order, made_with

    registry = load_registry()
    if named is not None:
        try:
            data, name = named.read_bytes(), str(named)
        except OSError as error:
            raise UsageError(f"{named}: cannot be read: {error.strerror}") from error
    else:
        found = source.find(POLICY_NAME)
        data, name = (_DEFAULT_POLICY.encode(), "preset web") if found is None else (found, f"{source}/{POLICY_NAME}")
    text = data.decode("utf-8", "surrogateescape")
    policy = parse_policy(text, registry, Path(), name)
    lock = source.find(LOCK_NAME)
    versions = made_with(policy, registry)
    settled = None if lock is None else digest(lock)
    budgets = any(rule.budget is not None for rule in policy.rules)
    old = source.find(BASELINE_NAME) if budgets else None
    spared = None if old is None else digest(old)
    return Order(source.url, out.url, text, digest(data), name, versions, settled, spared), policy


def _shard_size(out: Store, asked: int | None) -> int:
    """The shard size that the tree was begun with: another one would find nothing of what is settled there."""
    from semcompress_plugin.scale.account import BUILD, FOLDER
    from semcompress_plugin.scale.shards import AVERAGE

    found = out.find(BUILD)
    if found is None:
        return asked or AVERAGE
    try:
        size = int(json.loads(found)["shard"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{out}/{BUILD}: is damaged ({error}): delete {out}/{FOLDER} to begin anew") from error
    if asked not in (None, size):
        raise UsageError(f"{out} was begun with --shard-size {size}, which cannot be changed: leave the option out")
    return size


def _beginning(out: Store, size: int, items: Iterator[Item]) -> Iterator[Item]:
    """The items; with the first the tree is begun: one that was named by mistake must not be taken for derived."""
    from semcompress_plugin.scale.account import BUILD

    for number, item in enumerate(items):
        if number == 0 and out.find(BUILD) is None:
            head = {"format": "semcompress.build", "version": 1, "shard": size}
            try:
                out.write(BUILD, json.dumps(head).encode() + b"\n")
            except ImageError as error:
                raise UsageError(f"{out}: {error}") from error
        yield item


def _build(
    order: Order, source: Store, out: Store, average: int, pool: Pool, arguments: argparse.Namespace, policy: Policy
) -> Account:
    from tqdm import tqdm

    from semcompress_plugin.scale.account import Account
    from semcompress_plugin.scale.run import run
    from semcompress_plugin.scale.shards import cut

    total = Account()
    items = _beginning(out, average, _content(source, out, total, policy, nested=arguments.policy is None))
    order = replace(order, threads=pool.threads)

    @cache
    def tell(text: str) -> None:
        if not arguments.quiet:
            tqdm.write(f"semcompress: {printable(text)}", file=sys.stderr)

    # disable=None: silent unless standard error is a terminal
    with tqdm(unit="picture", disable=True if arguments.quiet else None) as bar:
        for done in run(order, cut(items, average), pool, tell):
            if done.account is not None:
                total.merge(done.account)
                bar.update(done.account.files)
            else:
                before = sum(item.bytes for item in done.shard.items)
                reason = f"was given up ({done.lost}): run again to go on from here"
                total.add(Result(str(done.shard), "failed", before, before, reason=reason))
    return total


class _Originals:
    """Tells originals, which are private, from content: those of the policy, and of stores that it need not name."""

    def __init__(self, source: Store, policy: Policy) -> None:
        self._source = source
        in_folder = policy.originals not in (None, "git", "none")
        self._named = PurePosixPath(posixpath.normpath(policy.originals or "")) if in_folder else None
        self._stores: dict[PurePosixPath, bool] = {}

    def have(self, key: str) -> bool:
        """Whether an object is of a store; to be asked in the order of a listing."""
        path = PurePosixPath(key)
        if self._named is not None and self._named.parts and path.is_relative_to(self._named):
            return True
        if is_original(path):
            return self._is_store(path.parent.parent)
        return self._stores.get(path.parent, False) and tells_of_originals(path.name)

    def _is_store(self, folder: PurePosixPath) -> bool:
        if folder not in self._stores:
            users = str(folder / USERS)
            self._stores[folder] = folder == self._named or users in self._source.sizes([users])
        return self._stores[folder]


def _content(source: Store, out: Store, total: Account, policy: Policy, nested: bool) -> Iterator[Item]:
    """What is to be derived, as the source lists it. ``nested``: a policy further down would have a say elsewhere.

    Raises UsageError for a derived tree among the sources: its pictures would be shrunk a second time.
    """
    from semcompress_plugin.scale.account import BUILD

    seen: set[str] | None = set() if out.folds_case() else None
    originals = _Originals(source, policy)
    for item in source.list():
        parts = item.key.split("/")
        if f"/{item.key}".endswith(f"/{BUILD}"):
            tree = f"{source}/{item.key}".removesuffix(f"/{BUILD}")
            raise UsageError(f"{tree}: was derived by an earlier build: build from its sources, without it")
        if not PASSED_BY.isdisjoint(parts) or originals.have(item.key):
            continue
        if parts[-1] in (POLICY_NAME, LOCK_NAME, BASELINE_NAME):
            if len(parts) > 1 and (nested or parts[-1] == LOCK_NAME):  # what that knows for ours would be shrunk again
                reason = "is not heeded: one policy, at the source's top or given by --policy, governs all shards"
                total.add(Result(item.key, "failed", 0, 0, reason=reason))
        elif not all(parts) or not {".", ".."}.isdisjoint(parts) or "\0" in item.key:
            total.add(Result(item.key, "failed", item.bytes, item.bytes, reason="is no name that a path can have"))
        elif seen is not None and item.key.casefold() in seen:
            reason = f"differs in case only from another, from which {out} does not tell it: rename one"
            total.add(Result(item.key, "failed", item.bytes, item.bytes, reason=reason))
        else:
            if seen is not None:
                seen.add(item.key.casefold())
            yield item


def _report(total: Account, seconds: float, out: Store, policy: Policy, arguments: argparse.Namespace) -> None:
    from semcompress_plugin.report.json import dumps
    from semcompress_plugin.scale.account import FOLDER

    if total.pages and any(set(rule.outputs.formats) != {"keep"} and not rule.skip for rule in policy.rules):
        copied = counted(total.pages, "HTML page was", "HTML pages were")
        print(
            f"semcompress: {copied} copied as is: a build over shards does not rewrite pages to "
            "offer what lies beside their pictures, or to name those that have another name; a build of local folders "
            "without --executor does",
            file=sys.stderr,
        )
    for text in total.warnings:
        print(f"semcompress: warning: {printable(text)}", file=sys.stderr)
    if arguments.format == "json":
        apart = ("failures", "bugs", "warnings", "copied", "pages", "over")
        counts = {name: value for name, value in asdict(total).items() if name not in apart}
        results = [asdict(result) for result in sorted(total.failures, key=lambda result: result.path)]
        print(dumps({"results": results, "totals": {**counts, "seconds": round(seconds, 3)}}))
        return
    for result in total.failures:
        word = "failed" if result.status == "failed" else "semcompress"
        said = f"{word}: {printable(result.path)}: {printable(result.reason or '')}"
        print(said, file=sys.stderr if arguments.quiet else sys.stdout)
    if arguments.quiet:
        return
    if (more := total.failed + total.over - len(total.failures)) > 0:
        print(f"… and {more} more failed or are above their budget")
    saved = (
        f", {size(total.before)} -> {size(total.after)} ({percent(total.before, total.after)})" if total.before else ""
    )
    print(
        f"{total.compressed} compressed, {total.unchanged} unchanged, {total.skipped} skipped, {total.failed} failed"
        f"{saved}, {total.copied} other files; {total.looks} looks in {seconds:.1f} s"
    )
    if total.files:
        print(f"each picture's line: {out}/{FOLDER}/shards/")
