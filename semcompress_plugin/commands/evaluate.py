"""``semcompress evaluate REFERENCE CANDIDATE``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin import files
from semcompress_plugin.commands._shared import governing_rule, load_registry
from semcompress_plugin.engine import drive, measure
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.report.json import dumps
from semcompress_plugin.types import Constraint, Features, Reference, Rule, Scores
from semcompress_plugin.words import percent, size
from semcompress_plugin.workshop import Workshop

if TYPE_CHECKING:
    from PIL import Image


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 if every constraint of the rule that governs REFERENCE, or else CANDIDATE, holds; else 1."""
    registry = load_registry()
    rule = governing_rule([arguments.reference, arguments.candidate], arguments.policy, registry)
    reference = _decoded(arguments.reference, rule)
    workshop = Workshop(registry)
    candidate, after = _candidate(arguments.candidate, rule, workshop)
    if isinstance(candidate, Reference):
        if candidate.metadata.icc_profile != reference.metadata.icc_profile:
            # they are compared as they are shown: readers say what it is worth that the profile is another one
            rule = replace(rule, icc="srgb")
            reference, candidate = _decoded(arguments.reference, rule), _decoded(arguments.candidate, rule)
        image: Image.Image | Features = candidate.image
    else:
        image = candidate
    try:
        measured = drive(measure(reference, image, rule, registry), workshop.perform)
    except ImageError as error:
        raise UsageError(f"{arguments.candidate}: {error}") from error
    before = reference.bytes or 0
    if arguments.format == "json":
        value = {"rule": rule.name, "before": before, "after": after, "holds": measured.holds}
        print(dumps({**value, "reason": measured.reason, "scores": measured.scores}))
    else:
        print(f"{size(before)} -> {size(after)} ({percent(before, after)}), rule {rule.name}")
        print("\n".join(_lines(measured.scores, rule.keep)))
        print("holds" if measured.holds else f"does not hold: {measured.reason}")
    return 0 if measured.holds else 1


def _candidate(path: Path, rule: Rule, workshop: Workshop) -> tuple[Reference | Features, int]:
    """What is in the file, and its size: a picture, or features where a compressor writes files without pixels."""
    registry = workshop.registry
    decoder = registry.decoder(path)
    if decoder is None:
        candidate = _decoded(path, rule)
        return candidate, candidate.bytes or 0
    try:
        data = files.read(path).data
        features = workshop.decode(decoder, data)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from error
    readers = {use.name: registry.evaluator(use.plugin).reads for use in rule.evaluators}
    if needy := [name for name, reads in readers.items() if features.network not in reads]:
        raise UsageError(
            f"{path}: holds no pixels, and rule {rule.name} asks {', '.join(needy)}, which needs them: "
            "give a policy whose rule keeps what classifier measures alone (--policy)"
        )
    return features, len(data)


def _decoded(path: Path, rule: Rule) -> Reference:
    try:
        with Decoders() as decoders:
            return decoders.decode(files.read(path).data, path.name, "keep", rule.limits, "keep", rule.icc)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from error


def _lines(scores: Scores, constraints: tuple[Constraint, ...]) -> list[str]:
    bounds = {(c.evaluator, c.metric.name): c for c in constraints}
    lines = []
    for evaluator, values in scores.items():
        for metric, value in values.items():
            bound = bounds.get((evaluator, metric))
            shown = f"{value:.4g}" if bound is None else bound.shown(value)
            verdict = "" if bound is None else f"   {'ok' if bound.holds(value) else 'MISSED'}: {_bound(bound)}"
            lines.append(f"  {evaluator}.{metric} {shown}{verdict}")
    return lines


def _bound(constraint: Constraint) -> str:
    return str(constraint).split(" ", 1)[1]
