"""Originals in the git repository, held by refs of our own."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from semcompress_plugin import git
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.originals._base import (
    NOT_HERE,
    SHA256,
    DamagedError,
    Elsewhere,
    Kept,
    Originals,
    checked,
    get,
    git_id_of,
)
from semcompress_plugin.originals._objects import GitObjects

REFS = "refs/semcompress"
_PACK = "the originals of semcompress"
"""What our ``.keep`` files say."""
_FOLD_BEYOND = 64
_WHY = {
    True: "is not what it says: blob {blob}",
    False: "cannot be read here: blob {blob}: run `git fsck`, move its file out of .git/objects and fetch once more",
}
"""Why a group is refused, by whether its blob could be read."""


class GitOriginals(GitObjects):
    """Blobs in the repository, held by refs of our own off every branch: neither cloned nor pruned."""

    def __init__(self, repository: git.Repository, elsewhere: Elsewhere = tuple) -> None:
        super().__init__(repository)
        self._find = elsewhere
        self._folded = False

    @cached_property
    def elsewhere(self) -> Sequence[Originals]:
        return self._find()

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
        if gone := names.values() - self._sizes(names.values()).keys():  # git may tidy up what no ref holds yet
            raise OriginalsError(f"blob {min(gone)} was tidied up by another git before it was held: run this again")
        self._forget()
        self._own([*names.values(), tree])
        if not self._folded:
            self._fold()
            self._folded = True
        return list(blobs)

    def get(self, entry: Entry) -> bytes:
        return get(self, entry)

    def own(self, entry: Entry) -> bytes:
        why = "its original is not in this repository, nor in a folder that was used for originals here"
        for blob in self._candidates(entry):
            try:
                return checked(self._git("cat-file", "blob", blob), entry)
            except DamagedError as error:
                why = str(error)
            except OriginalsError:
                why = NOT_HERE.format(blob=blob[:12])
        raise OriginalsError(why)

    def _candidates(self, entry: Entry) -> Iterator[str]:
        """Blobs that may be the original: the one that was noted, then those that are named after its SHA-256."""
        noted = git_id_of(entry)
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
        return [  # of those that can be had; lost() are the others
            Kept(sha256, sizes[blob], blob, frozenset(groups))
            for sha256, (blob, groups) in sorted(chosen.items())
            if blob in sizes
        ]

    def lost(self) -> list[str]:
        """SHA-256 of each original that is kept by name alone: its blob is missing, or damaged past recognition."""
        self._forget()
        there = self._sizes({blob for blobs in self._named.values() for blob in blobs})
        return sorted(sha256 for sha256, blobs in self._named.items() if not there.keys() & blobs.keys())

    def lacking(self, refs: Mapping[str, str]) -> dict[str, str]:
        """Those of our refs (name -> tree) of which not all objects are here."""
        held = {ref: _objects({ref: groups}) | {refs[ref]} for ref, groups in self._groups(refs).items()}
        there = self._sizes(set().union(*held.values())).keys()
        return {ref: refs[ref] for ref, objects in held.items() if not objects <= there}

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
            self._git("update-ref", "--stdin", input=os.fsencode("".join(dict.fromkeys(changes))))
            self._forget()
            if old := self._marks():
                self._pack_anew(old)

    def refs(self) -> set[str]:
        """The names of our refs, whatever they point to."""
        return set(self._listed())

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
            for tree, blob in false.items():
                refused.append(f"{ref}: {tree[:12]} {_WHY[blob in read].format(blob=blob[:12])}")
            if not groups:
                refused.append(f"{ref}: holds no originals")
            trees = [group.tree for group in groups if group.tree not in false]
            if trees == [refs[ref]] or (ref.startswith(f"{REFS}/folded/") and not false):
                new[ref] = refs[ref]
            else:  # what else lies in it is none the worse, each under its own name
                new.update({f"{REFS}/originals/{tree}": tree for tree in trees})
        here = self.refs() if new else set()
        if changes := [f"create {ref} {tree}\n" for ref, tree in new.items() if ref not in here]:
            self._git("update-ref", "--stdin", input=os.fsencode("".join(changes)))
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
        """Our refs, and what they point to: trees, unless somebody else made them."""
        # what each is, is not asked: git gives up at one that is missing
        return {ref: one for one, ref in git.refs(self.repository.root, f"{REFS}/")}

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

    def _fold(self) -> None:
        """Hold many trees by one ref. The new ref stands before the old ones go, so nothing is ever unheld."""
        refs = git.refs(self.repository.root, f"{REFS}/originals/")
        if len(refs) <= _FOLD_BEYOND:
            return
        tree = self._tree(sorted({f"040000 tree {held}\t{held}" for held, _ in refs}))
        self._git("update-ref", f"{REFS}/folded/{tree}", tree)
        deletions = "".join(f"delete {ref} {held}\n" for held, ref in refs)
        with contextlib.suppress(OriginalsError):  # another process was faster; what is left is folded next time
            self._git("update-ref", "--stdin", input=os.fsencode(deletions))
        if old := self._marks():
            self._pack_anew(old)

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

    @property
    def lags(self) -> bool:
        """Whether objects may be borrowed, and a group was kept before that was so: no pack of our own has it."""
        if not self._borrows:
            return False
        packed: set[str] = set()
        for mark in self._marks():
            with contextlib.suppress(OSError), mark.with_suffix(".idx").open("rb") as index:
                listed = git.run(self.repository.root, "show-index", input=index)
                packed.update(line.split()[1] for line in listed.decode().splitlines())
        return not packed.issuperset(self._sizes(set(self._listed().values())))

    def catch_up(self) -> None:
        """Have all that is kept in a pack of our own. Whoever calls holds the lock (:meth:`Lock.exclusive`)."""
        if self.lags:
            self._pack_anew(self._marks())

    def _marks(self) -> list[Path]:
        """What marks our own packs as kept."""
        return [mark for mark in (self.repository.common / "objects/pack").glob("*.keep") if _is_ours(mark)]

    def _pack_anew(self, old: Iterable[Path]) -> None:
        """Have one pack of our own instead of the old ones, and in it only what is held."""
        listed = self._listed()
        held = {*listed.values(), *_objects(self._groups(listed))}
        name = self._own(self._sizes(held))  # what is lost already does not keep the rest from being packed
        for mark in old:
            if mark.stem != f"pack-{name}":
                with contextlib.suppress(OSError):  # the pack itself goes with the next gc
                    mark.unlink()


class _Group(NamedTuple):
    """Originals that were kept together: a tree, and SHA-256 -> blob."""

    tree: str
    blobs: Mapping[str, str]


def _blobs(entries: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    # refs that were fetched may hold anything: only what is named by a SHA-256 is an original
    return ((name, one) for name, (one, kind) in entries.items() if kind == "blob" and SHA256.fullmatch(name))


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
