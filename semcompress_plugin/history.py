"""What any commit ever said in a lock of the repository: lines that a revert took, that a merge was settled without, or
that stayed on another branch when its pictures were taken from there.

An output of ours that no lock here knows would be shrunk a second time. History is walked once for new commits, as only
pictures that nothing is known of need it; what was found is noted in the state folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from semcompress_plugin import files, git, linewise
from semcompress_plugin.entries import Entry, decode, output_of, pixels_of
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.lock_in_git import NAME

_NOTED = "history"
_LOCKS = ("--", f":(top,glob)**/{NAME}")
# Noted tips may be gone since (an amended commit, once git has tidied up); that they may counts for what is read after
# it is said. Where a merge took one side, the other is as much a part of history.
_COMMITS = ("rev-list", "--ignore-missing", "--stdin", "--full-history", *_LOCKS)
# Of merges what the first parent lacks. Nobody wants to see a lock's changes, so it may be said to be no text.
_PLAIN = ("--text", "--no-renames", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
_DIFFS = ("diff-tree", "--stdin", "--root", "-r", "-m", "--first-parent", "-p", "-U0", *_PLAIN, *_LOCKS)
_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_FILE = re.compile(r'\+\+\+ (?:b/(.*?)|("b/.*"))\t?')  # git puts a tab behind a name with spaces
_ADDED = re.compile(r"\+(\{.*\})\r?")
_MANY_TIPS = 4096
"""So many are noted with what they led to in earlier runs: more cost git more than walking some commits again."""


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
    """The lines of a repository's locks in all commits that its refs, or the working tree's commit, lead to.

    Unless it is to ``learn``, nothing is noted: then nothing at all is written.
    """

    def __init__(self, repository: git.Repository, *, learn: bool = True) -> None:
        self._repository, self._learn = repository, learn
        self._behind: dict[str, bool] = {}
        self._fingerprints: frozenset[int] = frozenset()
        """Hashes of all fingerprints, which stay when lines are let go of: most pictures have none of them."""

    def of(self, sha256: str) -> list[Told]:
        """What was ever said of a content as an output; nothing where git cannot be asked: it is a precaution."""
        return self._by_output.get(sha256, [])

    def with_pixels(self, fingerprint: str) -> list[Told]:
        """What was ever said of outputs that have these pixels; nothing before anybody has asked for a content."""
        return self._by_pixels.get(fingerprint, []) if hash(fingerprint) in self._fingerprints else []

    def forget(self) -> None:
        """Let go of what was read; it is read again when it is next asked for."""
        for name in ("_told", "_by_output", "_by_pixels"):
            self.__dict__.pop(name, None)

    def is_behind(self, commit: str) -> bool:
        """Whether the working tree's commit came after this one: what it says was taken in here, once."""
        if commit not in self._behind:
            self._behind[commit] = False
            with contextlib.suppress(OriginalsError):  # git's way to say no
                git.run(self._repository.root, "merge-base", "--is-ancestor", commit, "HEAD")
                self._behind[commit] = True
        return self._behind[commit]

    @cached_property
    def _by_output(self) -> dict[str, list[Told]]:
        return self._by(output_of)

    @cached_property
    def _by_pixels(self) -> dict[str, list[Told]]:
        return self._by(pixels_of)

    def _by(self, key: Callable[[str], str]) -> dict[str, list[Told]]:
        found: dict[str, list[Told]] = {}
        for told in self._told:
            found.setdefault(key(told.line), []).append(told)
        return found

    @cached_property
    def _told(self) -> list[Told]:
        found: list[Told] = []
        with contextlib.suppress(OriginalsError):
            found = self._walked()
        self._fingerprints = frozenset(hash(pixels) for pixels in (pixels_of(told.line) for told in found) if pixels)
        return found

    def _walked(self) -> list[Told]:
        tips, depth = self._tips(), self._depth()
        before, known = self._noted(depth)
        if tips <= before:
            return known
        wanted = "".join([*(f"{tip}\n" for tip in sorted(tips)), *(f"^{tip}\n" for tip in sorted(before))])
        root = self._repository.root
        commits = git.run(root, *_COMMITS, input=wanted.encode())
        new = _parsed(io.BytesIO(git.run(root, *_DIFFS, input=commits))) if commits else ()
        found = list(dict.fromkeys((*known, *new)))  # what was noted may be walked again
        if self._learn:
            read = tips - self._missing(tips)
            self._note(read | before if len(before) < _MANY_TIPS else read, depth, found)
        return found

    def _missing(self, tips: Iterable[str]) -> set[str]:
        """Tips whose object is not there, which were passed by: they may be mended some day."""
        asked = "".join(f"{tip}\n" for tip in tips).encode()
        told = git.run(self._repository.root, "cat-file", "--batch-check=%(objecttype)", input=asked).decode()
        return {line.removesuffix(" missing") for line in told.splitlines() if line.endswith(" missing")}

    def _tips(self) -> set[str]:
        """Commits that refs lead to, and the one that the working tree stands on; ours hold no commits."""
        refs = git.refs(self._repository.root)
        tips = {one for one, ref in refs if not ref.startswith("refs/semcompress/")}
        with contextlib.suppress(OriginalsError):  # git's way to say that there is none yet
            tips.add(git.run(self._repository.root, "rev-parse", "--verify", "--quiet", "HEAD").decode().strip())
        return tips

    def _depth(self) -> str:
        """Where history ends in this clone, if not where it began: below noted tips there may be more some day."""
        try:
            return files.digest((self._repository.common / "shallow").read_bytes())
        except OSError:
            return ""

    def _noted(self, depth: str) -> tuple[set[str], list[Told]]:
        """The tips from which all has been walked, and what was found; nothing where that cannot be read, or where
        history reached less far.
        """
        try:
            head, *rows = linewise.decode(files.read(self._repository.state / _NOTED).data).splitlines()
            tips, deep = json.loads(head)
            found = [Told(*json.loads(row)) for row in rows]
            if deep == depth and all(map(_is_sound, found)) and all(map(_ID.fullmatch, tips)):
                return set(tips), found
        except (ImageError, OSError, ValueError, TypeError, RecursionError):
            pass
        return set(), []

    def _note(self, tips: Iterable[str], depth: str, found: Iterable[Told]) -> None:
        rows = (json.dumps([told.commit, told.folder, told.line]) for told in found)
        text = "".join(f"{row}\n" for row in (json.dumps([sorted(tips), depth]), *rows))
        with contextlib.suppress(ImageError, OSError):  # then it is walked again
            self._repository.state.mkdir(parents=True, exist_ok=True)
            files.create(self._repository.state / _NOTED, linewise.encode(text), overwrite=True)


def _is_sound(told: Told) -> bool:
    """Whether a row of the note may be what was written there."""
    return bool(_ID.fullmatch(told.commit) and isinstance(told.folder, str) and output_of(told.line))


def _parsed(lines: Iterable[bytes]) -> Iterator[Told]:
    """The lines that were added, out of what git shows of commits."""
    commit = folder = ""
    in_header = False  # what a lock may hold looks like a header, too, but for its first line
    for line in (linewise.decode(line).removesuffix("\n") for line in lines):
        if _ID.fullmatch(line):
            commit = line
        elif line.startswith(("diff ", "@@")):
            in_header = not line.startswith("@@")
        elif in_header:
            if match := _FILE.fullmatch(line):
                name = match[1] if match[1] is not None else _unquoted(match[2]).removeprefix("b/")
                folder = name.rpartition("/")[0]
        elif (match := _ADDED.fullmatch(line)) and output_of(match[1]):
            yield Told(commit, folder, match[1])


def _unquoted(name: str) -> str:
    """A name as git quotes those with characters that would be misread: as C does."""
    return linewise.decode(linewise.encode(name[1:-1]).decode("unicode_escape").encode("latin-1"))
