"""Finds the files that a command is to handle."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from semcompress_plugin import git
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.types import SUFFIXES

MISSING = "does not exist"
"""The error of a file that was named and is not there."""
PASSED_BY = frozenset({".git", ".hg", ".svn", ".jj", ".bzr", "CVS", ".semcompress"})
"""Folders that are nobody's pictures: what version control keeps, and we do."""


def here() -> Path:
    """The working folder."""
    return absolute(Path())


def absolute(path: Path) -> Path:
    """``path`` from the root, without ``..`` and without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # Path.resolve would follow links


def place_below(path: Path, folder: Path) -> Path | None:
    """Where ``path``, which need not exist, lies as a walk of ``folder`` would call it; None where it lies elsewhere.

    Links in either are followed, and two spellings of one place count as one where the disk does not tell them apart.
    """
    real = Path(os.path.realpath(path))
    top = next((above for above in (real, *real.parents) if _is_same(above, folder)), None)
    if top is None:
        return None
    place = folder
    for part in real.relative_to(top).parts:
        place /= _as_listed(place, part)
    return place


def _as_listed(folder: Path, name: str) -> str:
    try:
        names = os.listdir(folder)  # noqa: PTH208  # names are what is asked for
    except OSError:
        return name
    return name if name in names else next((one for one in names if _is_same(folder / one, folder / name)), name)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except OSError:  # what is not there is nothing else
        return False


@dataclass(frozen=True, slots=True)
class Found:
    """A file to handle, or one that was named and cannot be handled (``error`` says why, in one line).

    ``place`` is its path as text, of which there may be thousands. ``named``: the user named this very file, rather
    than a folder above it.
    """

    place: str
    error: str | None = None
    named: bool = False

    @property
    def path(self) -> Path:
        return Path(self.place)


def find_images(
    paths: Iterable[Path],
    root: Path | None = None,
    *,
    skip_ignored: bool = True,
    skip_nested: bool = True,
    suffixes: Collection[str] = SUFFIXES,
) -> list[Found]:
    """Every file named in ``paths`` and every picture below the folders named, each once, folders in sorted order.

    Pictures are told by their extension (``suffixes``). Symbolic links are passed by where folders are walked, and an
    error where they are named or where a named path leaves ``root`` (the repository's) through one. ``skip_ignored``
    passes by what git ignores, and ``skip_nested`` repositories and worktrees below, unless named.
    """
    starts = list(paths)
    found = [item for path in starts for item in _named(path, root, skip_ignored, skip_nested, suffixes)]
    if len(starts) == 1:
        return found
    unique: dict[str, Found] = {}
    for item in found:
        key = os.path.abspath(item.place)  # noqa: PTH100  # Path.absolute leaves ".." in
        if item.named or key not in unique:
            unique[key] = item
    return list(unique.values())


def in_their_repositories(paths: Iterable[Path]) -> Iterator[Path]:
    """Each path as the repository it lies in calls it, where it was named through a link that leads there from outside.

    Policies are looked for up to a repository's root, and that has no link in its name.
    """
    tops: dict[Path, Path | None] = {}  # by folder: a shell names any number of files in one
    for path in paths:
        try:
            folder = path if path.is_dir() and not path.is_symlink() else path.parent
            if folder not in tops:
                tops[folder] = repository_root(folder)
            top, place = tops[folder], absolute(path)
        except (OSError, ValueError):  # no name that a file can have: said when it is looked for
            yield path
            continue
        if top is None or place.is_relative_to(top):
            yield path
        else:
            yield Path(os.path.realpath(place.parent)) / place.name


def repository_root(path: Path) -> Path | None:
    """The working tree that ``path`` (a folder, or a file in one) belongs to."""
    repository = git.find(path if path.is_dir() else path.parent)
    return None if repository is None else repository.root


def _named(
    path: Path, root: Path | None, skip_ignored: bool, skip_nested: bool, suffixes: Collection[str]
) -> Iterator[Found]:
    try:
        if path.is_symlink():
            yield Found(str(path), "is a symbolic link: name what it points to", named=True)
        elif root is not None and _escapes(path, root):
            yield Found(str(path), f"leaves {root} through a symbolic link", named=True)
        elif path.is_dir():
            ignored = _ignored(path) if skip_ignored and git.find(path) is not None else frozenset()
            yield from _walk(str(path), ignored, skip_nested, suffixes)
        elif path.is_file():
            yield Found(str(path), named=True)
        else:
            yield Found(str(path), "is not a regular file" if path.exists() else MISSING, named=True)
    except (OSError, ValueError) as error:
        yield Found(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}", named=True)


def _walk(
    folder: str, ignored: frozenset[str], skip_nested: bool, suffixes: Collection[str], top: bool = True
) -> Iterator[Found]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        yield Found(folder, f"cannot be read: {error.strerror}")
        return
    if skip_nested and not top and any(entry.name == ".git" for entry in entries):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in PASSED_BY and entry.path not in ignored:
                yield from _walk(entry.path, ignored, skip_nested, suffixes, top=False)
        elif (
            os.path.splitext(entry.name)[1].lower() in suffixes  # noqa: PTH122  # a Path for each name costs more than the rest
            and entry.is_file(follow_symlinks=False)
            and entry.path not in ignored
        ):
            yield Found(entry.path)


def _ignored(folder: Path) -> frozenset[str]:
    """What git ignores below ``folder``, folders as a whole; nothing where git cannot be asked."""
    try:
        listed = git.run(
            folder, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", "."
        )
    except OriginalsError:
        return frozenset()
    names = listed.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(os.path.join(str(folder), name.rstrip("/")) for name in names if name)  # noqa: PTH118


def _escapes(path: Path, root: Path) -> bool:
    real = Path(os.path.realpath(root))
    named = absolute(path)
    return named.is_relative_to(real) and not Path(os.path.realpath(named)).is_relative_to(real)
