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

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from semcompress_plugin import git
from semcompress_plugin.entries import Entry, Index
from semcompress_plugin.lock import Lock
from semcompress_plugin.originals import FolderOriginals, Kept, Originals
from semcompress_plugin.prune._facts import Facts, Told
from semcompress_plugin.prune._git_facts import GitFacts

__all__ = ["Verdict", "judge"]

_SHARED = "its folder serves {other} as well (if that is gone for good, take its line out of {folder}/users)"


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
    facts = GitFacts(repository) if repository is not None else Facts(lock.path.parent, lock.state)
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


def _another(store: FolderOriginals, facts: Facts) -> Path | None:
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


def _verdict(kept: Kept, entries: list[Entry], told: Told, facts: Facts, remote: set[str]) -> Verdict:
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
