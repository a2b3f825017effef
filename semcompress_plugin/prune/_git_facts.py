"""Who may need an original, as far as a git repository says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from semcompress_plugin import files, git
from semcompress_plugin.entries import Content, Entry
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.lock import NAME
from semcompress_plugin.originals import REFS, GitOriginals
from semcompress_plugin.prune._facts import Facts

_STASH = "refs/stash"
_SUBMODULE = b"160000"
_DAMAGED = (
    "an object of this git repository is missing or damaged, so who needs which original is not known: run `git fsck` "
    "({what})"
)
_PARTIAL = (
    "{root}: is a partial clone, which lacks objects until git fetches them, so who needs which original is not known: "
    "prune in a whole clone"
)
_NARROW = (
    "not all branches of the remote {remote} are fetched here, so who needs which original is not known: "
    "git remote set-branches {remote} '*' && git fetch {remote}"
)
_BRANCHES = {"refs/heads/*", "refs/*"}
_UNDER_WAY = ("rebase-merge", "rebase-apply", "MERGE_AUTOSTASH")


class _Worktree(NamedTuple):
    """A worktree as git lists it, and the commit it stands on; a bare repository has none."""

    path: Path
    head: str | None = None
    bare: bool = False


class GitFacts(Facts):
    """What a repository holds, in all its worktrees, on all its refs and among its objects."""

    def __init__(self, repository: git.Repository) -> None:
        self._state = None  # its journal is of this repository alone
        self.root = repository.root
        self._repository = repository
        self._submodules: set[PurePosixPath] = set()
        """Where tips and indexes have submodules; complete once all have been read."""
        self._see_that_nothing_is_under_way()
        self._see_that_it_is_whole()
        self._see_that_remotes_are_in_sight()
        self.folders = [self._folder(worktree) for worktree in self._worktrees if not worktree.bare]
        self._see_that_all_is_there()

    def speak_of(self, user: Path) -> bool:
        if user == self._repository.common:
            return True
        found = git.find(user) if user.exists() and not (user / "HEAD").exists() else None
        return found is not None and found.common == self._repository.common

    def reach(self, entries: Iterable[Entry]) -> bool:
        """Whether no output was made in another repository that lies, or lay, within this one: its commits and stashes
        are out of sight.
        """
        paths = {PurePosixPath(entry.path) for entry in entries}
        if any(path.parts[:1] == ("..",) for path in paths):
            return False
        within = {parent for path in paths for parent in path.parents}
        if any(place in within for place in self._submodules):
            return False
        ours = {os.path.realpath(folder) for folder in self.folders}
        places = [Path(folder, parent) for folder in self.folders for parent in within]
        found = [git.find(place) for place in places if place.is_dir()]
        return all(one is not None and str(one.root) in ours for one in found)

    def filtered(self, paths: Collection[str]) -> set[str]:
        asked = b"".join(os.fsencode(path) + b"\0" for path in sorted(paths) if not path.startswith("../"))
        found = set()
        for folder in self.folders if asked else ():
            told = git.run(folder, "check-attr", "-z", "--stdin", "filter", input=asked).split(b"\0")
            names, values = told[0:-1:3], told[2:-1:3]
            found |= {os.fsdecode(n) for n, v in zip(names, values, strict=True) if v not in (b"unspecified", b"unset")}
        return found

    def _see_that_nothing_is_under_way(self) -> None:
        """Raise OriginalsError while a rebase or a merge holds what is at no tip and in no stash."""
        common = self._repository.common
        for own in (common, *(common / "worktrees").glob("*")):
            for name in _UNDER_WAY:
                if os.path.lexists(own / name):
                    raise OriginalsError(
                        f"{own / name}: a rebase or a merge is under way, which may need any original: finish or abort "
                        "it (git status), then nothing stands in the way"
                    )

    def _see_that_it_is_whole(self) -> None:
        """Raise OriginalsError in a clone whose remote was asked to leave objects out (``--filter``)."""
        if self._settings(r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"):
            raise OriginalsError(_PARTIAL.format(root=self.root))

    def _see_that_remotes_are_in_sight(self) -> None:
        """Raise OriginalsError where a remote may have branches that no fetch brings here (``--single-branch``)."""
        fetched: dict[str, set[str]] = {}
        for name, value in self._settings(r"^remote\..*\.(url|fetch)$"):
            remote, _, key = name.removeprefix("remote.").rpartition(".")
            sources = fetched.setdefault(remote, set())
            if key == "fetch":
                sources.add(value.removeprefix("+").partition(":")[0])
        for remote, sources in sorted(fetched.items()):
            if not sources & _BRANCHES or any(source.startswith("^") for source in sources):
                raise OriginalsError(_NARROW.format(remote=remote))

    def _see_that_all_is_there(self) -> None:
        """Raise OriginalsError while git lacks an object that a tip or an index names."""
        there = {one for blobs in self._blobs_by_size.values() for one in blobs}
        there |= {git.blob_id(b"", length) for length in (40, 64)}  # git knows the empty one by heart
        if missing := self._visible - there:
            raise OriginalsError(_DAMAGED.format(what=f"blob {min(missing)}"))

    def _settings(self, pattern: str) -> list[tuple[str, str]]:
        """Name and value of what git is configured to do, by a pattern of names."""
        with contextlib.suppress(OriginalsError):  # git's way to say that there is none
            told = git.run(self.root, "config", "-z", "--get-regexp", pattern)
            records = (record.partition("\n") for record in os.fsdecode(told).split("\0") if record)
            return [(name, value) for name, _, value in records]
        return []

    def _folder(self, worktree: _Worktree) -> Path:
        """Where a worktree is. Raises OriginalsError where it is not at hand."""
        common = self._repository.common
        path = worktree.path
        if os.path.realpath(path) == str(common):  # git's answer for submodules and `git init --separate-git-dir`
            path = self._main()
        found = git.find(path)
        if found is None or str(found.root) != os.path.realpath(path) or found.common != common:
            raise OriginalsError(
                f"{path}: is a worktree that is not there just now, and what it needs is not known: bring it back, or "
                "run `git worktree prune` if it is gone for good"
            )
        return path

    def _main(self) -> Path:
        """The main worktree, whose git directory does not lie in it."""
        if self._repository.own == self._repository.common:
            return self.root
        with contextlib.suppress(OriginalsError):  # git's way to say that it is not set
            told = git.run(self.root, "config", "-z", "--get", "core.worktree")
            return Path(os.path.realpath(self._repository.common / os.fsdecode(told.rstrip(b"\0"))))
        raise OriginalsError(f"{self._repository.common}: where its main worktree is is not known: run this there")

    @cached_property
    def standing(self) -> set[str]:
        return {blob for tip, ref in self._refs if ref.startswith("refs/heads/") for blob, _ in self._trees[tip]}

    def has(self, contents: list[Content]) -> bool:
        if self.has_files(contents):
            return True
        blobs = [blob for content in contents for blob in self._blobs_by_size.get(content.bytes, ())]
        wanted = {content.sha256 for content in contents}
        return any(files.digest(data) in wanted for _, data in self._store.objects(blobs))

    def shows(self, contents: list[Content]) -> bool:
        if self.has_files(contents):
            return True
        blobs = {blob for content in contents for blob in self._blobs_by_size.get(content.bytes, ())}
        wanted = {content.sha256 for content in contents}
        return any(files.digest(data) in wanted for _, data in self._store.objects(blobs & self._visible))

    def _namesakes(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        yield from super()._namesakes(names)
        places: dict[str, set[str]] = {}
        for blob, place in (one for name in names for one in self._blobs_by_name.get(name, ())):
            places.setdefault(blob, set()).add(place)
        for blob, data in self._store.objects(places) if places else ():
            yield from ((place, data) for place in places[blob])

    @cached_property
    def _blobs_by_name(self) -> dict[str, list[tuple[str, str]]]:
        """Name of a file -> (blob, path) of all files of that name at tips and in indexes."""
        found: dict[str, list[tuple[str, str]]] = {}
        for blob, path in self._at_tips | self._in_indexes:
            place = os.fsdecode(path)
            found.setdefault(place.rpartition("/")[2], []).append((blob, place))
        return found

    @cached_property
    def _in_indexes(self) -> set[tuple[str, bytes]]:
        """(blob, path) of all that is staged in any worktree."""
        listed = (git.run(folder, "ls-files", "--stage", "-z", "--", ":/") for folder in self.folders)
        records = (record.partition(b"\t") for one in listed for record in one.split(b"\0") if record)
        staged = [(facts.split(), name) for facts, _, name in records]
        self._submodules |= {PurePosixPath(os.fsdecode(name)) for (mode, _, _), name in staged if mode == _SUBMODULE}
        return {(one.decode(), name) for (mode, one, _), name in staged if mode != _SUBMODULE}

    @cached_property
    def _visible(self) -> set[str]:
        """Blobs at a tip or in an index."""
        return {blob for blob, _ in self._at_tips | self._in_indexes}

    def _locks(self) -> Iterator[tuple[str, bytes]]:
        yield from super()._locks()
        folders: dict[str, set[str]] = {}
        for blob, name in self._at_tips | self._in_indexes:
            folder, _, last = os.fsdecode(name).rpartition("/")
            if last == NAME:
                folders.setdefault(blob, set()).add(folder)
        for blob, data in self._store.objects(folders):
            yield from ((folder, data) for folder in folders[blob])

    @cached_property
    def _store(self) -> GitOriginals:
        found = git.find(self.root)
        assert found is not None
        return GitOriginals(found)

    @cached_property
    def _worktrees(self) -> list[_Worktree]:
        found: list[_Worktree] = []
        for record in git.run(self.root, "worktree", "list", "--porcelain", "-z").split(b"\0"):
            word, _, value = record.partition(b" ")
            if word == b"worktree":
                found.append(_Worktree(Path(os.fsdecode(value))))
            elif word == b"bare":
                found[-1] = found[-1]._replace(bare=True)
            elif word == b"HEAD" and set(value) != {ord("0")}:
                found[-1] = found[-1]._replace(head=value.decode())
        return found

    @cached_property
    def _at_tips(self) -> set[tuple[str, bytes]]:
        """(blob, path) at the tip of every ref but ours, at every worktree's HEAD and in every stash."""
        return set().union(*self._trees.values())

    @cached_property
    def _refs(self) -> list[tuple[str, str]]:
        """(object, name) of every ref but ours."""
        return [(one, ref) for one, ref in git.refs(self.root) if not ref.startswith(f"{REFS}/")]

    @cached_property
    def _trees(self) -> dict[str, set[tuple[str, bytes]]]:
        """Tip -> (blob, path) of all that a checkout of it, or a pop of the stash, would bring."""
        tips = {one for one, _ in self._refs}
        tips |= {worktree.head for worktree in self._worktrees if worktree.head is not None}
        if any(ref == _STASH for _, ref in self._refs):  # which names the latest; the others are in its reflog
            stashes = git.run(self.root, "rev-list", "--walk-reflogs", "--format=%H %P", _STASH, "--").decode()
            for stash, _, *kept in (line.split() for line in stashes.splitlines() if not line.startswith("commit ")):
                tips |= {stash, *kept}  # what was in the index, and what git did not track, are parents of the stash
        kinds = self._kinds(sorted(tips))
        return {tip: self._tree(tip) if kind != "blob" else set() for tip, kind in kinds.items()}

    def _kinds(self, tips: list[str]) -> dict[str, str]:
        """Tip -> what it is, or what the tag is put on. Raises OriginalsError where one is missing."""
        asked = "".join(f"{tip}^{{}}\n" for tip in tips).encode()
        lines = git.run(self.root, "cat-file", "--batch-check=%(objecttype)", input=asked).decode().splitlines()
        kinds = dict(zip(tips, lines, strict=True))
        if missing := [tip for tip, kind in kinds.items() if kind not in ("commit", "tree", "blob")]:
            raise OriginalsError(_DAMAGED.format(what=f"object {missing[0]}"))
        return kinds

    def _tree(self, tip: str) -> set[tuple[str, bytes]]:
        try:
            tree = git.run(self.root, "ls-tree", "-r", "-z", "--full-tree", f"{tip}^{{tree}}")
        except OriginalsError as error:
            raise OriginalsError(_DAMAGED.format(what=error)) from error
        found = set()
        for record in filter(None, tree.split(b"\0")):
            facts, _, name = record.partition(b"\t")
            _, kind, one = facts.split()
            if kind == b"blob":
                found.add((one.decode(), name))
            else:  # a submodule's commit lies elsewhere
                self._submodules.add(PurePosixPath(os.fsdecode(name)))
        return found

    @cached_property
    def _blobs_by_size(self) -> dict[int, list[str]]:
        form = "--batch-check=%(objecttype) %(objectsize) %(objectname)"
        found: dict[int, list[str]] = {}
        for line in git.run(self.root, "cat-file", "--batch-all-objects", "--unordered", form).decode().splitlines():
            kind, size, one = line.split() if line.count(" ") == 2 else _lost(line)
            if kind == "blob":
                found.setdefault(int(size), []).append(one)
        return found


def _lost(line: str) -> NoReturn:
    """What git says of an object that it cannot read."""
    raise OriginalsError(_DAMAGED.format(what=line))
