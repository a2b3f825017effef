"""``<picture>`` around every ``<img>`` for which something smaller lies beside its picture.

justhtml builds the tree that browsers build and says where each tag begins; the text is then edited in these places
only. Afterwards the new text is parsed again: unless it is the old tree, but for our additions, nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from semcompress_plugin.pages import css, srcset
from semcompress_plugin.pages.site import Catalogue, Desk, ElsewhereError, Left
from semcompress_plugin.pages.tags import Node, Tag, base_href, elements, escaped, lines, parse

_LAZY = re.compile(r"data-.*(?:src|lazy|original)")
"""Attributes by which scripts put another picture in later; a ``<source>`` would keep that one from showing."""
_MIGHT_CONCERN = re.compile(r"<img\b|url\(", re.IGNORECASE)
_END_OF_STYLE = re.compile("</style", re.IGNORECASE)
_OPEN = '<picture style="display: contents">'
_SOURCE = '<source style="display: none"'
"""As what ``display: contents`` lets through it would be an item of a flex or grid container, with a gap of its own."""
_CLOSE = "</picture>"


@dataclass(frozen=True, slots=True)
class Page:
    """The new text; how many ``<picture>`` and ``image-set()`` were added; what was left alone."""

    text: str
    pictures: int = 0
    backgrounds: int = 0
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class Links:
    """What a page says of other files of its tree: ``sealed`` are those whose content it has a digest of
    (``integrity``), ``preloaded`` the pictures that it has loaded early.
    """

    sealed: frozenset[str] = frozenset()
    preloaded: frozenset[str] = frozenset()


def rewrite(text: str, page: str, catalogue: Catalogue) -> Page:
    """``text``, the file ``page`` of a tree, with what the catalogue offers."""
    if not _MIGHT_CONCERN.search(text):
        return Page(text)
    root = parse(text)
    edits = _Edits(text, Desk(catalogue, page, catalogue.site.base(page, base_href(root))))
    for node in elements(root):
        edits.consider(node)
    left = tuple(edits.desk.left)
    if not edits.changes:
        return Page(text, left=left)
    new = edits.apply()
    if _signature(parse(new), edits.added) != _signature(root):
        return Page(text, left=(*left, Left(page, None, "would be another page to a browser with <picture> in it")))
    return Page(new, edits.pictures, edits.backgrounds, left)


def links(text: str, page: str, catalogue: Catalogue) -> Links:
    """What ``page`` says of other files."""
    if not re.search(r"\bintegrity\b|\bpreload\b", text, re.IGNORECASE):
        return Links()
    root = parse(text)
    base = catalogue.site.base(page, base_href(root))
    sealed: set[str] = set()
    preloaded: set[str] = set()
    for node in elements(root):
        if node.name != "link" or not (href := node.attrs.get("href") or node.attrs.get("imagesrcset")):
            continue
        names = [href, *(one.reference for one in srcset.parse(node.attrs.get("imagesrcset") or ""))]
        if node.attrs.get("integrity"):
            sealed.update(_local(names[:1], base, catalogue))
        if "preload" in (node.attrs.get("rel") or "").lower().split() and node.attrs.get("as") == "image":
            preloaded.update(_local(names, base, catalogue))
    return Links(frozenset(sealed), frozenset(preloaded))


def _local(references: list[str], base: str, catalogue: Catalogue) -> Iterator[str]:
    for reference in references:
        try:
            path = catalogue.site.resolve(reference, base)
        except ElsewhereError:
            continue
        if path is not None:
            yield path


@dataclass(slots=True)
class _Edits:
    """The places of a text to change: (start, end, new text), none within another."""

    text: str
    desk: Desk
    changes: list[tuple[int, int, str]] = field(default_factory=list)
    added: set[int] = field(default_factory=set)
    """Where our ``<picture>`` tags stand in the new text; known once it has been made."""
    pictures: int = 0
    backgrounds: int = 0

    def consider(self, node: Node) -> None:
        if node.name == "img" and node.namespace == "html" and not _is_within_picture(node):
            self._image(node)
        if node.name == "style" and node.namespace == "html":
            self._stylesheet(node)
        if "url(" in (node.attrs.get("style") or "").lower():
            self._style(node)

    def apply(self) -> str:
        pieces: list[str] = []
        done = length = 0
        # where one <img> ends and the next begins, the first is closed first
        for start, end, new in sorted(self.changes, key=lambda change: (change[0], change[2] != _CLOSE)):
            pieces += [self.text[done:start], new]
            length += start - done
            if new.startswith(_OPEN):
                self.added.add(length)
            length += len(new)
            done = end
        return "".join([*pieces, self.text[done:]])

    def _image(self, node: Node) -> None:
        source, choice = node.attrs.get("src"), node.attrs.get("srcset")
        candidates = srcset.effective(source, choice)
        # looked up even where nothing can be done, so that what is missing is told
        if source:
            self.desk.find(source)
        found = [self.desk.find(candidate.reference) for candidate in candidates]
        offers = self.desk.offers(found)
        if not offers or any(_LAZY.match(name) for name in node.attrs):
            return
        tag = Tag.read(self.text, node)
        if tag is None or tag.name != "img":
            return
        end = " />" if self.text[tag.end - 2] == "/" else ">"
        sizes = node.attrs.get("sizes")
        more = f' sizes="{escaped(sizes)}"' if sizes else ""
        sources = (
            f'{_SOURCE} type="{type}" srcset="{escaped(srcset.render(candidates, references))}"{more}{end}'
            for type, references in offers
        )
        self.changes += [(tag.start, tag.start, _OPEN + "".join(sources)), (tag.end, tag.end, _CLOSE)]
        self.pictures += 1

    def _style(self, node: Node) -> None:
        tag = Tag.read(self.text, node)
        place = tag.attributes.get("style") if tag else None
        if place is None:
            return
        new = css.rewrite(node.attrs["style"], self.desk, quote="'", declarations=True)
        if new.count:
            self.changes.append((*place, f'"{escaped(new.text)}"'))
            self.backgrounds += new.count

    def _stylesheet(self, node: Node) -> None:
        tag = Tag.read(self.text, node)
        if tag is None or not node.children:
            return
        close = _END_OF_STYLE.search(self.text, tag.end)
        if close is None:
            return
        end = close.start()
        inner = self.text[tag.end : end]
        if lines(inner) != lines("".join(child.data or "" for child in node.children)):
            return
        new = css.rewrite(inner, self.desk)
        if new.count:
            self.changes.append((tag.end, end, new.text))
            self.backgrounds += new.count


def _is_within_picture(node: Node) -> bool:
    while (node := node.parent) is not None:
        if node.name == "picture":
            return True
    return False


def _signature(root: Node, ours: set[int] | None = None) -> list[object]:
    """A tree as a list, without the CSS in it and without our own ``<picture>`` (by place) and its sources."""
    signature: list[object] = []
    waiting: list[Node | None] = [root]
    while waiting:
        node = waiting.pop()
        if node is None:
            signature.append("end")
            continue
        children = list(getattr(node, "children", None) or ())
        content = getattr(node, "template_content", None)
        if ours and node.name == "picture" and node.origin_offset in ours and children:
            # where it could not become what it was meant to be, as within <svg>, this is a source and no <img>
            waiting.append(children[-1])
            continue
        attributes = getattr(node, "attrs", None) or {}
        pairs = tuple((name, value) for name, value in attributes.items() if name != "style")
        in_style = getattr(node.parent, "name", None) == "style"
        data = None if in_style or node.name == "!doctype" else getattr(node, "data", None)
        signature.append((node.name, getattr(node, "namespace", None), pairs, data))
        waiting += [None, *reversed([*children, *([content] if content is not None else [])])]
    return signature
