"""Rooms load no more than they need; docs/architecture.md says who talks to whom."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
