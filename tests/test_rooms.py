"""Rooms load no more than they need; docs/architecture.md says who talks to whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Container
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import semcompress_plugin


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("policy", "semcompress_plugin.report"),
        ("budget", "semcompress_plugin.report"),
        ("features.tables", "onnxruntime"),
        ("evaluators._hierarchy", "onnxruntime"),
    ],
)
def test_a_room_loads_nothing_of_what_it_has_no_business_with(room, never):
    code = f"import sys, semcompress_plugin.{room}; sys.exit({never!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_but_the_command_line_talks_to_commands():
    package = Path(semcompress_plugin.__file__).parent
    above = re.compile(r"^\s*(from|import) semcompress_plugin\.(commands|cli)\b", re.MULTILINE)
    talkers = {str(path.relative_to(package)) for path in package.rglob("*.py") if above.search(path.read_text())}
    assert {name for name in talkers if not name.startswith("commands/")} == {"__main__.py"}
    assert not any("semcompress_plugin.cli" in path.read_text() for path in (package / "commands").glob("*.py"))


def test_every_room_stands_in_the_table_of_the_architecture():
    package = Path(semcompress_plugin.__file__).parent
    table = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text()
    rooms = {path.name for path in package.glob("*.py") if not path.stem.startswith("_")}
    rooms |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    named = set(re.findall(r"`([a-z_0-9]+(?:\.py|/))`", "".join(re.findall(r"(?m)^\|.*?\|", table))))
    assert named - {"presets/"} == rooms - {"SemcompressImagePlugin.py"}


def imported(path: Path, named: Container[str]) -> set[str]:
    """The modules of ours that a file imports, wherever in it, unless for types alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    taken = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in for_types)
    names = ((str(node.module), f"{node.module}.{alias.name}") for node in taken for alias in node.names)
    return {whole if whole in named else module for module, whole in names if module in named}


def test_no_room_leads_back_to_itself():
    package = Path(semcompress_plugin.__file__).parent
    named = {
        ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    top = {package.name}  # what is exported comes from everywhere
    TopologicalSorter({name: imported(named[name], named) - top for name in named.keys() - top}).prepare()
