"""Numbers and names as people read them."""

from __future__ import annotations

import re
import shlex


def counted(count: int, one: str, more: str) -> str:
    """``1 entry``, ``2 entries``."""
    return f"{count} {one if count == 1 else more}"


def size(count: int) -> str:
    """Bytes as people read them, in powers of ten: ``12.3 kB``."""
    if count < 1000:
        return f"{count} B"
    for unit, worth in (("kB", 10**3), ("MB", 10**6)):
        if count < 999.5 * worth:
            return f"{count / worth:.3g} {unit}"
    return f"{count / 10**9:.3g} GB"


def percent(before: int, after: int) -> str:
    """The change in whole per cent; with a decimal where that would say that nothing is left."""
    if not before:
        return "0 %"
    change = 100 * (after / before - 1)
    if after and change < -99:
        return f"{max(change, -99.9):+.1f} %"
    return f"{change:+.0f} %"


def shortened(text: str, most: int = 80) -> str:
    """The first ``most`` characters, with ``…`` where there are more."""
    return text if len(text) <= most else f"{text[:most]}…"


def printable(text: str) -> str:
    """``text`` on one line and without power over a terminal, whatever bytes a file's name has.

    Control characters could move the cursor, change colours or say things in our name; those for the direction of
    writing could show a name backwards.
    """
    shown = text.encode("utf-8", "backslashreplace").decode()
    return _CONTROLS.sub(lambda found: _NAMED.get(found[0]) or f"\\{_code(ord(found[0]))}", shown)


def quoted(text: str) -> str:
    """``text`` as a word of a shell's command line, on one line: ``$'…'`` where it has what :func:`printable` hides."""
    if printable(text) == text:
        return shlex.quote(text)
    return f"$'{''.join(map(_in_shell, text))}'"


def _in_shell(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if printable(character) == character:
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _code(number: int) -> str:
    return f"x{number:02x}" if number < 256 else f"u{number:04x}"
