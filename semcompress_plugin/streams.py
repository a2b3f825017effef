"""Standard output and standard error: whoever reads there, or nobody, changes nothing of what a command does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from typing import Any, TextIO, cast


@contextmanager
def patient() -> Iterator[None]:
    """Within the block, both streams take whatever is written.

    Where whoever read one has had enough (``semcompress … | head``) or it is closed, what is written goes nowhere;
    letters that it has no bytes for are written as escapes.
    """
    with ExitStack() as stack:
        for redirect, stream, kind in ((redirect_stdout, sys.stdout, _Report), (redirect_stderr, sys.stderr, _Patient)):
            if stream is None:
                stream = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123  # it is no path on Windows
            elif hasattr(stream, "reconfigure"):  # a TextIOWrapper unless somebody replaced it
                stream.reconfigure(errors="backslashreplace")
            stack.enter_context(redirect(cast("TextIO", kind(stream))))
        yield


@contextmanager
def aside() -> Iterator[None]:
    """Within the block, what this thread prints goes to standard error: a plugin at work has no part in the report."""
    token = _ASIDE.set(True)
    try:
        yield
    finally:
        _ASIDE.reset(token)


_ASIDE: ContextVar[bool] = ContextVar("aside", default=False)


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


class _Report(_Patient):
    """Standard output, unless the thread that writes is aside."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text) if _ASIDE.get() else super().write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        if _ASIDE.get():
            sys.stderr.writelines(lines)
        else:
            super().writelines(lines)
