"""``semcompress compress``, and what ``check`` shares with it."""

from __future__ import annotations

import argparse
import contextlib
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin import files
from semcompress_plugin.backlog import Backlog
from semcompress_plugin.budgeting import judged
from semcompress_plugin.claims import Claims, contested
from semcompress_plugin.commands._shared import finish, load_registry, print_report, tell, warn_of_ignored
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.errors import LockError, OriginalsError, SemcompressError, UsageError
from semcompress_plugin.interrupt import held_back
from semcompress_plugin.looking import Seen, look
from semcompress_plugin.made_with import versions
from semcompress_plugin.originals import FolderOriginals, GitOriginals
from semcompress_plugin.plan import Asset, Pending, assets, pending, shown_path, unless_said_before
from semcompress_plugin.registry import Registry
from semcompress_plugin.report.ledger import Ledger
from semcompress_plugin.sharing import Remotes
from semcompress_plugin.types import Result
from semcompress_plugin.walk import MISSING, Found, absolute, find_images, here, repository_root
from semcompress_plugin.words import counted, printable

if TYPE_CHECKING:
    from semcompress_plugin.commands._hook import Hook
    from semcompress_plugin.settle import Names, Settlement

USAGE = 2
SECONDS_BETWEEN_COMMITS = 1.0
BYTES_BETWEEN_COMMITS = 64_000_000
FILES_BETWEEN_COMMITS = 100
"""Each is open until then, and some systems allow a process 256 open files."""


def run(arguments: argparse.Namespace, write: bool = True) -> int:
    """Shrink in place; with ``write`` false only say what would be done."""
    started = time.monotonic()
    registry = load_registry()
    domains = Domains(registry, arguments.policy, in_place=write)
    base = here()
    hook = _hook(base, arguments.paths) if arguments.hook else None
    found = find_images(hook.paths if hook else arguments.paths or [Path()], repository_root(base))
    if domains.only is not None:
        _refuse_to_govern_nothing(found, domains.only.policy.root, arguments.policy)
    mistyped = any(item.named and item.error == MISSING for item in found)
    governed = deque(assets(found, domains, base))
    folders = {os.path.dirname(item.place) for item in found}  # noqa: PTH120  # by text, for there may be thousands
    del found  # of what is known of each picture, as little as possible is held until all are done
    verb = "compressed" if write else "would be compressed"
    if hook:
        admitted, objections = hook.review(governed, domains)
        if objections:
            if arguments.format == "json":  # of a run that has not begun
                print_report((), time.monotonic() - started, arguments, (), verb)
            return hook.object(objections)
        governed = deque(admitted)
    claims = Claims()
    results, work = _planned(governed, registry, arguments, claims)
    for domain in domains.used():
        domain.digests.save()
        if work:
            domain.lock.forget()
    if work and not write:
        _warn_of_refusals(domains.used())
    bugs: list[str] = []
    errors: list[SemcompressError] = []
    shrinking = _Shrinking(write, claims)
    pictures = len(work)
    if work:
        try:
            with _put_off(errors):
                seen = look(
                    work,
                    registry,
                    bugs,
                    jobs=arguments.jobs,
                    effort=arguments.effort,
                    allow_generation_loss=arguments.allow_generation_loss,
                    progress=not arguments.quiet,
                    refuses=shrinking.refuses,
                )
                results.extend(shrinking.settle(seen))
        except KeyboardInterrupt:
            if write:
                tell(results, registry)
            raise
    if errors and not shrinking.locks:
        raise errors[0]
    if write and not hook:  # which says itself how the lock is to be staged
        mended = _mend_locks(domains.used(), arguments.quiet, errors)
        warn_of_ignored(sorted(shrinking.locks | mended), base)
    if write:
        _catch_up(domains.used())
        with _put_off(errors):
            _tell_of_strays(domains, folders)
    if hook and not pictures:
        arguments.quiet = True  # a commit with nothing to do for us is not to be talked about
    results.revise(judged(results, domains, base))
    only_here = None
    if write and arguments.format == "json":
        with _put_off(errors):
            only_here = _only_here(domains.used())
    if write:
        tell(results, registry)
    try:
        code = finish(results, started, domains, arguments, bugs, verb, only_here)
        _tell(results, shrinking, arguments)
        sys.stdout.flush()  # what to stage is the last line, in a pipe too
    finally:  # the report may have found no room
        if hook:
            hook.conclude(results, shrinking.locks)
    if errors:
        raise errors[0]
    if hook:
        return code or int(bool(shrinking.locks))
    # a name that was mistyped is a mistake of the command line, though the other files have been seen to
    return USAGE if code < USAGE and mistyped else code


