"""Colour profiles (ICC.1:2001-04) made here, since none may be shipped that somebody else made."""

from __future__ import annotations

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65 = (0.3127, 0.3290)


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_d50(primaries: tuple[tuple[float, float], ...], white: tuple[float, float] = D65) -> np.ndarray:
    """The matrix from linear RGB to XYZ under D50: three columns, one for each primary."""
    columns = np.stack([_xyz(*primary) for primary in primaries], axis=1)
    matrix = columns * np.linalg.solve(columns, _xyz(*white))
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ _xyz(*white)))
    return np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ matrix


def _fixed(values: object) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in np.ravel(values))


def _point(values: object) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"made for a test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0nobody's\0",
        b"wtpt": _point(D50),
        **tags,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4x4s4s4s4s", start + len(body), b"\x02\x40\0\0", kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(D50)
    return head.ljust(128, b"\0") + table + body


def rgb(
    primaries: tuple[tuple[float, float], ...] = ADOBE_RGB,
    gamma: float = 563 / 256,
    numbers: tuple[int, int] | None = None,
) -> bytes:
    """Of a screen: three primaries, white D65, one gamma (a multiple of 1/256).

    ``numbers`` are primaries and transfer function once more, as H.273 counts them.
    """
    columns = to_d50(primaries).T
    points = {tag: _point(column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    named = {} if numbers is None else {b"cicp": b"cicp\0\0\0\0" + bytes((*numbers, 0, 1))}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma))
    return _profile(b"mntr", b"RGB ", b"XYZ ", {**points, **curves, **named})


def grey(gamma: float = 1.0) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk() -> bytes:
    """Of a press whose inks are pure and whose paper is white: each halves nothing or swallows its light whole."""
    nodes = bytearray()
    for ink in range(16):
        c, m, y, k = (ink >> shift & 1 for shift in (3, 2, 1, 0))
        linear = np.array([(1 - c) * (1 - k), (1 - m) * (1 - k), (1 - y) * (1 - k)], float)
        ratio = to_d50(SRGB) @ linear / D50
        root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
        lab = (116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2]))
        nodes += bytes(int(np.clip(v, 0, 255)) for v in (lab[0] * 2.55 + 0.5, lab[1] + 128.5, lab[2] + 128.5))
    straight = bytes(range(256))
    table = b"mft1\0\0\0\0\x04\x03\x02\0" + _fixed(np.eye(3)) + straight * 4 + bytes(nodes) + straight * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})
