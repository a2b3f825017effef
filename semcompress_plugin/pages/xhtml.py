"""The tags of an XHTML page, which browsers read as XML, and where in the text their attributes' values stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ATTRIBUTE = re.compile(r"[ \t\r\n]*([^ \t\r\n=/>\"'<]+)[ \t\r\n]*=[ \t\r\n]*(\"[^\"<]*\"|'[^'<]*')")


@dataclass(frozen=True, slots=True)
class Element:
    """A start tag: its name, its attributes, and the places of their values with their quotes."""

    name: str
    attrs: Mapping[str, str]
    places: Mapping[str, tuple[int, int]]


def elements(text: str) -> list[Element] | None:
    """Every start tag in the order of the page; None where it is not well-formed, or declares entities of its own.

    A tag whose attributes we read otherwise than the parser has no places.
    """
    from xml.parsers import expat

    data = text.encode()
    parser = expat.ParserCreate("utf-8")  # as which the text is given, whatever it declares
    found: list[tuple[int, str, dict[str, str]]] = []
    parser.StartElementHandler = lambda name, attrs: found.append((parser.CurrentByteIndex, name, attrs))
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, _EntitiesError):
        return None
    tags: list[Element] = []
    bytes_before = position = 0
    for start, name, attrs in found:
        position += len(data[bytes_before:start].decode())
        bytes_before = start
        tags.append(Element(name, attrs, _places(text, position, name, attrs)))
    return tags


class _EntitiesError(Exception):
    """What stands in the text is not what the parser sees, and may be without end."""


def _refuse(*_: object) -> None:
    raise _EntitiesError


def _places(text: str, start: int, name: str, attrs: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    places = {}
    position = start + 1 + len(name)
    while match := _ATTRIBUTE.match(text, position):
        places[match[1]] = match.span(2)
        position = match.end()
    return places if places.keys() == attrs.keys() else {}
