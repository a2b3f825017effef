"""Whose a name is that several pictures may be written under: an a.jpg and an a.png both want a.webp."""

from __future__ import annotations


class Claims:
    """Names without regard to case, since on many systems those that differ in case only are one file.

    Whoever claims in the order of a listing, before anybody is looked at, has the same result each time, whichever
    picture is ready first. Names and pictures are paths with ``/``; the names are held by hash, for there may be any
    number.
    """

    def __init__(self) -> None:
        self._owners: dict[int, str] = {}

    def occupy(self, place: str, picture: str) -> None:
        """``place`` is taken, whoever asked for it: ``picture`` lies there."""
        self._owners[_folded(place)] = picture

    def keep(self, picture: str) -> str:
        """``picture`` is written under its own name: whose that is, its own unless another was to be written there."""
        key = _folded(picture)
        owner = self._owners.setdefault(key, picture)
        return picture if _folded(owner) == key else owner

    def claim(self, place: str, picture: str) -> str:
        """Who is written at ``place``, another name than its own: ``picture``, if nobody was before it."""
        return self._owners.setdefault(_folded(place), picture)


def contested(owner: str) -> str:
    """Why a picture is not written: its new name is the ``owner``'s."""
    return f"would be written where {owner} is: rename one, or exclude one"


def _folded(place: str) -> int:
    folder, slash, name = place.rpartition("/")
    return hash(folder + slash + name.casefold())
