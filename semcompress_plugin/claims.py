"""Whose a name is that several pictures may be written under: an a.jpg and an a.png both want a.webp."""

from __future__ import annotations


class Claims:
    """Names without regard to case, since on many systems those that differ in case only are one file.

    Whoever claims in the order of a listing, before anybody is looked at, has the same result each time, whichever
    picture is ready first.
    """

    def __init__(self) -> None:
        self._own: dict[str, str] = {}
        self._new: dict[str, str] = {}

    def keep(self, picture: str) -> str:
        """``picture`` is written under its own name: whose that is, its own unless another was to be written there."""
        self._own.setdefault(_folded(picture), picture)
        return self._new.get(_folded(picture), picture)

    def claim(self, place: str, picture: str) -> str:
        """Who is written at ``place``, another name than its own: ``picture``, if nobody was before it."""
        key = _folded(place)
        return self._own.get(key) or self._new.setdefault(key, picture)


def _folded(place: str) -> str:
    folder, slash, name = place.rpartition("/")
    return folder + slash + name.casefold()
