"""``semcompress lock``: is the lock sound, and ``--merge``: make one of two."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path

from semcompress_plugin import files, git
from semcompress_plugin.commands._shared import warn_of_ignored
from semcompress_plugin.domains import Locks
from semcompress_plugin.entries import Index
from semcompress_plugin.errors import ImageError, LockError, OriginalsError, UsageError
from semcompress_plugin.lock import NAME, Lock
from semcompress_plugin.lock_in_git import LocksInGit
from semcompress_plugin.merge import Sides, merge, parted
from semcompress_plugin.plan import shown_path
from semcompress_plugin.policy import find_policy
from semcompress_plugin.walk import absolute, here, repository_root
from semcompress_plugin.words import counted

_DRIVER = "{semcompress} lock --merge %O %A %B || git merge-file -L ours -L base -L theirs %A %O %B"
"""Where a driver fails, git leaves one side as the file, without a mark: merge-file puts the markers there."""


def run(arguments: argparse.Namespace) -> int:
    if arguments.merge is None:
        return _state()
    if len(arguments.merge) not in (0, 3):
        raise UsageError("lock --merge takes three files, as git's merge drivers do (%O %A %B), or none")
    return _drive(*map(Path, arguments.merge)) if arguments.merge else _resolve()


def _drive(base: Path, ours: Path, theirs: Path) -> int:
    """As git's merge driver: the merged lock goes to ``ours``. 1 tells git that the conflict stands."""
    if missing := [str(path) for path in (base, ours, theirs) if not path.exists()]:
        raise UsageError(f"{', '.join(missing)}: expected a file, as git gives its merge drivers")
    try:
        text = merge(Sides(*(_text(path) for path in (base, ours, theirs))), NAME)
        files.replace(ours, _bytes(text), files.read(ours))
    except (LockError, ImageError) as error:
        print(f"semcompress: {error}; then run `semcompress lock --merge`", file=sys.stderr)
        return 1
    return 0


def _resolve() -> int:
    """Resolve every lock that a merge left in conflict: from git's stages, else from what stands between markers."""
    base = here()
    unmerged = _unmerged(base)
    locks = list(unmerged) or [path for path in [_nearest(base)] if path is not None and path.exists()]
    locks = list(dict.fromkeys([*locks, *_marked(base)]))
    resolved: list[str] = []
    for path in locks:
        text = _text(path) if path.exists() else ""
        sides = unmerged.get(path) or parted(text)
        brought = _brought(path)
        there = Index.salvage(text).lines
        if path not in unmerged and sides.ours == sides.theirs and brought.keys() <= there.keys():
            continue
        merged = Index.load(merge(sides, shown_path(path, base)), str(path))
        known = {key for side in sides for key in Index.salvage(side).lines}
        # what was settled since the merge stands in the file alone; what a wrong choice left out, in the other side's
        merged.add(line for key, line in {**brought, **there}.items() if key not in known)
        Lock(path, _state_folder(path)).rewrite(merged.text())
        resolved.append(shown_path(path, base))
        print(f"{resolved[-1]}: merged, {counted(len(merged.lines), 'entry', 'entries')}")
    if not resolved:
        print("no lock is in conflict here")
    elif repository_root(base) is not None:
        print(f"now tell git: git add {' '.join(map(shlex.quote, resolved))}")
    return 0


def _state() -> int:
    base = here()
    path = _nearest(base)
    if path is None or not path.exists():
        print(f"no {NAME} here: nothing has been settled yet")
    else:
        shown = shown_path(path, base)
        lines = Index.load(_text(path), shown).lines
        if path in _unmerged(base) and not _brought(path).keys() <= lines.keys():
            raise LockError(f"{shown}: is in conflict, and holds one side of it: run `semcompress lock --merge`")
        print(f"{shown}: sound, {counted(len(lines), 'entry', 'entries')}")
        warn_of_ignored([path], base)
    if (root := repository_root(base)) is not None and not _is_driven(root):
        driver = _DRIVER.format(
            semcompress=f"{shlex.quote(sys.executable)} -P -m semcompress_plugin".replace("%", "%%")
        )
        print("git can merge locks by itself; tell it so, once per repository and once per clone:")
        print(f"  echo '{NAME} merge=semcompress' >> {shlex.quote(os.path.relpath(root / '.gitattributes', base))}")
        print(f"  git config merge.semcompress.driver {shlex.quote(driver)}")
    return 0


def _is_driven(root: Path) -> bool:
    """Whether git merges locks by a program that is there."""
    try:
        driver = git.run(root, "config", "--get", "merge.semcompress.driver").decode("utf-8", "surrogateescape")
        program = shlex.split(driver.replace("%%", "%"))[0]
        driven = b"merge: semcompress" in git.run(root, "check-attr", "merge", "--", NAME)
    except (OriginalsError, ValueError, IndexError):  # not set, or not to be read
        return False
    return driven and shutil.which(program) is not None


def _nearest(folder: Path) -> Path | None:
    """The lock beside the policy that governs this folder; without a policy, the one at the repository's root."""
    root = repository_root(folder)
    policy = find_policy(folder, root or Path(folder.anchor))
    if policy is not None:
        return policy.with_name(NAME)
    return absolute(root or folder) / NAME


def _unmerged(folder: Path) -> dict[Path, Sides]:
    """Locks that git holds unmerged, with their stages. Where one side deleted the lock, the other's stands."""
    root = repository_root(folder)
    if root is None:
        return {}
    stages: dict[Path, dict[str, str]] = {}
    listed = git.run(root, "ls-files", "--unmerged", "-z", "--", f":(glob)**/{NAME}")
    for record in filter(None, listed.split(b"\0")):
        facts, _, name = record.partition(b"\t")
        _, blob, stage = facts.decode().split()
        text = git.run(root, "cat-file", "blob", blob).decode("utf-8", "surrogateescape")
        stages.setdefault(root / os.fsdecode(name), {})[stage] = text
    return {
        path: Sides(texts.get("1", "") if {"2", "3"} <= texts.keys() else "", texts.get("2", ""), texts.get("3", ""))
        for path, texts in stages.items()
    }


def _marked(folder: Path) -> list[Path]:
    """Locks of the repository, wherever they lie, with markers in them: they were committed so, and stop every run."""
    repository = git.find(folder)
    found: list[Path] = []
    for path in () if repository is None else Locks().of(repository):
        with contextlib.suppress(LockError):  # not here, or not to be read
            sides = parted(_text(path))
            found += [path] if sides.ours != sides.theirs else []
    return found


def _brought(path: Path) -> dict[str, str]:
    """Lines, by their identity, that a merge brings or the last one did, whatever was made of its conflict."""
    repository = git.find(path.parent)
    return {} if repository is None else LocksInGit(repository).of(path).lines


def _state_folder(path: Path) -> Path | None:
    repository = git.find(path.parent)
    return None if repository is None else repository.state


def _text(path: Path) -> str:
    try:
        return files.read(path).data.decode("utf-8", "surrogateescape")
    except ImageError as error:
        raise LockError(f"{path}: {error}") from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
