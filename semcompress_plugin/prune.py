"""Which originals nobody needs any more. Reads; removes nothing.

When in doubt an original is needed: it may be the only copy of a picture. It may go when

- no lock names it: not at the tip of any branch, tag, remote's branch or stash, in no worktree and no index; and what
  was made of it is found nowhere, neither as a file in a worktree nor among all objects of the repository, and no
  worktree, index or tip has what may be an edit of it: another file where it lay, or its pixels under its name; or
- it has been restored: the very original stands at the tip of a branch of ours (a remote's goes with the next fetch, a
  stash with the next pop), and what was made of it, here or as any lock has it, in no worktree, index or stash and at
  no tip.

Where git filters what was made (git-crypt, LFS), it is not recognised among the objects: its original stays. While a
rebase or a merge is under way, a worktree is not at hand, a remote's branches are not all fetched, or an object is
missing or damaged, what is needed is not known: nothing may go.

A folder of originals outside the tree (the repository's worktrees, or what lies below the policy) may serve others, of
which nothing is known here: nothing in it may go. The same holds while another repository or policy, at which we do not
look, is listed among its users. Of one inside, only what was made below this policy's folder is judged.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from semcompress_plugin import files, git
from semcompress_plugin.entries import Content, Entry, Index, decode
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.lock import NAME, Lock
from semcompress_plugin.originals import REFS, FolderOriginals, GitOriginals, Kept, Originals

_SHA256 = re.compile(rb"[0-9a-f]{64}")
_STASH = "refs/stash"
_SUBMODULE = b"160000"
_SHARED = "its folder serves {other} as well (if that is gone for good, take its line out of {folder}/users)"
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an original may go, and why (not), in words."""

    kept: Kept
    removable: bool
    why: str


def judge(store: Originals, lock: Lock, elsewhere: Iterable[str] = ()) -> list[Verdict]:
    """A verdict on everything in ``store``; ``elsewhere`` are contents (SHA-256) that a remote has as well.

    ``lock`` is one of those that use the store: its journal says what was made here. Hold it while acting on verdicts.
    Raises OriginalsError, with what to do about it, while it cannot be known what is needed.
    """
    if not (kept := store.kept()):
        return []
    repository = git.find(lock.path.parent)
    facts = _GitFacts(repository) if repository is not None else _Facts(lock.path.parent, lock.state)
    if isinstance(store, FolderOriginals) and not facts.own(store.folder):
        return [Verdict(one, False, "its folder lies outside this tree and may serve others") for one in kept]
    if isinstance(store, FolderOriginals) and (other := _another(store, facts)) is not None:
        return [Verdict(one, False, _SHARED.format(other=other, folder=store.folder)) for one in kept]
    remote = set(elsewhere)
    made = {one.sha256: _made(one.sha256, lock.journal) for one in kept}
    told = facts.told(made)
    known = {sha256: entries + _outputs(told.get(sha256, {}).values()) for sha256, entries in made.items()}
    filtered = facts.filtered({entry.path for entries in known.values() for entry in entries})
    return [
        _unfiltered(
            _verdict(one, made[one.sha256], told.get(one.sha256, {}), facts, remote), known[one.sha256], filtered
        )
        for one in kept
    ]


def _another(store: FolderOriginals, facts: _Facts) -> Path | None:
    """Somebody who keeps originals in this folder, too, of whom the facts say nothing."""
    return next((user for user in store.users() if not facts.speak_of(user)), None)


def _made(original: str, journal: Index) -> list[Entry]:
    """What the journal knows to have been made of an original, in its place or beside it."""
    return _outputs(journal.by_original(original))


def _outputs(entries: Iterable[Entry | None]) -> list[Entry]:
    return [entry for entry in entries if entry is not None and entry.relation != "kept"]


def _unfiltered(verdict: Verdict, entries: list[Entry], filtered: set[str]) -> Verdict:
    if verdict.removable and any(entry.path in filtered for entry in entries):
        return Verdict(verdict.kept, False, "git filters its picture, so a shrunk copy would not be recognised")
    return verdict


