"""Which policy governs a file, and with it which lock and which originals: the domain that it lies in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from semcompress_plugin import files, linewise
from semcompress_plugin.digests import Digests
from semcompress_plugin.entries import Entry, Index
from semcompress_plugin.errors import ImageError, LockError, OriginalsError
from semcompress_plugin.git import Repository
from semcompress_plugin.git import find as find_repository
from semcompress_plugin.git import run as run_git
from semcompress_plugin.history import History, Told
from semcompress_plugin.lock import NAME, Lock
from semcompress_plugin.lock_in_git import LocksInGit, salvaged
from semcompress_plugin.originals import Originals, open_originals
from semcompress_plugin.policy import Policy, PolicyFinder, default_policy, load_originals, load_policy
from semcompress_plugin.registry import Registry

Said = tuple[list[tuple[Path, Index]], str | None]
"""Folders and the lines of the lock in each; and why more could not be read, or None."""


class Locks:
    """What all locks of a repository say: each is read once, whatever the number of policies that ask."""

    def __init__(self) -> None:
        self._repositories: dict[Path, Repository | None] = {}
        self._every: dict[Path, Said] = {}
        self._listed: dict[Path, list[Path]] = {}
        self._read: dict[Path, Index] = {}
        self._in_git: dict[Path, LocksInGit] = {}
        self._history: dict[Path, History] = {}

    def repository(self, folder: Path) -> Repository | None:
        """The one that ``folder`` lies in."""
        if folder not in self._repositories:
            self._repositories[folder] = find_repository(folder)
        return self._repositories[folder]

    def every(self, repository: Repository) -> Said:
        """What its locks say, and its journal, of whose paths its top is the folder."""
        if repository.root not in self._every:
            found, doubt = self.told((), repository)
            try:
                found, doubt = self.told(self.of(repository), repository)
                journal = linewise.read(repository.state / "journal", "journal")
                found.append((repository.root, Index.salvage(journal)))
            except (OriginalsError, LockError) as error:
                doubt = str(error)
            self._every[repository.root] = found, doubt
        return self._every[repository.root]

    def told(self, paths: Iterable[Path], repository: Repository | None) -> Said:
        """What the locks at ``paths`` say."""
        found: list[tuple[Path, Index]] = []
        doubt = None
        for path in dict.fromkeys(paths):
            try:
                found.append((path.parent, self.read(path, repository)))
            except OriginalsError as error:
                doubt = str(error)
        return found, doubt

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

    def history(self, repository: Repository, learn: bool) -> History:
        """What any commit ever said in one."""
        return self._history.setdefault(repository.root, History(repository, learn=learn))

    def forget(self) -> None:
        """Let go of what was read of history, which may be long; it is read again when it is next asked for."""
        for history in self._history.values():
            history.forget()

    def read(self, lock: Path, repository: Repository | None) -> Index:
        """A lock's lines, none where there is no such lock. Raises OriginalsError where that cannot be said.

        What a merge brings is among them, and what git's index has where a sparse checkout leaves the file out.
        """
        if lock not in self._read:
            try:
                data = files.read(lock).data if linewise.is_there(lock, "lock") else b""
            except ImageError as error:
                raise OriginalsError(f"{lock}: {error}") from error
            except LockError as error:
                raise OriginalsError(str(error)) from error
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
        in_git = None if self._repository is None else self.locks.in_git(self._repository)
        return Lock(self.policy.root / NAME, self.originals.state, in_git)

    @cached_property
    def has_several_rules(self) -> bool:
        """Whether what one rule has made may lie under a name that is another rule's."""
        return sum(not rule.skip for rule in self.policy.rules) > 1

    @cached_property
    def renames(self) -> bool:
        """Whether a picture may be replaced by a file of another name."""
        return any(rule.outputs.place == "replace" and rule.outputs.formats != ("keep",) for rule in self.policy.rules)

    def outputs(self, sha256: str, path: Path) -> tuple[Entry, ...]:
        """As :meth:`made`, with what lies beside its original."""
        here = tuple(entry for entry in self.lock.by_output(sha256) if entry.relation != "kept")
        return here or self.made_elsewhere(sha256, path)

    def made(self, sha256: str, path: Path) -> tuple[Entry, ...]:
        """What this lock, or else another one, says of a content at ``path`` that is an output of ours."""
        found = tuple(entry for entry in self.lock.by_output(sha256) if entry.relation == "replaced")
        return found or self.made_elsewhere(sha256, path)

    def made_elsewhere(self, sha256: str, path: Path) -> tuple[Entry, ...]:
        """What other locks say of a content, which lies at ``path``, that is an output of ours."""
        return tuple(
            self._as_here(entry, folder)
            for folder, index in self._elsewhere(path)[0]
            for entry in index.by_output(sha256)
            if entry.relation != "kept"
        )

    def lineage(self, line: Entry, path: Path) -> tuple[Entry, ...]:
        """Where the original of the output at ``path`` is an output of ours itself, as after a generation loss that was
        allowed: the line that tells what that was made of, and so on.
        """
        found: list[Entry] = []
        maker = self._maker(line, path)
        while maker is not None and maker not in found:
            found.append(maker)
            maker = self._maker(maker, path)
        return tuple(found)

    def _maker(self, line: Entry, path: Path) -> Entry | None:
        made = self.made(line.original.sha256, path)
        return self.lock.origin([one for one in made if one.relation == "replaced"], path)

    def said_before(self, sha256: str, path: Path) -> list[tuple[str | None, Entry]]:
        """What no lock says by now, and some commit did, of a content at ``path`` that is an output of ours.

        Each with the commit, or None where that is behind the one that the working tree stands on.
        """
        return self._said(path, lambda history: history.of(sha256))

    def said_of_pixels(self, fingerprint: str, path: Path) -> list[tuple[str | None, Entry]]:
        """As :meth:`said_before`, of outputs that have these pixels."""
        return self._said(path, lambda history: history.with_pixels(fingerprint))

    def _said(self, path: Path, asked: Callable[[History], Iterable[Told]]) -> list[tuple[str | None, Entry]]:
        found: list[tuple[str | None, Entry]] = []
        for repository in self._repositories(path):
            history = self.locks.history(repository, self.in_place)
            for told in asked(history):
                if (entry := told.entry()) is not None and entry.relation != "kept":
                    commit = None if history.is_behind(told.commit) else told.commit
                    found.append((commit, self._as_here(entry, repository.root / told.folder)))
        return found

    def with_pixels(self, fingerprint: str, path: Path) -> tuple[Entry, ...]:
        """What this lock, its journal, or else another lock says of outputs of ours that have these pixels."""
        return self.lock.by_pixels(fingerprint) or tuple(
            self._as_here(entry, folder)
            for folder, index in self._elsewhere(path)[0]
            for entry in index.by_pixels(fingerprint)
        )

    def doubt(self, path: Path) -> str | None:
        """Why it cannot be told whether a content at ``path``, which no lock knows, is an output of ours; or None."""
        return self.lock.doubt or self._elsewhere(path)[1]

    def _as_here(self, entry: Entry, folder: Path) -> Entry:
        """What the lock in ``folder`` says, as this one would."""
        return replace(entry, path=self.lock.relative(folder / PurePosixPath(entry.path)))

    def _repositories(self, path: Path) -> list[Repository]:
        """The policy's, and that of the picture at ``path``: below a policy there may be submodules, or only they."""
        both = (self._repository, self.locks.repository(path.parent))
        return list({one.root: one for one in both if one is not None}.values())

    def _elsewhere(self, path: Path) -> Said:
        """The folders and lines of all other locks of the policy's repository (outside git: of those in the folders
        above), and of the repository of the picture at ``path``.

        Policies come and go, and pictures move from one to another: what one lock knows for an output of ours must not
        be an original to the next.
        """
        found, doubt = self._near
        for repository in self._repositories(path):
            if repository != self._repository:
                more, doubted = self.locks.every(repository)
                found, doubt = [*found, *more], doubt or doubted
        return found, doubt

    @cached_property
    def _repository(self) -> Repository | None:
        return self.locks.repository(self.policy.root)

    @cached_property
    def _near(self) -> Said:
        paths = [folder / NAME for folder in self.policy.root.parents]
        if self._repository is not None:
            try:
                paths = self.locks.of(self._repository)
            except OriginalsError as error:
                return [], str(error)
        return self.locks.told((path for path in paths if path.parent != self.policy.root), self._repository)

    def forget(self) -> None:
        """Let go of what was read of the lock and of history; it is read again when it is next asked for."""
        self.lock.forget()
        self.locks.forget()

    @cached_property
    def digests(self) -> Digests:
        """Hashes of files that have not changed: in the git directory of this working tree, else by the originals."""
        folder = self.originals.state if self._repository is None else self._repository.own / "semcompress"
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

    def of(self, path: Path | str, named: bool) -> Domain | None:
        """The domain that governs the absolute ``path``, or None."""
        if self.only is not None:
            return self.only
        key = str(os.path.dirname(path)), named  # noqa: PTH120  # by text, as below
        if key not in self._by_folder:
            self._by_folder[key] = self._find(Path(path), named)
        return self._by_folder[key]

    def _find(self, path: Path, named: bool) -> Domain | None:
        lies_in = self._locks.repository(path.parent)
        repository = None if lies_in is None else lies_in.root
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
