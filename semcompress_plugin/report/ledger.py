"""Results in little room, until the report is written: a run may have any number of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from semcompress_plugin.types import OutputFile, Result

_FIELDS = tuple(one.name for one in fields(Result) if one.name not in ("path", "outputs"))


class Ledger(Collection[Result]):
    """Results in the order in which they came.

    What was written, with settings and scores, is held as compressed JSON, in a tenth of the room that the objects
    take; every pass over the results makes them anew.
    """

    def __init__(self, results: Iterable[Result] = ()) -> None:
        self._paths: list[str] = []
        self._rows: list[Result | bytes] = []
        self._sample = b""
        """JSON of the first, with which the others have most in common."""
        self.extend(results)

    @classmethod
    def of(cls, results: Iterable[Result]) -> Ledger:
        return results if isinstance(results, cls) else cls(results)

    def append(self, result: Result) -> None:
        self._paths.append(result.path)
        self._rows.append(self._packed(result) if result.outputs else result)

    def extend(self, results: Iterable[Result]) -> None:
        for result in results:
            self.append(result)

    def revise(self, results: Iterable[Result]) -> None:
        """Put a result in the place of each that is here; they may be made from these while they are taken over."""
        for number, result in enumerate(results):
            self._rows[number] = self._packed(result) if result.outputs else result

    def by_path(self) -> Iterator[Result]:
        """The results sorted by path."""
        for number in sorted(range(len(self._rows)), key=self._paths.__getitem__):
            yield self._result(number)

    def __iter__(self) -> Iterator[Result]:
        return map(self._result, range(len(self._rows)))

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, result: object) -> bool:
        return any(one == result for one in self)

    def _result(self, number: int) -> Result:
        row = self._rows[number]
        if isinstance(row, Result):
            return row
        import zlib  # a library to be loaded: not for a run with nothing to do

        text = zlib.decompressobj(zdict=self._sample).decompress(row)
        outputs, *rest = json.loads(text)
        written = tuple(OutputFile(*output) for output in outputs)
        return Result(self._paths[number], **dict(zip(_FIELDS, rest, strict=True)), outputs=written)

    def _packed(self, result: Result) -> bytes:
        import zlib

        outputs = [[one.path, one.compressor, one.settings, one.bytes, one.scores] for one in result.outputs]
        row = [outputs, *(getattr(result, name) for name in _FIELDS)]
        text = json.dumps(row, default=_plain).encode()
        self._sample = self._sample or text
        packer = zlib.compressobj(zdict=self._sample)
        return packer.compress(text) + packer.flush()


def _plain(value: object) -> Any:
    """A mapping that is no dict, or a number of numpy's, as JSON has it."""
    return dict(value) if isinstance(value, Mapping) else float(value)  # type: ignore[arg-type]  # what else raises