@contextlib.contextmanager
def _put_off(errors: list[SemcompressError]) -> Iterator[None]:
    """Add what fails to ``errors``, to be raised behind the report: that tells of files that were changed before."""
    try:
        yield
    except SemcompressError as error:
        errors.append(error)


def _refuse_to_govern_nothing(found: Sequence[Found], root: Path, policy: Path) -> None:
    """Raise UsageError where none of the pictures lies below ``root``, where those of the ``policy`` are.

    Of pictures that were named, as hooks and CI name what has changed, all may lie elsewhere, unless there are none
    below ``root``.
    """
    if not found or any(absolute(item.path).is_relative_to(root) for item in found):
        return
    if all(item.named for item in found) and find_images([root], repository_root(root)):
        return
    raise UsageError(
        f"{policy}: its patterns are relative to {root}, where none of the pictures lies: put it into a folder above "
        "them, such as the repository's"
    )


def _planned(
    governed: deque[Asset | Result], registry: Registry, arguments: argparse.Namespace, claims: Claims
) -> tuple[Ledger, Backlog]:
    """What is settled without a look, and what is to be looked at; takes everything out of ``governed``."""
    results, work = Ledger(), Backlog()
    hindered = _Hindrances(claims)
    while governed:
        asset = governed.popleft()
        state = asset if isinstance(asset, Result) else _state(asset, registry, arguments)
        if isinstance(state, Pending) and (reason := hindered.reason(state)):
            state = state.left("failed", reason)
        results.append(state) if isinstance(state, Result) else work.append(state)
    return results, work


def _state(asset: Asset, registry: Registry, arguments: argparse.Namespace) -> Pending | Result:
    """What is to be shrunk, or why a file is not even looked at."""
    state = pending(asset, partial(versions, registry=registry) if arguments.refresh else None)
    if isinstance(state, Result):
        return state
    asset = state.asset
    if state.outdated is None and _was_built(state.sha256):
        return state.left("unchanged", "was made by a build of ours, from an original elsewhere")
    if not arguments.no_baseline and state.sha256 in asset.domain.baseline:
        return state.left("unchanged", "stands in the baseline")
    if reason := _obstacle(asset):
        return state.left("skipped", reason)
    return unless_said_before(state)


def _obstacle(asset: Asset) -> str | None:
    """Why the system lets nobody like us replace a picture, or write beside it; None where it does."""
    outputs, folder = asset.rule.outputs, asset.path.parent
    replaced = outputs.place == "replace" or "keep" in outputs.formats
    if replaced and not os.access(asset.place, os.W_OK):
        return "is read-only: make it writable (chmod u+w) to have it replaced"
    if not os.access(folder, os.W_OK):
        return "lies in a folder that cannot be written to: make it writable (chmod u+w) to have it shrunk"
    if replaced and _is_held(asset.path, folder):
        return "is somebody else's, in a folder where only owners replace files (sticky): have them run semcompress"
    return None


def _is_held(path: Path, folder: Path) -> bool:
    """Whether a sticky bit keeps us from renaming over a file, though we may write to it and to its folder."""
    try:
        of_folder, of_file = folder.stat(), path.stat()
    except OSError:
        return False  # said when it is read
    if not of_folder.st_mode & stat.S_ISVTX or not hasattr(os, "geteuid"):  # Windows has neither
        return False
    return os.geteuid() not in (0, of_folder.st_uid, of_file.st_uid)


def _hook(base: Path, paths: list[Path]) -> Hook:
    from semcompress_plugin.commands._hook import Hook

    return Hook(base, paths)


