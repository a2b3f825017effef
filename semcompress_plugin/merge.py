"""Merges locks, three ways where the common ancestor is known. Pure: texts in, text out.

A lock is a set of lines, each with an identity (:mod:`semcompress_plugin.entries`). What either side has is in what
comes out, also what the other deleted (by reverting a commit, say): lines speak of contents, not of files, and the
content may live on under another name. One picture that was settled in two ways has two lines, both of them true:
whichever of the two files a merge leaves, it is recognised.
"""

from __future__ import annotations

from typing import NamedTuple

from semcompress_plugin.entries import Index

_OURS, _BASE, _SPLIT, _THEIRS = "<<<<<<<", "|||||||", "=======", ">>>>>>>"


class Sides(NamedTuple):
    """The three texts of a merge; ``base`` is empty where it is not known. It tells which side changed a line."""

    base: str
    ours: str
    theirs: str


def merge(sides: Sides, where: str) -> str:
    """The lock that both sides would have written; the same whoever merges whom.

    A side that somebody committed with conflict markers in it has what stands on either side of them. Raises LockError,
    naming ``where``, for one that is damaged, or of a newer format.
    """
    base, ours, theirs = (
        Index.load(_whole(text, f"{where} ({side})"), f"{where} ({side})").lines if text.strip() else {}
        for side, text in zip(("the common ancestor", "ours", "theirs"), sides, strict=True)
    )
    merged = Index()
    merged.add(_line(base.get(key), ours.get(key), theirs.get(key)) for key in sorted({*ours, *theirs}))
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


def _whole(text: str, where: str) -> str:
    """A text without conflict markers; one in which there are none is as it is, for errors to name its lines."""
    sides = parted(text)
    return text if sides.ours == sides.theirs else merge(sides, where)


def _line(was: str | None, mine: str | None, other: str | None) -> str:
    if mine is None or other is None:
        line = mine or other
        assert line is not None  # one side has it
        return line
    if was in (mine, other):
        return other if mine == was else mine
    return max(mine, other)  # both changed it: of two lines the one that sorts last, as everywhere
