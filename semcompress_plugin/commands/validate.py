"""``semcompress validate``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.errors import PolicyError, UsageError
from semcompress_plugin.policy import POLICY_NAME, find_policy, load_policy
from semcompress_plugin.walk import here, repository_root
from semcompress_plugin.words import printable


def run(arguments: argparse.Namespace) -> int:
    registry = load_registry()
    findings: list[str] = []
    for path in arguments.policy or [_nearest()]:
        if path.is_dir():
            path = path / POLICY_NAME
        try:
            policy = load_policy(path, registry)
            print(f"{printable(str(path))}: valid, {len(policy.rules)} rule{'s' * (len(policy.rules) != 1)}")
        except PolicyError as error:
            findings += error.findings
    if findings:
        raise PolicyError(findings)
    return 0


def _nearest() -> Path:
    folder = here()
    found = find_policy(folder, repository_root(folder) or Path(folder.anchor))
    found = None if found is None else Path(os.path.relpath(found))
    if found is None:
        raise UsageError(f"no {POLICY_NAME} here or above: name one, or write one with `semcompress init`")
    return found
