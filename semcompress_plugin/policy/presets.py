"""Named, versioned bundles of defaults, as YAML beside the package's code.

``web.yaml`` is the newest ``web`` and says its version; versions before it stay as ``web@1.yaml`` and so on, for
policies that pin them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from semcompress_plugin.policy.nodes import Node, read

DEFAULT = "web"
FOLDER = Path(__file__).parent.parent / "presets"


@cache
def names() -> tuple[str, ...]:
    """What a policy may write: every preset plain (the newest) and pinned, such as ``web`` and ``web@1``."""
    return tuple(sorted(_all()))


def load(name: str) -> tuple[Path, Node]:
    """The file and the document of one of :func:`names`."""
    return _all()[name]


@cache
def _all() -> dict[str, tuple[Path, Node]]:
    found = {}
    for path in FOLDER.glob("*.yaml"):
        node, findings = read(path.read_bytes())
        if node is None or findings:  # a bug of ours: the tests read every preset
            raise ValueError(f"{path}: {findings}")
        found[path.stem] = path, node
        if "@" not in path.stem:
            version = node["version"]
            found[f"{path.stem}@{version.value if version else '?'}"] = path, node
    return found
