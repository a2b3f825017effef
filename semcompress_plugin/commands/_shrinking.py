"""What was decided is written and recorded in groups."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.claims import Claims, contested
from semcompress_plugin.domains import Domain
from semcompress_plugin.errors import LockError, OriginalsError, SemcompressError
from semcompress_plugin.interrupt import held_back
from semcompress_plugin.looking import Seen
from semcompress_plugin.plan import Pending
from semcompress_plugin.types import Result

if TYPE_CHECKING:
    from semcompress_plugin.settle import Settlement


SECONDS_BETWEEN_COMMITS = 1.0
BYTES_BETWEEN_COMMITS = 64_000_000
FILES_BETWEEN_COMMITS = 100
"""Each is open until then, and some systems allow a process 256 open files."""


class Shrinking:
    """Commits what was decided in groups, so that a crash costs seconds of work."""

    def __init__(self, write: bool, claims: Claims) -> None:
        self.write = write
        self.group: list[tuple[Result, Settlement, Domain]] = []
        self.claims = claims
        self.locks: set[Path] = set()
        """Locks that have been given lines."""
        self.replaced: set[Domain] = set()
        """Domains in which an original was kept."""
        self.renamed: list[tuple[Path, Path]] = []
        """Pictures in whose place there is a file of another name, each with that."""
        self._refused: dict[Domain, str] = {}
        """Domains of which nothing can be recorded or kept, and why."""
        self.since = time.monotonic()

    def settle(self, seen: Iterable[Seen]) -> Iterator[Result]:
        """The results, each once its files are written (if they are to be)."""
        try:
            for item, result, settlement in seen:
                if settlement is None:
                    yield result
                elif (other := self._rival(result, settlement)) is not None:
                    yield item.left("failed", contested(other))
                elif not self.write:
                    yield result
                else:
                    self.group.append((result, settlement, item.asset.domain))
                    if self._is_time():
                        yield from self._commit()
        except (KeyboardInterrupt, SemcompressError):
            yield from self._commit()  # what is finished has been paid for
            raise
        yield from self._commit()

    def refuses(self, item: Pending) -> str | None:
        """Why nothing that is found for a picture could be recorded, as it was before; None where nobody knows."""
        return self._refused.get(item.asset.domain)

    def _rival(self, result: Result, settlement: Settlement) -> str | None:
        """Another picture that is written to the same place, whose turn came first."""
        picture, own = result.path, settlement.snapshot.path
        others = [
            self.claims.keep(picture)
            if path == own
            else self.claims.claim(Path(picture).with_name(path.name).as_posix(), picture)
            for path in settlement.writes
        ]
        return next((other for other in others if other != picture), None)

    def _is_time(self) -> bool:
        waiting = sum(len(data) for _, s, _ in self.group for data in (s.snapshot.data, *s.writes.values()))
        files = sum(len(s.writes) for _, s, _ in self.group)
        late = time.monotonic() - self.since > SECONDS_BETWEEN_COMMITS
        return late or waiting > BYTES_BETWEEN_COMMITS or files >= FILES_BETWEEN_COMMITS

    def _commit(self) -> Iterator[Result]:
        group, self.group = self.group, []
        with held_back():
            done = list(self._settled(group))
        self.since = time.monotonic()
        yield from done

    def _settled(self, group: list[tuple[Result, Settlement, Domain]]) -> Iterator[Result]:
        for domain in dict.fromkeys(domain for _, _, domain in group):
            mine = [(result, settlement) for result, settlement, owner in group if owner is domain]
            reasons = self._recorded([settlement for _, settlement in mine], domain)
            if None in reasons:
                self.locks.add(domain.lock.path)
            for (result, settlement), reason in zip(mine, reasons, strict=True):
                if reason is None:
                    if any(entry.relation == "replaced" for entry in settlement.entries):
                        self.replaced.add(domain)
                    if settlement.removed:
                        (new,) = settlement.writes
                        self.renamed.append((settlement.snapshot.path, new))
                    yield result
                else:
                    yield replace(result, status="failed", after=result.before, outputs=(), reason=reason)

    def _recorded(self, settlements: list[Settlement], domain: Domain) -> list[str | None]:
        """What became of each. A lock or a store that fails costs the pictures of its own policy, not the report."""
        from semcompress_plugin.settle import settle

        if domain not in self._refused:
            try:
                return settle(settlements, domain.lock, domain.originals)
            except (LockError, OriginalsError) as error:
                self._refused[domain] = str(error)
        return [self._refused[domain]] * len(settlements)
