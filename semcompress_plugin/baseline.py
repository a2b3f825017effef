"""The baseline: pictures that were there before the policy and may stay as they are. Pure, but for reading the file.

``semcompress.baseline`` lies beside its policy and is committed: one line of JSON per content, sorted, so that git
merges it by union. A picture is told by its content: one that is edited, or grows, stands in no baseline.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.errors import BaselineError, ImageError

NAME = "semcompress.baseline"
HEADER = '{"format": "semcompress.baseline", "version": 1}'
_SHA256 = re.compile("[0-9a-f]{64}")
_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")


@dataclass(frozen=True, slots=True, order=True)
class Old:
    """A picture that may stay: ``path`` (relative to the baseline, with ``/``) is for people, the content decides."""

    path: str
    sha256: str
    bytes: int


def parse(text: str, where: str) -> frozenset[Old]:
    """The pictures of a baseline. Raises BaselineError, naming ``where:line``, for anything that is not one."""
    found: set[Old] = set()
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{where}:{number}"
        if line.startswith(_MARKERS):
            raise BaselineError(f"{place}: a merge left conflict markers: delete the marker lines and keep all others")
        if not line.strip() or line == HEADER:
            continue
        try:
            record = json.loads(line)
            if "format" in record:
                raise BaselineError(f"{place}: expected {HEADER}: a newer semcompress wrote this, so upgrade")
            old = Old(record["path"], record["sha256"], record["bytes"])
            if not (isinstance(old.path, str) and _SHA256.fullmatch(old.sha256) and type(old.bytes) is int):
                raise ValueError("not a picture")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BaselineError(f"{place}: not a line of a baseline: take the file from git again") from error
        found.add(old)
    return frozenset(found)


def render(pictures: Iterable[Old]) -> str:
    """A baseline's text: the same for the same pictures in any order, in ASCII."""
    return "\n".join([HEADER, *sorted(json.dumps(asdict(old)) for old in set(pictures)), ""])


def load(path: Path) -> frozenset[Old]:
    """The baseline at ``path``; empty where there is none. Raises BaselineError."""
    try:
        data = files.read(path).data
    except ImageError as error:
        if not path.is_symlink() and not path.exists():
            return frozenset()
        raise BaselineError(f"{path}: {error}") from error
    return parse(data.decode("utf-8", "replace"), str(path))
