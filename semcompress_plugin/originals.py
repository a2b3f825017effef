"""Where the originals of replaced pictures are kept: in the git repository, in a folder, or nowhere.

In git each group of originals becomes one tree (SHA-256 -> blob), held by one ref that is named after it. Writers thus
never touch the same ref: no update can be lost and no push refused. Once there are many such refs they are folded into
one that holds their trees.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from semcompress_plugin import files, git
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import ImageError, OriginalsError, UsageError
from semcompress_plugin.files import Snapshot

REFS = "refs/semcompress"
_PACK = "the originals of semcompress"
"""What our ``.keep`` files say."""
_ALLOWED = "semcompress.originals"
_FOLD_BEYOND = 64
_PIECE = 1 << 16
_FOLDERS = "folders"
_USERS = "users"
_IGNORE = b"# originals are not for commits: they hold all that metadata says\n*\n"
_NOT_HERE = (
    "its original (blob {blob}) is not in this repository: have whoever replaced it run `semcompress originals push`, "
    "then run `semcompress originals fetch`"
)
_FSCK = "an object of this git repository is damaged: run `git fsck`"
_GIT_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256 = re.compile("[0-9a-f]{64}")


class _DamagedError(OriginalsError):
    """Something is kept, but it is not what it was."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An original in a store. ``blob`` is its git id, ``groups`` are the trees that hold it (a folder has neither)."""

    sha256: str
    bytes: int
    blob: str | None = None
    groups: frozenset[str] = frozenset()


class Originals(Protocol):
    """``state`` is the folder for the journal and temporary files, None where there is none.

    ``elsewhere`` are the other stores that this repository is known to have used: policies change their mind about the
    place, and what was kept stays where it is.
    """

    @property
    def state(self) -> Path | None: ...

    @property
    def elsewhere(self) -> Sequence[Originals]: ...

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        """Store contents for good; returns their git ids, or None for a store that has none.

        Raises OriginalsError when even one cannot be kept.
        """
        ...

    def get(self, entry: Entry) -> bytes:
        """The original of an entry, its SHA-256 checked; from elsewhere, too.

        Raises OriginalsError when it cannot be had.
        """
        ...

    def own(self, entry: Entry) -> bytes:
        """As :meth:`get`, from this store alone."""
        ...

    def kept(self) -> list[Kept]:
        """Everything in the store, sorted by SHA-256, each content once."""
        ...

    def drop(self, contents: Collection[str]) -> None:
        """Let go of originals by SHA-256. Whoever calls holds the lock (:meth:`Lock.exclusive`)."""
        ...


def open_originals(folder: Path, setting: str | None, *, needed: bool = True) -> Originals:
    """The store for pictures governed by a policy in ``folder``.

    ``setting`` is the policy's ``originals``: a folder relative to it, ``none``, or None where the policy does not
    say. Without a word and without a git repository there is nowhere to keep originals: a UsageError, unless they are
    not ``needed`` (nothing will be replaced).
    """
    repository = git.find(folder)
    if setting == "none":
        return NoOriginals(repository)
    if setting is not None:
        place = Path(os.path.normpath(folder / Path(setting).expanduser()))
        if repository is not None:
            _confine(place, setting, repository)
        return FolderOriginals(place, repository, folder)
    if repository is not None:
        return GitOriginals(repository)
    if needed:
        raise UsageError(
            f"{folder}: not in a git repository, so say in the policy where originals are kept: "
            "'originals: .semcompress/originals' (a folder, relative to the policy) or 'originals: none' (all lost)"
        )
    return NoOriginals(None)


