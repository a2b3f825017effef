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

SETTLED_AT_A_GLANCE = """\
version: 1
rules:
  - name: all
    files: ["**/*.jpg"]
    compress: [{jpeg: {quality: 60}}]
    keep: {msssim: {score: {min: 0.3}}}
"""
"""One look a picture, for tests of what is remembered of it."""
