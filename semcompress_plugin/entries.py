"""The lines of a lock: what one says, how it is written, how many are indexed. Pure: text in, values out.

A lock is a header and one line of JSON per settled content. Every line begins with what identifies it, so that sorting
entries is sorting lines, and a merge of two locks is the union of their lines.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from semcompress_plugin.errors import LockError
from semcompress_plugin.types import Scores, Settings

VERSION = 1
HEADER = f'{{"format": "semcompress.lock", "version": {VERSION}}}'
Relation = Literal["replaced", "beside", "kept"]

_CONTENT = r'\{{"sha256": "(?P<{}>[0-9a-f]{{64}})", "bytes": \d+\}}'
_STRING = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
# The key is the identity of an entry; the rest is what was found about it.
_LINE = re.compile(
    rf'^(?P<key>\{{"original": {_CONTENT.format("original")}, "output": {_CONTENT.format("output")},'
    rf' "relation": "(?:replaced|beside|kept)",'
    rf' "policy": {_STRING}, "path": (?P<path>{_STRING})), "name": .*\}}$',
    re.MULTILINE,
)
_VERSION = re.compile(r'^\ufeff?\{"format": "semcompress\.lock", "version": (\d{1,9})', re.MULTILINE)
_CONFLICT = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHA256 = re.compile("[0-9a-f]{64}")
_GIT_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_MODE = re.compile("[0-7]{1,4}")
_AFTER_KEY = ', "name": '
"""Where the identity of a line ends; within a string these quotes would be escaped."""
_AFTER_NAME = '", "mode": '
_PIXELS = ', "pixels": "'
_SIGNIFICANT = 6


@dataclass(frozen=True, slots=True)
class Content:
    """A content: its SHA-256 in hexadecimal and its size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A settled content.

    ``relation``: the output *replaced* its original, lies *beside* it, or is the original itself, *kept* because
    nothing smaller was found. ``path`` is where the output lay, relative to the lock, with ``/``; ``name`` and
    ``mode`` (permission bits) are the original's. ``policy`` is the digest of what the user asked for; ``made_with``
    holds name -> version of what decided. ``blob`` is the git id of a replaced original. ``looks`` is what the search
    cost. ``generation`` counts lossy steps from the first original: 0 when kept, 1 as a rule, more only after
    ``--allow-generation-loss``. Scores are kept to six significant digits. ``pixels`` is the output's fingerprint
    (:mod:`semcompress_plugin.pixels`), where it is known; ``edited`` says that this output is not as we wrote it:
    somebody changed what lies beside its pixels. ``refused`` is the digest of another policy, under which
    such an output was found not to hold: it stays all the same.
    """

    original: Content
    output: Content
    relation: Relation
    policy: str
    path: str
    name: str
    mode: int = 0o644
    blob: str | None = None
    compressor: str | None = None
    settings: Settings = field(default_factory=dict)
    scores: Scores = field(default_factory=dict)
    looks: int = 0
    generation: int = 1
    made_with: Mapping[str, str] = field(default_factory=dict)
    pixels: str | None = None
    edited: bool = False
    refused: str | None = None


def parse(text: str, where: str) -> tuple[Entry, ...]:
    """The entries of a lock, sorted, each once.

    Raises LockError, naming ``where:line``, for conflict markers, damaged lines and a newer format.
    """
    index = Index()
    index.add(sorted(_careful(text, where)))
    return tuple(decode(line) for line in sorted(index.lines.values()))


def render(entries: Iterable[Entry]) -> str:
    """A lock's text: the same for the same entries in any order.

    Of two entries with one identity the one whose line sorts last is taken.
    """
    index = Index()
    index.add(sorted(map(encode, entries)))
    return index.text()


def encode(entry: Entry) -> str:
    """One line, without its end."""
    record = {
        "original": {"sha256": entry.original.sha256, "bytes": entry.original.bytes},
        "output": {"sha256": entry.output.sha256, "bytes": entry.output.bytes},
        "relation": entry.relation,
        "policy": entry.policy,
        "path": entry.path,
        "name": entry.name,
        "mode": f"{entry.mode:o}",
        "blob": entry.blob,
        "compressor": entry.compressor,
        "settings": {name: _number(value) for name, value in sorted(entry.settings.items())},
        "scores": {
            evaluator: {name: _number(value, _SIGNIFICANT) for name, value in sorted(metrics.items())}
            for evaluator, metrics in sorted(entry.scores.items())
        },
        "looks": entry.looks,
        "generation": entry.generation,
        "made_with": dict(sorted(entry.made_with.items())),
    }
    record |= {} if entry.pixels is None else {"pixels": entry.pixels}
    record |= {"edited": True} if entry.edited else {}
    record |= {} if entry.refused is None else {"refused": entry.refused}
    return _json(record)


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # names that are not UTF-8 arrive as lone surrogates, which no encoding writes
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def decode(line: str) -> Entry:
    """The entry of one line. Raises ValueError when it is not one."""
    try:
        return _entry(json.loads(line))
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=64)
def _decoded_once(lines: tuple[str, ...]) -> tuple[Entry, ...]:
    """Each of many copies of one picture asks for the lines of all."""
    return tuple(map(decode, lines))


class Index:
    """The lines of a lock by what their outputs are. Lines are decoded when they are asked for.

    There may be many: each line is held once, beside the digest of its output.
    """

    def __init__(self) -> None:
        self._by_output: dict[str, tuple[str, ...]] = {}
        self._grouped: dict[str, dict[str, list[str]]] = {}
        """Lines, sorted, by what else they may be asked by; made when first asked, which a run with nothing to do
        never does.
        """

    @classmethod
    def load(cls, text: str, where: str) -> Index:
        """Index a lock's text. Raises LockError as :func:`parse` does; a line that only looks right, when asked for."""
        index = cls()
        if not (text.startswith(f"{HEADER}\n") and index._take_sound(text)):
            index = cls()
            index.add(sorted(_careful(text, where)))
        return index

    @classmethod
    def salvage(cls, text: str) -> Index:
        """Index whatever lines are whole, and pass over the rest (a journal's torn last line)."""
        index = cls()
        # git writes locks with the line ends that its user wants
        index.add(match[0] for match in _LINE.finditer(text.replace("\r\n", "\n")) if _is_entry(match[0]))
        return index

    @property
    def lines(self) -> dict[str, str]:
        """Identity -> line."""
        return {identity(line): line for lines in self._by_output.values() for line in lines}

    def __len__(self) -> int:
        return sum(map(len, self._by_output.values()))

    def add(self, lines: Iterable[str]) -> None:
        """Take these lines, over those that have the same identity."""
        for line in lines:
            key, output = _parts(line).group("key", "output")
            known = self._by_output.get(output, ())
            replaced = tuple(line if one.startswith(f"{key}, ") else one for one in known)
            self._by_output[output] = replaced if line in replaced else (*known, line)
        self._grouped.clear()

    def settles(self, sha256: str, policy: str) -> bool:
        """Whether a content is an output under this policy, or one that only ever lay beside originals under any.

        Told by what identifies a line, which is not decoded: thousands of pictures are settled as a rule.
        """
        lines = self._by_output.get(sha256)
        if lines is None:
            return False
        under = f'"policy": {json.dumps(policy, ensure_ascii=False)}, "path": "'
        keys = [line.partition(_AFTER_KEY)[0] for line in lines]
        if any(under in key for key in keys):
            return True
        # what also took an original's place may lie in one: where it lies has to be asked then
        return any('"relation": "beside"' in key for key in keys) and not any(
            '"relation": "replaced"' in key for key in keys
        )

    def kept_suffix(self, sha256: str, suffix: str) -> bool:
        """Whether there are lines of an output, and in all of them its original has this suffix; none is decoded."""
        names = (line.partition(_AFTER_KEY)[2].partition(_AFTER_NAME)[0] for line in self._by_output.get(sha256, ()))
        return sha256 in self._by_output and all(name.endswith(f".{suffix}") for name in names)

    def by_output(self, sha256: str) -> tuple[Entry, ...]:
        return self._entries(self._by_output, sha256)

    def by_original(self, sha256: str) -> tuple[Entry, ...]:
        return self._entries(self._by("original", lambda line: _parts(line)["original"]), sha256)

    def by_path(self, path: str) -> tuple[Entry, ...]:
        """What was settled at ``path``, as entries spell it."""
        return self._entries(self._by("path", lambda line: json.loads(_parts(line)["path"])), path)

    def by_pixels(self, fingerprint: str) -> tuple[Entry, ...]:
        """The outputs that have these pixels."""
        return self._entries(self._by("pixels", pixels_of), fingerprint)

    def entries(self) -> Iterator[Entry]:
        """Every entry, in no particular order."""
        return (decode(line) for lines in self._by_output.values() for line in lines)

    def text(self) -> str:
        return "\n".join([HEADER, *sorted(line for lines in self._by_output.values() for line in lines), ""])

    def _take_sound(self, text: str) -> bool:
        """Index a text that is just as :meth:`text` writes it; False, with no telling what was indexed, for others."""
        count, before, key_before = 0, "", ""
        for match in _LINE.finditer(text, len(HEADER) + 1):
            line, key, output = match.group(0, "key", "output")
            if line <= before or key == key_before:
                return False
            known = self._by_output.get(output)
            self._by_output[output] = (line,) if known is None else (*known, line)
            count, before, key_before = count + 1, line, key
        return count + 1 == text.count("\n")

    def _by(self, what: str, key: Callable[[str], str]) -> Mapping[str, Sequence[str]]:
        if what not in self._grouped:
            groups = self._grouped[what] = {}
            for line in sorted(line for lines in self._by_output.values() for line in lines):
                groups.setdefault(key(line), []).append(line)
        return self._grouped[what]

    def _entries(self, index: Mapping[str, Sequence[str]], key: str) -> tuple[Entry, ...]:
        try:
            return _decoded_once(tuple(index.get(key, ())))
        except ValueError as error:
            raise LockError(f"the lock's line for {key} is damaged ({error}): take it from git again") from error


