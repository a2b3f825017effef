"""``semcompress originals``: list what is kept, push it, fetch it, prune it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from semcompress_plugin import files, prune
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.entries import Entry, Index
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.lock import NAME
from semcompress_plugin.originals import FolderOriginals, GitOriginals, Kept, Originals
from semcompress_plugin.plan import shown_path
from semcompress_plugin.sharing import Remotes
from semcompress_plugin.walk import absolute, here, repository_root
from semcompress_plugin.words import counted, printable, size

_PUBLISHES = (
    "This publishes the originals as they were taken, with all that `metadata: strip-private` removed from what is "
    "committed: places, serial numbers, owners, thumbnails."
)
_LINES = 10
"""Refusals of one fetch, or originals that are lost, that are told one by one: there may be any number."""


def run(arguments: argparse.Namespace) -> int:
    base = here()
    domain = Domains(None, arguments.policy).of(base / NAME, named=True)
    assert domain is not None  # a named file always has one
    if arguments.action == "list":
        return _list(domain, base, arguments.format)
    if arguments.action == "prune":
        return _prune(domain, base, arguments.yes)
    store = _in_git(domain.originals)
    if store is None or (arguments.action == "push" and store is not domain.originals and not store.kept()):
        raise UsageError("the policy keeps originals outside git: copy that folder yourself")
    remotes = Remotes(store)
    remote = remotes.choose(arguments.remote)
    if arguments.action == "fetch":
        return _fetch(remotes, remote)
    return _push(remotes, remote, arguments.yes)


def _in_git(store: Originals) -> GitOriginals | None:
    """The originals in the git repository, whether or not the policy keeps them there now."""
    return next((one for one in (store, *store.elsewhere) if isinstance(one, GitOriginals)), None)


def _fetch(remotes: Remotes, remote: str) -> int:
    new, refused = remotes.fetch(remote)
    for line in refused[:_LINES]:
        print(f"semcompress: {printable(remote)}: refused {printable(line)}", file=sys.stderr)
    if (more := len(refused) - _LINES) > 0:
        print(f"semcompress: {printable(remote)}: refused {more} more", file=sys.stderr)
    print(f"{remote}: {_count(new)} fetched that were not here")
    return 1 if refused else 0


def _push(remotes: Remotes, remote: str, yes: bool) -> int:
    kept = remotes.store.kept()
    if not kept:
        print("there are no originals to push")
        return 0
    amount = f"{_count(len(kept))}, {size(sum(one.bytes for one in kept))}"
    print(f"semcompress: {_PUBLISHES}", file=sys.stderr)
    if not yes and not _agreed(f"Push {amount}, to {remote}? [y/N] "):
        raise UsageError("nothing was pushed: say --yes to push")
    remotes.push(remote)
    print(f"{remote}: has {amount}; another clone gets them by `semcompress originals fetch {remote}`")
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@dataclass(frozen=True, slots=True)
class _Row:
    kept: Kept
    paths: list[str]
    name: str | None
    where: str
    remotes: list[str]


def _list(domain: Domain, base: Path, form: str) -> int:
    store = domain.originals
    kept = store.kept()
    remotes = Remotes(store).of(kept) if isinstance(store, GitOriginals) else {}
    folder = shown_path(store.folder, base) if isinstance(store, FolderOriginals) else None
    _tell_of_others(store, base)
    told = _told(domain, base)
    if isinstance(store, GitOriginals):
        _tell_of_lost(store, told)
    rows = []
    for one in kept:
        entries = told.get(one.sha256, {})
        names = sorted({entry.name for entry in entries.values()})
        where = f"{folder}/{one.sha256[:2]}/{one.sha256}" if folder else f"blob {one.blob}"
        rows.append(_Row(one, sorted(entries), names[0] if names else None, where, remotes.get(one.sha256, [])))
    rows.sort(key=lambda row: (row.paths, row.kept.sha256))
    only_here = sum(not row.remotes for row in rows)
    if form == "json":
        from semcompress_plugin.report.json import dumps

        listed = [
            {
                "paths": row.paths,
                "name": row.name,
                "bytes": row.kept.bytes,
                "sha256": row.kept.sha256,
                "where": row.where,
                "pushed": row.remotes,
            }
            for row in rows
        ]
        print(dumps({"originals": listed, "totals": {"count": len(rows), "only_here": only_here}}))
        return 0
    for row in rows:
        path = ", ".join(map(printable, row.paths)) or "(no lock here names it)"
        pushed = f"at {', '.join(row.remotes)}" if row.remotes else "only here"
        print(f"{row.kept.sha256[:12]}  {size(row.kept.bytes):>8}  {pushed}  {path}")
    total = sum(one.bytes for one in kept)
    print(f"{_count(len(rows))}, {size(total)}; {only_here} only here, in {folder or 'this git repository'}")
    return 0


def _tell_of_lost(store: GitOriginals, told: dict[str, dict[str, Entry]]) -> None:
    """Name what is kept by name alone, a line each."""
    lost = store.lost()
    for sha256 in lost[:_LINES]:
        paths = ", ".join(map(printable, sorted(told.get(sha256, ())))) or "no lock here names it"
        print(
            f"semcompress: the original {sha256[:12]} ({paths}) is missing or damaged: `semcompress originals fetch` "
            "brings it back if the remote has it",
            file=sys.stderr,
        )
    if (more := len(lost) - _LINES) > 0:
        print(f"semcompress: {more} more are missing or damaged", file=sys.stderr)


def _tell_of_others(store: Originals, base: Path) -> None:
    """Say in one line what is kept where the policy once said."""
    others = [
        f"{_count(number)} in {printable(shown_path(one.folder, base))}"
        if isinstance(one, FolderOriginals)
        else f"{_count(number)} in this git repository"
        for one in store.elsewhere
        if (number := len(one.kept()))
    ]
    if others:
        there = ", ".join(others)
        print(f"semcompress: not listed, but found by restore: {there}, as the policy once said", file=sys.stderr)


def _told(domain: Domain, base: Path) -> dict[str, dict[str, Entry]]:
    """SHA-256 of an original -> the places (as people see them) where it was replaced -> what is known of that."""
    root = repository_root(base) or domain.policy.root
    # the journal's paths are relative to the repository, else to the folder of originals that it lies in
    start = root if repository_root(base) is not None else domain.originals.state or root
    sources = [(start, domain.lock.journal)]
    for path in root.rglob(NAME):
        try:
            text = files.read(path).data.decode("utf-8", "surrogateescape")
        except ImageError:
            continue
        sources.append((path.parent, Index.salvage(text)))
    told: dict[str, dict[str, Entry]] = {}
    for folder, index in sources:
        for entry in index.entries():
            if entry.relation == "replaced":
                path = folder / PurePosixPath(entry.path)
                told.setdefault(entry.original.sha256, {})[shown_path(absolute(path), base)] = entry
    return told


def _prune(domain: Domain, base: Path, yes: bool) -> int:
    store = domain.originals
    elsewhere: Iterable[str] = ()
    with domain.lock.exclusive():
        if isinstance(store, GitOriginals):
            remotes = Remotes(store).of(store.kept())
            elsewhere = [sha256 for sha256, names in remotes.items() if names]
        verdicts = prune.judge(store, domain.lock, elsewhere)
        going = [verdict for verdict in verdicts if verdict.removable]
        if yes:
            store.drop([verdict.kept.sha256 for verdict in going])
    told = _told(domain, base)
    for verdict in going:
        paths = ", ".join(map(printable, sorted(told.get(verdict.kept.sha256, ())))) or "(no path known)"
        print(f"{verdict.kept.sha256[:12]}  {size(verdict.kept.bytes):>8}  {paths}: {verdict.why}")
    staying = Counter(verdict.why for verdict in verdicts if not verdict.removable)
    for why, number in sorted(staying.items()):
        print(f"{_count(number)} {'stays:' if number == 1 else 'stay, each because'} {printable(why)}")
    amount = f"{_count(len(going))}, {size(sum(verdict.kept.bytes for verdict in going))}"
    stay = counted(staying.total(), "stays", "stay")
    if not yes:
        print(f"{amount}, would be removed; {stay}{'; --yes removes them' if going else ''}")
    else:
        freed = "; git frees their space with its next gc" if going and isinstance(store, GitOriginals) else ""
        print(f"{amount}, removed; {stay}{freed}")
    return 0


def _count(number: int) -> str:
    return counted(number, "original", "originals")