def _confine(place: Path, setting: str, repository: git.Repository) -> None:
    """A policy may be a stranger's: outside its repository it chooses no folder that this machine has not allowed."""
    real = Path(os.path.realpath(place))
    if real.is_relative_to(repository.root) and ".git" not in real.relative_to(repository.root).parts:
        return
    listed = b""
    with contextlib.suppress(OriginalsError):  # git's way to say that it is not set
        listed = git.run(repository.root, "config", "--type=path", "-z", "--get-all", _ALLOWED)
    allowed = (os.path.realpath(repository.root / os.fsdecode(name)) for name in listed.split(b"\0") if name)
    if str(real) not in allowed:
        raise UsageError(
            f"originals: {setting}: lies outside the repository {repository.root}, where no policy writes unless you "
            f"allow it on this machine: git config --add {_ALLOWED} {real}"
        )


def _stores(repository: git.Repository | None, present: Path | None = None) -> Sequence[Originals]:
    """The stores that a repository has used; not the ``present`` one (its folder, or the repository's root)."""
    if repository is None:
        return ()
    stores: list[GitOriginals | FolderOriginals] = [] if present == repository.root else [GitOriginals(repository)]
    return stores + [FolderOriginals(one, repository) for one in _folders(repository) if one != present]


def _get(store: Originals, entry: Entry) -> bytes:
    """The original of an entry from a store, else from one of those elsewhere."""
    try:
        return store.own(entry)
    except OriginalsError:
        for other in store.elsewhere:
            with contextlib.suppress(OriginalsError):
                return other.own(entry)
        raise


