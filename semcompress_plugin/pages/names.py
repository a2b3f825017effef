"""References to pictures that have another name in the tree than among its sources, as an a.jpg written as a.webp.

What a reference can be put in is rewritten where it stands: attributes, ``srcset``, ``url()``. Whatever else still
names such a picture, as a script may, is listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from itertools import chain
from pathlib import PurePosixPath

from semcompress_plugin.pages import css, srcset, xhtml
from semcompress_plugin.pages.site import TYPES, Catalogue, Desk, Left, suffix_of
from semcompress_plugin.pages.tags import Node, Tag, base_href, elements, escaped, lines, parse

XHTML = (".xhtml", ".xht")
_ONE = frozenset({"src", "href", "xlink:href", "poster", "data", "background", "content"})
_SEVERAL = frozenset({"srcset", "imagesrcset", "data-srcset"})
_WORD = re.compile(r"[^\s\"'<>()=,;]+")
_QUOTED = re.compile(r"(?<=[\"'])[^\"'<>\n]+(?=[\"'])")
"""What may be a reference, whatever it stands in."""
_SELECTOR = re.compile(
    r"\[\s*(?:src|href|srcset|data|poster)\s*[$*]?=\s*[\"']?([^\s\"'\]<>]+)[\"']?(?:\s+i)?\s*\]", re.IGNORECASE
)
_END = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in ("style", "noscript")}
"""Where elements end that hold text."""
_SELECTED = "selects pictures by an extension that some have no more in the tree"
_NAMED = "has another name in the tree, and is named where that cannot be put"

Change = tuple[int, int, str]
"""(start, end, new text)."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """The new text, and what still names pictures by names that they do not have."""

    text: str
    left: tuple[Left, ...] = ()


def rewrite(text: str, page: str, catalogue: Catalogue) -> Renamed:
    """``text``, the file ``page`` of a tree (HTML, XHTML or CSS), with the names that pictures have there."""
    if not catalogue.moved:
        return Renamed(text)
    if page.lower().endswith(".css"):
        desk = Desk(catalogue, page, catalogue.site.url(page))
        new = css.renamed(text, desk)
    elif page.lower().endswith(XHTML):
        new, desk = _xhtml(text, page, catalogue)
    else:
        root = parse(text)
        desk = Desk(catalogue, page, catalogue.site.base(page, base_href(root)))
        new = _html(text, root, desk)
    return Renamed(new, _left(new, [desk]))


def mentions(text: str, file: str, catalogue: Catalogue) -> tuple[Left, ...]:
    """What ``text``, a ``file`` of a tree that stays as it is, calls by names that pictures do not have there.

    It may take references for relative to itself, as a feed does, or to a page that it serves, as a script does: of
    these the tree's top stands for all.
    """
    bases = dict.fromkeys([catalogue.site.url(file), catalogue.site.url("")])
    text = unescape(text)  # feeds hold pages
    return _left(text, [Desk(catalogue, file, base) for base in bases])


def _left(text: str, desks: Sequence[Desk]) -> tuple[Left, ...]:
    """What still stands in ``text`` and is, to one of ``desks``, a picture with another name in the tree; and selectors
    by an extension that such a picture has no more.
    """
    page, moved = desks[0].page, desks[0].catalogue.moved
    suffixes = tuple({PurePosixPath(old).suffix.lower() for old in moved})
    words = (word for word in dict.fromkeys(_words(text)) if any(suffix in word.lower() for suffix in suffixes))
    named = [Left(page, word, _NAMED) for word in words if any(desk.moved(word) for desk in desks)]
    selectors = dict.fromkeys(match[0] for match in _SELECTOR.finditer(text) if match[1].lower().endswith(suffixes))
    return (*named, *(Left(page, selector, _SELECTED) for selector in selectors))


def _words(text: str) -> Iterator[str]:
    for match in chain(_WORD.finditer(text), _QUOTED.finditer(text)):
        yield match[0].replace("\\/", "/")  # as JSON in pages has it


def _html(text: str, root: Node, desk: Desk) -> str:
    changes = [change for node in _everywhere(root) for change in _changes(text, node, desk)]
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _xhtml(text: str, page: str, catalogue: Catalogue) -> tuple[str, Desk]:
    """The new text of an XHTML page, and whose desk its references are looked up at. Only attributes are rewritten."""
    tags = xhtml.elements(text) or []
    base = next((tag.attrs["href"] for tag in tags if tag.name == "base" and "href" in tag.attrs), None)
    desk = Desk(catalogue, page, catalogue.site.base(page, base))
    new = text
    for start, end, value in sorted(
        (change for tag in tags for change in _attributes(tag, tag.places, desk)), reverse=True
    ):
        new = new[:start] + value.replace("<", "&lt;") + new[end:]
    is_same = [(tag.name, *tag.attrs) for tag in xhtml.elements(new) or []] == [(tag.name, *tag.attrs) for tag in tags]
    return new if is_same else text, desk


def _everywhere(root: Node) -> Iterator[Node]:
    """Every element, also those that wait in a ``<template>``."""
    for node in elements(root):
        yield node
        if (content := getattr(node, "template_content", None)) is not None:
            yield from _everywhere(content)


def _changes(text: str, node: Node, desk: Desk) -> Iterator[Change]:
    tag = Tag.read(text, node)
    if tag is None:
        return
    yield from _attributes(node, tag.attributes, desk)
    if node.name in _END and node.children:
        close = _END[node.name].search(text, tag.end)
        end = close.start() if close else len(text)
        inner = text[tag.end : end]
        if close and lines(inner) == lines("".join(child.data or "" for child in node.children)):
            new = css.renamed(inner, desk) if node.name == "style" else _html(inner, parse(inner), desk)
            yield tag.end, end, new


def _attributes(node: Node | xhtml.Element, places: Mapping[str, tuple[int, int]], desk: Desk) -> Iterator[Change]:
    if node.name == "base":
        return  # it names no picture, but what references are relative to, and only the first counts
    for name, value in node.attrs.items():
        place = places.get(name, places.get(name.lower()))
        if place is not None and value and (new := _value(name.lower(), value, node, desk)) is not None:
            yield *place, f'"{escaped(new)}"'


def _value(name: str, value: str, node: Node, desk: Desk) -> str | None:
    """What is to be the attribute's value instead, if anything."""
    if name == "style":
        new = css.renamed(value, desk, quote="'")
        return None if new == value else new
    if name in _SEVERAL:
        candidates = srcset.parse(value)
        references = [desk.moved(one.reference) or one.reference for one in candidates]
        is_new = references != [one.reference for one in candidates]
        return srcset.render(candidates, references) if is_new else None
    if name == "srcdoc" and node.name == "iframe":
        return _page_within(value, desk)
    if name == "content" and (node.attrs.get("property") or "").lower() == "og:image:type":
        return _type(value, _before(node, "og:image"), desk)
    if name == "type":
        return _type(value, node, desk)
    if name == "download":
        return _download(value, node, desk)
    return desk.moved(value) if name in _ONE or name.startswith("data-") else None


