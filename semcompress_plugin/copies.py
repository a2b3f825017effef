"""Copies of one picture: one of them is searched for, and what was found is tried first with the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from semcompress_plugin.backlog import Backlog
from semcompress_plugin.entries import Entry
from semcompress_plugin.plan import Pending
from semcompress_plugin.types import Result

_Key = tuple[str, int]
"""A content's SHA-256, and the id of the rule that governs it."""


class Copies:
    """Takes pictures out of ``work``: first one of each content, then those that are like one of them.

    Only pictures that were never seen before are put off: of others it is known what to try first.
    """

    def __init__(self, work: Backlog) -> None:
        self._work = work
        self._repeated = work.repeated()
        self._begun: set[_Key] = set()
        self._put_off: deque[Pending] = deque()
        self._found: dict[_Key, tuple[Result, tuple[Entry, ...]]] = {}

    def first(self) -> Iterator[Pending]:
        """Every picture but those that are like one that was handed out before."""
        while self._work:
            item = self._work.popleft()
            key = _key(item)
            if key in self._repeated and item.is_new:
                if key in self._begun:
                    self._put_off.append(item)
                    continue
                self._begun.add(key)
            yield item

    def learn(self, item: Pending, result: Result, entries: tuple[Entry, ...]) -> None:
        """Hear what was found for a picture that :meth:`first` has handed out."""
        if _key(item) in self._begun and item.is_new:
            self._found[_key(item)] = result, entries

    def kept(self) -> Iterator[tuple[Pending, Result]]:
        """Those for which nothing can be found, as for the first, and their results: none need be looked at."""
        for _ in range(len(self._put_off)):
            item = self._put_off.popleft()
            result, entries = self._found.get(_key(item), (None, ()))
            if result is not None and [entry.relation for entry in entries] == ["kept"]:
                yield item, replace(result, path=item.asset.shown, looks=0)
            else:
                self._put_off.append(item)

    def others(self) -> Iterator[Pending]:
        """The rest, each with what was found for the first."""
        while self._put_off:
            item = self._put_off.popleft()
            _, entries = self._found.get(_key(item), (None, ()))
            # of an output of ours that was edited nothing was found: it must be known for one again
            yield replace(item, known=tuple(one for one in entries if one.relation != "kept" and not one.edited))


def _key(item: Pending) -> _Key:
    return item.sha256, id(item.asset.rule)
