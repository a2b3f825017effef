"""Hands originals on between clones: push, fetch, and a note of which remote has what. The only code that talks to
remotes, and only when its commands are given."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from semcompress_plugin import files, git
from semcompress_plugin.errors import OriginalsError, UsageError
from semcompress_plugin.originals import REFS, GitOriginals, Kept

_OURS = re.compile(f"{REFS}/(?:originals|folded)/([0-9a-f]{{40}}|[0-9a-f]{{64}})")
# Whatever this clone is configured to do when it fetches: the objects, whole and alone, and no ref is touched.
_FETCH = (
    "--quiet",
    "--stdin",
    "--refmap=",
    "--no-tags",
    "--no-prune",
    "--no-filter",
    "--no-auto-gc",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
)
_EVERYTHING = f"{REFS}/*:{REFS}/*"


class Fetched(NamedTuple):
    """How many originals are new here, and what the remote offered that was refused: a line each."""

    new: int
    refused: list[str]


class Remotes:
    """Which originals lie at which remote, as far as this clone has seen: it pushed them there, or fetched them.

    Noted by group (a tree's id) in the git directory, since a remote's refs of this kind are not tracked by git; with a
    digest of where the remote was, for a name may be given to another place.
    """

    def __init__(self, store: GitOriginals) -> None:
        self.store = store
        self._note = store.state / "pushed"
        self._places: dict[str, str] = {}

    def of(self, kept: Iterable[Kept]) -> dict[str, list[str]]:
        """SHA-256 -> the remotes that have this original, sorted."""
        has: dict[str, set[str]] = {}
        for remote, group in self._noted():
            has.setdefault(group, set()).add(remote)
        return {one.sha256: sorted({remote for group in one.groups for remote in has.get(group, ())}) for one in kept}

    def only_here(self) -> list[Kept]:
        """The originals that no remote is known to have."""
        kept = self.store.kept()
        elsewhere = self.of(kept)
        return [one for one in kept if not elsewhere[one.sha256]]

    def choose(self, name: str | None) -> str:
        """The remote that is meant: the one named, else ``origin``, else the only one. Raises UsageError."""
        if name is not None:
            if name.startswith("-"):
                raise UsageError(f"{name}: is no remote")
            return name
        remotes = git.run(self.store.repository.root, "remote").decode().split()
        if "origin" in remotes or len(remotes) == 1:
            return "origin" if "origin" in remotes else remotes[0]
        have = f"there are {', '.join(remotes)}" if remotes else "there is none yet (git remote add NAME URL)"
        raise UsageError(f"say which remote: {have}")

    def push(self, remote: str) -> int:
        """Push every original; how many there are. Raises OriginalsError in git's words."""
        kept = self.store.kept()
        if kept:
            self._talk("push", "--quiet", "--", remote, _EVERYTHING)
            self._add(remote, {group for one in kept for group in one.groups})
        return len(kept)

    def fetch(self, remote: str) -> Fetched:
        """Fetch what the remote has: groups of originals, each under its own name, in which all is what its name says.

        No ref of ours is moved: git itself does not ask whether a tree may take another's place.
        """
        before = {one.sha256 for one in self.store.kept()}
        lines = self._talk("ls-remote", "--", remote, f"{REFS}/*").decode("utf-8", "surrogateescape").split("\n")
        offered = {ref: one for one, ref in (line.split("\t") for line in lines if line)}
        sound = {ref: one for ref, one in offered.items() if (name := _OURS.fullmatch(ref)) and name[1] == one}
        refused = [f"{ref}: is not named after what it holds" for ref in offered if ref not in sound]
        here = self.store.refs()
        new = {ref: one for ref, one in sound.items() if ref not in here}
        # git takes what a ref holds for all there, and would fetch nothing, unless it is told to fetch it once more
        lacking = self.store.lacking({ref: one for ref, one in sound.items() if ref in here})
        if wanted := new | lacking:  # held by no ref before it has been looked at
            again = ["--refetch"] if lacking else []
            self._talk("fetch", *_FETCH, *again, "--", remote, input="".join(f"{ref}\n" for ref in wanted).encode())
            refused += self.store.adopt(wanted)
        kept = self.store.kept()
        there = self.store.groups(set(sound.values()))
        self._add(remote, {group for one in kept for group in one.groups & there})
        return Fetched(len({one.sha256 for one in kept} - before), refused)

    def _talk(self, *arguments: str, input: bytes = b"") -> bytes:
        return git.run(self.store.repository.root, *arguments, input=input, ask=True)

    def _noted(self) -> set[tuple[str, str]]:
        try:
            lines = self._note.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise OriginalsError(f"{self._note}: cannot be read: {error.strerror}") from error
        noted = (line.rsplit("\t", 2) for line in lines)  # notes of two fields do not say where: not believed
        return {(note[0], note[2]) for note in noted if len(note) == 3 and note[1] == self._place(note[0])}

    def _place(self, remote: str) -> str:
        """A digest of where a remote is now: of its addresses, which may hold secrets. Talks to nobody."""
        if remote not in self._places:
            root = self.store.repository.root
            addresses = git.run(root, "ls-remote", "--get-url", "--", remote)
            with contextlib.suppress(OriginalsError):  # git's way to say that there is no other
                addresses += git.run(root, "config", "--get-all", f"remote.{remote}.pushurl")
            self._places[remote] = files.digest(addresses)[:16]
        return self._places[remote]

    def _add(self, remote: str, groups: Iterable[str]) -> None:
        new = {(remote, group) for group in groups} - self._noted()
        text = "".join(sorted(f"{name}\t{self._place(name)}\t{group}\n" for name, group in new))
        try:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            with self._note.open("ab") as file:
                file.write(os.fsencode(text))
        except OSError as error:
            raise OriginalsError(f"{self._note}: cannot be written: {error.strerror}") from error
