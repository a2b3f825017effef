"""What a run in place sees to beside its pictures: locks, originals, what killed runs have left."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.commands._shared import put_off
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.errors import LockError, OriginalsError, SemcompressError, UsageError
from semcompress_plugin.originals import GitOriginals
from semcompress_plugin.sharing import Remotes
from semcompress_plugin.walk import absolute
from semcompress_plugin.words import counted, printable


def warn_of_refusals(domains: Iterable[Domain]) -> None:
    """Say what `compress` would refuse to do for want of a place for originals."""
    for domain in domains:
        try:
            replace(domain, in_place=True).originals  # noqa: B018  # opening them is what may be refused
        except UsageError as error:
            print(f"semcompress: warning: compress would refuse: {error}", file=sys.stderr)


def only_originals_here(domains: Iterable[Domain]) -> int | None:
    """How many originals no remote is known to have; None where none of the domains keeps originals in git."""
    kept = (domain.originals for domain in domains)
    stores = {store.repository.root: store for store in kept if isinstance(store, GitOriginals)}
    return sum(len(Remotes(store).only_here()) for store in stores.values()) if stores else None


def mend_locks(domains: Iterable[Domain], quiet: bool, errors: list[SemcompressError]) -> set[Path]:
    """Put back what locks have forgotten and the journal, or only git, remembers; those locks."""
    mended = set()
    for domain in domains:
        forgotten = domain.lock.missing_from_lock
        with put_off(errors):
            if forgotten:
                domain.lock.put_back()
                mended.add(domain.lock.path)
                if not quiet:
                    lines = counted(len(forgotten), "forgotten line", "forgotten lines")
                    print(f"semcompress: {domain.lock.path}: put {lines} back", file=sys.stderr)
    return mended


def catch_up(domains: Iterable[Domain]) -> None:
    """Have copies of the originals that were kept before their repository began to borrow objects of another."""
    for domain in domains:
        store = domain.originals
        try:
            if isinstance(store, GitOriginals) and store.lags:
                with domain.lock.exclusive():
                    store.catch_up()
        except (LockError, OriginalsError) as error:
            print(f"semcompress: warning: originals are borrowed and could not be copied: {error}", file=sys.stderr)


def tell_of_strays(domains: Domains, folders: Iterable[str]) -> None:
    """Name what a killed run had taken out of its place, here or in these ``folders``, and nobody has a copy of."""
    places = {domain.originals.state: domain for domain in domains.used() if domain.originals.state is not None}
    strewn: dict[Domain, list[Path]] = {}
    for place in (*places, *(absolute(Path(folder)) for folder in folders)):
        if files.parked([place]) and (domain := places.get(place) or domains.of(place / "picture", named=False)):
            strewn.setdefault(domain, []).append(place)
    for domain, places_of_it in strewn.items():
        from semcompress_plugin.settle import sweep_parked

        with domain.lock.exclusive():
            strays = sweep_parked(places_of_it, domain.lock, domain.originals)
        for stray in strays:
            print(f"semcompress: {printable(str(stray))}: {files.TAKEN_OUT}", file=sys.stderr)
