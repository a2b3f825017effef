"""A page's tree as browsers build it, and where in the text its tags and their attributes' values stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"<([a-zA-Z][^\t\n\f\r />]*)")
_GAP = re.compile(r"[\t\n\f\r /]*")
_ATTRIBUTE = re.compile(
    r"(?P<name>=?[^\t\n\f\r />=]*)"
    r"(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?P<value>\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\t\n\f\r >]*)))?"
)
_READ_AS = {"image": "img"}
"""Names that the HTML standard has parsers take for others, outside of SVG."""

Node = Any
"""A node of justhtml: an element (``name``, ``namespace``, ``attrs``, ``children``), a text or a comment (``data``)."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag's place in the text, its name there in lower case, and the places of its attributes' values with
    their quotes.
    """

    start: int
    end: int
    name: str
    attributes: dict[str, tuple[int, int]]

    @classmethod
    def read(cls, text: str, node: Node) -> Tag | None:
        """The tag that ``node`` comes from, read by the HTML standard's tokenizer steps; None unless it is the same
        to us as to the parser (a tag may stand for an element of another name, or for several).
        """
        start = node.origin_offset
        if start is None or not (name := _NAME.match(text, start)):
            return None
        spelt = name[1].lower()
        if node.name.lower() not in (spelt, _READ_AS.get(spelt)):  # SVG's are feImage and the like
            return None
        values: dict[str, str] = {}
        places: dict[str, tuple[int, int]] = {}
        position = name.end()
        while True:
            position = _skip(text, position)
            if position >= len(text):
                return None
            if text[position] == ">":
                break
            match = _ATTRIBUTE.match(text, position)
            if match is None or match.end() == position:
                return None
            key = match["name"].lower()
            if key not in values:
                values[key] = next((value for value in match.group("double", "single", "bare") if value), "")
                if match["value"] is not None:
                    places[key] = match.span("value")
            position = match.end()
        known = {key.lower(): value or "" for key, value in node.attrs.items()}  # SVG's again: viewBox
        agrees = values.keys() == known.keys() and all(
            "&" in value or "\0" in value or lines(value) == known[key] for key, value in values.items()
        )
        return cls(start, position + 1, spelt, places) if agrees else None


def _skip(text: str, position: int) -> int:
    match = _GAP.match(text, position)
    assert match is not None  # it matches nothing, too
    return match.end()


def parse(text: str) -> Node:
    """The document. Places are those of ``text``, which therefore must not begin with a byte order mark."""
    from justhtml import JustHTML

    return JustHTML(text, sanitize=False, track_node_locations=True).root


def elements(root: Node) -> Iterator[Node]:
    """Every element in the order of the page. What a ``<template>`` holds is not the page's, and with scripts on (as
    we parse) a ``<noscript>`` holds text.
    """
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if getattr(node, "attrs", None) is not None:
            yield node
        waiting += reversed(getattr(node, "children", None) or ())


def base_href(root: Node) -> str | None:
    """What ``<base>`` says that the page's references are relative to."""
    return next((node.attrs["href"] for node in elements(root) if node.name == "base" and "href" in node.attrs), None)


def escaped(text: str) -> str:
    """``text`` as a value in double quotes."""
    return text.replace("&", "&amp;").replace('"', "&quot;")


def lines(text: str) -> str:
    """With every line end as one character, as a parser sees it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