def _page_within(value: str, desk: Desk) -> str | None:
    """The page of an ``<iframe srcdoc>``, whose references are relative to what those of the page around it are."""
    root = parse(value)
    new = value if base_href(root) is not None else _html(value, root, desk)
    return None if new == value else new


def _type(value: str, node: Node, desk: Desk) -> str | None:
    """The media type of what the element names, where it says that of what has another name."""
    suffix = _new_suffix(node, desk)
    return TYPES.get(suffix) if suffix and value.lower() in TYPES.values() else None


def _download(value: str, node: Node, desk: Desk) -> str | None:
    """What a file is to be called once it is downloaded, where what is called so is in another format."""
    suffix, old = _new_suffix(node, desk), PurePosixPath(value).suffix
    return value.removesuffix(old) + suffix if suffix and old.lower() in TYPES else None


def _new_suffix(node: Node, desk: Desk) -> str | None:
    """The extension of what the element names, if that has another name in the tree, and the same for all of it."""
    named = [node.attrs.get(name) or "" for name in ("src", "href", "data", "content")]
    named += [one.reference for one in srcset.parse(node.attrs.get("srcset") or "")]
    suffixes = {suffix_of(new) for one in named if (new := desk.moved(one))}
    return suffixes.pop() if len(suffixes) == 1 else None


def _before(node: Node, property: str) -> Node:
    """The ``<meta>`` with that property which stands before ``node``, itself if there is none."""
    found = node
    for other in node.parent.children if getattr(node, "parent", None) else ():
        if other is node:
            break
        if other.name == "meta" and (other.attrs.get("property") or "").lower() == property:
            found = other
    return found
