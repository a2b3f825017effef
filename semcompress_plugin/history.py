"""What any commit ever said in a lock of the repository: lines that a revert took, that a merge was settled without, or
that stayed on another branch when its pictures were taken from there.

An output of ours that no lock here knows would be shrunk a second time. History is walked once for new commits, as only
pictures that nothing is known of need it; what was found is noted in the state folder.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from semcompress_plugin import files, git, linewise
from semcompress_plugin.entries import Entry, decode, output_of
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.lock_in_git import NAME

_NOTED = "history"
_LOCKS = ("--", f":(top,glob)**/{NAME}")
# where a merge took one side, the other is as much a part of history
_COMMITS = ("rev-list", "--stdin", "--ignore-missing", "--full-history", *_LOCKS)
# of merges only what neither side has is shown
_PLAIN = ("--no-renames", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
_DIFFS = ("diff-tree", "--stdin", "--root", "-r", "--cc", "-p", "-U0", *_PLAIN, *_LOCKS)
_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_FILE = re.compile(r'\+\+\+ (?:b/(.*?)|("b/.*"))\t?')  # git puts a tab behind a name with spaces
_ADDED = re.compile(r"\++(\{.*\})\r?")


@dataclass(frozen=True, slots=True)
class Told:
    """A line that ``commit`` added to the lock in ``folder``, relative to the repository's root (empty: there)."""

    commit: str
    folder: str
    line: str

    def entry(self) -> Entry | None:
        """What the line says; None where it is no sound one."""
        with contextlib.suppress(ValueError):
            return decode(self.line)
        return None


class History:
    """The lines of a repository's locks in all commits that its refs, or the working tree's commit, lead to."""

    def __init__(self, repository: git.Repository) -> None:
        self._repository = repository

    def of(self, sha256: str) -> list[Told]:
        """What was ever said of a content as an output; nothing where git cannot be asked: it is a precaution."""
        return self._by_output.get(sha256, [])

    def is_behind(self, commit: str) -> bool:
        """Whether the working tree's commit came after this one: what it says was taken in here, once."""
        try:
            git.run(self._repository.root, "merge-base", "--is-ancestor", commit, "HEAD")
        except OriginalsError:  # git's way to say no
            return False
        return True

    @cached_property
    def _by_output(self) -> dict[str, list[Told]]:
        found: dict[str, list[Told]] = {}
        with contextlib.suppress(OriginalsError):
            for told in self._walked():
                found.setdefault(output_of(told.line), []).append(told)
        return found

    def _walked(self) -> list[Told]:
        tips = self._tips()
        before, known = self._noted()
        if tips <= before:
            return known
        wanted = "".join([*(f"{tip}\n" for tip in sorted(tips)), *(f"^{tip}\n" for tip in sorted(before))])
        root = self._repository.root
        commits = git.run(root, *_COMMITS, input=wanted.encode())
        new = list(_parsed(linewise.decode(git.run(root, *_DIFFS, input=commits)))) if commits else []
        self._note(tips | before, [*known, *new])
        return [*known, *new]

    def _tips(self) -> set[str]:
        """Commits that refs lead to, and the one that the working tree stands on; ours hold no commits."""
        listed = git.run(self._repository.root, "for-each-ref", "--format=%(objectname) %(refname)").decode()
        tips = {one for one, ref in map(str.split, listed.splitlines()) if not ref.startswith("refs/semcompress/")}
        with contextlib.suppress(OriginalsError):  # git's way to say that there is none yet
            tips.add(git.run(self._repository.root, "rev-parse", "--verify", "--quiet", "HEAD").decode().strip())
        return tips

    def _noted(self) -> tuple[set[str], list[Told]]:
        """The tips from which all has been walked, and what was found; nothing where that cannot be read."""
        try:
            head, *rows = linewise.decode((self._repository.state / _NOTED).read_bytes()).splitlines()
            tips = json.loads(head)
            if not (isinstance(tips, list) and all(isinstance(tip, str) and _ID.fullmatch(tip) for tip in tips)):
                return set(), []
            return set(tips), [Told(*json.loads(row)) for row in rows]
        except (OSError, ValueError, TypeError):
            return set(), []

    def _note(self, tips: Iterable[str], found: Iterable[Told]) -> None:
        rows = [json.dumps(sorted(tips)), *(json.dumps([told.commit, told.folder, told.line]) for told in found)]
        with contextlib.suppress(ImageError, OSError):  # then it is walked again
            self._repository.state.mkdir(parents=True, exist_ok=True)
            files.create(
                self._repository.state / _NOTED, linewise.encode("".join(f"{row}\n" for row in rows)), overwrite=True
            )


def _parsed(text: str) -> Iterator[Told]:
    """The lines that were added, out of what git shows of commits."""
    commit = folder = ""
    for line in text.split("\n"):
        if _ID.fullmatch(line):
            commit = line
        elif match := _FILE.fullmatch(line):
            name = match[1] if match[1] is not None else _unquoted(match[2]).removeprefix("b/")
            folder = name.rpartition("/")[0]
        elif (match := _ADDED.fullmatch(line)) and output_of(match[1]):
            yield Told(commit, folder, match[1])


def _unquoted(name: str) -> str:
    """A name as git quotes those with characters that would be misread: as C does."""
    return linewise.decode(linewise.encode(name[1:-1]).decode("unicode_escape").encode("latin-1"))
