"""Which policy, rule and lock govern each file, and what is already settled. Reads; decides and writes nothing."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from semcompress_plugin import files
from semcompress_plugin.digests import Digests
from semcompress_plugin.entries import Entry, Index, ambiguous, decode, encode
from semcompress_plugin.errors import ImageError, OriginalsError, UsageError
from semcompress_plugin.git import Repository
from semcompress_plugin.git import find as find_repository
from semcompress_plugin.git import run as run_git
from semcompress_plugin.lock import NAME, Lock
from semcompress_plugin.lock_in_git import LocksInGit, salvaged
from semcompress_plugin.originals import Originals, open_originals
from semcompress_plugin.policy import Policy, PolicyFinder, default_policy, load_originals, load_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Result, Rule, Status
from semcompress_plugin.walk import Found


class Locks:
    """What all locks of a repository say: each is read once, whatever the number of policies that ask."""

    def __init__(self) -> None:
        self._listed: dict[Path, list[Path]] = {}
        self._read: dict[Path, Index] = {}
        self._in_git: dict[Path, LocksInGit] = {}

    def of(self, repository: Repository) -> list[Path]:
        """Where they lie. Raises OriginalsError where git cannot say."""
        if repository.root not in self._listed:
            pattern = f":(top,glob)**/{NAME}"
            listed = run_git(repository.root, "ls-files", "-z", "-co", "--exclude-standard", "--", pattern)
            self._listed[repository.root] = [
                repository.root / os.fsdecode(name) for name in listed.split(b"\0") if name
            ]
        return self._listed[repository.root]

    def in_git(self, repository: Repository) -> LocksInGit:
        """What git has of them."""
        return self._in_git.setdefault(repository.root, LocksInGit(repository))

    def read(self, lock: Path, repository: Repository | None) -> Index:
        """A lock's lines, none where there is no such lock. Raises OriginalsError where that cannot be said.

        What a merge brings is among them, and what git's index has where a sparse checkout leaves the file out.
        """
        if lock not in self._read:
            data = b""
            with contextlib.suppress(ImageError):
                data = files.read(lock).data
            index = salvaged(data, lock)
            if repository is not None:
                index.add(self.in_git(repository).of(lock, *(() if data else (":0:",))).lines.values())
            self._read[lock] = index
        return self._read[lock]


@dataclass(frozen=True, eq=False)
class Domain:
    """A policy with its lock and its originals: what governs one part of a tree. ``locks`` are read for several."""

    policy: Policy
    in_place: bool = True
    locks: Locks = field(default_factory=Locks)

    @cached_property
    def originals(self) -> Originals:
        return open_originals(
            self.policy.root,
            None if self.policy.originals == "git" else self.policy.originals,
            needed=self.in_place,
        )

    @cached_property
    def baseline(self) -> frozenset[str]:
        """Contents (SHA-256) that may stay as they are."""
        from semcompress_plugin import baseline  # only what is not settled can stand there

        return frozenset(old.sha256 for old in baseline.load(self.policy.root / baseline.NAME))

    @cached_property
    def lock(self) -> Lock:
        repository = find_repository(self.policy.root)
        in_git = None if repository is None else self.locks.in_git(repository)
        return Lock(self.policy.root / NAME, self.originals.state, in_git)

    def made(self, sha256: str) -> tuple[Entry, ...]:
        """What this lock, or else another of the repository, says of a content that is an output of ours."""
        found = tuple(entry for entry in self.lock.by_output(sha256) if entry.relation == "replaced")
        return found or self.made_elsewhere(sha256)

    def made_elsewhere(self, sha256: str) -> tuple[Entry, ...]:
        """What other locks of the same repository say of a content that is an output of ours."""
        return tuple(
            replace(entry, path=self.lock.relative(folder / PurePosixPath(entry.path)))
            for folder, index in self._other_locks
            for entry in index.by_output(sha256)
            if entry.relation != "kept"
        )

    def with_pixels(self, fingerprint: str) -> tuple[Entry, ...]:
        """What this lock, its journal, or else another lock says of outputs of ours that have these pixels."""
        return self.lock.by_pixels(fingerprint) or tuple(
            replace(entry, path=self.lock.relative(folder / PurePosixPath(entry.path)))
            for folder, index in self._other_locks
            for entry in index.by_pixels(fingerprint)
        )

    @property
    def doubt(self) -> str | None:
        """Why it cannot be told of a content that no lock knows whether it is an output of ours, or None."""
        return self.lock.doubt or self._elsewhere[1]

    @property
    def _other_locks(self) -> list[tuple[Path, Index]]:
        """The folders and lines of all other locks of the repository; outside git of those in the folders above.

        Policies come and go, and pictures move from one to another: what one lock knows for an output of ours must not
        be an original to the next.
        """
        return self._elsewhere[0]

    @cached_property
    def _elsewhere(self) -> tuple[list[tuple[Path, Index]], str | None]:
        root, repository, doubt = self.policy.root, find_repository(self.policy.root), None
        paths = [folder / NAME for folder in root.parents]
        if repository is not None:
            try:
                paths = self.locks.of(repository)
            except OriginalsError as error:
                doubt = str(error)
        found = []
        for path in dict.fromkeys(paths):
            try:
                if path.parent != root:
                    found.append((path.parent, self.locks.read(path, repository)))
            except OriginalsError as error:
                doubt = str(error)
        return found, doubt

    @cached_property
    def digests(self) -> Digests:
        """Hashes of files that have not changed: in the git directory of this working tree, else by the originals."""
        repository = find_repository(self.policy.root)
        folder = self.originals.state if repository is None else repository.own / "semcompress"
        name = f"digests-{files.digest(os.fsencode(self.policy.root))[:16]}"
        return Digests(None if folder is None else folder / name, learn=self.in_place)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that a rule governs. ``place`` is its path as text, from the root; ``shown`` is its path for people."""

    place: str
    shown: str
    domain: Domain
    rule: Rule

    @property
    def path(self) -> Path:
        return Path(self.place)


