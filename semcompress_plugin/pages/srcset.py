"""The attribute ``srcset``, by the HTML standard's own steps ("parsing a srcset attribute")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SPACE = " \t\n\f\r"
_LEAD = re.compile(r"[ \t\n\f\r,]*")
_URL = re.compile(r"[^ \t\n\f\r]+")
# up to a comma outside parentheses; an unclosed parenthesis goes on to the end
_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*(?:\)|$))*")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate of a srcset; ``descriptors`` such as ``2x`` or ``640w`` as they stand, or nothing."""

    reference: str
    descriptors: str = ""

    @property
    def density(self) -> bool:
        """Whether this is a candidate for density 1, as the picture of ``src`` is."""
        return self.descriptors == "" or bool(re.fullmatch(r"\+?1(?:\.0*)?(?:e0)?x", self.descriptors))


def parse(text: str) -> tuple[Candidate, ...]:
    """The candidates of a srcset, valid or not."""
    candidates: list[Candidate] = []
    position = 0
    while True:
        lead = _LEAD.match(text, position)
        assert lead is not None  # it matches nothing, too
        url = _URL.match(text, lead.end())
        if url is None:
            return tuple(candidates)
        position = url.end()
        if url[0].endswith(","):
            candidates.append(Candidate(url[0].rstrip(",")))
            continue
        rest = _DESCRIPTORS.match(text, position)
        assert rest is not None
        position = rest.end()
        candidates.append(Candidate(url[0], " ".join(rest[0].split())))


def effective(source: str | None, srcset: str | None) -> tuple[Candidate, ...]:
    """What an ``<img>`` lets the browser choose from: its srcset and, unless that has widths or a picture for
    density 1, its ``src``.
    """
    candidates = parse(srcset or "")
    if not source or any(candidate.density or "w" in candidate.descriptors for candidate in candidates):
        return candidates
    return (*candidates, Candidate(source))


def render(candidates: Iterable[Candidate], references: Sequence[str]) -> str:
    """A srcset with ``references`` in the candidates' places."""
    return ", ".join(
        f"{_one_word(reference)} {candidate.descriptors}".rstrip(_SPACE)
        for candidate, reference in zip(candidates, references, strict=True)
    )


def _one_word(reference: str) -> str:
    """A reference as a srcset can have it: ``src`` may contain spaces and begin or end with commas, it may not."""
    words = re.sub(r"[\t\n\f\r]", "", reference).replace(" ", "%20")
    core = words.strip(",")
    before = len(words) - len(words.lstrip(",")) if core else len(words)
    return "%2C" * before + core + "%2C" * (len(words) - before - len(core))
