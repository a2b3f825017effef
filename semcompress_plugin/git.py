"""Finds the git repository of a folder without running git, and runs git where it must be run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.words import quoted

# Hooks inherit these; they would point git at the repository of the hook instead of that of the picture.
_INHERITED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
# Whoever sets these (`git --literal-pathspecs commit` hands them on to its hooks) means patterns of their own.
_PATHSPECS = ("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")
# No hooks, no helpers: nothing that a repository configures is run by us. Objects and refs reach the disk before we
# go on, and are not deflated: pictures do not shrink that way, and git repacks them some day.
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.fsync=objects,reference",
    "core.looseCompression=0",
)


@dataclass(frozen=True, slots=True)
class Repository:
    """``root`` is the working tree, ``common`` the git directory that all its worktrees share, ``own`` the one that is
    this working tree's alone (the same unless there are several)."""

    root: Path
    common: Path
    own: Path

    @property
    def state(self) -> Path:
        """The folder for what we remember and never commit."""
        return self.common / "semcompress"


def find(folder: Path) -> Repository | None:
    """The repository that ``folder`` lies in: the nearest ``.git`` at or above it (worktrees and submodules too)."""
    here = Path(os.path.realpath(folder))
    for root in (here, *here.parents):
        if (found := _directories(root / ".git")) is not None:
            return Repository(root, *found)
    return None


def run(
    folder: Path, *arguments: str, input: bytes | BinaryIO = b"", inherit: bool = False, ask: bool = False
) -> bytes:
    """git's output, run in ``folder``. Raises OriginalsError with the first line that git says when it fails.

    ``input`` may be another git's :func:`output`, of which nothing has been read.
    ``inherit`` obeys what git tells its hooks about the commit under way; ``folder`` must be that repository's. How
    paths are to be read is never inherited: we say it ourselves.
    ``ask`` lets git ask for a password where it is about to talk to a remote.
    """
    # a group of its own, unless it may have to ask: ^C is for us to answer, once what git does is done
    group = None if ask else 0
    environment = _environment(inherit, ask)
    with _starting():
        done = subprocess.run(
            _command(folder, arguments),
            input=input if isinstance(input, bytes) else None,
            stdin=None if isinstance(input, bytes) else input,
            capture_output=True,
            env=environment,
            check=False,
            process_group=group,
        )
    if done.returncode:
        said, *_ = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
        trust = f" (trust it: git config --global --add safe.directory {quoted(str(folder))})"
        raise OriginalsError(f"git {arguments[0]}: {said}{trust if 'dubious' in said else ''}")
    return done.stdout


def refs(folder: Path, *prefixes: str) -> list[tuple[str, str]]:
    """(object, name) of every ref, or of those below ``prefixes``; the object may be missing.

    Names may hold any byte, and what Python takes for a space or the end of a line. Raises OriginalsError.
    """
    answer = run(folder, "for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
    pairs = (line.partition(b" ") for line in answer.split(b"\n") if line)
    return [(one.decode(), os.fsdecode(name)) for one, _, name in pairs]


@contextlib.contextmanager
def output(folder: Path, *arguments: str, input: bytes = b"") -> Iterator[BinaryIO]:
    """git's output to be read as it comes, for what need not be held whole. How git ends is not told.

    Raises OriginalsError when git cannot be started.
    """
    import tempfile  # brings decompressors along: not for a run with nothing to do

    with tempfile.TemporaryFile() as asked:  # through a pipe, git and we might wait for each other
        asked.write(input)
        asked.seek(0)
        with _starting():
            process = subprocess.Popen(
                _command(folder, arguments),
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                process_group=0,
            )
        with process:
            assert process.stdout is not None
            yield cast(BinaryIO, process.stdout)


def _command(folder: Path, arguments: Iterable[str]) -> list[str]:
    options = [part for option in _OPTIONS for part in ("-c", option)]
    return ["git", "-C", str(folder), "--no-replace-objects", *options, *arguments]


def _environment(inherit: bool = False, ask: bool = False) -> dict[str, str]:
    dropped = _PATHSPECS if inherit else (*_INHERITED, *_PATHSPECS)
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment.update(LC_ALL="C", GIT_OPTIONAL_LOCKS="0", GIT_NO_LAZY_FETCH="1")
    if not ask:
        environment["GIT_TERMINAL_PROMPT"] = "0"
    return environment


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Says why git could not be started."""
    try:
        yield
    except FileNotFoundError as error:
        raise OriginalsError("git is not on the PATH, but this is a git repository: install git") from error
    except OSError as error:
        raise OriginalsError(f"git could not be started: {error.strerror or error}") from error


def _directories(git: Path) -> tuple[Path, Path] | None:
    """The common git directory, and that of the one working tree, by way of its ``.git``."""
    try:
        if git.is_file():  # a worktree or a submodule
            word, _, target = git.read_text(encoding="utf-8", errors="surrogateescape").strip().partition(": ")
            if word != "gitdir":
                return None
            git = git.parent / target
        if not (git / "HEAD").is_file():
            return None  # git passes by such folders too
        common, pointer = git, git / "commondir"
        if pointer.is_file():
            common = git / pointer.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None
    return Path(os.path.realpath(common)), Path(os.path.realpath(git))


def blob_id(data: bytes, length: int) -> str:
    """git's id of a blob; repositories come with ids of 40 digits (SHA-1) or 64 (SHA-256)."""
    hashed = hashlib.sha256() if length == 64 else hashlib.sha1(usedforsecurity=False)
    hashed.update(b"blob %d\0" % len(data))
    hashed.update(data)
    return hashed.hexdigest()


def blob_at(repository: Repository, revision: str, path: Path) -> bytes | None:
    """A file of the repository as ``revision`` has it (``:0:`` the index, ``HEAD:`` the commit); None if it has none.

    Nor where git cannot be asked: it may not trust the repository.
    """
    try:
        return run(repository.root, "cat-file", "blob", _named(repository, revision, path))
    except OriginalsError:
        return None


def surely_at(repository: Repository, revision: str, path: Path) -> bytes | None:
    """As :func:`blob_at`, but None only if ``revision`` has no such file.

    Raises OriginalsError where git cannot be asked, or knows of the file and has not fetched it (a partial clone).
    """
    if (data := blob_at(repository, revision, path)) is not None:
        return data
    run(repository.root, "rev-parse", "--git-dir")
    try:
        run(repository.root, "rev-parse", "--verify", "--quiet", _named(repository, revision, path))
    except OriginalsError:
        return None
    raise OriginalsError(f"{path} is not in this clone: fetch it (`git checkout {path.name}` in its folder)")


def _named(repository: Repository, revision: str, path: Path) -> str:
    name = os.path.relpath(os.path.realpath(path.parent), repository.root).replace(os.sep, "/")
    return f"{revision}{posixpath.normpath(f'{name}/{path.name}')}"
