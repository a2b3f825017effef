"""Brings back the very bytes, name and mode that a picture had before it was replaced."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from semcompress_plugin import files
from semcompress_plugin.committed import is_committed
from semcompress_plugin.entries import Entry, ambiguous
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.lock import Lock
from semcompress_plugin.originals import Originals, git_id_of
from semcompress_plugin.walk import SUFFIXES

_PERMISSIONS = 0o777
"""A lock may be a stranger's: no file is made setuid by it."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """One picture: what lies there now, the entry that tells of its original, and where that belongs.

    Without an entry there is nothing to restore, and ``reason`` says why; ``changed`` where that is an edit of what we
    wrote there.
    """

    path: Path
    snapshot: Snapshot | None = None
    entry: Entry | None = None
    target: Path | None = None
    reason: str | None = None
    changed: bool = False


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
    entries = lock.by_output(snapshot.sha256)
    replaced = [entry for entry in entries if entry.relation == "replaced"]
    replaced = replaced or [entry for entry in elsewhere(snapshot.sha256) if entry.relation == "replaced"]
    if not replaced:
        known = entries or lock.by_original(snapshot.sha256)
        made = [] if known else [entry for entry in lock.at(path) if entry.relation == "replaced"]
        reason = "is its own original" if known else _changed(made) if made else "is nothing that semcompress wrote"
        return Restoration(path, snapshot, reason=reason, changed=bool(made))
    here = lock.relative(path)
    if any(entry.path == here for entry in entries if entry.relation == "beside") and not any(
        entry.path == here for entry in replaced
    ):
        return Restoration(path, snapshot, reason="was written beside its original, which is still there")
    entry = lock.origin(replaced, path)
    if entry is None:
        return Restoration(path, reason=ambiguous(replaced))
    target = path.with_name(name_of_original(entry, path))
    if target != path and entry.path != here and files.holds(target, entry.original.sha256):
        return Restoration(path, snapshot, reason=f"its original is there already: {target.name}")
    return Restoration(path, snapshot, entry, target)


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
            spare([plan.snapshot], lock, originals)
            _put(plan.path, plan.snapshot, plan.entry, plan.target, data, lock)
    except (ImageError, OriginalsError) as error:
        return str(error)
    return None


def _put(path: Path, snapshot: Snapshot, entry: Entry, target: Path, data: bytes, lock: Lock) -> None:
    if target == path:
        files.replace(path, data, snapshot, staging=lock.state, mode=entry.mode & _PERMISSIONS, trade=True)
        return
    files.check(snapshot)
    if not files.holds(target, entry.original.sha256):  # a run that was killed may have come that far
        files.create(target, data, mode=entry.mode & _PERMISSIONS)
    # the same bytes may also have been written beside an original: that file was never its replacement alone
    if not any(entry.relation == "beside" for entry in lock.by_output(snapshot.sha256)):
        files.retire(snapshot, lock.state)
    files.sync([path.parent])


def spare(snapshots: Iterable[Snapshot], lock: Lock, originals: Originals) -> None:
    """Keep what is to be replaced, and would be lost if the lock did not tell the truth.

    A lock may be a stranger's: that a file is an output of ours is sure where this machine's journal says so; and one
    that was edited since holds more than we wrote. What is committed is not lost. Raises OriginalsError.
    """
    doubtful = [
        snapshot
        for snapshot in snapshots
        if not any(entry.relation != "kept" and not entry.edited for entry in lock.journal.by_output(snapshot.sha256))
    ]
    if alone := [snapshot for snapshot in doubtful if not is_committed(snapshot)]:
        originals.keep(alone)


def name_of_original(entry: Entry, path: Path) -> str:
    """The original's name; a file that was renamed since keeps its new name, save for another format's extension.

    It is a picture's, whatever the lock says: no file is put back under a name that means something to a program.
    """
    if PurePath(entry.name).suffix.lower() not in SUFFIXES:
        return path.name
    if path.name == posixpath.basename(entry.path):
        return entry.name
    if posixpath.splitext(entry.path)[1] == posixpath.splitext(entry.name)[1]:  # the format was not changed
        return path.name
    return path.stem + Path(entry.name).suffix
