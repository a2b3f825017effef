"""The one place where results reach the disk, in the order that makes a crash harmless.

A group is settled in five steps; a process may be killed between any two of them, or within one:

1. new bytes are staged under temporary names (swept by the next run);
2. originals are kept;
3. the journal, then the lock, learn what is about to be written: an entry for a file that is still old says nothing
   about that file, and a file that has become new is known from its first moment;
4. files trade places with what lies there, each unless it has changed since it was read: what comes out is deleted
   once it is seen to be the original that was kept, and put back if it is not;
5. their folders are synced.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from semcompress_plugin import files
from semcompress_plugin.claims import contested
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import ImageError
from semcompress_plugin.files import Snapshot, Staged
from semcompress_plugin.lock import Lock
from semcompress_plugin.naming import name_of_original
from semcompress_plugin.originals import NoOriginals, Originals
from semcompress_plugin.restore import can_be_had, spare
from semcompress_plugin.types import SUFFIXES


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was decided about one picture.

    ``writes`` are the files to be written: the picture's own path (it is replaced), or others. If it is replaced by
    a file of another name, ``removed`` says so. Nothing to write: it is kept as it is. ``original`` is what it was made
    of where that is not the file that lay there: it is kept too, though it may be kept elsewhere already.
    """

    snapshot: Snapshot
    entries: tuple[Entry, ...]
    writes: Mapping[Path, bytes] = field(default_factory=dict)
    removed: bool = False
    original: Snapshot | None = None


def settle(group: Sequence[Settlement], lock: Lock, originals: Originals) -> list[str | None]:
    """Carry out decisions; for each None, or the reason why that picture was left as it was.

    Raises OriginalsError or LockError when the group as a whole cannot be recorded; no file has been touched then.
    """
    reasons: list[str | None] = [None] * len(group)
    with lock.exclusive(), contextlib.ExitStack() as stack:
        folders = _folders(group, lock)
        files.sweep(folders)
        sweep_parked(folders, lock, originals)
        staged: dict[int, list[Staged]] = {}
        names = Names()
        for number, settlement in enumerate(group):
            try:
                staged[number] = [
                    stack.enter_context(contextlib.closing(_stage(settlement, path, data, lock, names)))
                    for path, data in settlement.writes.items()
                    if not files.holds(path, files.digest(data))
                ]
                if settlement.removed:
                    files.check(settlement.snapshot)
            except ImageError as error:
                reasons[number] = str(error)
        ready = [group[number] for number in staged if reasons[number] is None]
        doomed = [settlement.snapshot for settlement in ready if settlement.removed]
        doomed += [one.expected for waiting in staged.values() for one in waiting if isinstance(one.expected, Snapshot)]
        lock.add(_keep(ready, doomed, lock, originals))
        for number, waiting in staged.items():
            if reasons[number] is None:
                reasons[number] = _commit(group[number], waiting, lock.state)
        files.sync(path.parent for settlement in ready for path in settlement.writes)
    return reasons


class Names:
    """What lies in folders, each of them listed once: there may be any number of pictures in one."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, str]] = {}

    def same_but_for_case(self, path: Path) -> str | None:
        """A name in the same folder that is ``path``'s own where case does not count."""
        if path.parent not in self._folders:
            self._folders[path.parent] = {}
            with contextlib.suppress(OSError):
                self._folders[path.parent] = {one.name.casefold(): one.name for one in path.parent.iterdir()}
        return self._folders[path.parent].get(path.name.casefold())


def _stage(settlement: Settlement, path: Path, data: bytes, lock: Lock, names: Names) -> Staged:
    if path == settlement.snapshot.path:
        return files.stage(path, data, settlement.snapshot, staging=lock.state)
    there = _there(path)
    original = next((entry.original.sha256 for entry in settlement.entries), settlement.snapshot.sha256)
    if reason := _hindrance(settlement.snapshot.path, original, path, there, lock, names):
        raise ImageError(reason)
    return files.stage(path, data, there, staging=lock.state, mode=settlement.snapshot.mode)


def hindrance(picture: Path, original: str, path: Path, lock: Lock, names: Names) -> str | None:
    """Why an output of ``picture`` cannot be written at ``path``, another name; None if it can.

    ``original`` is the SHA-256 of what it would be made of.
    """
    try:
        there = _there(path)
    except ImageError as error:
        return f"{path.name}, where it would be written, {error}"
    return _hindrance(picture, original, path, there, lock, names)


def _there(path: Path) -> Snapshot | None:
    """What lies at ``path``; None if nothing does. Raises ImageError for what is no file, or no name for one."""
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImageError(f"cannot be written: {error.strerror or error}") from error
    return files.read(path)


