"""Rooms load no more than they need; docs/architecture.md says who talks to whom."""

from __future__ import annotations

import re
import subprocess
import sys
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
