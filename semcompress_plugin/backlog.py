"""What is to be looked at, held in as little room as it takes."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass

from semcompress_plugin.domains import Domain
from semcompress_plugin.entries import decode, encode
from semcompress_plugin.plan import Asset, Pending
from semcompress_plugin.types import Rule


class Backlog:
    """What is to be looked at, first come first served; in a third of the room, for there may be any number.

    Pictures that were never seen before, as thousands are that come at once, are a digest, a size and a name each.
    What is known of others is held as the lock has it.
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[Domain, int, str, int], _Shared] = {}
        self._waiting: deque[tuple[_Shared, bytes] | tuple[_Shared, bytes, _Told]] = deque()

    def append(self, item: Pending) -> None:
        asset = item.asset
        folder, name = os.path.split(asset.place)
        hidden = len(asset.place) - len(asset.shown)
        key = asset.domain, id(asset.rule), folder, hidden
        shared = self._shared.setdefault(key, _Shared(asset.domain, asset.rule, folder, hidden))
        row = bytes.fromhex(item.sha256) + item.bytes.to_bytes(8) + name.encode("utf-8", "surrogatepass")
        if item.is_new:
            self._waiting.append((shared, row))
        else:
            outdated = None if item.outdated is None else encode(item.outdated)
            known, earlier = tuple(map(encode, item.known)), tuple(map(encode, item.earlier))
            self._waiting.append((shared, row, (outdated, known, item.anew, earlier)))

    def popleft(self) -> Pending:
        shared, row, *told = self._waiting.popleft()
        place = os.path.join(shared.folder, row[40:].decode("utf-8", "surrogatepass"))  # noqa: PTH118  # as text
        shown = place[shared.hidden :].replace(os.sep, "/") if shared.hidden else place
        asset = Asset(place, shown, shared.domain, shared.rule)
        outdated, known, anew, earlier = told[0] if told else (None, (), False, ())
        return Pending(
            asset,
            row[:32].hex(),
            int.from_bytes(row[32:40]),
            None if outdated is None else decode(outdated),
            tuple(map(decode, known)),
            anew,
            tuple(map(decode, earlier)),
        )

    def repeated(self) -> frozenset[tuple[str, int]]:
        """What of what was never seen before waits more than once under one rule: its SHA-256, and the rule's id."""
        seen: set[tuple[bytes, int]] = set()
        again = set()
        for shared, row, *told in self._waiting:
            content = row[:32], id(shared.rule)
            if told:
                continue
            if content in seen:
                again.add((content[0].hex(), content[1]))
            seen.add(content)
        return frozenset(again)

    def rules(self) -> list[Rule]:
        """The rules that govern what is waiting, or was."""
        return [shared.rule for shared in self._shared.values()]

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(frozen=True, eq=False, slots=True)
class _Shared:
    """What pictures of one folder have in common; ``hidden`` characters of their places are not shown."""

    domain: Domain
    rule: Rule
    folder: str
    hidden: int


_Told = tuple[str | None, tuple[str, ...], bool, tuple[str, ...]]
"""Lines of the lock: of the outdated output, of what is known of its originals; whether to look anew; what that output
was made of, where those are outputs."""
