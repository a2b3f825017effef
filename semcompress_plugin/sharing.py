"""Hands originals on between clones: push, fetch, and a note of which remote has what. The only code that talks to
remotes, and only when its commands are given."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from semcompress_plugin import files, git
from semcompress_plugin.errors import OriginalsError, UsageError
from semcompress_plugin.originals import REFS, GitOriginals, Kept

_EVERYTHING = f"{REFS}/*:{REFS}/*"


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
        has = self._noted()
        return {one.sha256: sorted(remote for remote, group in has if group == one.group) for one in kept}

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
            self._add(remote, kept)
        return len(kept)

    def fetch(self, remote: str) -> int:
        """Fetch every original that the remote has; how many are new here. Nothing of ours is overwritten."""
        before = {one.sha256 for one in self.store.kept()}
        listed = self._talk("ls-remote", "--", remote, f"{REFS}/*").decode().split()
        if not listed:
            return 0
        self._talk("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, _EVERYTHING)
        kept = self.store.kept()
        there = self.store.groups(set(listed[::2]))
        self._add(remote, [one for one in kept if one.group in there])
        return len({one.sha256 for one in kept} - before)

    def _talk(self, *arguments: str) -> bytes:
        return git.run(self.store.repository.root, *arguments, ask=True)

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

    def _add(self, remote: str, kept: Iterable[Kept]) -> None:
        new = {(remote, one.group) for one in kept if one.group} - self._noted()
        text = "".join(sorted(f"{name}\t{self._place(name)}\t{group}\n" for name, group in new))
        try:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            with self._note.open("ab") as file:
                file.write(os.fsencode(text))
        except OSError as error:
            raise OriginalsError(f"{self._note}: cannot be written: {error.strerror}") from error
