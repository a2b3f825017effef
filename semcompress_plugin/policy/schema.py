"""The keys of a policy as a JSON schema: one table for the parser, for editors and for the documentation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Protocol

from semcompress_plugin import budget
from semcompress_plugin.errors import PluginError
from semcompress_plugin.policy import presets
from semcompress_plugin.types import CompressorSpec, EvaluatorSpec, Knob, Limits, Metric

VERSION = 1

_DEFAULT = Limits()
_LIMITS: dict[str, Any] = {
    "max_pixels": {
        "type": "integer",
        "minimum": 1,
        "default": _DEFAULT.max_pixels,
        "description": "The most pixels of a picture.",
    },
    "max_frames": {
        "type": "integer",
        "minimum": 1,
        "default": _DEFAULT.max_frames,
        "description": "The most frames of an animation.",
    },
    "max_metadata": {
        "type": "integer",
        "minimum": 1,
        "default": _DEFAULT.max_metadata,
        "description": "The most bytes of metadata, stored or unpacked. More than 2,048 segments or chunks of it are "
        "never read.",
    },
    "max_seconds": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 86_400,
        "default": _DEFAULT.max_seconds,
        "description": "The most seconds of work on one picture: looked at between two steps of it, and with "
        "`isolate` within the first, decoding.",
    },
}
_BUDGET = "a size such as 200 kB or 1.5 MB (in B, kB, MB, KiB or MiB, spelt so), or a number of bytes"
_SAVING = "a percentage below 100% such as 5%, or a fraction such as 0.05"


class NamedOptions(Protocol):
    """What a policy wants to know of a search strategy."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


class Known(Protocol):
    """What a policy may name; :class:`semcompress_plugin.registry.Registry` is one.

    ``compressor`` and ``evaluator`` raise PluginError, with who is known, for a name that is not.
    """

    @property
    def compressors(self) -> Mapping[str, CompressorSpec]: ...
    @property
    def evaluators(self) -> Mapping[str, EvaluatorSpec]: ...
    @property
    def searches(self) -> Mapping[str, NamedOptions]: ...
    def compressor(self, name: str) -> CompressorSpec: ...
    def evaluator(self, name: str) -> EvaluatorSpec: ...


def find_evaluator(registry: Known, name: str) -> EvaluatorSpec | None:
    """The evaluator that ``name`` means, also as one of a family (``torchvision:resnet152``), or None."""
    try:
        return registry.evaluator(name)
    except PluginError:
        return None


