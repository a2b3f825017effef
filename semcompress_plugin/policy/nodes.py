"""YAML text as a tree in which every value knows its line and column.

Built from the parser's events, so that depth, size and duplicate keys are judged before anything grows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
MAX_NODES = 50_000
"""Counted with aliases written out: ten lines of nested aliases can stand for billions of nodes."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTES = "put a pattern that begins with {} in quotes"
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {
    spelt: word in ("true", "yes", "on")
    for word in ("true", "yes", "on", "false", "no", "off")
    for spelt in (word, word.title(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]{0,17})\Z")
# with an exponent but without a dot, `1e-3` is text to YAML 1.1; whoever writes it as a bound means a number
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*)?(\.[0-9_]*)?([eE][-+]?[0-9]+)?\Z")


class Finding(NamedTuple):
    """A mistake at a place in the text; ``line`` and ``column`` count from 1."""

    line: int
    column: int
    text: str


@dataclass(slots=True, eq=False)
class Node:
    """A value: a scalar, a list of nodes, or a mapping of text to nodes.

    ``keys`` holds a mapping's keys as nodes, for their places. ``source`` is a bare scalar as it was written.
    ``nodes`` and ``depth`` count what hangs below, this node included, with aliases written out. Nodes are equal only
    to themselves.
    """

    value: Any
    line: int
    column: int
    source: str | None = None
    keys: dict[str, Node] = field(default_factory=dict)
    nodes: int = 1
    depth: int = 1

    def __getitem__(self, key: str) -> Node | None:
        """The value under ``key``; None where this is no mapping or has no such key."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def finding(self, text: str) -> Finding:
        return Finding(self.line, self.column, text)

    def plain(self) -> Any:
        """The value as plain Python data."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value


class _UnreadableError(Exception):
    """Reading cannot go on; carries the finding that says why."""


def read(data: bytes) -> tuple[Node | None, list[Finding]]:
    """The document in ``data`` (UTF-8) and what is wrong with it; the tree is None where none could be read.

    Of duplicate keys the first is kept.
    """
    if len(data) > MAX_BYTES:
        return None, [Finding(1, 1, f"expected at most {MAX_BYTES >> 20} MiB, got {len(data):,} bytes")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - before.rfind(b"\n")
        return None, [Finding(before.count(b"\n") + 1, column, f"expected UTF-8, got byte 0x{data[error.start]:02x}")]
    reader = _Reader()
    try:
        return reader.document(text), reader.findings
    except _UnreadableError as stop:
        return None, [*reader.findings, stop.args[0]]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or ""
        # newer releases of libyaml have a limit of their own, a thousand levels: it may be reached before ours is asked
        said = _TOO_DEEP if "nesting depth" in problem else f"not YAML: {problem}"
        if error.context == "while scanning an alias":
            mark, said = error.context_mark or mark, f"not YAML: {_QUOTES.format('*')}"
        elif mark and "cannot start any token" in problem and text[mark.index : mark.index + 1] == "\t":
            said = "not YAML: a tab: indent with spaces"
        return None, [*reader.findings, Finding(mark.line + 1, mark.column + 1, said) if mark else Finding(1, 1, said)]
    except yaml.reader.ReaderError:
        bad = next((at for at, letter in enumerate(text) if not _allowed(letter)), 0)
        line, start = text.count("\n", 0, bad) + 1, text.rfind("\n", 0, bad)
        return None, [Finding(line, bad - start, f"not YAML: the character U+{ord(text[bad]):04X} is not allowed")]


def _allowed(letter: str) -> bool:
    return letter in "\t\n\r\x85" or " " <= letter <= "~" or (letter >= "\xa0" and letter not in "\ufffe\uffff")


class _Reader:
    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._anchors: dict[str, Node] = {}

    def document(self, text: str) -> Node:
        events = yaml.parse(text, Loader=_LOADER)
        root = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _UnreadableError(_at(event, "expected one document, got another one"))
                root = self._node(next(events), events, 1)
        return root or Node(None, 1, 1)

    def _node(self, event: Any, events: Iterator[Any], level: int) -> Node:
        if level > MAX_DEPTH:
            raise _UnreadableError(_at(event, _TOO_DEEP))
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _UnreadableError(_at(event, f"unknown alias *{event.anchor}; {_QUOTES.format('*')}"))
            return self._anchors[event.anchor]
        if event.tag is not None:
            hint = f"remove it{', or ' + _QUOTES.format('!') if event.tag.startswith('!') else ''}"
            self.findings.append(_at(event, f"tags such as {event.tag} are not allowed; {hint}"))
        node = Node(None, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            node.value = event.value
            if event.implicit[0]:  # bare, not quoted
                node.source, node.value = event.value, resolve(event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                child = self._node(item, events, level + 1)
                self._hang(node, item, child)
                node.value.append(child)
        else:
            self._mapping(node, events, level)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _mapping(self, node: Node, events: Iterator[Any], level: int) -> None:
        node.value = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, level + 1)
            child_event = next(events)
            child = self._node(child_event, events, level + 1)
            self._hang(node, child_event, child)
            if isinstance(key.value, (dict, list)):
                self.findings.append(key.finding("expected text as key, got a list or a mapping"))
                continue
            name = str(key.value) if key.source is None else key.source
            if name in node.value:
                first = node.keys[name]
                self.findings.append(key.finding(f"duplicate key {name!r}; it stands in line {first.line} already"))
            else:
                node.keys[name], node.value[name] = key, child

    def _hang(self, node: Node, event: Any, child: Node) -> None:
        node.nodes += child.nodes
        node.depth = max(node.depth, child.depth + 1)
        if node.nodes > MAX_NODES:
            raise _UnreadableError(_at(event, f"more than {MAX_NODES:,} values, aliases written out"))
        if node.depth > MAX_DEPTH:
            raise _UnreadableError(_at(event, _TOO_DEEP))


def _at(event: Any, text: str) -> Finding:
    return Finding(event.start_mark.line + 1, event.start_mark.column + 1, text)


def resolve(text: str) -> Any:
    """A bare scalar's value. As in YAML 1.1 `yes` and `on` are booleans; octal and base-60 numbers are text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INTEGER.match(text):
        return int(text.replace("_", ""))
    if _FLOAT.match(text):
        try:
            number = float(text.replace("_", ""))
        except ValueError:  # a lone sign, dot or exponent
            return text
        leading_zero = len(digits := text.lstrip("+-")) > 1 and digits[0] == "0" and digits.isdigit()
        return number if math.isfinite(number) and not leading_zero else text
    return text
