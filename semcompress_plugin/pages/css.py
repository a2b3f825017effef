"""``image-set()`` for backgrounds in CSS: stylesheets, ``<style>`` elements and ``style`` attributes.

tinycss2 says where each token begins. The text stays as it is; after a declaration that names a picture with something
beside it follows a second one, which browsers that do not know ``image-set()`` skip::

    background: url(a.jpg) center;
    background: image-set(url("a.avif") type("image/avif"), url("a.jpg") type("image/jpeg")) center;
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from semcompress_plugin.pages.site import TYPES, Desk, suffix_of

_PROPERTIES = frozenset({"background", "background-image"})
_SETS = frozenset({"image-set", "-webkit-image-set"})
_LATE = frozenset({"var", "env", "attr"})
"""With these a browser finds out too late that it does not know ``image-set()``, and has no fallback any more."""
_NAMES = re.compile(r"url\(|image-set\(", re.IGNORECASE)
_NEWLINE = re.compile(r"\r\n|[\r\n\f]")

Token = Any
"""A token of tinycss2, which has no types."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new text, and how many declarations were added."""

    text: str
    count: int = 0


def rewrite(text: str, desk: Desk, *, quote: str = '"', declarations: bool = False) -> Rewritten:
    """``text`` with an ``image-set()`` after every background that has something beside it.

    ``declarations``: it is what stands in a ``style`` attribute, and no stylesheet. ``quote`` is what addresses are
    put in. A text that ends within a string, a block or a comment is left as it is, and noted.
    """
    if "url(" not in text.lower():
        return Rewritten(text)
    if (read := _read(text)) is None:
        desk.leave_css("has CSS that ends within a string, a block, a comment or a url(): that stays as it is")
        return Rewritten(text)
    tokens, source = read
    edits = list(_walk(tokens, len(text), source, desk, quote, inside=declarations))
    for position, addition in reversed(edits):
        text = text[:position] + addition + text[position:]
    return Rewritten(text, len(edits))


def renamed(text: str, desk: Desk, *, quote: str = '"') -> str:
    """``text`` with every ``url()``, and every string of an ``image-set()``, that names a picture with another name in
    the tree naming that.

    What ends within a string, a block or a comment is left as it is.
    """
    if not _NAMES.search(text) or (read := _read(text)) is None:
        return text
    tokens, source = read
    for start, end, new in reversed(list(_renames(source.spans(tokens, len(text)), source, desk, quote))):
        text = text[:start] + new + text[end:]
    return text


def _renames(
    tokens: Sequence[tuple[Token, int, int]], source: _Source, desk: Desk, quote: str, in_set: bool = False
) -> Iterator[tuple[int, int, str]]:
    """Each place however deep in ``tokens`` that names such a picture, or in an ``image-set()`` the type of one: where
    it begins and ends, and what it is to be.
    """
    type = None
    for token, start, stop in tokens:
        reference = str(token.value) if in_set and token.type == "string" else _reference(token)
        if reference is not None:
            new = desk.moved(reference)
            type = new and TYPES.get(suffix_of(new))
            if new:
                yield start, stop, f"url({_string(new, quote)})"
        elif token.type == "literal" and token.value == ",":
            type = None
        elif in_set and type and token.type == "function" and token.lower_name == "type":
            yield start, stop, f"type({_string(type, quote)})"
        else:
            inner = source.spans(getattr(token, "arguments", None) or getattr(token, "content", None) or (), stop - 1)
            is_set = token.type == "function" and token.lower_name in _SETS
            yield from _renames(inner, source, desk, quote, is_set)


def _read(text: str) -> tuple[list[Token], _Source] | None:
    """The tokens of ``text`` and their places; None for a text that ends within a string, a block or a comment."""
    import tinycss2

    tokens = tinycss2.parse_component_value_list(text + "/**/", skip_comments=False)
    source = _Source(text)
    if not tokens or tokens[-1].type != "comment" or source.start(tokens[-1]) != len(text):
        return None
    return tokens[:-1], source


