"""Standard output and standard error: whoever reads there, or nobody, changes nothing of what a command does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast


@contextmanager
def patient() -> Iterator[None]:
    """Within the block, both streams take whatever is written.

    Where whoever read one has had enough (``semcompress … | head``) or it is closed, what is written goes nowhere;
    letters that it has no bytes for are written as escapes.
    """
    with ExitStack() as stack:
        for redirect, stream in ((redirect_stdout, sys.stdout), (redirect_stderr, sys.stderr)):
            if stream is None:
                stream = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123  # it is no path on Windows
            elif hasattr(stream, "reconfigure"):  # a TextIOWrapper unless somebody replaced it
                stream.reconfigure(errors="backslashreplace")
            stack.enter_context(redirect(cast("TextIO", _Patient(stream))))
        yield


def silence(stream: TextIO) -> None:
    """Let nothing more reach what ``stream`` is connected to, not even by the interpreter's end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _Patient:
    """A stream that is silenced where nobody reads it; else as the one that it is made of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            silence(self._stream)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        # not one by one in Python: a variable would hold the last piece of a long report while the next is made
        try:
            self._stream.writelines(lines)
        except BrokenPipeError:
            silence(self._stream)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            silence(self._stream)