class _Hindrances:
    """Why outputs that rules ask for by their format could not be written: no search is begun for them then."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._names: Names | None = None

    def reason(self, item: Pending) -> str | None:
        named = [format for format in item.asset.rule.outputs.formats if format not in ("keep", "smallest")]
        if not named:
            return None
        from semcompress_plugin.settle import Names, hindrance
        from semcompress_plugin.shrink import output_name

        self._names = self._names or Names()
        path, lock, shown = item.asset.path, item.asset.domain.lock, item.asset.shown
        original = item.sha256 if item.outdated is None else item.outdated.original.sha256
        for name in (output_name(path.name, format.upper()) for format in named):
            if name == path.name:
                continue
            if reason := hindrance(path, original, path.with_name(name), lock, self._names):
                return reason
            if (other := self._claims.claim(Path(shown).with_name(name).as_posix(), shown)) != shown:
                return contested(other)
        return None


def _was_built(sha256: str) -> bool:
    """Whether a build of ours made this content, where there is no lock."""
    from semcompress_plugin.cache import Cache, made_key

    return Cache().get(made_key(sha256)) is not None


def _tell(results: Iterable[Result], shrinking: _Shrinking, arguments: argparse.Namespace) -> None:
    """What the report's table has no room for."""
    for result in results:
        if result.status == "compressed" and result.over_budget:  # those that failed have been told of
            print(f"semcompress: {printable(result.path)}: {printable(result.reason or '')}", file=sys.stderr)
    if arguments.quiet or arguments.format != "text":
        return
    if alone := _only_here(shrinking.replaced):
        amount = "1 original exists" if alone == 1 else f"{alone} originals exist"
        print(f"{amount} only in this clone (`semcompress originals push` hands on, `semcompress restore` brings back)")
    for folder in sorted({d.originals.folder for d in shrinking.replaced if isinstance(d.originals, FolderOriginals)}):
        print(f"originals are kept in {printable(shown_path(folder, here()))} (`semcompress restore` brings them back)")


def _warn_of_refusals(domains: Iterable[Domain]) -> None:
    """Say what `compress` would refuse to do for want of a place for originals."""
    for domain in domains:
        try:
            replace(domain, in_place=True).originals  # noqa: B018  # opening them is what may be refused
        except UsageError as error:
            print(f"semcompress: warning: compress would refuse: {error}", file=sys.stderr)


def _only_here(domains: Iterable[Domain]) -> int | None:
    """How many originals no remote is known to have; None where none of the domains keeps originals in git."""
    kept = (domain.originals for domain in domains)
    stores = {store.repository.root: store for store in kept if isinstance(store, GitOriginals)}
    return sum(len(Remotes(store).only_here()) for store in stores.values()) if stores else None


def _mend_locks(domains: Iterable[Domain], quiet: bool, errors: list[SemcompressError]) -> set[Path]:
    """Put back what locks have forgotten and the journal, or only git, remembers; those locks."""
    mended = set()
    for domain in domains:
        forgotten = domain.lock.missing_from_lock
        with _put_off(errors):
            if forgotten:
                domain.lock.put_back()
                mended.add(domain.lock.path)
                if not quiet:
                    lines = counted(len(forgotten), "forgotten line", "forgotten lines")
                    print(f"semcompress: {domain.lock.path}: put {lines} back", file=sys.stderr)
    return mended


def _catch_up(domains: Iterable[Domain]) -> None:
    """Have copies of the originals that were kept before their repository began to borrow objects of another."""
    for domain in domains:
        store = domain.originals
        try:
            if isinstance(store, GitOriginals) and store.lags:
                with domain.lock.exclusive():
                    store.catch_up()
        except (LockError, OriginalsError) as error:
            print(f"semcompress: warning: originals are borrowed and could not be copied: {error}", file=sys.stderr)


def _tell_of_strays(domains: Domains, folders: Iterable[str]) -> None:
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


class _Shrinking:
    """Commits what was decided in groups, so that a crash costs seconds of work."""

    def __init__(self, write: bool, claims: Claims) -> None:
        self.write = write
        self.group: list[tuple[Result, Settlement, Domain]] = []
        self.claims = claims
        self.locks: set[Path] = set()
        """Locks that have been given lines."""
        self.replaced: set[Domain] = set()
        """Domains in which an original was kept."""
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