class _Source:
    """Finds the place of a token in the text: tinycss2 counts lines and columns, with every line end as one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = [0, *(match.end() for match in _NEWLINE.finditer(text))]

    def start(self, token: Token) -> int:
        start: int = self._lines[token.source_line - 1] + token.source_column - 1
        return start

    def spans(self, tokens: Sequence[Token], end: int) -> list[tuple[Token, int, int]]:
        """Each token with its place; what ends the last is ``end``, where what it is in ends."""
        starts = [self.start(token) for token in tokens]
        return list(zip(tokens, starts, [*starts, end][1:], strict=True))


@dataclass(frozen=True, slots=True)
class _Declaration:
    """``name: value``, with its place; ``before`` is the white space that leads up to it."""

    name: str
    value: list[tuple[Token, int, int]]
    start: int
    before: str

    @property
    def end(self) -> int:
        return self.value[-1][2]


def _walk(
    tokens: Sequence[Token], end: int, source: _Source, desk: Desk, quote: str, inside: bool
) -> Iterator[tuple[int, str]]:
    """(position, addition) in order of position, for the contents of a block that ends at ``end``."""
    edits: list[tuple[int, str]] = []
    found: list[_Declaration] = []
    part: list[tuple[Token, int, int]] = []

    def close() -> None:
        if inside and (declaration := _declaration(part, source)):
            found.append(declaration)
        part.clear()

    for token, start, stop in source.spans(tokens, end):
        if token.type == "literal" and token.value == ";":
            close()
        elif token.type == "{} block" and not _is_custom(part):
            part.clear()  # it was a selector, or an at-rule
            edits += _walk(token.content, stop - 1, source, desk, quote, inside=True)
        else:
            part.append((token, start, stop))
    close()
    for number, declaration in enumerate(found):
        if declaration.name in _PROPERTIES and not any(_has(later, _SETS) for later in found[number:]):
            addition = _addition(declaration, source, desk, quote)
            edits += [(declaration.end, addition)] if addition else []
    return iter(sorted(edits))


def _declaration(part: list[tuple[Token, int, int]], source: _Source) -> _Declaration | None:
    """The declaration that a part between semicolons is, if it is one with a value."""
    blank = ("whitespace", "comment")
    before = source.text[part[0][1] : part[0][2]] if part and part[0][0].type == "whitespace" else ""
    words = [piece for piece in part if piece[0].type not in blank]
    if len(words) < 3 or words[0][0].type != "ident" or not _is_colon(words[1][0]):
        return None
    first, last = part.index(words[2]), part.index(words[-1])
    return _Declaration(words[0][0].lower_value, part[first : last + 1], words[0][1], before)


def _is_custom(part: list[tuple[Token, int, int]]) -> bool:
    """Whether this begins a custom property, whose value may hold anything: ``--name: {…}``."""
    words = [token for token, _, _ in part if token.type not in ("whitespace", "comment")]
    return len(words) > 1 and words[0].type == "ident" and words[0].value.startswith("--") and _is_colon(words[1])


def _is_colon(token: Token) -> bool:
    return bool(token.type == "literal" and token.value == ":")


def _has(declaration: _Declaration, functions: frozenset[str]) -> bool:
    return declaration.name in _PROPERTIES and any(
        name in functions for token, _, _ in declaration.value for name in _functions(token)
    )


def _functions(token: Token) -> Iterator[str]:
    if token.type == "function":
        yield token.lower_name
    for attribute in ("arguments", "content"):
        for child in getattr(token, attribute, None) or ():
            yield from _functions(child)


def _addition(declaration: _Declaration, source: _Source, desk: Desk, quote: str) -> str | None:
    """What is to follow ``declaration``: the same with ``image-set()`` where something lies beside a picture."""
    if _has(declaration, _LATE) or any(token.type == "error" for token, _, _ in declaration.value):
        return None
    pieces: list[str] = []
    done, changed = declaration.start, False
    for token, start, stop in declaration.value:
        reference = _reference(token)
        if reference is not None and (images := _image_set(reference, desk, quote)):
            pieces += [source.text[done:start], images]
            done, changed = stop, True
    if not changed:
        return None
    return f";{declaration.before}{''.join(pieces)}{source.text[done : declaration.end]}"


def _reference(token: Token) -> str | None:
    """What a ``url()`` names, with or without quotes; one with modifiers is none of ours."""
    if token.type == "url":
        return str(token.value)
    if token.type == "function" and token.lower_name == "url":
        strings = [child for child in token.arguments if child.type not in ("whitespace", "comment")]
        if len(strings) == 1 and strings[0].type == "string":
            return str(strings[0].value)
    return None


def _image_set(reference: str, desk: Desk, quote: str) -> str | None:
    found = desk.find(reference)
    offers = desk.offers([found])
    if found is None or not offers:
        return None
    own = TYPES.get(PurePosixPath(found.picture.path).suffix.lower())
    if own is None:
        return None
    choices = [*((references[0], type) for type, references in offers), (reference, own)]
    options = ", ".join(f"url({_string(text, quote)}) type({_string(type, quote)})" for text, type in choices)
    return f"image-set({options})"


def _string(text: str, quote: str) -> str:
    """A CSS string; ``<`` is escaped as well, which could end a ``<style>``."""
    escaped = re.sub(r"[\\\n\r\f<>\"']", lambda character: f"\\{ord(character[0]):x} ", text)
    return f"{quote}{escaped}{quote}"
