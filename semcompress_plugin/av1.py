"""Colours that the coded picture of an AVIF names itself: decoders go by them where no box says any."""

from __future__ import annotations

from collections.abc import Iterator

from semcompress_plugin.containers import avif_boxes, avif_items

_SEQUENCE_HEADER = 1
_LOOKED_AT = 128
"""Bytes of a stream: a sequence header stands first and takes some 10 to 40."""


def stream_colours(data: bytes) -> Iterator[tuple[int, int]]:
    """Primaries and transfer function (ITU-T H.273) of each sequence header in an AVIF that names any.

    Headers are looked for in ``av1C`` and where items begin. What cannot be read is passed over.
    """
    for kind, payload in avif_boxes(data):
        if kind == b"av1C":
            yield from _named(payload[4 : 4 + _LOOKED_AT])
    for item in avif_items(data, _LOOKED_AT):
        yield from _named(item)


def _named(stream: bytes) -> Iterator[tuple[int, int]]:
    """Of the first sequence header among the units that a stream begins with (AV1 specification, 5.3).

    ``stream`` is short: time grows with its square where a length goes on to its end.
    """
    at = 0
    while at < len(stream):
        kind, extended, sized = stream[at] >> 3 & 15, stream[at] >> 2 & 1, stream[at] >> 1 & 1
        at += 1 + extended
        length, shift = 0, 0
        while sized and at < len(stream):
            length |= (stream[at] & 0x7F) << shift
            sized, shift, at = stream[at] >> 7, shift + 7, at + 1
        if kind == _SEQUENCE_HEADER:
            try:
                colours = _colours(_Bits(stream[at:]))
            except ValueError:
                return
            if colours is not None:
                yield colours
            return
        at += length


class _Bits:
    """Numbers of so many bits, one behind the other. Raises ValueError at the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def __call__(self, bits: int) -> int:
        self._left -= bits
        if self._left < 0:
            raise ValueError("cut off")
        return self._value >> self._left & ((1 << bits) - 1)


def _colours(read: _Bits) -> tuple[int, int] | None:
    """What a sequence header says of colours (AV1 specification, 5.5.1 and 5.5.2); None where it says nothing."""
    profile, _, reduced = read(3), read(1), read(1)
    if reduced:
        read(5)
    else:
        if read(1):
            raise ValueError("says when it is shown, as films do")
        delays = read(1)
        for _ in range(read(5) + 1):  # operating points
            read(12)
            if read(5) > 7:
                read(1)
            if delays and read(1):
                read(4)
    wide, high = read(4), read(4)
    read(wide + 1), read(high + 1)
    if not reduced and read(1):  # numbers of frames
        read(7)
    read(3)
    if not reduced:
        read(4)
        ordered = read(1)
        if ordered:
            read(2)
        screen = read(1) or read(1)
        if screen and not read(1):
            read(1)
        if ordered:
            read(3)
    read(3)
    if read(1) and profile == 2:  # more than 8 bits
        read(1)
    if profile != 1:  # grey
        read(1)
    return (read(8), read(8)) if read(1) else None
