"""Reads the pages of a tree, has them rewritten, and writes what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin import files
from semcompress_plugin.errors import ImageError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.pages import Catalogue, Left, PagesReport

if TYPE_CHECKING:
    from semcompress_plugin.pages.encoding import Decoded

SUFFIXES = frozenset({".html", ".htm", ".xhtml", ".xht", ".css"})
"""What is rewritten. XHTML, which follows other rules, is given new names only."""
READ = frozenset((".shtml", ".php", ".xml", ".rss", ".atom", ".svg", ".js", ".mjs", ".json", ".webmanifest", ".md"))
"""What may name pictures as well: it stays as it is, and those that have another name in the tree are told of."""
_MOST = 32 << 20
"""The most bytes that are looked through: a data set is no page."""


@dataclass(frozen=True, slots=True)
class _New:
    """A page's new bytes (None: as before), and what was added."""

    data: bytes | None = None
    pictures: int = 0
    backgrounds: int = 0
    left: tuple[Left, ...] = ()


def publish(
    pages: Iterable[Path],
    source: Path,
    out: Path,
    catalogue: Catalogue,
    copy: Callable[[Path], None],
    write: Callable[[Snapshot, Path, bytes], None],
) -> PagesReport:
    """Have ``pages`` of ``source`` written to ``out`` (the same folder: in place).

    ``write`` is given a page as it was read, its place and new bytes; ``copy`` a page that stays as it is.
    """
    contents = {path.relative_to(source).as_posix(): path for path in pages}
    sealed, preloaded = _links(contents, catalogue)
    catalogue.preloaded = preloaded
    news: list[_New] = []
    for name, path in contents.items():
        try:
            page = files.read(path if source == out else path.resolve())  # in place links are left alone
            new = _rewrite(page.data, name, catalogue, name in sealed)
            if new.data is not None:
                write(page, out / name, new.data)
        except (ImageError, OSError) as error:
            new = _New(left=(Left(name, None, str(error)),))
        if new.data is None:
            copy(path)
        news.append(new)
    return PagesReport(
        len(news),
        sum(new.data is not None for new in news),
        sum(new.pictures for new in news),
        sum(new.backgrounds for new in news),
        tuple(dict.fromkeys(entry for new in news for entry in new.left)),
    )


def mentions(paths: Iterable[Path], source: Path, catalogue: Catalogue) -> Iterator[Left]:
    """Pictures that files of ``source`` which stay as they are call by names that they do not have in the tree."""
    from semcompress_plugin.pages import encoding, names

    for path in paths:
        name = path.relative_to(source).as_posix()
        try:
            if path.stat().st_size <= _MOST:
                yield from names.mentions(encoding.legible(path.read_bytes()), name, catalogue)
            else:
                yield Left(name, None, "is too large to be looked through for names of pictures")
        except OSError:
            continue  # said where it was to be copied


def _links(contents: Mapping[str, Path], catalogue: Catalogue) -> tuple[frozenset[str], frozenset[str]]:
    """Stylesheets whose digest stands in some page, and pictures that some page preloads."""
    from semcompress_plugin.pages import encoding, html

    found = [html.Links()]
    for name, path in contents.items():
        if path.suffix.lower() != ".css":
            try:
                found.append(html.links(_decoded(path.read_bytes(), name).text, name, catalogue))
            except (OSError, encoding.UndecodableError, RecursionError):
                continue  # said when its turn comes
    return frozenset().union(*(one.sealed for one in found)), frozenset().union(*(one.preloaded for one in found))


def _rewrite(data: bytes, name: str, catalogue: Catalogue, sealed: bool) -> _New:
    from semcompress_plugin.pages import css, encoding, html, names
    from semcompress_plugin.pages.site import Desk

    is_css, is_xhtml = name.lower().endswith(".css"), name.lower().endswith(names.XHTML)
    try:
        before = _decoded(data, name)
        renamed = names.rewrite(before.text, name, catalogue)
        if is_css:
            desk = Desk(catalogue, name, catalogue.site.url(name))
            sheet = css.rewrite(renamed.text, desk)
            new, text = _New(None, 0, sheet.count, (*renamed.left, *desk.left)), sheet.text
        elif is_xhtml:
            new, text = _New(None, left=renamed.left), renamed.text
        else:
            page = html.rewrite(renamed.text, name, catalogue)
            new, text = _New(None, page.pictures, page.backgrounds, (*renamed.left, *page.left)), page.text
        if text == before.text:
            return new
        if sealed:
            return _New(left=(Left(name, None, "a page holds a digest of it (integrity)"),))
        return _New(before.encode(text), new.pictures, new.backgrounds, new.left)
    except encoding.UndecodableError as error:
        return _New(left=(Left(name, None, str(error)),))
    except RecursionError:
        return _New(left=(Left(name, None, "is nested too deeply to be read"),))


def _decoded(data: bytes, name: str) -> Decoded:
    from semcompress_plugin.pages import encoding, names

    return encoding.decode(data, css=name.lower().endswith(".css"), xml=name.lower().endswith(names.XHTML))
