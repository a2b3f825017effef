"""Bytes of a page to text and back, so that what is not edited comes back byte for byte."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# the standard looks at the first 1,024 bytes, and browsers at more where those say nothing
_META = re.compile(rb"<meta\b[^>]*?\bcharset\s*+=\s*+[\"']?+\s*+([^\s\"'/>;]+)", re.IGNORECASE)
_XML = re.compile(rb"\A<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([^\"'>]*)")
_AT_CHARSET = re.compile(rb'\A@charset "([^"]*)";')
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_HEAD = 4096


class UndecodableError(Exception):
    """The page is not what it says it is; the message says so in one line."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a page without its byte order ``mark``, and the name of Python's codec for it."""

    text: str
    codec: str
    mark: bytes = b""

    def encode(self, text: str) -> bytes:
        """The bytes of ``text`` as this page's are written. Raises UndecodableError."""
        try:
            return self.mark + text.encode(self.codec)
        except UnicodeError as error:
            raise UndecodableError(f"cannot be written as {self.codec}: {error}") from error


def decode(data: bytes, *, css: bool = False, xml: bool = False) -> Decoded:
    """The text of an HTML, CSS or XML file, by its byte order mark or what it declares, else as UTF-8.

    Raises UndecodableError when that fails or would not give the same bytes back.
    """
    mark, codec = next(((mark, codec) for mark, codec in _MARKS if data.startswith(mark)), (b"", None))
    codec = codec or _declared(data, css, xml)
    try:
        text = data[len(mark) :].decode(codec)
        faithful = text.encode(codec) == data[len(mark) :]
    except UnicodeError as error:
        raise UndecodableError(f"is not {codec}, as which a browser would read it: {error}") from error
    if not faithful:
        raise UndecodableError(f"has a spelling of {codec} of its own, which could not be given back")
    return Decoded(text, codec, mark)


def legible(data: bytes) -> str:
    """The text of a file of any kind as far as it can be told, to be looked at and never written."""
    mark, codec = next(((mark, codec) for mark, codec in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    return data[len(mark) :].decode(codec, "replace")


def _declared(data: bytes, css: bool, xml: bool) -> str:
    from webencodings import lookup

    head = data[:_HEAD]
    pattern, where = (_XML if xml else _AT_CHARSET, head) if css or xml else (_META, _COMMENT.sub(b"", head))
    found = pattern.search(where)
    label = found[1].decode("ascii", "replace") if found else "utf-8"
    encoding = lookup(label)
    if encoding is None:
        raise UndecodableError(f"declares an unknown encoding, {label!r}")
    # the standard's word: a declaration that can be read at all is not UTF-16
    name = "utf-8" if encoding.name.startswith("utf-16") else encoding.codec_info.name
    return str(name)
