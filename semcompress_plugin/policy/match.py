"""Which files a rule means: gitignore patterns, with two differences that people expect.

The last pattern that matches decides, also below a folder (git would not let ``!docs/a.png`` take a file out of
``docs/``, nor ``!raw/`` anything out of ``*``); and extensions match in upper and lower case.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable

from pathspec import PathSpec

Matcher = Callable[[str], bool]

_STAR = r"\[\^/\]\*"
_ONE = r"(?:\\.|\[\^?\]?(?:\\.|[^]\\])*\]|[^][\\()/*+?|^$])"
"""What stands for one character in pathspec's expressions: an escape, a class, or itself."""


def matcher(patterns: Iterable[str]) -> Matcher:
    """A predicate on POSIX paths relative to the policy's folder. ValueError says what is wrong with a pattern."""
    compiled: list[tuple[bool, Callable[[str], object]]] = []
    for pattern in patterns:
        if said := problem(pattern):
            raise ValueError(said)
        for part in PathSpec.from_lines("gitignore", [_any_case_extension(pattern)]).patterns:
            if part.include is not None and part.regex is not None:
                compiled.append((part.include, re.compile(_without_going_back(part.regex.pattern)).search))
    compiled.reverse()

    def matches(path: str) -> bool:
        path = path.replace("\n", " ")  # a name may hold a line break, at which pathspec's expressions stop
        for include, match in compiled:
            if match(path) is not None:
                return include
        return False

    return matches


def problem(pattern: str) -> str | None:
    """What is wrong with one pattern; None when nothing is. Also refused: what is valid but never matches."""
    bare = pattern.removeprefix("!")
    body = bare.strip("/")
    if not body.strip():
        return "expected a pattern, got nothing to match"
    if bare.startswith("#"):
        return "a pattern that begins with # is a comment: write \\# for a file called so"
    if any(part in (".", "..") for part in body.split("/")):
        return "expected a path below the policy's folder, without ./ and ../"
    if "//" in bare:
        return "expected one / between folders, got two"
    if re.search(r"\\[A-Za-z0-9]", bare):
        return "expected / between folders, got \\"
    if _has_alternatives(bare):
        return "gitignore patterns know no {a,b}: write one pattern for each"
    if bare.endswith("\\") and not bare.endswith("\\\\"):
        return "expected a character after \\"
    if (said := _unclear_class(bare)) is not None:
        return said
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            PathSpec.from_lines("gitignore", [_any_case_extension(pattern)])
    except (ValueError, re.error, Warning):
        return "not a gitignore pattern"
    return None


def _has_alternatives(pattern: str) -> bool:
    """Whether there is a ``{`` of its own, later a comma and later a ``}``; each looked for once."""
    opened = re.search(r"(?<!\\)\{", pattern)
    return opened is not None and "}" in pattern[opened.end() :].partition(",")[2]


def _unclear_class(pattern: str) -> str | None:
    """pathspec takes a ``[`` that is never closed literally, git matches nothing: neither is what was meant."""
    plain = re.sub(r"\\.", "", pattern)
    rest = re.sub(r"\[[!^]?\]?[^]\[]*\]", "", plain)
    return "expected ] to close [ (write \\[ for the character itself)" if "[" in rest else None


def _without_going_back(expression: str) -> str:
    """pathspec's expression with each ``*`` but a part's last taking as little as it can, and settled with that.

    What follows then has the most to choose from, so nothing is missed, and ``*a*a*a*a*b`` costs no hours on a long
    name. It needs what stands between two ``*`` to stay within the part: as with git, no class matches a ``/``.
    """
    once = re.sub(f"(?:{_STAR})+", lambda _: "[^/]*", expression)
    return re.sub(f"{_STAR}((?:(?!{_STAR}){_ONE})+)(?={_STAR})", lambda found: f"(?>[^/]*?{_within(found[1])})", once)


def _within(expression: str) -> str:
    ones = re.findall(_ONE, expression)
    return "".join(f"(?!/){one}" if one.startswith("[") else one for one in ones)


def _any_case_extension(pattern: str) -> str:
    """``*.jpg`` as ``*.[jJ][pP][gG]``; only what follows the last dot of the last part, outside of brackets."""
    head, slash, name = pattern.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem.lstrip("!") or "]" in extension:
        return pattern
    either = re.sub(r"\\.|([A-Za-z])", lambda m: f"[{m[1].lower()}{m[1].upper()}]" if m[1] else m[0], extension)
    return f"{head}{slash}{stem}{dot}{either}"