def _folders(repository: git.Repository) -> list[Path]:
    """The folders of originals that this repository has used."""
    try:
        lines = (repository.state / _FOLDERS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OriginalsError(f"{repository.state / _FOLDERS}: cannot be read: {error.strerror}") from error
    return [Path(os.path.normpath(repository.common / os.fsdecode(line))) for line in lines if line]


def _remember(repository: git.Repository, folder: Path) -> None:
    """Note that a repository uses a folder of originals. Whoever calls holds the lock (:meth:`Lock.exclusive`)."""
    known = _folders(repository)
    if folder in known or "\n" in str(folder):
        return
    lines = [
        # what lies beside the git directory moves with it
        os.path.relpath(one, repository.common) if one.is_relative_to(repository.common.parent) else str(one)
        for one in (*known, folder)
    ]
    try:
        files.create(repository.state / _FOLDERS, os.fsencode("".join(f"{line}\n" for line in lines)), overwrite=True)
    except ImageError as error:
        raise OriginalsError(f"{repository.state / _FOLDERS}: {error}") from error


class NoOriginals:
    """``originals: none``, said outright: what is replaced is gone."""

    def __init__(self, repository: git.Repository | None = None) -> None:
        self.state = None if repository is None else repository.state
        self._repository = repository

    @cached_property
    def elsewhere(self) -> Sequence[Originals]:
        return _stores(self._repository)

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        return [None] * len(snapshots)

    def get(self, entry: Entry) -> bytes:
        return _get(self, entry)

    def own(self, entry: Entry) -> bytes:
        noted = None if self.state is None else _git_id_of(entry)
        raise OriginalsError(
            "its original was not kept (originals: none)" if noted is None else _NOT_HERE.format(blob=noted[:12])
        )

    def kept(self) -> list[Kept]:
        return []

    def drop(self, contents: Collection[str]) -> None:
        pass


class FolderOriginals:
    """``originals: DIR``: one file per content, ``ab/abcdef…`` after its SHA-256."""

    def __init__(self, folder: Path, repository: git.Repository | None = None, policy: Path | None = None) -> None:
        """``policy`` is the folder of the policy that keeps originals here."""
        self.folder = folder
        self.state = folder if repository is None else repository.state
        self._repository = repository
        self._policy = policy
        self._known = False

    @cached_property
    def elsewhere(self) -> Sequence[Originals]:
        return _stores(self._repository, self.folder)

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        if snapshots and not self._known:
            self._make_known()
            self._known = True
        for snapshot in snapshots:
            place = self._place(snapshot.sha256)
            try:
                if not files.holds(place, snapshot.sha256):
                    files.create(place, snapshot.data, overwrite=True, mode=0o444)
            except ImageError as error:
                raise OriginalsError(f"{place}: {error}") from error
        return [None] * len(snapshots)

    def get(self, entry: Entry) -> bytes:
        return _get(self, entry)

    def own(self, entry: Entry) -> bytes:
        place = self._place(entry.original.sha256)
        try:
            return _checked(files.read(place).data, entry)
        except ImageError as error:
            raise OriginalsError(f"its original {place} {error}") from error

    def kept(self) -> list[Kept]:
        try:
            places = (place for shelf in self.folder.iterdir() if shelf.is_dir() for place in shelf.iterdir())
            named = sorted(place for place in places if _SHA256.fullmatch(place.name))
            return [Kept(place.name, place.stat().st_size) for place in named if place == self._place(place.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(error) from error

    def users(self) -> list[Path]:
        """Who keeps originals here: a repository's git directory, the one of all its worktrees, else a policy's folder.

        Raises OriginalsError when that cannot be read.
        """
        try:
            lines = (self.folder / _USERS).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(error) from error
        return [Path(os.path.realpath(self.folder / os.fsdecode(line))) for line in lines if line]

    def _make_known(self) -> None:
        """Have the repository know of the folder, and the folder of who uses it; git passes by a new one."""
        if self._repository is not None:
            _remember(self._repository, self.folder)
        user = self._policy if self._repository is None else self._repository.common
        if user is None or (user := Path(os.path.realpath(user))) in self.users():
            return
        # what the folder lies in, and what lies beside it, moves with it
        home = user if self._repository is None else user.parent
        real = Path(os.path.realpath(self.folder))
        together = real.is_relative_to(home) or user.is_relative_to(real.parent)
        line = os.path.relpath(user, real) if together else str(user)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if all(_is_state(one.name) for one in self.folder.iterdir()):  # no ignoring what is not ours
                files.create(self.folder / ".gitignore", _IGNORE, overwrite=True)
            with (self.folder / _USERS).open("ab") as file:
                file.write(b"\n" * bool(file.tell()) + os.fsencode(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except ImageError as error:
            raise OriginalsError(f"{self.folder}: cannot be used for originals: {error}") from error
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OriginalsError:
        return OriginalsError(f"{self.folder}: cannot be used for originals: {error.strerror or error}")

    def drop(self, contents: Collection[str]) -> None:
        try:
            for sha256 in contents:
                self._place(sha256).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from error

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256


def _is_state(name: str) -> bool:
    """Whether a file lies in a folder of originals because that is the state folder outside git."""
    return name in ("guard", "journal") or name.startswith("digests-") or files.is_temporary(name)


class GitOriginals:
    """Blobs in the repository, held by refs of our own off every branch: neither cloned nor pruned."""

    def __init__(self, repository: git.Repository) -> None:
        self.repository = repository
        self._folded = False

    @cached_property
    def elsewhere(self) -> Sequence[Originals]:
        return _stores(self.repository, self.repository.root)

    @property
    def state(self) -> Path:
        return self.repository.state

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        if not snapshots:
            return []
        blobs = self._store(snapshots)
        names = {snapshot.sha256: blob for snapshot, blob in zip(snapshots, blobs, strict=True)}
        self._read_back(names)
        tree = self._tree([f"100644 blob {blob}\t{sha256}" for sha256, blob in names.items()])
        self._git("update-ref", f"{REFS}/originals/{tree}", tree)
        self._forget()
        self._own([*names.values(), tree])
        if not self._folded:
            self._fold()
            self._folded = True
        return list(blobs)

    def get(self, entry: Entry) -> bytes:
        return _get(self, entry)

    def own(self, entry: Entry) -> bytes:
        why = "its original is not in this repository, nor in a folder that was used for originals here"
        for blob in self._candidates(entry):
            try:
                return _checked(self._git("cat-file", "blob", blob), entry)
            except _DamagedError as error:
                why = str(error)
            except OriginalsError:
                why = _NOT_HERE.format(blob=blob[:12])
        raise OriginalsError(why)

    def _candidates(self, entry: Entry) -> Iterator[str]:
        """Blobs that may be the original: the one that was noted, then those that are named after its SHA-256."""
        noted = _git_id_of(entry)
        if noted is not None:
            yield noted
        yield from self._named.get(entry.original.sha256, {}).keys() - {noted}

    @cached_property
    def _named(self) -> dict[str, dict[str, set[str]]]:
        """SHA-256 -> blob -> the groups that name it so."""
        found: dict[str, dict[str, set[str]]] = {}
        for group in itertools.chain.from_iterable(self._held().values()):
            for sha256, blob in group.blobs.items():
                found.setdefault(sha256, {}).setdefault(blob, set()).add(group.tree)
        return found

    def kept(self) -> list[Kept]:
        self._forget()
        found = self._named
        disputed = [blob for blobs in found.values() if len(blobs) > 1 for blob in blobs]
        read = self.digests(disputed)
        # refs may come from anybody: what is named twice is what it says it is
        chosen = {
            sha256: min(blobs.items(), key=lambda one: (read.get(one[0]) != sha256, one[0]))
            for sha256, blobs in found.items()
        }
        sizes = self._sizes({blob for blob, _ in chosen.values()})
        # a size is missing where a fetch was interrupted: there is nothing to speak of then
        return [
            Kept(sha256, sizes[blob], blob, frozenset(groups))
            for sha256, (blob, groups) in sorted(chosen.items())
            if blob in sizes
        ]

    def drop(self, contents: Collection[str]) -> None:
        gone, changes = set(contents), []
        for ref, groups in self._held().items():
            left = [self._without(group, gone) for group in groups]
            if left == groups:
                continue
            trees = sorted({group.tree for group in left if group.blobs})
            if len(trees) > 1:
                tree = self._tree([f"040000 tree {held}\t{held}" for held in trees])
                changes.append(f"update {REFS}/folded/{tree} {tree}\n")
            elif trees:
                changes.append(f"update {REFS}/originals/{trees[0]} {trees[0]}\n")
            changes.append(f"delete {ref}\n")
        if changes:  # one transaction: what stays is held before and after
            self._git("update-ref", "--stdin", input="".join(dict.fromkeys(changes)).encode())
            self._forget()
            self._pack_anew()

    def refs(self) -> set[str]:
        """The names of our refs, whatever they point to."""
        return set(self._git("for-each-ref", "--format=%(refname)", f"{REFS}/").decode().split())

    def adopt(self, refs: Mapping[str, str]) -> list[str]:
        """Hold what was fetched by new refs (name -> tree): groups in which each blob is what its name says.

        Returns for each group that is refused a line that says why. No ref that is there is moved.
        """
        offered = self._groups(refs)
        read = self.digests(blob for groups in offered.values() for group in groups for blob in group.blobs.values())
        refused: list[str] = []
        new: dict[str, str] = {}
        for ref, groups in offered.items():
            false = {group.tree: blob for group in groups if (blob := _false(group, read)) is not None}
            refused += [f"{ref}: {tree[:12]} is not what it says: blob {blob[:12]}" for tree, blob in false.items()]
            if not groups:
                refused.append(f"{ref}: holds no originals")
            trees = [group.tree for group in groups if group.tree not in false]
            if trees == [refs[ref]] or (ref.startswith(f"{REFS}/folded/") and not false):
                new[ref] = refs[ref]
            else:  # what else lies in it is none the worse, each under its own name
                new.update({f"{REFS}/originals/{tree}": tree for tree in trees})
        here = self.refs() if new else set()
        if changes := [f"create {ref} {tree}\n" for ref, tree in new.items() if ref not in here]:
            self._git("update-ref", "--stdin", input="".join(changes).encode())
        self._forget()
        self._own({*new.values(), *_objects(self._groups(new))})
        return refused

    def groups(self, tops: Collection[str]) -> set[str]:
        """The groups that refs to these trees hold."""
        inner = {one for top in self._trees(tops).values() for one, kind in top.values() if kind == "tree"}
        return {*tops, *inner}

    def _without(self, group: _Group, gone: Collection[str]) -> _Group:
        left = {sha256: blob for sha256, blob in group.blobs.items() if sha256 not in gone}
        if len(left) in (0, len(group.blobs)):
            return _Group(group.tree, left)
        return _Group(self._tree([f"100644 blob {blob}\t{sha256}" for sha256, blob in left.items()]), left)

    def _held(self) -> dict[str, list[_Group]]:
        """Our refs, each with its groups: one, or those that were folded into it."""
        return self._groups(self._listed())

    def _listed(self) -> dict[str, str]:
        """Our refs, and the trees that they point to."""
        listed = self._git("for-each-ref", "--format=%(refname) %(objectname) %(objecttype)", f"{REFS}/")
        fields = [line.split() for line in listed.decode().splitlines()]
        return {ref: tree for ref, tree, kind in fields if kind == "tree"}

    def _groups(self, refs: Mapping[str, str]) -> dict[str, list[_Group]]:
        """The groups that refs to these trees would hold."""
        tops = self._trees(set(refs.values()))
        inner = self._trees({tree for top in tops.values() for tree, kind in top.values() if kind == "tree"})
        held = {}
        for ref, top in refs.items():
            within = [tree for tree, kind in tops[top].values() if kind == "tree"]
            trees = {top: tops[top], **{tree: inner[tree] for tree in within}}
            groups = [_Group(tree, dict(_blobs(entries))) for tree, entries in trees.items()]
            held[ref] = [group for group in groups if group.blobs]
        return held

    def _trees(self, ids: Collection[str]) -> dict[str, dict[str, tuple[str, str]]]:
        """Tree -> name -> (id, ``tree`` or ``blob``); a tree that is not there is empty."""
        return {tree: dict(_entries(data, len(tree) // 2)) for tree, data in self.objects(ids, "tree")}

    def objects(self, ids: Collection[str], kind: str = "blob") -> Iterator[tuple[str, bytes]]:
        """Objects and their content; nothing for one that is missing or of another kind."""
        seen = 0
        for one, found, pieces in self._batch(ids):
            yield one, b"".join(pieces) if found == kind else b""
            seen += 1
        if seen < len(ids):
            raise _DamagedError(_FSCK)

    def _batch(self, ids: Collection[str]) -> Iterator[tuple[str, str, Iterator[bytes]]]:
        """Objects, their kind (``missing``, too) and their content in pieces, until there is one that git cannot read.

        Raises _DamagedError when that is found out half way through it.
        """
        if not ids:
            return
        listed = "".join(f"{one}\n" for one in ids).encode()
        with git.output(self.repository.root, "cat-file", "--batch", "--buffer", input=listed) as output:
            while line := output.readline():
                one, kind, *size = line.decode().split()
                pieces = _pieces(output, int(size[0])) if size else iter(())
                yield one, kind, pieces
                for _ in pieces:  # that nobody wanted
                    pass

    def _sizes(self, ids: Collection[str]) -> dict[str, int]:
        listed = "".join(f"{one}\n" for one in ids).encode()
        output = self._git("cat-file", "--batch-check=%(objectname) %(objectsize)", input=listed).decode()
        return {one: int(size) for one, size in map(str.split, output.splitlines()) if size.isdigit()}

    def _store(self, snapshots: Sequence[Snapshot]) -> list[str]:
        """Write blobs: in one go from the files on disk, one by one from memory where that is not what we read."""
        blobs: list[str] = []
        paths = [str(snapshot.path.absolute()) for snapshot in snapshots]
        if not any("\n" in path or path.endswith("\r") for path in paths):
            with contextlib.suppress(OriginalsError):  # a file has just vanished; we still have its bytes
                listed = "".join(path + "\n" for path in paths).encode("utf-8", "surrogateescape")
                output = self._git("hash-object", "-w", "--no-filters", "--stdin-paths", input=listed)
                blobs = output.decode().split()
        if len(blobs) != len(snapshots):
            blobs = [""] * len(snapshots)
        return [
            blob if blob == _git_id(snapshot.data, len(blob)) else self._store_one(snapshot)
            for snapshot, blob in zip(snapshots, blobs, strict=True)
        ]

    def _store_one(self, snapshot: Snapshot) -> str:
        output = self._git("hash-object", "-w", "--no-filters", "--stdin", input=snapshot.data)
        return output.decode().strip()

    def _forget(self) -> None:
        """Have refs read again: they have changed, or other processes may have changed them."""
        self.__dict__.pop("_named", None)

    def _read_back(self, names: Mapping[str, str]) -> None:
        """Raise OriginalsError unless these contents (SHA-256 -> blob) can be had.

        An object that is there already is not written once more, however damaged it is.
        """
        read = self.digests(names.values())
        for sha256, blob in names.items():
            if read.get(blob) != sha256:
                raise OriginalsError(
                    f"blob {blob} of this git repository is damaged, so the original cannot be kept: run `git fsck`, "
                    "and move that file out of .git/objects"
                )

    def digests(self, blobs: Iterable[str]) -> dict[str, str]:
        """Blob -> SHA-256 of its content, read piece by piece; nothing for one that is missing, damaged or no blob."""
        found: dict[str, str] = {}
        left = list(dict.fromkeys(blobs))
        while left:
            read = list(self._digests(left))
            found.update((blob, sha256) for blob, sha256 in read if sha256 is not None)
            left = left[len(read) + 1 :]  # git gives up at an object that is damaged
        return found

    def _digests(self, ids: Collection[str]) -> Iterator[tuple[str, str | None]]:
        with contextlib.suppress(_DamagedError):
            for one, kind, pieces in self._batch(ids):
                hashed = hashlib.sha256()
                for piece in pieces:
                    hashed.update(piece)
                yield one, hashed.hexdigest() if kind == "blob" else None

    def _fold(self) -> None:
        """Hold many trees by one ref. The new ref stands before the old ones go, so nothing is ever unheld."""
        listed = self._git("for-each-ref", "--format=%(objectname) %(refname)", f"{REFS}/originals/")
        refs = [line.split() for line in listed.decode().splitlines()]
        if len(refs) <= _FOLD_BEYOND:
            return
        tree = self._tree(sorted({f"040000 tree {held}\t{held}" for held, _ in refs}))
        self._git("update-ref", f"{REFS}/folded/{tree}", tree)
        deletions = "".join(f"delete {ref} {held}\n" for held, ref in refs)
        with contextlib.suppress(OriginalsError):  # another process was faster; what is left is folded next time
            self._git("update-ref", "--stdin", input=deletions.encode())
        self._pack_anew()

    @property
    def _borrows(self) -> bool:
        """Whether objects of another repository (``clone --shared``, ``--reference``) stand in for our own.

        That one may let go of them at any time, and git writes none that it sees there.
        """
        try:
            return bool((self.repository.common / "objects/info/alternates").read_bytes().strip())
        except OSError:
            return False

    def _own(self, ids: Collection[str]) -> str | None:
        """Where objects may be borrowed, see to it that these are here as well; the pack that they are in.

        In a pack that is marked to be kept: from any other, ``git gc`` drops what can be borrowed. Call it when refs
        hold them: what none holds is left out when another process packs anew.
        """
        if not ids or not self._borrows:
            return None
        listed = "".join(f"{one}\n" for one in ids).encode()
        packing = ("pack-objects", "--stdout", "--quiet", "--window=0", "--compression=0")
        with git.output(self.repository.root, *packing, input=listed) as pack:
            written = git.run(self.repository.root, "index-pack", "--stdin", f"--keep={_PACK}", input=pack)
        return written.split()[-1].decode()

    def _pack_anew(self) -> None:
        """Have one pack of our own instead of many, and in it only what is held."""
        if not (old := [mark for mark in (self.repository.common / "objects/pack").glob("*.keep") if _is_ours(mark)]):
            return
        listed = self._listed()
        name = self._own({*listed.values(), *_objects(self._groups(listed))})
        for mark in old:
            if mark.stem != f"pack-{name}":
                with contextlib.suppress(OSError):  # the pack itself goes with the next gc
                    mark.unlink()

    def _tree(self, lines: Sequence[str]) -> str:
        return self._git("mktree", input="".join(line + "\n" for line in lines).encode()).decode().strip()

    def _git(self, *arguments: str, input: bytes = b"") -> bytes:
        return git.run(self.repository.root, *arguments, input=input)


class _Group(NamedTuple):
    """Originals that were kept together: a tree, and SHA-256 -> blob."""

    tree: str
    blobs: Mapping[str, str]


def _pieces(output: BinaryIO, size: int) -> Iterator[bytes]:
    """The content of an object of ``size`` bytes, to the line's end after it. Raises _DamagedError if it is cut off."""
    while size:
        if not (piece := output.read(min(size, _PIECE))):
            raise _DamagedError(_FSCK)
        yield piece
        size -= len(piece)
    if output.read(1) != b"\n":
        raise _DamagedError(_FSCK)


def _entries(data: bytes, width: int) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name -> (id, kind) of a tree object: ``mode SP name NUL id`` over and over, ids of ``width`` bytes."""
    start = 0
    while start < len(data):
        end = data.index(b"\0", start)
        mode, _, name = data[start:end].partition(b" ")
        start = end + 1 + width
        yield os.fsdecode(name), (data[end + 1 : start].hex(), "tree" if mode == b"40000" else "blob")


def _blobs(entries: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    # refs that were fetched may hold anything: only what is named by a SHA-256 is an original
    return ((name, one) for name, (one, kind) in entries.items() if kind == "blob" and _SHA256.fullmatch(name))


def _objects(held: Mapping[str, Iterable[_Group]]) -> set[str]:
    """The ids of groups and of all that is in them."""
    return {one for groups in held.values() for group in groups for one in (group.tree, *group.blobs.values())}


def _is_ours(mark: Path) -> bool:
    """Whether a ``.keep`` file of a pack was made by us."""
    try:
        return mark.read_text(encoding="utf-8", errors="replace").strip() == _PACK
    except OSError:
        return False


def _false(group: _Group, digests: Mapping[str, str]) -> str | None:
    """A blob of a group that is not the content (blob -> SHA-256) that it is named after; None if there is none."""
    return next((blob for sha256, blob in group.blobs.items() if digests.get(blob) != sha256), None)


def _git_id_of(entry: Entry) -> str | None:
    """The blob that an original was kept as: a lock may be a stranger's, and git takes much for the name of a blob."""
    return entry.blob if entry.blob is not None and _GIT_ID.fullmatch(entry.blob) else None


def _git_id(data: bytes, length: int) -> str:
    """git's id of a blob; repositories come with ids of 40 digits (SHA-1) or 64 (SHA-256)."""
    hashed = hashlib.sha256() if length == 64 else hashlib.sha1(usedforsecurity=False)
    hashed.update(b"blob %d\0" % len(data))
    hashed.update(data)
    return hashed.hexdigest()


def _checked(data: bytes, entry: Entry) -> bytes:
    if files.digest(data) != entry.original.sha256:
        raise _DamagedError("its original is damaged: its SHA-256 is not the one in the lock")
    return data