def _hindrance(
    picture: Path, original: str, path: Path, there: Snapshot | None, lock: Lock, names: Names
) -> str | None:
    if there is None:
        other = names.same_but_for_case(path)
        return f"would lie beside {other}, which is the same name on many systems: rename one" if other else None
    known = [entry for entry in lock.by_output(there.sha256) if entry.relation != "kept"]
    made = [entry for entry in known if not entry.edited]
    if not made:
        why = "was edited since we wrote it" if known else "is not ours"
        return f"would overwrite {path.name}, which {why}: move that file or exclude it"
    here = lock.relative(path)
    told = [entry for entry in made if entry.path == here] or made
    others = [entry for entry in told if _is_of_another(entry, picture, original, path, here)]
    if len(others) < len(told) and all(entry.relation == "beside" for entry in others):
        return None
    owner = next((entry for entry in others if entry.relation == "replaced"), others[0])
    if owner.relation == "beside" and not os.path.lexists(path.with_name(name_of_original(owner, path))):
        gone = f"was made beside {owner.name}, not here any more"
        return f"would overwrite {path.name}, which {gone}: delete it if nothing needs it, or rename one"
    name = str(PurePosixPath(owner.path).with_name(owner.name)) if owner.name == picture.name else owner.name
    return contested(name)


def _is_of_another(entry: Entry, picture: Path, original: str, path: Path, here: str) -> bool:
    """Whether an output at ``path`` is another picture's: all that there is of it, or what was made beside it.

    So is what replaced a namesake elsewhere, and was moved ``here``. Whether the other one is still there tells
    nothing: where it is not, its output may be the last that there is of it.
    """
    if entry.original.sha256 == original:
        return False
    if entry.relation == "replaced":
        return entry.name != picture.name or entry.path != here
    return not _was_called(path.with_name(name_of_original(entry, path)), picture)


def _was_called(before: Path, picture: Path) -> bool:
    """Whether a picture has, or had, the name ``before``: an a.JPEG that is not there any more may be an a.jpg now."""
    if before.name == picture.name:
        return True
    formats = {SUFFIXES.get(path.suffix.lower()) for path in (before, picture)}
    if before.stem.casefold() != picture.stem.casefold() or len(formats) > 1:
        return False
    return not os.path.lexists(before) or (before.exists() and before.samefile(picture))  # where case does not count


def _keep(group: Sequence[Settlement], doomed: Iterable[Snapshot], lock: Lock, originals: Originals) -> list[Entry]:
    """Keep the originals of what will be replaced, and what else is doomed and would be lost.

    The entries, with the ids that originals were kept under.
    """
    sources = {
        source.sha256: source
        for settlement in group
        for source in (settlement.snapshot, settlement.original)
        for entry in settlement.entries
        if source is not None and entry.relation == "replaced" and entry.original.sha256 == source.sha256
    }
    kept = originals.keep(list(sources.values())) if sources else []
    spare([snapshot for snapshot in doomed if snapshot.sha256 not in sources], lock, originals, had=sources)
    blobs = dict(zip(sources, kept, strict=True))
    return [
        replace(entry, blob=blobs.get(entry.original.sha256) or entry.blob) if entry.relation == "replaced" else entry
        for settlement in group
        for entry in settlement.entries
    ]


def sweep_parked(folders: Iterable[Path], lock: Lock, originals: Originals) -> list[Path]:
    """Delete what killed processes had taken out of its place, if it is kept or can be made again; the others.

    Whoever calls holds the lock.
    """
    strays = []
    for path in files.parked(folders):
        try:
            known = _is_known(files.read(path).sha256, lock, originals)
        except ImageError:
            known = False
        if known:
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            strays.append(path)
    return strays


def _is_known(sha256: str, lock: Lock, originals: Originals) -> bool:
    """Whether a content is kept, or our own output and can be made again (or nothing was to be kept)."""
    made = [entry for entry in lock.by_output(sha256) if entry.relation != "kept"]
    replaced = [entry for entry in lock.by_original(sha256) if entry.relation == "replaced"]
    if isinstance(originals, NoOriginals):
        return bool(made or replaced)
    itself = [*replaced, *(replace(entry, original=entry.output, blob=None) for entry in made)]
    again = [entry for entry in made if not entry.edited]
    return any(can_be_had(entry, lock.path.parent / entry.path, originals) for entry in (*itself, *again))


def _commit(settlement: Settlement, staged: Iterable[Staged], state: Path | None) -> str | None:
    try:
        for one in staged:
            one.commit(trade=True)
        if settlement.removed:
            files.retire(settlement.snapshot, state)
    except ImageError as error:
        return str(error)
    return None


def _folders(group: Sequence[Settlement], lock: Lock) -> list[Path]:
    folders = {path.parent for settlement in group for path in settlement.writes} | {lock.path.parent}
    return [*folders, *([] if lock.state is None else [lock.state])]
