"""Brings back the very bytes, name and mode that a picture had before it was replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.committed import is_committed
from semcompress_plugin.entries import Entry, ambiguous
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.lock import Lock
from semcompress_plugin.naming import name_of_original
from semcompress_plugin.originals import Originals, git_id_of

_PERMISSIONS = 0o777
"""A lock may be a stranger's: no file is made setuid by it."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """One picture: what lies there now, the entry that tells of its original, and where that belongs.

    Without an entry there is nothing to restore, and ``reason`` says why; ``changed`` where that is an edit of what we
    wrote there. What ``stays`` lies there beside its original afterwards.
    """

    path: Path
    snapshot: Snapshot | None = None
    entry: Entry | None = None
    target: Path | None = None
    reason: str | None = None
    changed: bool = False
    stays: bool = False


def plan_restore(
    paths: Iterable[Path], lock: Lock, elsewhere: Callable[[str], Iterable[Entry]] = lambda _: ()
) -> list[Restoration]:
    """What can be restored among the files at ``paths`` (for ``--all``: every picture of the tree).

    ``elsewhere`` gives what others than ``lock`` know of a content (SHA-256): see :meth:`Domain.made_elsewhere`.
    """
    return [_plan(path, lock, elsewhere) for path in paths]


def _plan(path: Path, lock: Lock, elsewhere: Callable[[str], Iterable[Entry]]) -> Restoration:
    try:
        snapshot = files.read(path)
    except ImageError as error:
        return Restoration(path, reason=str(error))
    known = lock.by_output(snapshot.sha256)
    made = [entry for entry in known if entry.relation != "kept"]
    if not any(entry.relation == "replaced" for entry in made):
        made += [entry for entry in elsewhere(snapshot.sha256) if entry.relation != "kept"]
    if not made:
        original = known or lock.by_original(snapshot.sha256)
        lay_here = [] if original else [entry for entry in lock.at(path) if entry.relation == "replaced"]
        reason = _changed(lay_here) if lay_here else "is nothing that semcompress wrote"
        reason = "is its own original" if original else reason
        return Restoration(path, snapshot, reason=reason, changed=bool(lay_here))
    beside = [entry for entry in made if entry.relation == "beside"]
    if lock.lies_beside(made, path):
        return _plan_beside(path, snapshot, beside, lock)
    replaced = [entry for entry in made if entry.relation == "replaced"]
    entry = lock.origin(replaced, path)
    if entry is None:
        return Restoration(path, reason=ambiguous(replaced))
    target = path.with_name(name_of_original(entry, path))
    here = lock.relative(path)
    if target != path and entry.path != here and files.holds(target, entry.original.sha256):
        return Restoration(path, snapshot, reason=f"its original is there already: {target.name}")
    # where it lay beside the original before it took its place, it lies beside it again
    return Restoration(path, snapshot, entry, target, stays=any(one.path == here for one in beside))


def _plan_beside(path: Path, snapshot: Snapshot, beside: Collection[Entry], lock: Lock) -> Restoration:
    """An output beside an original, which stays; where the original is gone and was kept, it comes back."""
    entry = lock.origin(beside, path)
    if entry is None:
        return Restoration(path, snapshot, reason=ambiguous(beside))
    target = path.with_name(name_of_original(entry, path))
    if os.path.lexists(target):
        return Restoration(path, snapshot, reason=f"was made beside {target.name}, which is there")
    kept = [one for one in lock.by_original(entry.original.sha256) if one.relation == "replaced"]
    if not kept:
        return Restoration(path, snapshot, reason=f"was made beside {entry.name}, which is not here any more")
    return Restoration(path, snapshot, replace(entry, blob=kept[0].blob), target, stays=True)


def _changed(made: Collection[Entry]) -> str:
    """Why what lies where these outputs lay is not restored, and how their original can be had."""
    entry = next(iter(made))
    if len({entry.original.sha256 for entry in made}) > 1:
        where = "see `semcompress originals list --format json`"
    elif (blob := git_id_of(entry)) is not None:
        where = f"`git cat-file blob {blob[:12]} > FILE`"
    else:
        where = f"{entry.original.sha256[:2]}/{entry.original.sha256} in the folder of originals"
    return f"was edited since it was shrunk, so it stays; for its original: {where}"


def restore(plan: Restoration, lock: Lock, originals: Originals) -> str | None:
    """Carry out one restoration; None, or the reason why the file was left as it was.

    The lock keeps its lines: they speak of contents, not of files, and the original is not among the outputs, so that
    a later run compresses it again unless the policy says otherwise.
    """
    if plan.snapshot is None or plan.entry is None or plan.target is None:
        return plan.reason
    try:
        data = originals.get(plan.entry)
        with lock.exclusive():
            if not plan.stays:
                spare([plan.snapshot], lock, originals, had={plan.entry.original.sha256})
            _put(plan.path, plan.snapshot, plan.entry, plan.target, data, lock, stays=plan.stays)
    except (ImageError, OriginalsError) as error:
        return str(error)
    return None


def _put(path: Path, snapshot: Snapshot, entry: Entry, target: Path, data: bytes, lock: Lock, *, stays: bool) -> None:
    if target == path:
        files.replace(path, data, snapshot, staging=lock.state, mode=entry.mode & _PERMISSIONS, trade=True)
        return
    files.check(snapshot)
    if not files.holds(target, entry.original.sha256):  # a run that was killed may have come that far
        files.create(target, data, mode=entry.mode & _PERMISSIONS)
    if not stays:
        files.retire(snapshot, lock.state)
    files.sync([path.parent])


def spare(snapshots: Iterable[Snapshot], lock: Lock, originals: Originals, had: Collection[str] = ()) -> None:
    """Keep what is to be replaced, and would be lost: what is neither committed nor an output that can be made again.

    A lock may be a stranger's: that a file is an output of ours is sure where this machine's journal says so; and one
    that was edited since holds more than we wrote. Of an output beside its original that may be the last there is.
    ``had`` are originals (SHA-256) that are known to be kept. Raises OriginalsError.
    """
    doubtful = [
        snapshot
        for snapshot in snapshots
        if not any(
            entry.original.sha256 in had or can_be_had(entry, snapshot.path, originals)
            for entry in lock.journal.by_output(snapshot.sha256)
            if entry.relation != "kept" and not entry.edited
        )
    ]
    if alone := [snapshot for snapshot in doubtful if not is_committed(snapshot)]:
        originals.keep(alone)


def can_be_had(entry: Entry, path: Path, originals: Originals) -> bool:
    """Whether there is the original of an output at ``path``: beside it, or kept."""
    if files.holds(path.with_name(name_of_original(entry, path)), entry.original.sha256):
        return True
    try:
        originals.get(entry)
    except OriginalsError:
        return False
    return True
