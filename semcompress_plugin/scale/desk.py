"""What a worker must know to do shards of a build, sent as data, and what it makes of that, once per process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from socket import gethostname

from semcompress_plugin.baseline import NAME as BASELINE_NAME
from semcompress_plugin.baseline import parse as parse_baseline
from semcompress_plugin.entries import Index
from semcompress_plugin.errors import PluginError, PolicyError, UsageError
from semcompress_plugin.files import digest
from semcompress_plugin.lock import NAME as LOCK_NAME
from semcompress_plugin.made_with import versions
from semcompress_plugin.policy import Policy, parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.scale.store import Store
from semcompress_plugin.types import EffortName
from semcompress_plugin.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Order:
    """What goes out with every shard of a build: no code, and no credentials.

    ``policy`` is the policy's text, ``sha256`` its digest, ``named`` what errors call it. ``made_with`` are, by
    rule, the versions of everything that decides, which a worker's own must equal. ``settled`` and ``baseline`` are the
    SHA-256 of the lock and the baseline at the source's top, where there are such. ``threads`` are what one shard may
    use, ``effort`` is the command line's.
    """

    source: str
    out: str
    policy: str
    sha256: str
    named: str
    made_with: Mapping[str, Mapping[str, str]]
    settled: str | None = None
    baseline: str | None = None
    threads: int = 1
    effort: EffortName = "fast"


@dataclass(frozen=True, eq=False)
class Desk:
    """What a process needs for every shard of a build.

    ``in_place`` is what the source's own lock has settled, ``baseline`` which contents may be above their budget.
    """

    policy: Policy
    registry: Registry
    workshop: Workshop
    source: Store
    out: Store
    in_place: Index
    made_with: Mapping[str, Mapping[str, str]]
    baseline: frozenset[str] = frozenset()


def desk(order: Order) -> Desk:
    """The desk for ``order``, shared by all threads of this process.

    Raises UsageError for a policy that is not the one that was sent, PluginError where other versions than the
    client's would decide, or a plugin is not here.
    """
    if digest(order.policy.encode("utf-8", "surrogateescape")) != order.sha256:
        raise UsageError(f"{order.named}: did not reach the worker on {gethostname()} as it was sent")
    with _setting_up:
        try:
            found = _desk(order.source, order.out, order.policy, order.named, order.settled, order.baseline)
        except PolicyError as error:  # the client found no mistake in it
            said = f"cannot work by this policy, as this program can: {error.findings[0]}"
            raise PluginError(f"the worker on {gethostname()} {said}: {_SAME_EVERYWHERE}") from error
    for name, wanted in order.made_with.items():
        _check_versions(wanted, found.made_with[name])
    return found


def made_with(policy: Policy, registry: Registry) -> dict[str, dict[str, str]]:
    """By each rule's name, the versions of everything that decides what it makes of a picture."""
    return {rule.name: versions(rule, registry) for rule in policy.rules}


_SAME_EVERYWHERE = "install the same versions everywhere, or pictures would depend on who looked at them"
_setting_up = threading.Lock()


@lru_cache(maxsize=1)
def _desk(source: str, out: str, policy: str, named: str, settled: str | None, baseline: str | None) -> Desk:
    registry = Registry()
    tree = Store(source)
    index = Index.load(_as_sent(tree, LOCK_NAME, settled), f"{tree}/{LOCK_NAME}")
    old = parse_baseline(_as_sent(tree, BASELINE_NAME, baseline), f"{tree}/{BASELINE_NAME}")
    parsed = parse_policy(policy, registry, Path(), named)
    spared = frozenset(one.sha256 for one in old)
    return Desk(parsed, registry, Workshop(registry), tree, Store(out), index, made_with(parsed, registry), spared)


def _as_sent(tree: Store, name: str, sha256: str | None) -> str:
    """The text of an object at the tree's top, which must have this digest; empty where there is none."""
    if sha256 is None:
        return ""
    data = tree.read(name)
    if digest(data) != sha256:
        raise UsageError(f"{tree}/{name}: has changed since the build began: run again")
    return data.decode("utf-8", "surrogateescape")


def _check_versions(wanted: Mapping[str, str], here: Mapping[str, str]) -> None:
    for name, version in wanted.items():
        if here.get(name) != version:
            raise PluginError(
                f"the worker on {gethostname()} has {name} {here.get(name, '(none)')}, this program {version}: "
                f"{_SAME_EVERYWHERE}"
            )
