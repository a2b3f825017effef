"""Damaged pictures: small ones of every format, and what chance or malice does to them. Seeded, hence repeatable."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache

from PIL import Image

from metadata_table import TABLE, animation, save
from pictures import photo

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "GIF": ".gif", "MPO": ".jpg"}
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    """Suffix and bytes of sound pictures: every format and every kind of metadata there is a row for."""
    found = [(SUFFIXES[format], row.make(format)) for row in TABLE for format in row.formats]
    small = photo((48, 32))
    found += [
        (SUFFIXES[format], save(small, format, **more))
        for format, more in (
            ("JPEG", {}),
            ("JPEG", {"progressive": True, "subsampling": "4:4:4"}),
            ("PNG", {}),
            ("WEBP", {}),
            ("WEBP", {"lossless": True}),
            ("AVIF", {}),
        )
    ]
    # formats that we do not open, under names that we look at
    found += [(suffix, save(small, format)) for suffix, format in ((".jpg", "TIFF"), (".png", "BMP"), (".gif", "PPM"))]
    found += [(".jpg", animation("MPO")), (".png", save(Image.new("1", (9, 9)), "PNG"))]
    return tuple(found)


def mutated(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``count`` suffixes and damaged pictures; the same for the same ``seed``."""
    chance = random.Random(seed)
    for _ in range(count):
        suffix, data = chance.choice(seeds())
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            data = chance.choice(MUTATIONS)(data, chance)
        if chance.random() < 0.05:
            suffix = chance.choice(list(SUFFIXES.values()))
        yield suffix, data


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 32))):
        if out:
            out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def flip_in_head(data: bytes, chance: random.Random) -> bytes:
    head = chance.choice((64, 256, 1024))
    return flip_bits(data[:head], chance) + data[head:]


def truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def cut_out(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.choice((1, 4, 16, 256)) :]


def repeat(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at : at + chance.choice((4, 12, 64, 512))] * chance.choice((2, 3, 20)) + data[at:]


def splice(data: bytes, chance: random.Random) -> bytes:
    _, other = chance.choice(seeds())
    here, there = chance.randrange(len(data) + 1), chance.randrange(len(other) + 1)
    return data[:here] + other[there:]


def swap_head(data: bytes, chance: random.Random) -> bytes:
    _, other = chance.choice(seeds())
    length = chance.choice((2, 8, 12, 24, 64))
    return other[:length] + data[length:]


def lie_about_a_number(data: bytes, chance: random.Random) -> bytes:
    kind = chance.choice((">H", "<H", ">I", "<I"))
    size = struct.calcsize(kind)
    if len(data) < size:
        return data
    at = chance.randrange(min(len(data) - size, chance.choice((64, 512, 10**9))) + 1)
    value = chance.choice(INTERESTING) % (1 << 8 * size)
    return data[:at] + struct.pack(kind, value) + data[at + size :]


def rewrite_chunks(data: bytes, chance: random.Random) -> bytes:
    """A PNG's chunks dropped, doubled, swapped or changed, with sound checksums: past what the checksums keep away."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return lie_about_a_number(data, chance)
    chunks, at = [], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return data
    place = chance.randrange(len(chunks))
    kind, payload = chunks[place]
    action = chance.randrange(5)
    if action == 0:
        del chunks[place]
    elif action == 1:
        chunks.insert(chance.randrange(len(chunks)), chunks[place])
    elif action == 2:
        chunks[place] = kind, flip_bits(payload, chance)
    elif action == 3:
        chunks[place] = kind, payload[: chance.randrange(len(payload) + 1)]
    else:
        chunks[place] = chance.choice((b"iCCP", b"eXIf", b"tRNS", b"PLTE", b"cHRM", b"zTXt", b"pHYs", b"acTL")), payload
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bits,
    flip_in_head,
    truncate,
    cut_out,
    repeat,
    splice,
    swap_head,
    lie_about_a_number,
    lie_about_a_number,
    rewrite_chunks,
)