def origin(entries: Iterable[Entry], here: str) -> Entry | None:
    """Of entries about one output the one that tells of the file at ``here`` (as entries spell paths).

    Two originals may have become one output: that which lay here is meant, else one of the same name. None where
    there is none, or where more than one original could be meant.
    """
    known = list(entries)
    name = here.rpartition("/")[2]
    at_home = [entry for entry in known if entry.path == here]
    namesakes = [entry for entry in known if entry.path.rpartition("/")[2] == name]
    candidates = at_home or namesakes or known
    return candidates[0] if len({entry.original.sha256 for entry in candidates}) == 1 else None


def ambiguous(entries: Iterable[Entry]) -> str:
    """What to say of an output for which :func:`origin` finds no single original."""
    names = sorted({entry.name for entry in entries})
    if len(names) == 1:
        return (
            f"more than one original called {names[0]} became this very file (`semcompress originals list` names them)"
        )
    return f"{' and '.join(names)} became this very file: give it the name of the one that it is"


def identity(line: str) -> str:
    """What identifies a line: its beginning, up to and with the path. Raises ValueError where it is no line."""
    return _parts(line)["key"]


def output_of(line: str) -> str:
    """The SHA-256 of the output that a line tells of; empty where it is no line."""
    match = _LINE.fullmatch(line)
    return "" if match is None else match["output"]


