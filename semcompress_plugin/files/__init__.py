"""Reads and replaces files so that each is, at any moment, the whole old one or the whole new one.

New bytes are *staged* in a temporary file first and then renamed over the target. In a git repository they are staged
in the git directory, where a crash leaves nothing that ``git status`` or ``git add`` could see; where that lies on
another file system they are staged beside the target as ``.semcompress-*.tmp``. :func:`sweep` removes what a killed
process left in either place. ``.semcompress-*.was`` are files that trade places with the target: what they hold may be
all there is of something, so that only who knows their content may delete them (:func:`parked`).
"""

from semcompress_plugin.files._appending import append
from semcompress_plugin.files._reading import Snapshot, Version, check, digest, holds, measure, read
from semcompress_plugin.files._removing import retire
from semcompress_plugin.files._staging import Staged, create, folds_case, pour, replace, stage, sync
from semcompress_plugin.files._temporary import TAKEN_OUT, is_temporary, parked, sweep

__all__ = [
    "TAKEN_OUT",
    "Snapshot",
    "Staged",
    "Version",
    "append",
    "check",
    "create",
    "digest",
    "folds_case",
    "holds",
    "is_temporary",
    "measure",
    "parked",
    "pour",
    "read",
    "replace",
    "retire",
    "stage",
    "sweep",
    "sync",
]
