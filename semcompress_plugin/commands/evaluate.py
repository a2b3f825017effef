"""``semcompress evaluate REFERENCE CANDIDATE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.commands._shared import governing_rule, load_registry
from semcompress_plugin.engine import drive, measure
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.images import decode
from semcompress_plugin.report.json import dumps
from semcompress_plugin.report.text import percent, size
from semcompress_plugin.types import Constraint, Reference, Scores
from semcompress_plugin.workshop import Workshop


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 if every constraint of the rule that governs REFERENCE holds, else 1."""
    registry = load_registry()
    rule = governing_rule(arguments.reference, arguments.policy, registry)
    reference, candidate = (_decoded(path) for path in (arguments.reference, arguments.candidate))
    workshop = Workshop(registry)
    measured = drive(measure(reference, candidate.image, rule, registry), workshop.perform)
    before, after = reference.bytes or 0, candidate.bytes or 0
    if arguments.format == "json":
        value = {"rule": rule.name, "before": before, "after": after, "holds": measured.holds}
        print(dumps({**value, "reason": measured.reason, "scores": measured.scores}))
    else:
        print(f"{size(before)} -> {size(after)} ({percent(before, after)}), rule {rule.name}")
        print("\n".join(_lines(measured.scores, rule.keep)))
        print("holds" if measured.holds else f"does not hold: {measured.reason}")
    return 0 if measured.holds else 1


def _decoded(path: Path) -> Reference:
    try:
        # as evaluators see it; what profile it has is compared too
        return decode(files.read(path).data, path.name)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from error


def _lines(scores: Scores, constraints: tuple[Constraint, ...]) -> list[str]:
    bounds = {(c.evaluator, c.metric.name): c for c in constraints}
    lines = []
    for evaluator, values in scores.items():
        for metric, value in values.items():
            bound = bounds.get((evaluator, metric))
            verdict = "" if bound is None else f"   {'ok' if bound.holds(value) else 'MISSED'}: {_bound(bound)}"
            lines.append(f"  {evaluator}.{metric} {value:.4g}{verdict}")
    return lines


def _bound(constraint: Constraint) -> str:
    return str(constraint).split(" ", 1)[1]
