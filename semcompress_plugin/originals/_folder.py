"""Originals in a folder, one file for each."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path, PurePath

from semcompress_plugin import files, git
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.originals._base import SHA256, Elsewhere, Kept, Originals, checked, get
from semcompress_plugin.originals._used import remember

USERS = "users"
"""The file of a folder of originals in which stands who keeps them there."""
_SHELF = re.compile("[0-9a-f]{2}")
_IGNORE = b"# originals are not for commits: they hold all that metadata says\n*\n"


class FolderOriginals:
    """``originals: DIR``: one file per content, ``ab/abcdef…`` after its SHA-256."""

    def __init__(
        self,
        folder: Path,
        repository: git.Repository | None = None,
        policy: Path | None = None,
        elsewhere: Elsewhere = tuple,
    ) -> None:
        """``policy`` is the folder of the policy that keeps originals here."""
        self._find = elsewhere
        self.folder = folder
        self.state = folder if repository is None else repository.state
        self._repository = repository
        self._policy = policy
        self._known = False

    @cached_property
    def elsewhere(self) -> Sequence[Originals]:
        return self._find()

    def keep(self, snapshots: Sequence[Snapshot]) -> list[str | None]:
        if snapshots and not self._known:
            self._make_known()
            self._known = True
        for snapshot in snapshots:
            place = self._place(snapshot.sha256)
            self._has(place.parent)
            try:
                if not files.holds(place, snapshot.sha256):
                    files.create(place, snapshot.data, overwrite=True, mode=0o444)
            except ImageError as error:
                raise OriginalsError(f"{place}: {error}") from error
        return [None] * len(snapshots)

    def get(self, entry: Entry) -> bytes:
        return get(self, entry)

    def own(self, entry: Entry) -> bytes:
        place = self._place(entry.original.sha256)
        self._has(place.parent)
        try:
            return checked(files.read(place).data, entry)
        except ImageError as error:
            raise OriginalsError(f"its original {place} {error}") from error

    def kept(self) -> list[Kept]:
        try:
            shelves = [one for one in self.folder.iterdir() if _SHELF.fullmatch(one.name) and self._has(one)]
            places = sorted(place for shelf in shelves for place in shelf.iterdir() if SHA256.fullmatch(place.name))
            sizes = {place.name: self._file(place) for place in places if place == self._place(place.name)}
            return [Kept(name, size) for name, size in sizes.items() if size is not None]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(error) from error

    def users(self) -> list[Path]:
        """Who keeps originals here: a repository's git directory, the one of all its worktrees, else a policy's folder.

        Raises OriginalsError when that cannot be read.
        """
        place = self.folder / USERS
        try:
            lines = place.read_bytes().split(b"\n") if self._file(place) is not None else []
        except OSError as error:
            raise self._failed(error) from error
        return [Path(os.path.realpath(self.folder / os.fsdecode(line))) for line in lines if line]

    def _make_known(self) -> None:
        """Have the repository know of the folder, and the folder of who uses it; git passes by a new one."""
        if self._repository is not None:
            remember(self._repository, self.folder)
        user = self._policy if self._repository is None else self._repository.common
        if user is None or (user := Path(os.path.realpath(user))) in self.users():
            return
        # what the folder lies in, and what lies beside it, moves with it
        home = user if self._repository is None else user.parent
        real = Path(os.path.realpath(self.folder))
        together = real.is_relative_to(home) or user.is_relative_to(real.parent)
        line = os.path.relpath(user, real) if together else str(user)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            ours = all(_is_state(one.name) for one in self.folder.iterdir())  # no ignoring what is not
            if ours and not _goes_with_its_tree(self.folder):
                files.create(self.folder / ".gitignore", _IGNORE, overwrite=True)
            files.append(self.folder / USERS, os.fsencode(line) + b"\n")
        except ImageError as error:
            raise OriginalsError(f"{self.folder}: cannot be used for originals: {error}") from error
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OriginalsError:
        return OriginalsError(f"{self.folder}: cannot be used for originals: {error.strerror or error}")

    def drop(self, contents: Collection[str]) -> None:
        try:
            for place in map(self._place, contents):
                if self._has(place.parent):
                    place.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from error

    def _has(self, shelf: Path) -> bool:
        """Whether there is such a folder. Raises OriginalsError for a link: it may be a stranger's, and lead anywhere.

        Come with a clone, it would have us write or remove files outside of what the policy names.
        """
        status = self._status(shelf)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise OriginalsError(f"{shelf}: is not a folder, and no link is followed among originals: remove it")
        return status is not None

    def _file(self, place: Path) -> int | None:
        """Bytes of a regular file; None if there is none. Raises OriginalsError for a link and all else."""
        status = self._status(place)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise OriginalsError(f"{place}: is not a regular file, and no link is followed among originals: remove it")
        return None if status is None else status.st_size

    def _status(self, place: Path) -> os.stat_result | None:
        try:
            return place.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from error

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256


def belongings(folder: Path, *, named: bool = False) -> list[Path]:
    """What a store of originals has put into ``folder``, where other files may lie too; nothing where it is no store.

    A folder in which originals lie is one if who uses it is written there, or if it was ``named`` as one.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208  # names are what is asked for
        shelves = [name for name in names if _is_shelf(folder / name)] if named or USERS in names else []
    except OSError:
        return []
    ours = [name for name in names if tells_of_originals(name) or _is_our_ignore(folder / name)]
    return [folder / name for name in (*shelves, *ours)] if shelves else []


def is_original(path: PurePath) -> bool:
    """Whether a path is that of an original in a folder, by its last two names."""
    return SHA256.fullmatch(path.name) is not None and path.parent.name == path.name[:2]


def tells_of_originals(name: str) -> bool:
    """Whether a file of this name in a folder of originals tells of them, and of who keeps them."""
    return name == USERS or _is_state(name)


def _is_shelf(folder: Path) -> bool:
    """Whether originals lie in a folder; one that cannot be read may hold some."""
    if _SHELF.fullmatch(folder.name) is None or not folder.is_dir():
        return False
    try:
        return any(map(is_original, folder.iterdir()))
    except OSError:
        return True


def _is_our_ignore(path: Path) -> bool:
    return path.name == ".gitignore" and files.holds(path, files.digest(_IGNORE))


def _goes_with_its_tree(folder: Path) -> bool:
    """Whether git removes the working tree around a folder at a word, unless it sees something untracked in it.

    So it does with linked worktrees and submodules: there, originals must not be ignored.
    """
    if (repository := git.find(folder)) is None or not (repository.root / ".git").is_file():
        return False
    if repository.own != repository.common:
        return True
    with contextlib.suppress(OriginalsError):  # git cannot be asked
        return bool(git.run(repository.root, "rev-parse", "--show-superproject-working-tree").strip())
    return True


def _is_state(name: str) -> bool:
    """Whether a file lies in a folder of originals because that is the state folder outside git."""
    return name in ("guard", "journal") or name.startswith("digests-") or files.is_temporary(name)
