"""Whether git has a file just as it lies there: then it can be had again, whatever becomes of it."""

from __future__ import annotations

from semcompress_plugin import files, git
from semcompress_plugin.files import Snapshot


def is_committed(snapshot: Snapshot) -> bool:
    """Whether the commit that is checked out has these very bytes at this path; False where git cannot say."""
    repository = git.find(snapshot.path.parent)
    if repository is None:
        return False
    there = git.blob_at(repository, "HEAD:", snapshot.path)
    return there is not None and files.digest(there) == snapshot.sha256
