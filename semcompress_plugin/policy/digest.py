"""What the user asked for, as one short text.

It depends on what stands in the policy and on nothing else: neither on versions of tools or presets, nor on the order
of keys, comments, or how a number is written. A changed digest makes settled pictures outdated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# which files, and what guards them: neither says what a picture is shrunk to
_WHERE = ("name", "files", "preset", "budget")


def digest(rule: Mapping[str, Any], preset: str, evaluators: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 (hex) of a rule as written, its preset's name as written, and the evaluator entries that it uses.

    ``rule`` and ``evaluators`` are plain data that passed the schema; the rule's name, patterns and budget are left
    out, so that moving a picture to a rule that asks the same settles nothing anew.
    """
    asked = {key: value for key, value in rule.items() if key not in _WHERE}
    if asked.get("skip") is False:
        del asked["skip"]
    if "compress" in asked:
        asked["compress"] = _settings(asked["compress"])
    if "search" in asked:
        asked["search"] = _settings(asked["search"])
    if "min_saving" in asked:
        asked["min_saving"] = fraction(asked["min_saving"])
    if "formats" in asked.get("outputs", {}):
        asked["outputs"] = {**asked["outputs"], "formats": sorted(asked["outputs"]["formats"])}
    used = {name: {"use": name, **entry} for name, entry in evaluators.items()}
    used = {name: entry for name, entry in used.items() if entry != {"use": name}}
    text = json.dumps(_even({"rule": asked, "preset": preset, "evaluators": used}), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fraction(written: str | float) -> float:
    """``5%`` and 0.05 as 0.05."""
    if isinstance(written, str):
        return float(f"{written.removesuffix('%')}e-2")  # dividing by 100 would round: 7% must equal 0.07
    return float(written)


def _settings(written: str | list[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """``jpeg``, ``[jpeg]`` and ``{jpeg: {}}`` as ``{"jpeg": {}}``."""
    parts = written if isinstance(written, list) else [written]
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= {part: {}} if isinstance(part, str) else {name: given or {} for name, given in part.items()}
    return merged


def _even(value: Any) -> Any:
    """1.0 as 1, all the way down."""
    if isinstance(value, dict):
        return {key: _even(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_even(child) for child in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
