"""What a page's references lead to, and what lies beside the picture there.

Paths are those of the tree, relative to its top, with ``/``: ``img/a.jpg``. References are as pages spell them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urljoin, urlsplit

from semcompress_plugin.errors import UsageError

TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jfif": "image/jpeg",
    ".jpe": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".jxl": "image/jxl",
}
"""Extension -> media type, of what browsers show."""

_NOWHERE = "https://semcompress.invalid"
"""Where a tree is published that does not say so; RFC 2606 keeps the name free."""
_NO_REFERENCE = re.compile(r"(?i:data|blob|about|javascript):|#|$")
_TAIL = re.compile(r"[?#].*", re.DOTALL)
_SPACE = " \t\n\f\r"


@dataclass(frozen=True, slots=True)
class Variant:
    """A file beside a picture: the same in another format. ``type`` is its media type."""

    path: str
    type: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the tree and what lies beside it, in the policy's order."""

    path: str
    bytes: int
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True, order=True)
class Left:
    """What was left alone: a reference of a page, or the page as a whole (``reference`` is None then)."""

    page: str
    reference: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that a page names, as the page spells it."""

    reference: str
    base: str
    picture: Picture


class ElsewhereError(Exception):
    """The reference leads out of the tree, or nowhere; the message says where."""


class Site:
    """Resolves references as a browser would that has been given the tree from a server.

    ``url`` is where the tree's top will be: an address (``https://example.org/repo/``), or only the path on a server
    that pages name from the root (``/repo/``); by default the root itself. Raises UsageError for anything else.
    """

    def __init__(self, url: str = "") -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise UsageError(f"{url!r} is no address of a site: {error}") from error
        if not (parts.scheme in ("http", "https") and parts.netloc) and not (url == "" or url.startswith("/")):
            raise UsageError(f"expected the address of a site such as https://example.org/repo/ or /repo/, got {url!r}")
        origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc and parts.scheme else _NOWHERE
        self._top = f"{origin}/{parts.path.strip('/')}".rstrip("/") + "/"

    def url(self, path: str) -> str:
        """The address of a file of the tree."""
        return self._top + quote(path)

    def base(self, page: str, href: str | None) -> str:
        """What references of ``page`` are relative to; ``href`` is that of its ``<base>``."""
        address = self.url(page)
        if href is None:
            return address
        try:
            return urljoin(address, _slashed(href.strip(_SPACE)))
        except ValueError:
            return address

    def resolve(self, reference: str, base: str) -> str | None:
        """The path that ``reference`` leads to; None for ``data:`` and whatever else names no file at all.

        Raises ElsewhereError.
        """
        reference = reference.strip(_SPACE)
        if _NO_REFERENCE.match(reference):
            return None
        try:
            parts = urlsplit(urljoin(base, _slashed(reference)))
        except ValueError as error:
            raise ElsewhereError("is no address") from error
        address = f"{parts.scheme}://{parts.netloc}{parts.path}"
        if not address.startswith(self._top):
            here = urlsplit(self._top)
            outside = (parts.scheme, parts.netloc) == (here.scheme, here.netloc)
            raise ElsewhereError(f"lies outside {here.path}, where the site is" if outside else "is external")
        path = unquote(address.removeprefix(self._top))
        if ".." in path.split("/") or "\0" in path:
            raise ElsewhereError("leaves the site")
        return path

    def swapped(self, reference: str, base: str, path: str, other: str) -> str | None:
        """The ``reference`` to ``path`` with the name of the file ``other``, spelt alike; None if that cannot be."""
        text = reference.strip(_SPACE)
        tail = match[0] if (match := _TAIL.search(text)) else ""
        head = text.removesuffix(tail)
        old, new = PurePosixPath(path), PurePosixPath(other)
        if head.endswith(old.suffix) and new.stem == old.stem:
            head = head.removesuffix(old.suffix) + new.suffix
        else:
            head = head[: _slashed(head).rfind("/") + 1] + quote(new.name)
        try:
            return head + tail if self.resolve(head + tail, base) == other else None
        except ElsewhereError:
            return None


@dataclass(slots=True)
class Catalogue:
    """What a tree has to offer: ``pictures`` by path, and whether there is any file at a path."""

    site: Site
    pictures: Mapping[str, Picture]
    exists: Callable[[str], bool]
    preloaded: frozenset[str] = frozenset()
    """Pictures that some page asks the browser to load early by ``<link rel=preload>``: they stay what is shown."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Pictures that have another name in the tree than among its sources -> that name."""


