"""What a file was judged by, as plain data; and its place in EXIF, which all four formats have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from PIL import Image

from semcompress_plugin import exif
from semcompress_plugin.plain import plain
from semcompress_plugin.plugins import DISTRIBUTION
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Proposal, Rule, Scores

KEY = "semcompress"
"""The judgement's first key, and its key in ``Image.info``."""

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_ASCII = b"ASCII\0\0\0"  # how a UserComment says its character code (Exif 2.32, table 9)


def judgement(rule: Rule, proposal: Proposal, scores: Scores, registry: Registry) -> dict[str, Any]:
    """Who judged, by which bounds, what they measured, and what was chosen; docs/semc.md describes the keys."""
    keep: dict[str, dict[str, dict[str, float]]] = {}
    for constraint in rule.keep:
        bounds = {"min": constraint.min, "max": constraint.max}
        given = {word: bound for word, bound in bounds.items() if bound is not None}
        keep.setdefault(constraint.evaluator, {})[constraint.metric.name] = given
    readers = {
        use.name: {
            "evaluator": use.plugin,
            "version": registry.evaluator(use.plugin).version,
            "options": dict(use.options),
        }
        for use in rule.evaluators
    }
    judged: dict[str, Any] = {
        KEY: version(DISTRIBUTION),
        "rule": rule.digest,
        "keep": keep,
        "readers": readers,
        "scores": {name: dict(values) for name, values in scores.items()},
        "compressor": proposal.compressor,
        "compressor_version": registry.compressor(proposal.compressor).version,
        "settings": dict(proposal.settings),
    }
    return {key: plain(value) for key, value in judged.items()}


def with_record(block: bytes | None, judged: Mapping[str, Any]) -> bytes:
    """An EXIF block with the judgement as its UserComment, in place of one that is there.

    Everything else stays at its offset. Raises ValueError for a block that cannot be read.
    """
    text = json.dumps(judged, allow_nan=False, separators=(",", ":"))
    return exif.with_user_comment(block, _ASCII + text.encode())


def recorded(image: Image.Image) -> Mapping[str, Any] | None:
    """The judgement that an image's file carries: a ``.semc``, or one saved with ``record=True``; else None."""
    judged = image.info.get(KEY)
    if judged is None:
        comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
        if not isinstance(comment, bytes) or not comment.startswith(_ASCII):
            return None
        try:
            judged = json.loads(comment.removeprefix(_ASCII))
        except (ValueError, RecursionError):  # somebody else's comment
            return None
    return judged if isinstance(judged, dict) and KEY in judged else None
