"""Symbols to bytes and back, by constriction's range coder with the tables' statistics.

Which statistics a symbol is coded by follows from whole numbers alone, so every machine decodes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import constriction
import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.features.quantise import bins
from semcompress_plugin.features.tables import LARGEST, Tables

Symbols = NDArray[np.int64]
_WORD = np.dtype(">u4")


def packed(rows: Sequence[Symbols], step: int, tables: Tables) -> bytes:
    """The rows' symbols (each at most K, within plus and minus LARGEST) as bytes; :func:`unpacked` wants the lengths.

    Bytes at the end are left off where zeros in their place give the same symbols.
    """
    encoder = constriction.stream.queue.RangeEncoder()
    for row in rows:
        for part, model in _runs(len(row), step, tables):
            encoder.encode((row[part] + LARGEST).astype(np.int32), model)
    data: bytes = encoder.get_compressed().astype(_WORD).tobytes()
    lengths = [len(row) for row in rows]
    while data and _stand_for(data[:-1], rows, lengths, step, tables):
        data = data[:-1]
    return data


def _stand_for(data: bytes, rows: Sequence[Symbols], lengths: Sequence[int], step: int, tables: Tables) -> bool:
    """Whether ``data`` stands for these very symbols."""
    try:
        return all(map(np.array_equal, unpacked(data, lengths, step, tables), rows))
    except ValueError:
        return False


def unpacked(data: bytes, lengths: Sequence[int], step: int, tables: Tables) -> list[Symbols]:
    """The symbols; ValueError where no encoder can have written ``data``."""
    words = np.frombuffer(data + bytes(-len(data) % _WORD.itemsize), _WORD).astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    rows = []
    for length in lengths:
        row = np.zeros(length, np.int64)
        for part, model in _runs(length, step, tables):
            try:
                row[part] = decoder.decode(model, part.stop - part.start)
            except AssertionError as error:
                raise ValueError("the coded symbols are damaged") from error
            row[part] -= LARGEST
        rows.append(row)
    return rows


def _runs(length: int, step: int, tables: Tables) -> list[tuple[slice, constriction.stream.model.Categorical]]:
    """Stretches of coefficients that share their statistics, with these."""
    rows = bins(tables, step)[:length]
    edges = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), length] if length else [0]
    return [
        (
            slice(start, stop),
            constriction.stream.model.Categorical(tables.counts[rows[start]].astype(np.float64), perfect=False),
        )
        for start, stop in pairwise(edges)
    ]