@dataclass(slots=True)
class Desk:
    """Looks up the references of one page, whose ``base`` they are relative to, and notes what is left alone."""

    catalogue: Catalogue
    page: str
    base: str
    left: list[Left] = field(default_factory=list)

    def find(self, reference: str) -> Found | None:
        """The picture with something beside it that ``reference`` leads to."""
        try:
            path = self.catalogue.site.resolve(reference, self.base)
        except ElsewhereError as error:
            self._leave(reference, str(error))
            return None
        if path is None:
            return None
        picture = self.catalogue.pictures.get(path)
        if picture is None and path not in self.catalogue.moved and not self.catalogue.exists(path):
            self._leave(reference, "leads to no file")
        if picture is None:
            return None
        if path in self.catalogue.preloaded:
            self._leave(reference, "is preloaded by a page, so that another format would be loaded as well")
            return None
        return Found(reference, self.base, picture)

    def offers(self, candidates: Iterable[Found | None]) -> list[tuple[str, list[str]]]:
        """Media types in which every one of ``candidates`` can be had for fewer bytes, the smallest first, each with
        the references to it.
        """
        found = list(candidates)
        choices: list[tuple[int, str, list[str]]] = []
        complete = [one for one in found if one is not None]
        if not complete or len(complete) < len(found):
            return []
        for type in dict.fromkeys(variant.type for variant in complete[0].picture.variants):
            chosen = [(one, variant) for one in complete if (variant := _smaller(one.picture, type))]
            references = [text for one, variant in chosen if (text := self._swapped(one, variant))]
            if len(references) == len(complete):
                choices.append((sum(variant.bytes for _, variant in chosen), type, references))
        return [(type, references) for _, type, references in sorted(choices, key=lambda choice: choice[0])]

    def moved(self, reference: str) -> str | None:
        """How the page would name the picture that ``reference`` leads to, if that has another name in the tree."""
        try:
            path = self.catalogue.site.resolve(reference, self.base)
        except ElsewhereError:
            return None
        # the tree's top is a path too, an empty one: no picture lies there
        if path is None or (other := self.catalogue.moved.get(path)) is None:
            return None
        return self.catalogue.site.swapped(reference, self.base, path, other)

    def _swapped(self, found: Found, variant: Variant) -> str | None:
        return self.catalogue.site.swapped(found.reference, found.base, found.picture.path, variant.path)

    def leave_css(self, reason: str) -> None:
        """Note why the stylesheet, or one that stands in the page, is left alone."""
        self.left.append(Left(self.page, None, reason))

    def _leave(self, reference: str, reason: str) -> None:
        self.left.append(Left(self.page, reference, reason))


def _slashed(reference: str) -> str:
    r"""With ``/`` for each ``\`` before query and fragment, as the URL standard reads addresses on servers."""
    tail = match[0] if (match := _TAIL.search(reference)) else ""
    return reference.removesuffix(tail).replace("\\", "/") + tail


def suffix_of(reference: str) -> str:
    """The extension of what a reference names, such as ``.jpg``."""
    return PurePosixPath(_TAIL.sub("", reference)).suffix.lower()


def picture(path: str, bytes: int, beside: Iterable[tuple[str, int]]) -> Picture | None:
    """The picture at ``path`` with (path, bytes) of what lies ``beside`` it; None if browsers show none of that."""
    variants = tuple(
        Variant(other, TYPES[suffix], size)
        for other, size in beside
        if (suffix := PurePosixPath(other).suffix.lower()) in TYPES and other != path
    )
    return Picture(path, bytes, variants) if variants else None


def _smaller(picture: Picture, type: str) -> Variant | None:
    """The variant of ``type``, if it is smaller than the picture itself."""
    return next((one for one in picture.variants if one.type == type and one.bytes < picture.bytes), None)
