"""Whether git has a file just as it lies there: then it can be had again, whatever becomes of it."""

from __future__ import annotations

import hashlib
import os

from semcompress_plugin import git
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.files import Snapshot


def is_committed(snapshot: Snapshot) -> bool:
    """Whether the commit that is checked out has these very bytes at this path; False where git cannot say."""
    repository = git.find(snapshot.path.parent)
    if repository is None:
        return False
    name = os.path.relpath(os.path.realpath(snapshot.path.parent), repository.root)
    try:
        listed = git.run(repository.root, "rev-parse", "--verify", "--quiet", f"HEAD:{name}/{snapshot.path.name}")
    except OriginalsError:
        return False
    return listed.decode().strip() in _ids(snapshot.data)


def _ids(data: bytes) -> set[str]:
    """git's ids of a blob, in repositories with SHA-1 and with SHA-256."""
    header = b"blob %d\0" % len(data)
    return {
        hashlib.sha1(header + data, usedforsecurity=False).hexdigest(),
        hashlib.sha256(header + data).hexdigest(),
    }
