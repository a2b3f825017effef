"""``semcompress plugins``."""

from __future__ import annotations

import argparse
import math
from typing import Any

from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.policy.check import describe
from semcompress_plugin.registry import Registry
from semcompress_plugin.report.json import dumps
from semcompress_plugin.types import CompressorSpec, EvaluatorSpec


def run(arguments: argparse.Namespace) -> int:
    registry = load_registry()
    if arguments.format == "json":
        print(dumps(as_json(registry)))
    else:
        print(as_text(registry))
    return 0


def as_json(registry: Registry) -> dict[str, Any]:
    """``{"compressors": […], "evaluators": […], "searches": […], "broken": […]}``."""
    return {
        "compressors": [
            _common(registry, spec)
            | {
                "formats": spec.formats,
                "knobs": [
                    {"name": k.name, "summary": k.summary, "low": k.low, "high": k.high, "integer": k.integer}
                    for k in spec.knobs
                ],
            }
            for spec in registry.compressors.values()
        ],
        "evaluators": [
            _common(registry, spec)
            | {
                "argument": spec.argument,
                "metrics": [
                    {
                        "name": m.name,
                        "summary": m.summary,
                        "higher_is_better": m.higher_is_better,
                        "minimum": None if math.isinf(m.minimum) else m.minimum,
                        "maximum": None if math.isinf(m.maximum) else m.maximum,
                        "unit": m.unit,
                    }
                    for m in spec.metrics
                ],
            }
            for spec in registry.evaluators.values()
        ],
        "searches": [{"name": s.name, "summary": s.summary} for s in registry.searches.values()],
        "broken": [str(broken) for broken in registry.broken],
    }


def as_text(registry: Registry) -> str:
    lines = ["compressors"]
    for compressor in registry.compressors.values():
        lines.append(f"  {compressor.name}: {compressor.summary}{_by(registry, compressor)}")
        for knob in compressor.knobs:
            lines.append(f"    {knob.name} {knob.low:g} to {knob.high:g}: {knob.summary}")
        lines += _options(compressor)
    lines.append("evaluators")
    for evaluator in registry.evaluators.values():
        name = f"{evaluator.name}:{evaluator.argument.upper()}" if evaluator.argument else evaluator.name
        lines.append(f"  {name}: {evaluator.summary}{_by(registry, evaluator)}")
        for metric in evaluator.metrics:
            better = "higher" if metric.higher_is_better else "lower"
            lines.append(
                f"    {metric.name} ({metric.minimum:g} to {metric.maximum:g}, {better} is better): {metric.summary}"
            )
        lines += _options(evaluator)
    lines.append("searches")
    lines += [f"  {search.name}: {search.summary}" for search in registry.searches.values()]
    return "\n".join(lines)


def _options(spec: CompressorSpec | EvaluatorSpec) -> list[str]:
    lines = []
    for name, schema in spec.options.items():
        default = f", default {_yaml(schema['default'])}" if "default" in schema else ""
        lines.append(f"    option {name}: {describe(schema)}{default}")
    return lines


def _yaml(value: object) -> str:
    """A default as a policy would say it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _common(registry: Registry, spec: CompressorSpec | EvaluatorSpec) -> dict[str, Any]:
    provider = registry.provider(spec)
    return {
        "name": spec.name,
        "version": spec.version,
        "summary": spec.summary,
        "distribution": provider.distribution,
        "extra": spec.extra,
        "options": spec.options,
    }


def _by(registry: Registry, spec: CompressorSpec | EvaluatorSpec) -> str:
    return f" [{registry.provider(spec)}{f', extra {spec.extra}' if spec.extra else ''}]"
