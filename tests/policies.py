"""Policies that several tests are about to apply, or to change a word of."""

from __future__ import annotations

POLICY = """\
version: 1
preset: machine
rules:
  - name: all
    files: ["*.jpg"]
    compress: [jpeg]
    keep: {classifier: {js_divergence: {max: 0.05}}}
"""