def _verdict(kept: Kept, entries: list[Entry], told: _Told, facts: _Facts, remote: set[str]) -> Verdict:
    """``entries`` are the journal's, ``told`` is what locks have."""
    made = [entry.output for entry in entries]
    if not facts.reach(entries):
        return Verdict(kept, False, "it is not known here who needs it")
    if told:
        others = [entry.output for entry in _outputs(told.values())]
        stands = made and None not in told.values() and kept.blob is not None and kept.blob in facts.standing
        if stands and not facts.shows(made + others):
            return Verdict(kept, True, "was restored and is committed; no shrunk copy is left")
        return Verdict(kept, False, "a lock names it")
    if not made:
        if kept.sha256 in remote:
            return Verdict(kept, True, "no lock here names it, and a remote has it")
        return Verdict(kept, False, "it is not known here who needs it")
    if facts.has(made):
        return Verdict(kept, False, "no lock names it, but its shrunk picture is still there")
    if facts.has_edit(entries, kept):
        return Verdict(kept, False, "no lock names it, but what has its shrunk picture's name may be an edit of that")
    return Verdict(kept, True, "no lock names it, and its shrunk picture is nowhere")


def _may_be_edit(place: str, data: bytes, entries: Iterable[Entry], kept: Kept) -> bool:
    """Whether what lies at ``place`` may be one of these outputs of an original, edited; the original itself is not."""
    if len(data) == kept.bytes and files.digest(data) == kept.sha256:
        return False
    known = {entry.pixels for entry in entries if entry.pixels is not None}
    return any(entry.path == place for entry in entries) or bool(known and known & _fingerprints(data))


def _fingerprints(data: bytes) -> set[str]:
    """Of a picture's pixels as they are shown, and as they are stored; none where it is no picture."""
    from semcompress_plugin.images import as_stored, decode  # only what is about to go needs them
    from semcompress_plugin.pixels import fingerprint

    try:
        shown = decode(data, orientation="keep")
    except ImageError:
        return set()
    assert shown.format is not None  # it was decoded from a file
    return {fingerprint(shown.image), fingerprint(as_stored(shown, shown.format).image)}


_Told = dict[tuple[str, bytes], Entry | None]
"""Lines of locks, each with the folder that the lock speaks of: the entry, or None where what it says is not known."""


def _entry(folder: str, line: bytes, original: str) -> Entry | None:
    """A lock's line, with its path as the journal has it; None unless it tells of this original."""
    try:
        entry = decode(line.decode("utf-8", "surrogateescape"))
    except ValueError:
        return None
    known = replace(entry, path=posixpath.normpath(f"{folder or '.'}/{entry.path}"))
    return known if entry.original.sha256 == original else None


