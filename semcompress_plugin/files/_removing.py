"""Deletes files that still are as they were read."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from semcompress_plugin import exchange
from semcompress_plugin.errors import ImageError
from semcompress_plugin.files._reading import Snapshot, Version, check
from semcompress_plugin.files._staging import same_device, unwritable
from semcompress_plugin.files._temporary import PARKED, PREFIX


def _remove(snapshot: Snapshot | Version) -> None:
    """Delete a file that still is as it was read."""
    check(snapshot)
    try:
        snapshot.path.unlink()
    except OSError as error:
        raise ImageError(unwritable(error)) from error


def retire(snapshot: Snapshot | Version, staging: Path | None = None) -> None:
    """Delete a file that still is as it was read, and is known to be kept elsewhere: taken out first, then looked at.

    ``staging`` is the folder for what was taken out, if it is on the same file system.
    """
    check(snapshot)
    folder = snapshot.path.parent
    if staging is not None and same_device(staging, folder):
        folder = staging
    taken = folder / f"{PREFIX}{os.urandom(8).hex()}{PARKED}"
    try:
        os.rename(snapshot.path, taken)  # noqa: PTH104  # fault injection patches os.rename
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise ImageError(unwritable(error)) from error
        return _remove(snapshot)  # a bind mount or a quota
    busy = exchange.being_written(taken)
    known = exchange.sha256(taken) == snapshot.sha256
    if busy or not known:
        exchange.bring_back(taken, snapshot.path)
        raise ImageError(exchange.BUSY if known else exchange.CHANGED)
    with contextlib.suppress(OSError):  # the next run will
        taken.unlink()
