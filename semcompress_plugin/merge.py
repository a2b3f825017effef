"""Merges locks, three ways where the common ancestor is known. Pure: texts in, text out.

A lock is a set of lines, each with an identity (:mod:`semcompress_plugin.entries`). What both sides have stays, what
one side added is added, and what one side deleted is gone unless the other changed it. One picture that was settled in
two ways has two lines, both of them true: whichever of the two files a merge leaves, it is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from semcompress_plugin.entries import Index

_OURS, _BASE, _SPLIT, _THEIRS = "<<<<<<<", "|||||||", "=======", ">>>>>>>"


class Sides(NamedTuple):
    """The three texts of a merge; ``base`` is empty where it is not known, and nothing is taken for deleted then."""

    base: str
    ours: str
    theirs: str


def merge(sides: Sides, where: str) -> str:
    """The lock that both sides would have written; the same whoever merges whom.

    Raises LockError, naming ``where``, for a side that is damaged, in conflict itself, or of a newer format.
    """
    base, ours, theirs = (
        Index.load(text, f"{where} ({side})").lines if text.strip() else {}
        for side, text in zip(("the common ancestor", "ours", "theirs"), sides, strict=True)
    )
    merged = Index()
    merged.add(line for key in sorted({*ours, *theirs}) if (line := _line(key, base, ours, theirs)) is not None)
    return merged.text()


def parted(text: str) -> Sides:
    """The sides that a text with conflict markers was made of; the base only as far as it is shown (diff3 style)."""
    sides: dict[str, list[str]] = {_BASE: [], _OURS: [], _THEIRS: []}
    place, has_base = "", False
    for line in text.replace("\r\n", "\n").split("\n"):
        marker = line[:7]
        if marker in (_OURS, _BASE):
            place, has_base = marker, has_base or marker == _BASE
        elif marker == _SPLIT and place:
            place = _THEIRS
        elif marker == _THEIRS and place:
            place = ""
        else:
            for side in [place] if place else sides:
                sides[side].append(line)
    base, ours, theirs = ("\n".join(sides[side]) for side in (_BASE, _OURS, _THEIRS))
    return Sides(base if has_base else "", ours, theirs)


def _line(key: str, base: Mapping[str, str], ours: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    was, mine, other = base.get(key), ours.get(key), theirs.get(key)
    if mine == other or other == was:
        return mine
    if mine == was:
        return other
    # both changed it, or one changed what the other deleted: of two lines the one that sorts last, as everywhere
    return max(line for line in (mine, other) if line is not None)