class _Facts:
    """What a folder outside git holds: locks and pictures at or below it."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.folders = [folder]
        self._state = state

    def own(self, place: Path) -> bool:
        """Whether a folder lies where we look."""
        real = Path(os.path.realpath(place))
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders)

    def speak_of(self, user: Path) -> bool:
        """Whether all that a user of a folder of originals has lies where we look."""
        looked_at = user.is_relative_to(os.path.realpath(self.folders[0]))
        return looked_at and user.is_dir() and git.find(user) is None and not (user / "HEAD").exists()

    def reach(self, entries: Iterable[Entry]) -> bool:
        """Whether all places where outputs were made lie where we look. The journal tells them from its own folder."""
        if self._state is None:
            return True
        places = (os.path.realpath(self._state / PurePosixPath(entry.path)) for entry in entries)
        return all(Path(place).is_relative_to(os.path.realpath(self.folders[0])) for place in places)

    def filtered(self, paths: Collection[str]) -> set[str]:
        """Those of the paths (as the journal has them) whose content is another among git's objects."""
        return set()

    def told(self, originals: Collection[str]) -> dict[str, _Told]:
        """What any lock has that looks like the SHA-256 of one of these originals, be that lock damaged or newer."""
        wanted = {sha256.encode() for sha256 in originals}
        found: dict[str, _Told] = {}
        for folder, text in self._locks():
            for line in text.split(b"\n"):
                for sha256 in wanted.intersection(_SHA256.findall(line)):
                    lines = found.setdefault(sha256.decode(), {})
                    if (folder, line) not in lines:  # most branches have most lines
                        lines[folder, line] = _entry(folder, line, sha256.decode())
        return found

    @property
    def standing(self) -> set[str]:
        """Blobs at the tips of our own branches."""
        return set()

    def has(self, contents: list[Content]) -> bool:
        return self.has_files(contents)

    def shows(self, contents: list[Content]) -> bool:
        """Whether one of these contents is a file, or would be one after a checkout."""
        return self.has_files(contents)

    def has_files(self, contents: list[Content]) -> bool:
        """Whether a file in any worktree has one of these contents."""
        wanted = {content.sha256 for content in contents}
        sizes = {content.bytes for content in contents}
        return any(files.digest(_bytes(path)) in wanted for size in sizes for path in self._files.get(size, ()))

    def has_edit(self, entries: Collection[Entry], kept: Kept) -> bool:
        """Whether there is what may be one of these outputs of an original, with other things beside its pixels."""
        names = {entry.path.rpartition("/")[2] for entry in entries}
        return any(_may_be_edit(place, data, entries, kept) for place, data in self._namesakes(names))

    def _namesakes(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Every file with one of these names: where it lies, as the journal has it, and what it holds."""
        for path in (path for name in names for path in self._by_name.get(name, ())):
            start = self._state or next(top for top in self.folders if path.is_relative_to(top))
            place = os.path.relpath(os.path.realpath(path.parent), os.path.realpath(start))
            yield posixpath.normpath(f"{place}/{path.name}".replace(os.sep, "/")), _bytes(path)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in (path for paths in self._files.values() for path in paths):
            found.setdefault(path.name, []).append(path)
        return found

    def _locks(self) -> Iterator[tuple[str, bytes]]:
        """Every lock, and the folder that it speaks of, relative to what we look at."""
        for paths in self._files.values():
            for path in paths:
                if path.name == NAME:
                    top = next(top for top in self.folders if path.is_relative_to(top))
                    yield path.parent.relative_to(top).as_posix(), _bytes(path)

    @cached_property
    def _files(self) -> dict[int, list[Path]]:
        """Every regular file by its size: what compressors write need not be called as pictures are."""
        found: dict[int, list[Path]] = {}
        for top in self.folders:
            for folder, below, names in os.walk(top, onerror=lambda error: _unknown(error.filename, error)):
                below[:] = [name for name in below if name != ".git"]
                for name in names:
                    path = Path(folder, name)
                    with contextlib.suppress(FileNotFoundError):  # a program's temporary file
                        status = path.lstat()
                        if stat.S_ISREG(status.st_mode):
                            found.setdefault(status.st_size, []).append(path)
        return found


class _Worktree(NamedTuple):
    """A worktree as git lists it, and the commit it stands on; a bare repository has none."""

    path: Path
    head: str | None = None
    bare: bool = False


class _GitFacts(_Facts):
    """What a repository holds, in all its worktrees, on all its refs and among its objects."""

    def __init__(self, repository: git.Repository) -> None:
        self._state = None  # its journal is of this repository alone
        self.root = repository.root
        self._repository = repository
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
        staged = ((facts.split(), name) for facts, _, name in records)
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
        listed = git.run(self.root, "for-each-ref", "--format=%(objectname) %(refname)").decode()
        refs = [(one, ref) for one, ref in map(str.split, listed.splitlines())]
        return [(one, ref) for one, ref in refs if not ref.startswith(f"{REFS}/")]

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
            if kind == b"blob":  # a submodule's commit lies elsewhere
                found.add((one.decode(), name))
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


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        _unknown(path, error)


def _unknown(path: Path | str, error: OSError) -> NoReturn:
    """What cannot be read might need any original, so none may go."""
    raise OriginalsError(f"{path}: cannot be read, so who needs which original is not known: {error.strerror or error}")
