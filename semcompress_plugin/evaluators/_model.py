"""The models that we ship: found, and verified against their provenance.

Each is a pair of files under ``models/``: ``NAME.onnx`` and ``NAME.json``, which says where it comes from.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from semcompress_plugin.errors import ModelError

MODELS = Path(__file__).parent / "models"
REINSTALL = "reinstall semcompress-plugin"


def provenance(name: str) -> dict[str, Any]:
    """What is known of the model ``name``: at least ``version``, ``sha256``, ``bytes``, ``licence``, ``source``.

    Raises :class:`ModelError` when it is not shipped or its provenance cannot be read.
    """
    path = MODELS / f"{name}.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read the model's provenance ({error}): {REINSTALL}") from error
    if not isinstance(known, dict) or "sha256" not in known:
        raise ModelError(f"{path}: expected an object with the model's sha256: {REINSTALL}")
    return known


def model_bytes(name: str) -> bytes:
    """The file of the model ``name``, once it has been found to be the one that was shipped.

    Raises :class:`ModelError` when it is missing, unreadable or does not have the recorded SHA-256.
    """
    expected = provenance(name)["sha256"]
    path = MODELS / f"{name}.onnx"
    try:
        model = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model ({error}): {REINSTALL}") from error
    got = hashlib.sha256(model).hexdigest()
    if got != expected:
        raise ModelError(f"{path}: expected sha256 {expected}, got {got}: {REINSTALL}")
    return model