def is_sound(lines: Iterable[bytes]) -> bool:
    """Whether these lines of a file, with their ends, are a lock just as it is written: sorted, no identity twice."""
    rest = iter(lines)
    if next(rest, b"") != f"{HEADER}\n".encode():
        return False
    before = key_before = ""
    for line in rest:
        try:
            text = line.decode().removesuffix("\n")
        except UnicodeDecodeError:
            return False
        match = _LINE.fullmatch(text)
        if match is None or not line.endswith(b"\n") or text <= before or match["key"] == key_before:
            return False
        before, key_before = text, match["key"]
    return True


def lying_at(lines: Iterable[bytes], path: str) -> list[Entry]:
    """What a journal's lines say of the outputs that lay at ``path``, in the order in which that was settled."""
    wanted = f'"path": {_json(path)}{_AFTER_KEY}'.encode()
    found = []
    for line in lines:
        if wanted in line:
            with contextlib.suppress(ValueError):  # a torn last line
                found.append(decode(line.decode("utf-8", "surrogateescape")))
    return found


def pixels_of(line: str) -> str:
    """The fingerprint in a line; nothing where it has none."""
    _, there, rest = line.rpartition(_PIXELS)
    return rest.partition('"')[0] if there else ""


def lacking(lines: Iterable[bytes], new: Iterable[str]) -> list[bytes]:
    """Those of ``new``, with their ends, that a file does not end up with: of one identity the last line counts."""
    wanted = {_key(line): line for line in map(_as_written, new)}
    there: dict[bytes, bytes] = {}
    for line in lines:
        if (key := _key(line)) in wanted:
            there[key] = line
    return [line for key, line in wanted.items() if there.get(key) != line]


def merged(lines: Iterable[bytes], new: Iterable[str]) -> Iterator[bytes]:
    """A sound lock's lines, header and ends included, with new ones in the place of those of the same identity.

    One line is held at a time: a lock may be larger than all else that a run needs.
    """
    # the order of UTF-8's bytes is that of characters, and the header's that of a first line
    waiting = sorted({_key(line): line for line in map(_as_written, new)}.items(), reverse=True)
    for line in lines:
        while waiting and line > waiting[-1][0] and not line.startswith(waiting[-1][0]):
            yield waiting.pop()[1]
        if not (waiting and line.startswith(waiting[-1][0])):
            yield line
    yield from (line for _, line in reversed(waiting))


def _as_written(line: str) -> bytes:
    return f"{line}\n".encode("utf-8", "surrogateescape")


def _key(line: bytes) -> bytes:
    """A line's beginning up to its name: what identifies it."""
    key, name, _ = line.partition(_AFTER_KEY.encode())
    return key + name


