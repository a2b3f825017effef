"""A bug of ours: its traceback goes into a file, and a line asks for a report."""

from __future__ import annotations

import os
import sys

EXIT = 3
"""The exit code of a command that met one."""


def version() -> str:
    """Ours. It takes a while to find out."""
    from importlib.metadata import version

    return version("semcompress-plugin")


def kept(text: str) -> str:
    """Keep the traceback ``text`` in a file; a line that says where, and asks for a report."""
    import tempfile

    handle, name = tempfile.mkstemp(prefix="semcompress-bug-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"semcompress {version()}, Python {sys.version}, {sys.platform}\n\n{text}")
    last = text.strip().splitlines()[-1]
    return f"this is a bug of ours ({last}); please report it with {name}"


def report(text: str) -> int:
    """Keep the traceback, say so on standard error, and return the exit code."""
    print(f"semcompress: {kept(text)}", file=sys.stderr)
    return EXIT