@dataclass(frozen=True, slots=True)
class Pending:
    """A picture that is to be looked at. Its bytes are read again then: thousands may be pending.

    ``outdated`` is our own output, settled under another policy (or by older versions, when refreshing), or which lacks
    an output beside it. ``known`` are entries of its original under this very rule: what was found then is tried
    first. With ``anew`` neither what lies there nor what is known counts.
    """

    asset: Asset
    sha256: str
    bytes: int
    outdated: Entry | None = None
    known: tuple[Entry, ...] = ()
    anew: bool = False

    @property
    def is_new(self) -> bool:
        """Whether nothing is known of it."""
        return self.outdated is None and not self.known and not self.anew

    def left(self, status: Status, reason: str) -> Result:
        """The result where it stays as it is."""
        return Result(self.asset.shown, status, self.bytes, self.bytes, self.asset.rule.name, reason=reason)


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
            self._waiting.append((shared, row, (outdated, tuple(map(encode, item.known)), item.anew)))

    def popleft(self) -> Pending:
        shared, row, *told = self._waiting.popleft()
        place = os.path.join(shared.folder, row[40:].decode("utf-8", "surrogatepass"))  # noqa: PTH118  # as text
        shown = place[shared.hidden :].replace(os.sep, "/") if shared.hidden else place
        asset = Asset(place, shown, shared.domain, shared.rule)
        outdated, known, anew = told[0] if told else (None, (), False)
        return Pending(
            asset,
            row[:32].hex(),
            int.from_bytes(row[32:40]),
            None if outdated is None else decode(outdated),
            tuple(map(decode, known)),
            anew,
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


_Told = tuple[str | None, tuple[str, ...], bool]
"""Lines of the lock: of the outdated output, of what is known of the original; whether to look anew."""


class Domains:
    """Finds the domain of a path: one for everything with ``policy``, else that of the nearest policy.

    Policies are looked for up to ``top`` (default: the repository's root). Without any, files named one by one are
    governed by preset ``web``; where ``default`` is given, so is everything below that folder. Without a ``registry``
    of a policy only the place of its originals counts: what was kept must be had whatever plugins are installed.
    """

    def __init__(
        self,
        registry: Registry | None,
        policy: Path | None = None,
        *,
        top: Path | None = None,
        default: Path | None = None,
        in_place: bool = True,
    ) -> None:
        self.registry, self.top, self.default, self.in_place = registry, top, default, in_place
        self._locks = Locks()
        self.only = None if policy is None else self._load(policy)
        self._by_policy: dict[Path, Domain] = {}
        self._by_folder: dict[tuple[str, bool], Domain | None] = {}
        self._finders: dict[Path, PolicyFinder] = {}
        self._repositories: dict[Path, Path | None] = {}

    def of(self, path: Path | str, named: bool) -> Domain | None:
        """The domain that governs the absolute ``path``, or None."""
        if self.only is not None:
            return self.only
        key = str(os.path.dirname(path)), named  # noqa: PTH120  # by text, as below
        if key not in self._by_folder:
            self._by_folder[key] = self._find(Path(path), named)
        return self._by_folder[key]

    def _find(self, path: Path, named: bool) -> Domain | None:
        repository = self._repository(path.parent)
        top = self.top or repository or Path(path.anchor)
        if top not in self._finders:
            self._finders[top] = PolicyFinder(top)
        if (found := self._finders[top].of_file(path)) is not None:
            if found not in self._by_policy:
                self._by_policy[found] = self._load(found)
            return self._by_policy[found]
        if not named and self.default is None:
            return None
        root = self.default or repository or path.parent
        if root not in self._by_policy:
            policy = Policy(None, root, ()) if self.registry is None else default_policy(self.registry, root)
            self._by_policy[root] = Domain(policy, self.in_place, self._locks)
        return self._by_policy[root]

    def used(self) -> list[Domain]:
        """Every domain that has been asked for so far."""
        return [self.only] if self.only is not None else list(self._by_policy.values())

    def _load(self, path: Path) -> Domain:
        # read as the user would spell it, since errors repeat that; but the folder must not depend on where we are
        spelt = Path(os.path.relpath(path))
        policy = load_originals(spelt) if self.registry is None else load_policy(spelt, self.registry)
        return Domain(replace(policy, root=Path(os.path.abspath(path)).parent), self.in_place, self._locks)  # noqa: PTH100

    def _repository(self, folder: Path) -> Path | None:
        if folder not in self._repositories:
            repository = find_repository(folder)
            self._repositories[folder] = None if repository is None else repository.root
        return self._repositories[folder]


def assets(found: Iterable[Found], domains: Domains, base: Path) -> Iterator[Asset | Result]:
    """Each file's Asset, or a Result where nothing is to be done with it.

    What no policy governs is skipped beside what one does. Raises UsageError, after the last, where files lie in
    folders and no policy was met at all (design: a folder without a policy is exit 2): begin nothing before.
    """
    folders: dict[str, str] = {}
    ungoverned: str | None = None
    for item in found:
        # by text, since pathlib's own way is a third of what a run with nothing to do costs
        folder, name = os.path.split(item.place)
        if folder not in folders:
            folders[folder] = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118  # links are not followed
        place = folders[folder] + name
        shown = shown_path(place, base)
        if item.error is not None:
            yield Result(shown, "failed", 0, 0, reason=item.error)
            continue
        domain = domains.of(place, item.named)
        inside = None if domain is None else _below(place, domain.policy.root)
        if domain is None:
            ungoverned = ungoverned or shown
            rule, reason = None, "no policy governs it"
        elif inside is None:
            rule, reason = None, f"lies outside {domain.policy.root}, to which the policy's patterns are relative"
        else:
            rule, reason = domain.policy.rule_for(inside), "no rule matches"
        if domain is None or rule is None or rule.skip:
            try:
                size = os.stat(place).st_size  # noqa: PTH116
            except OSError as error:  # it was there when the folder was listed
                yield Result(shown, "failed", 0, 0, reason=f"cannot be read: {error.strerror or error}")
                continue
            yield Result(shown, "skipped", size, size, rule.name if rule else None, reason=None if rule else reason)
            continue
        yield Asset(place, shown, domain, rule)
    if ungoverned is not None and all(domain.policy.path is None for domain in domains.used()):
        raise UsageError(
            f"{ungoverned}: no policy governs it: write one (`semcompress init`), or name pictures one by one "
            "to use preset web"
        )


def pending(asset: Asset, refresh: dict[str, str] | None = None) -> Pending | Result:
    """What is to be done about ``asset``: a Result when it is settled or cannot be read.

    ``refresh`` are versions of what decides: what others have made is then outdated too.
    """
    try:
        sha256, size = asset.domain.digests.of(asset.place)
    except ImageError as error:
        return Result(asset.shown, "failed", 0, 0, asset.rule.name, reason=str(error))
    lock, digest = asset.domain.lock, asset.rule.digest
    if refresh is None:
        settled, stale = lock.is_settled(sha256, digest, asset.place), False
    else:
        entry = lock.settled(sha256, digest, asset.path)
        stale = entry is not None and entry.relation != "beside" and not _is_current(entry, refresh)
        settled = entry is not None and not stale
    if settled and not (asset.rule.outputs.place == "beside" and lock.lacks(sha256, digest, asset.path)):
        return Result(asset.shown, "unchanged", size, size, asset.rule.name)
    made = asset.domain.made(sha256)
    if lock.lies_beside(made, asset.path):  # never a picture to start from
        return Result(asset.shown, "unchanged", size, size, asset.rule.name)
    made = tuple(entry for entry in made if entry.relation == "replaced")
    outdated = lock.origin(made, asset.path)
    if made and outdated is None:
        reason = f"was shrunk under another policy, and {ambiguous(made)}: left alone"
        return Result(asset.shown, "skipped", size, size, asset.rule.name, reason=reason)
    original = sha256 if outdated is None else outdated.original.sha256
    known = [e for e in lock.by_original(original) if e.policy == digest and e.relation != "kept"]
    # a build harms no source: where there is no git, or it trusts nobody's repositories, so be it
    if asset.domain.in_place and not (outdated or known or stale) and (doubt := asset.domain.doubt):
        reason = f"whether it is an output of ours cannot be told, so it was left alone: {doubt}"
        return Result(asset.shown, "failed", size, size, asset.rule.name, reason=reason)
    return Pending(asset, sha256, size, outdated, tuple(known), anew=stale)


def _is_current(entry: Entry, versions: dict[str, str]) -> bool:
    return all(versions.get(name) == version for name, version in entry.made_with.items())


def shown_path(path: Path | str, base: Path) -> str:
    """``path`` as people and reports see it: relative to ``base`` if it lies below, with ``/``."""
    return _below(path, base) or str(path)


def _below(path: Path | str, folder: Path) -> str | None:
    """``path`` relative to ``folder`` with ``/``, or None if it does not lie below."""
    text, prefix = str(path), str(folder).rstrip(os.sep) + os.sep
    return text[len(prefix) :].replace(os.sep, "/") if text.startswith(prefix) else None
