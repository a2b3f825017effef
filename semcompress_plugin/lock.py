"""The lock on disk, and beside it what the journal and git remember that a forgotten lock would not know.

It only ever gains lines: a content that was settled once stays settled, on every branch and after every restore.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin import cache, files, git, linewise
from semcompress_plugin.entries import (
    HEADER,
    Content,
    Entry,
    Index,
    decode,
    encode,
    is_sound,
    lacking,
    lying_at,
    merged,
    origin,
    parse,
    pixels_of,
    render,
)
from semcompress_plugin.errors import ImageError, LockError, OriginalsError
from semcompress_plugin.journal import Journal
from semcompress_plugin.lock_in_git import NAME, LocksInGit
from semcompress_plugin.naming import all_lie_beside, is_as_large, name_of_original, output_beside

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["NAME", "Content", "Entry", "Lock", "parse", "render"]

_PATIENCE_SECONDS = 120.0


class Lock:
    """The lock beside a policy.

    Lines that it lacks are found in the journal; where the whole file was deleted or emptied, or a merge brings others,
    in git.

    ``state`` is the folder for what is never committed (:attr:`Repository.state`, or the folder of originals): the
    journal, temporary files and the file that keeps two processes apart; without one there is no journal. ``in_git``
    is what git has of the repository's locks, where several share it. The lock is read when it is first asked.
    """

    def __init__(self, path: Path, state: Path | None = None, in_git: LocksInGit | None = None) -> None:
        self.path = path
        self.state = state
        self._shared = in_git
        self._journal = Journal(state, path.parent)
        self._missing: dict[str, None] = {}
        self._known_sound: str | None = None
        """SHA-256 of a lock that we wrote, and whose lines need not be looked at again."""
        self._guard: BaseFileLock | None = None

    def by_output(self, sha256: str) -> tuple[Entry, ...]:
        """What is known of a content that we wrote or kept; the lock's lines, else the journal's.

        Which originals a content replaced is never hidden by a lock that is older, or somebody's who took it for one.
        """
        found = self._index.by_output(sha256)
        originals = {entry.original for entry in found if entry.relation == "replaced"}
        remembered = self._remembered(lambda index: index.by_output(sha256))
        return found + self.recall(
            entry
            for entry in remembered
            if not found or (entry.relation == "replaced" and entry.original not in originals)
        )

    def by_original(self, sha256: str) -> tuple[Entry, ...]:
        """What was made of a content; the lock's lines, else the journal's."""
        return self._index.by_original(sha256) or self.recall(self._remembered(lambda index: index.by_original(sha256)))

    def made_under(self, sha256: str, policy: str) -> tuple[Entry, ...]:
        """What the policy with this digest has made of a content, as the lock knows, or the journal beside it."""
        found = self.by_original(sha256)
        remembered = self._remembered(lambda index: index.by_original(sha256))
        every = found + tuple(entry for entry in remembered if entry not in found)
        return tuple(entry for entry in every if entry.policy == policy and entry.relation != "kept")

    def origin(self, entries: Collection[Entry], path: Path) -> Entry | None:
        """Of entries about one output the one that tells of the file at ``path``; None where that cannot be told.

        Of several originals that lay there, one after the other, the journal knows which was replaced last.
        """
        here = self.relative(path)
        if (found := origin(entries, here)) is not None:
            return found
        by_original = {entry.original: entry for entry in entries if entry.path == here}
        if not by_original:
            return None
        outputs = {entry.output for entry in entries}
        told = lying_at(self._journal.lines(), self._journal.place(here))
        lately = (entry.original for entry in reversed(told) if entry.output in outputs)
        return next((by_original[original] for original in lately if original in by_original), None)

    def at(self, path: Path) -> tuple[Entry, ...]:
        """What was settled at a place, whatever lies there by now."""
        here = self.relative(path)
        if found := self._index.by_path(here):
            return found
        return tuple(replace(entry, path=here) for entry in self._journal.index.by_path(self._journal.place(here)))

    def says_of(self, inside: str) -> tuple[Entry, ...]:
        """Its own lines about a place, as they spell it. For many places: neither disk nor journal is asked."""
        return self._index.by_path(inside)

    def by_pixels(self, fingerprint: str) -> tuple[Entry, ...]:
        """Every output with these pixels that the lock or the journal knows, wherever it lay."""
        if hash(fingerprint) not in self._fingerprints:
            return ()
        found = self._index.by_pixels(fingerprint)
        remembered = self._remembered(lambda index: index.by_pixels(fingerprint))
        return found + tuple(entry for entry in remembered if entry not in found)

    def is_settled(self, sha256: str, policy: str, path: Path | str) -> bool:
        """Whether there is an entry that settles a content, as :meth:`settled` says; as a rule none need be decoded."""
        return self._index.settles(sha256, policy) or self.settled(sha256, policy, Path(path)) is not None

    def kept_suffix(self, sha256: str, place: str) -> bool:
        """Whether all lines of a content, if there are any, say that it was called as the file at ``place`` ends."""
        return self._index.kept_suffix(sha256, place.rpartition(".")[2])

    def settled(self, sha256: str, policy: str, path: Path | None = None) -> Entry | None:
        """The first of the entries that settle a content, as :meth:`settling` says; None if there is work to do."""
        return next(iter(self.settling(sha256, policy, path)), None)

    def settling(self, sha256: str, policy: str, path: Path | None = None) -> tuple[Entry, ...]:
        """The entries that settle a content under the policy with this digest; none if there is work to do.

        Settled are: an output of this policy (replaced or kept); an original whose outputs all lie beside it at
        ``path``, as large as we wrote them, unless one took its place; and an output that itself lies beside its
        original, under whatever policy, for it is never a picture to start from.
        """
        shrunk = self._is_shrunk_itself(sha256, policy)
        if found := _settling(self._index, sha256, policy, None if shrunk else path):
            return found
        if found := self._remembered(lambda index: _settling(index, sha256, policy, None if shrunk else path)):
            return self.recall(found)
        known = self._index.by_output(sha256)
        made = known + self._remembered(lambda index: index.by_output(sha256))
        if not self.lies_beside(made, path):
            return ()
        beside = next(entry for entry in made if entry.relation == "beside")
        return (beside,) if beside in known else self.recall([beside])

    def _is_shrunk_itself(self, sha256: str, policy: str) -> bool:
        """Whether the policy has put an output in the place of this original: what lies beside it is not all then.

        An output of another name is no sign of that: it was made under another policy, of a copy, and held under this.
        """
        made = (*self._index.by_original(sha256), *self._remembered(lambda index: index.by_original(sha256)))
        ours = (entry for entry in made if entry.relation == "replaced" and entry.policy == policy)
        return any(posixpath.splitext(entry.path)[1] == posixpath.splitext(entry.name)[1] for entry in ours)

    def lies_beside(self, made: Iterable[Entry], path: Path | None) -> bool:
        """Whether an output of which ``made`` tells lies beside its original, and not in an original's place.

        The lines that tell of ``path`` are asked, else all. One content may have been both, even at one place, when a
        policy changed its mind: then an original that lies there tells.
        """
        made = list(made)
        here = None if path is None else self.relative(path)
        told = [entry for entry in made if entry.path == here] or made
        beside = [entry for entry in told if entry.relation == "beside"]
        if path is None or not any(entry.relation == "replaced" for entry in told):
            return bool(beside)
        return any(is_as_large(path.with_name(name_of_original(one, path)), one.original) for one in beside)

    def lacks(self, sha256: str, policy: str, path: Path) -> bool:
        """Whether an output of this policy at ``path`` lacks another one that was written beside it."""
        made = self._index.by_output(sha256)
        if not made and self._index.by_original(sha256):
            return False  # it is an original itself
        made = made or self.by_output(sha256)
        ours = [one for one in made if one.relation == "replaced" and one.policy == policy]
        entry = self.origin(ours, path)
        beside = () if entry is None else self.by_original(entry.original.sha256)
        # what was made beside a copy of the original may be called as this output is: there it cannot lie, too
        return not all_lie_beside(
            path,
            [
                one
                for one in beside
                if one.relation == "beside" and one.policy == policy and output_beside(path, one) != path
            ],
        )

    @property
    def missing_from_lock(self) -> tuple[Entry, ...]:
        """Entries that lookups found in the journal alone: a lock was forgotten. ``put_back`` mends that."""
        return tuple(map(decode, self._missing))

    def relative(self, path: Path) -> str:
        """``path`` as entries spell it."""
        folder, here = os.path.realpath(path.parent), os.path.realpath(self.path.parent)
        return linewise.posix(os.path.relpath(folder, here), path.name)

    def add(self, entries: Sequence[Entry]) -> None:
        """Write entries to the journal, then to the lock, beside whatever other processes have written meanwhile.

        Files are read and written line by line, and what was read for lookups is let go of: a run that settles
        thousands of pictures holds none of their lines. The journal has them last, whatever it has already: of two
        originals that lay at one place it tells which was replaced last.
        """
        self._add(entries, anew=True)

    def put_back(self) -> None:
        """Write to the lock what :attr:`missing_from_lock` says."""
        self._add(self.missing_from_lock, anew=False)

    def _add(self, entries: Sequence[Entry], *, anew: bool) -> None:
        if not entries:
            return
        lines = [encode(entry) for entry in entries]
        with self.exclusive():
            self._journal.append(entries, anew=anew)
            self._merge(lines)
            self.forget()
            for line in lines:
                self._missing.pop(line, None)

    def forget(self) -> None:
        """Let go of what was read; it is read again when it is next asked for."""
        self._journal.forget()
        for name in ("_index", "_in_git"):
            self.__dict__.pop(name, None)

    def _merge(self, lines: Iterable[str]) -> None:
        # whoever writes a few lines to a lock that is gone, or to one side of a conflict, would hide from everybody
        # what git has of it
        lines = [*self._committed.lines.values(), *lines]
        sha256 = self._sound()
        if sha256 is None:
            text = self._read()
            index = Index.load(text, str(self.path))
            index.add(lines)
            if (after := index.text()) != text:
                self._known_sound = self._write([linewise.encode(after)])
        elif lacking(linewise.each(self.path), lines):
            self._known_sound = self._write(merged(linewise.each(self.path), lines), files.Version(self.path, sha256))

    def _sound(self) -> str | None:
        """SHA-256 of the lock if it is just as we write it, else None.

        In a run of many groups nobody else writes as a rule: then its lines need not be looked at again.
        """
        if not self._is_there():
            return None
        try:
            sha256, _ = files.measure(self.path)
            return sha256 if sha256 == self._known_sound or is_sound(linewise.each(self.path)) else None
        except ImageError as error:
            raise LockError(f"{self.path}: {error}") from error
        except OSError as error:
            raise LockError(f"{self.path}: cannot be read: {error.strerror}") from error

    def rewrite(self, text: str) -> None:
        """Put a merged text in the lock's place. Raises LockError unless it is a sound lock."""
        Index.load(text, str(self.path))
        with self.exclusive():
            if text != self._read():
                self._write([linewise.encode(text)])
            self._known_sound = None
            self.forget()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other processes from writing what this lock guards. May be nested."""
        import filelock  # takes a while to import, and a run with nothing to do has no need of it

        try:
            if self._guard is None:
                self._guard_path.parent.mkdir(parents=True, exist_ok=True)
                self._guard = filelock.FileLock(self._guard_path, timeout=_PATIENCE_SECONDS)
            self._guard.acquire()
        except filelock.Timeout as error:
            raise LockError(f"{self.path}: another semcompress is writing here: wait for it, or end it") from error
        except OSError as error:
            raise LockError(f"{self._guard_path}: cannot be locked: {error.strerror or error}") from error
        try:
            yield
        finally:
            self._guard.release()

    @cached_property
    def _index(self) -> Index:
        return Index.load(self._read(), str(self.path))

    @cached_property
    def _fingerprints(self) -> frozenset[int]:
        """Hashes of all fingerprints that were known when it was first asked: most pictures have none of them.

        It stays when lines are let go of: what a run writes itself is not what lay there before.
        """
        places = [self.path, *([] if self._journal.path is None else [self._journal.path])]
        there = (linewise.decode(line) for place in places for line in linewise.each(place))
        every = map(pixels_of, chain(self._committed.lines.values(), there))
        return frozenset(hash(pixels) for pixels in every if pixels)

    @property
    def journal(self) -> Index:
        """What this machine has settled, for every lock that shares the state folder; paths are relative to that."""
        return self._journal.index

    @property
    def _guard_path(self) -> Path:
        if self.state is not None:
            return self.state / "guard"
        name = hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()
        return cache.default_folder() / "guards" / name[:32]

    def _remembered(self, lookup: Callable[[Index], tuple[Entry, ...]]) -> tuple[Entry, ...]:
        """What the journal says, else what only git has of the lock; as this lock would have it."""
        found = lookup(self._journal.index)
        if found:
            return tuple(map(self._journal.told, found))
        return lookup(self._committed)

    def recall(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """These entries, noted as missing from the lock: see :attr:`missing_from_lock`."""
        found = tuple(entries)
        self._missing.update(dict.fromkeys(map(encode, found)))
        return found

    @property
    def doubt(self) -> str | None:
        """Why it cannot be said what git has of the lock that is not here, or None."""
        return self._in_git[1]

    @property
    def _committed(self) -> Index:
        """Lines that only git has: all, staged or committed, where the lock is gone from the work tree, or empty; those
        that a merge brings, whatever it has left there.
        """
        return self._in_git[0]

    @cached_property
    def _in_git(self) -> tuple[Index, str | None]:
        if self._locks_in_git is None:
            return Index(), None
        revisions = () if self._has_lines() else (":0:", "HEAD:")
        try:
            return self._locks_in_git.of(self.path, *revisions), None
        except OriginalsError as error:
            return Index(), str(error)

    @cached_property
    def _locks_in_git(self) -> LocksInGit | None:
        repository = None if self._shared is not None else git.find(self.path.parent)
        return self._shared if repository is None else LocksInGit(repository)

    def _is_there(self) -> bool:
        return linewise.is_there(self.path, "lock")

    def _has_lines(self) -> bool:
        return self._is_there() and any(line.strip() not in (b"", HEADER.encode()) for line in linewise.each(self.path))

    def _read(self) -> str:
        return linewise.read(self.path, "lock")

    def _write(self, pieces: Iterable[bytes], expected: files.Version | None = None) -> str:
        """Put ``pieces`` in the lock's place, which is still as ``expected`` (None: as it is now); their SHA-256."""
        hashed = hashlib.sha256()

        def counted() -> Iterator[bytes]:
            for piece in pieces:
                hashed.update(piece)
                yield piece

        try:
            if expected is None and self.path.exists():
                expected = files.Version(self.path, files.measure(self.path)[0])
            with contextlib.closing(files.stage(self.path, counted(), expected, staging=self.state)) as staged:
                staged.commit()
            files.sync([self.path.parent])
        except ImageError as error:
            raise LockError(f"{self.path}: {error}") from error
        return hashed.hexdigest()


def _settling(index: Index, sha256: str, policy: str, path: Path | None) -> tuple[Entry, ...]:
    if found := tuple(entry for entry in index.by_output(sha256) if entry.policy == policy):
        return found
    if path is None:
        return ()
    beside = tuple(
        entry for entry in index.by_original(sha256) if entry.relation == "beside" and entry.policy == policy
    )
    return beside if all_lie_beside(path, beside) else ()