def _parts(line: str) -> re.Match[str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"not a line of a lock: {line[:80]}")
    return match


def _careful(text: str, where: str) -> list[str]:
    """The lines, each checked by itself: slower, but able to say which one is wrong and what to do."""
    lines: list[str] = []
    headed = False
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        if line.startswith(_CONFLICT):
            raise LockError(
                f"{where}:{number}: a merge left conflict markers: run `semcompress lock --merge`, which keeps what "
                "both sides have settled (and `semcompress lock` says how git merges locks by itself)"
            )
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("not an object")
            if "format" in record:
                _check_version(record, f"{where}:{number}")
                headed = True
                continue
            entry = _entry(record)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise LockError(
                f"{where}:{number}: not a line of a lock ({error}): take the file from git again, or delete this line"
            ) from error
        if not headed:
            raise LockError(f"{where}:{number}: expected the header {HEADER} before this line: put it back")
        lines.append(line if _LINE.fullmatch(line) else encode(entry))
    return lines


def _check_version(record: Mapping[str, Any], place: str) -> None:
    if record["format"] != "semcompress.lock" or not isinstance(record.get("version"), int):
        raise LockError(f"{place}: not the header of a semcompress lock; expected {HEADER}")
    if record["version"] > VERSION:
        raise LockError(
            f"{place}: format {record['version']} is newer than this semcompress knows ({VERSION}): upgrade semcompress"
        )


def is_newer(text: str) -> bool:
    """Whether a lock says that it is of a newer format, in whatever state it is: it may hold markers of a merge."""
    return any(int(number) > VERSION for number in _VERSION.findall(text))


def _is_entry(line: str) -> bool:
    try:
        decode(line)
    except ValueError:
        return False
    return True


def _entry(record: Mapping[str, Any]) -> Entry:
    if record["relation"] not in ("replaced", "beside", "kept"):
        raise ValueError(f"unknown relation {record['relation']!r}")
    return Entry(
        original=_content(record["original"]),
        output=_content(record["output"]),
        relation=record["relation"],
        policy=_text(record["policy"]),
        path=_path(record["path"]),
        name=_name(record["name"]),
        mode=_mode(record["mode"]),
        blob=None if record["blob"] is None else _blob(record["blob"]),
        compressor=None if record["compressor"] is None else _text(record["compressor"]),
        settings={name: _value(value) for name, value in record["settings"].items()},
        scores={
            evaluator: {name: _value(value) for name, value in metrics.items()}
            for evaluator, metrics in record["scores"].items()
        },
        looks=int(record["looks"]),
        generation=int(record["generation"]),
        made_with={name: _text(version) for name, version in record["made_with"].items()},
        pixels=None if record.get("pixels") is None else _text(record["pixels"]),
        edited=record.get("edited") is True,
        refused=None if record.get("refused") is None else _text(record["refused"]),
    )


def _path(value: object) -> str:
    """A path to a file, which may lie above the lock."""
    path = _text(value)
    if "\0" in path or path.rpartition("/")[2] in ("", ".", ".."):
        raise ValueError(f"not a path of a file: {path!r}")
    return path


def _blob(value: object) -> str:
    """git's id of an object: it is handed to git."""
    if not _GIT_ID.fullmatch(_text(value)):
        raise ValueError(f"not the id of a git object: {value!r}")
    return str(value)


def _name(value: object) -> str:
    """A file's name alone: what is brought back under it must stay in its folder."""
    name = _text(value)
    if name in ("", ".", "..") or any(letter in name for letter in ("/", "\0", os.sep)):
        raise ValueError(f"not a file's name: {name!r}")
    return name


def _mode(value: object) -> int:
    if not _MODE.fullmatch(_text(value)):
        raise ValueError(f"not permission bits: {value!r}")
    return int(str(value), 8)


def _content(record: Mapping[str, Any]) -> Content:
    if not _SHA256.fullmatch(record["sha256"]):
        raise ValueError(f"not a SHA-256: {record['sha256']!r}")
    return Content(record["sha256"], int(record["bytes"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {value!r}")
    return value


def _number(value: float, digits: int | None = None) -> float | int | str:
    """As JSON has it: whole numbers without a fraction, and the numbers that JSON lacks as text."""
    if not math.isfinite(value):
        return str(float(value))
    rounded = value if digits is None else float(f"{value:.{digits}g}")
    return int(rounded) if float(rounded).is_integer() and abs(rounded) < 1e15 else float(rounded)


def _value(value: object) -> float:
    """A number, or one of those that JSON lacks, as text."""
    if not isinstance(value, (int, float, str)):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value) if isinstance(value, str) or abs(value) > 1e15 else value
