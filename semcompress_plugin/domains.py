"""Which policy governs a file, and with it which lock and which originals: the domain that it lies in."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from semcompress_plugin import files
from semcompress_plugin.digests import Digests
from semcompress_plugin.entries import Entry, Index
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.git import Repository
from semcompress_plugin.git import find as find_repository
from semcompress_plugin.git import run as run_git
from semcompress_plugin.history import History
from semcompress_plugin.lock import NAME, Lock
from semcompress_plugin.lock_in_git import LocksInGit, salvaged
from semcompress_plugin.originals import Originals, open_originals
from semcompress_plugin.policy import Policy, PolicyFinder, default_policy, load_originals, load_policy
from semcompress_plugin.registry import Registry


class Locks:
    """What all locks of a repository say: each is read once, whatever the number of policies that ask."""

    def __init__(self) -> None:
        self._listed: dict[Path, list[Path]] = {}
        self._read: dict[Path, Index] = {}
        self._in_git: dict[Path, LocksInGit] = {}
        self._history: dict[Path, History] = {}

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

    def history(self, repository: Repository) -> History:
        """What any commit ever said in one."""
        return self._history.setdefault(repository.root, History(repository))

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

    @cached_property
    def has_several_rules(self) -> bool:
        """Whether what one rule has made may lie under a name that is another rule's."""
        return sum(not rule.skip for rule in self.policy.rules) > 1

    def outputs(self, sha256: str) -> tuple[Entry, ...]:
        """As :meth:`made`, with what lies beside its original."""
        here = tuple(entry for entry in self.lock.by_output(sha256) if entry.relation != "kept")
        return here or self.made_elsewhere(sha256)

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

    def said_before(self, sha256: str) -> list[tuple[str | None, Entry]]:
        """What no lock says by now, and some commit did, of a content that is an output of ours.

        Each with the commit, or None where that is behind the one that the working tree stands on.
        """
        repository = find_repository(self.policy.root)
        history = None if repository is None else self.locks.history(repository)
        if repository is None or history is None:
            return []
        return [
            (
                None if history.is_behind(told.commit) else told.commit,
                replace(entry, path=self.lock.relative(repository.root / told.folder / PurePosixPath(entry.path))),
            )
            for told in history.of(sha256)
            if (entry := told.entry()) is not None and entry.relation != "kept"
        ]

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
