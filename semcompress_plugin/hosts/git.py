"""git as a host: what the commit under way holds, as its hook sees it, and where hooks live."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from semcompress_plugin import git
from semcompress_plugin.entries import Index
from semcompress_plugin.errors import LockError, OriginalsError, UsageError
from semcompress_plugin.lock_in_git import is_foreign, no_lock
from semcompress_plugin.types import SUFFIXES


@dataclass(frozen=True)
class Commit:
    """What the next commit of the working tree ``root`` would hold: git's index.

    git tells its hooks by environment variables which index it commits (``git commit -a`` and ``git commit PATH`` have
    one of their own), so these are obeyed here. Paths are absolute.
    """

    root: Path

    @classmethod
    def of(cls, folder: Path) -> Commit:
        """The one of the repository that ``folder`` lies in. Raises UsageError where there is none."""
        return cls(_repository(folder).root)

    def pictures(self) -> list[Path]:
        """Pictures that the commit adds, changes or renames, and that the work tree has as regular files."""
        return [path for path in self._changed if path.is_file() and not path.is_symlink()]

    def gone(self) -> list[Path]:
        """Those that the work tree has no more, though it should: a sparse checkout leaves others out."""
        return [path for path in self._changed if not os.path.lexists(path) and path in self.unstaged]

    def content(self, path: Path) -> bytes:
        """The file ``path`` as the commit has it. Raises OriginalsError where it has none."""
        name = os.path.relpath(path, self.root).replace(os.sep, "/")
        return git.run(self.root, "cat-file", "blob", f":0:{name}", inherit=True)

    def holds(self, path: Path) -> bool:
        """Whether the commit has the file ``path`` just as the work tree has it."""
        return path in self._tracked and path not in self.unstaged

    @cached_property
    def unstaged(self) -> frozenset[Path]:
        """Files of the index that the work tree has otherwise, or not at all."""
        # files that were merely touched do not count
        return frozenset(self._names("-c", "diff.autoRefreshIndex=true", "diff", "--name-only", *_PLAIN))

    @property
    def is_of_paths(self) -> bool:
        """Whether it takes nothing but the paths it names (``git commit PATH``): what else is staged stays behind."""
        return Path(os.environ.get("GIT_INDEX_FILE", "")).name.startswith("next-index-")

    def lock(self, path: Path, staged: bool = False) -> Index:
        """The lock ``path`` as the commit has it, or as it is ``staged`` whatever the commit takes of that; empty where
        there is none. Raises LockError if that is not sound.
        """
        name = os.path.relpath(path, self.root).replace(os.sep, "/")
        try:
            data = git.run(self.root, "cat-file", "blob", f":0:{name}", inherit=not staged)
        except OriginalsError:  # git's words for "not there" change; the answer does not
            return Index()
        text = data.decode("utf-8", "surrogateescape")
        if is_foreign(text):
            raise LockError(no_lock(path))
        return Index.load(text, f"{path} (as it is staged)")

    @cached_property
    def _changed(self) -> list[Path]:
        # no content is compared: a rename with a change is a new name
        changed = self._names("diff", "--cached", "--name-only", "--no-renames", "--diff-filter=ACMR", *_PLAIN)
        return [path for path in changed if path.suffix.lower() in SUFFIXES]

    @cached_property
    def _tracked(self) -> frozenset[Path]:
        return frozenset(self._names("ls-files", "--cached", "-z"))

    def _names(self, *arguments: str) -> list[Path]:
        try:
            listed = git.run(self.root, *arguments, inherit=True)
        except OriginalsError:
            git.run(
                self.root, "rev-parse", "--git-dir", inherit=True
            )  # of a repository it does not trust diff says less
            raise
        return [self.root / os.fsdecode(name) for name in listed.split(b"\0") if name]


def hooks_folder(folder: Path) -> Path:
    """Where git looks for hooks of the repository that ``folder`` lies in: ``core.hooksPath``, if it is set for it.

    Raises UsageError when ``core.hooksPath`` is set for all repositories: what lies there serves others, too.
    """
    repository = _repository(folder)
    # every value with its scope; the last one counts, but for the one that git.run itself gives
    listed = git.run(folder, "config", "--show-scope", "--type=path", "-z", "--get-all", "core.hooksPath")
    fields = [os.fsdecode(field) for field in listed.split(b"\0")]
    settings = [(scope, path) for scope, path in _pairs(fields) if scope != "command"]
    if not settings:
        return repository.common / "hooks"
    scope, path = settings[-1]
    if scope not in ("local", "worktree"):
        raise UsageError(
            f"{path}: core.hooksPath is set for all repositories ({scope}), so semcompress installs nothing there; "
            "set it for this one with `git config core.hooksPath DIR`, or call `semcompress compress --hook` there"
        )
    return repository.root / path


_PLAIN = ("-z", "--no-ext-diff", "--no-relative", "--ignore-submodules=all")


def _repository(folder: Path) -> git.Repository:
    repository = git.find(folder)
    if repository is None:
        raise UsageError(f"{folder}: not in a git repository")
    return repository


def _pairs(fields: list[str]) -> Iterable[tuple[str, str]]:
    return zip(fields[::2], fields[1::2], strict=False)