def schema(registry: Known) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a policy in which everything may be named that ``registry`` knows.

    It covers structure; what depends on two places at once (bounds that contradict, names given twice) is left to
    :func:`semcompress_plugin.policy.load_policy`.
    """
    preset = {
        "type": "string",
        "enum": list(presets.names()),
        "title": "preset",
        "description": "Where values come from that a rule does not give; `web@1` pins a version.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": "a policy: a mapping that begins with `version: 1`",
        "required": ["version"],
        "additionalProperties": False,
        "properties": {
            "version": {"type": "integer", "const": VERSION, "description": "The version of the policy's format."},
            "preset": {**preset, "default": presets.DEFAULT},
            "evaluators": _evaluators(registry),
            "rules": {
                "type": "array",
                "minItems": 1,
                "title": "a list of rules",
                "description": "The first rule that matches a file decides; a file that none matches is left alone. "
                "Without this key there is one rule, `all`, for every picture.",
                "items": _rule(registry, preset),
            },
            "originals": {
                "type": "string",
                "minLength": 1,
                "title": "git, none or a folder",
                "description": "Where replaced originals are kept: `git` (default in a repository), a folder relative "
                "to the policy, or `none`.",
            },
            "limits": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "description": "Guards against pictures that would cost too much: reported as failed, left as they "
                "are.",
                "properties": _LIMITS,
            },
            "isolate": {
                "type": "boolean",
                "default": _DEFAULT.isolate,
                "description": "Decode in a process of its own, which may crash, hang or run out of memory without "
                "taking anything else along ([security](security.md)).",
            },
        },
    }


def body(registry: Known) -> dict[str, Any]:
    """The keys that rules and presets share."""
    return {
        "compress": _compress(registry),
        "keep": {
            "type": "object",
            "minProperties": 1,
            "title": "constraints such as {msssim: {score: {min: 0.97}}}",
            "description": "What a reader must still see: evaluator, metric, and a bound with `min`, `max` or both. "
            "All must hold.",
            "properties": {name: metrics(spec) for name, spec in registry.evaluators.items()},
            "additionalProperties": ANY_METRICS,
        },
        "outputs": _outputs(registry),
        "min_saving": {
            "anyOf": [
                {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "title": _SAVING},
                {"type": "string", "pattern": r"^[0-9]{1,2}(\.[0-9]+)?%$", "title": _SAVING},
            ],
            "default": "5%",
            "description": "A file is not touched for less: a percentage of its bytes, or a fraction.",
        },
        "metadata": {
            "type": "string",
            "enum": ["keep", "strip-private", "strip-all"],
            "default": "strip-private",
            "description": "What is written back beside the pixels: everything; only who made it, when and how (no "
            "place, serial numbers, owner, thumbnail, XMP); or nothing but the colour profile.",
        },
        "orientation": {
            "type": "string",
            "enum": ["apply", "keep"],
            "default": "apply",
            "description": "What becomes of a picture that is stored lying on its side: its pixels are turned and the "
            "tag goes, or they stay as they are and the tag stays ([metadata](metadata.md#orientation)).",
        },
        "icc": {
            "type": "string",
            "enum": ["keep", "drop-srgb", "srgb"],
            "default": "keep",
            "description": "What becomes of a colour profile: it stays, stays unless it says sRGB, or pixels are "
            "converted to sRGB, which needs none ([metadata](metadata.md#colours)).",
        },
        "search": {
            "anyOf": [_name("search", registry.searches), _one_of("search", _searches(registry))],
            "description": "How settings are looked for: a name, or a name with options. Without it each compressor is "
            "searched as suits it: `frontier`, unless it says otherwise.",
        },
    }


def preset_schema(registry: Known) -> dict[str, Any]:
    """The schema of a file under ``presets/``."""
    knobs = {knob.name for spec in registry.compressors.values() for knob in spec.knobs}
    return {
        "type": "object",
        "title": "a preset",
        "required": ["version", "summary", "compress", "keep"],
        "additionalProperties": False,
        "properties": {
            "version": {"type": "integer", "minimum": 1},
            "summary": {"type": "string"},
            "knobs": {
                "type": "object",
                "additionalProperties": False,
                "properties": {name: {"type": "number"} for name in sorted(knobs)},
            },
            **body(registry),
        },
    }


def metrics(spec: EvaluatorSpec) -> dict[str, Any]:
    """The schema of what a rule may ask of one evaluator."""
    return {
        "type": "object",
        "minProperties": 1,
        "title": "metrics, each with a bound such as {max: 0.02}",
        "propertyNames": {"enum": [metric.name for metric in spec.metrics], "title": f"metric of {spec.name}"},
        "properties": {metric.name: _bound(metric) for metric in spec.metrics},
    }


def _bound(metric: Metric | None = None) -> dict[str, Any]:
    number: dict[str, Any] = {"type": "number"}
    if metric is not None:
        ends = {"minimum": metric.minimum, "maximum": metric.maximum}
        number |= {end: value for end, value in ends.items() if math.isfinite(value)}
    return {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "title": "a bound such as {max: 0.02}",
        "properties": {"min": number, "max": number},
        **({"description": metric.summary} if metric else {}),
    }


ANY_METRICS: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "title": "metrics, each with a bound such as {max: 0.02}",
    "additionalProperties": _bound(),
}
"""What a rule asks of an evaluator that the policy itself names: which metrics there are is known only then."""


def _rule(registry: Known, preset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": "a rule: a mapping with `name` and `files`",
        "required": ["name", "files"],
        "additionalProperties": False,
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "title": "a name",
                "description": "What reports call the rule; no two rules have one name.",
            },
            "files": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "title": "a pattern"},
                "title": 'a list of patterns such as ["*.jpg", "!raw/"]',
                "description": "Which files: gitignore patterns relative to the policy's folder. The last pattern "
                "that matches decides, and `!` takes out.",
            },
            "skip": {"type": "boolean", "default": False, "description": "Leave these files alone."},
            "budget": {
                "anyOf": [
                    {"type": "integer", "minimum": 1, "title": _BUDGET},
                    {"type": "string", "pattern": budget.PATTERN, "title": _BUDGET},
                ],
                "description": "The most bytes that each of these files may have: more is reported as failed, and "
                "nothing is shrunk below what `keep` asks to fit.",
            },
            "preset": dict(preset),
            **body(registry),
        },
    }


def _compress(registry: Known) -> dict[str, Any]:
    settings = {
        name: {
            "type": ["object", "null"],
            "title": "knobs and options",
            "description": spec.summary,
            "propertyNames": {
                "enum": [*(knob.name for knob in spec.knobs), *spec.options],
                "title": f"knob or option of {name}",
            },
            "properties": {**spec.options, **{knob.name: _knob(knob) for knob in spec.knobs}},
        }
        for name, spec in registry.compressors.items()
    }
    several = {
        "type": "object",
        "minProperties": 1,
        "title": "a mapping of compressors",
        "propertyNames": {"enum": list(settings), "title": "compressor"},
        "properties": settings,
    }
    each = {"anyOf": [_name("compressor", settings), _one_of("compressor", settings)]}
    listed = {"type": "array", "minItems": 1, "items": each, "title": "a list of compressors"}
    return {
        "anyOf": [listed, several],
        "description": "Which compressors compete. A knob takes a fixed number or `[low, high]`; any other key is an "
        "option of the compressor. A knob that is not given is as the preset has it.",
    }


def _knob(knob: Knob) -> dict[str, Any]:
    number = {"type": "integer" if knob.integer else "number", "minimum": knob.low, "maximum": knob.high}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2, "title": "a range [low, high]"}
    return {"anyOf": [number, pair], "description": knob.summary}


def _outputs(registry: Known) -> dict[str, Any]:
    formats = sorted({name.lower() for spec in registry.compressors.values() for name in spec.formats})
    return {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "title": "a mapping such as {formats: [webp], place: beside}",
        "description": "What is written, and where.",
        "properties": {
            "formats": {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "title": "a list of formats",
                "items": {"type": "string", "enum": ["keep", "smallest", *formats], "title": "format"},
                "default": ["keep"],
                "description": "`keep` (the file's own), `smallest` (whichever wins), or names of formats.",
            },
            "place": {
                "type": "string",
                "enum": ["replace", "beside"],
                "default": "replace",
                "description": "`replace` puts one output in the file's place; `beside` writes one file per format "
                "next to it.",
            },
        },
    }


def _searches(registry: Known) -> dict[str, Any]:
    looks = {"type": "integer", "minimum": 1, "description": "The most looks at one picture."}
    return {
        name: {
            "type": ["object", "null"],
            "title": "options",
            "description": spec.summary,
            "propertyNames": {"enum": ["looks", *spec.options], "title": f"option of {name}"},
            "properties": {**spec.options, "looks": looks},
        }
        for name, spec in registry.searches.items()
    }


def _evaluators(registry: Known) -> dict[str, Any]:
    entries = {
        name: {
            "type": "object",
            "title": "options",
            "description": spec.summary,
            "propertyNames": {"enum": ["use", *spec.options], "title": f"option of {name}"},
            "properties": {**spec.options, "use": _called(spec)},
        }
        for name, spec in registry.evaluators.items()
    }
    names = _name("evaluator", entries)
    families = [_called(spec) for spec in registry.evaluators.values() if spec.argument]
    named = {
        "type": "object",
        "title": "an evaluator such as {use: classifier, view: center}",
        "required": ["use"],
        "properties": {"use": {"anyOf": [names, *families]} if families else names},
        "allOf": [
            {"if": {"properties": {"use": _called(spec)}, "required": ["use"]}, "then": entries[name]}
            for name, spec in registry.evaluators.items()
        ],
    }
    return {
        "type": "object",
        "title": "a mapping of names to evaluators",
        "description": "Readers under names of your own, with options: `use` says which evaluator. An entry called "
        "like an evaluator gives that evaluator options everywhere; a plain evaluator needs no entry.",
        "properties": entries,
        "additionalProperties": named,
    }


def _called(spec: EvaluatorSpec) -> dict[str, Any]:
    """What names an evaluator: its name or, for a family, its name, a colon and something more."""
    if spec.argument is None:
        return {"const": spec.name}
    pattern = f"^{re.escape(spec.name)}(:.+)?$"
    return {"type": "string", "pattern": pattern, "title": f"{spec.name}:{spec.argument.upper()}"}


def _name(noun: str, names: Mapping[str, object]) -> dict[str, Any]:
    return {"type": "string", "enum": list(names), "title": noun}


def _one_of(noun: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "title": f"{'an' if noun[0] in 'aeiou' else 'a'} {noun} with its settings",
        "propertyNames": {"enum": list(settings), "title": noun},
        "properties": dict(settings),
    }
