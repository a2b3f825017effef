"""Semantic image compression: the smallest file for which a reader still sees the same.

These are the names that plugin authors need. Importing them loads neither numpy nor Pillow nor a model runtime, but for
``scaled``, ``truecolour`` and ``save_parameters``, which compressors need only when they are at work, and ``encode``
and ``build_tree``, by which Python programs shrink a picture and a tree of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from semcompress_plugin.compressors.iterative import IterativeCompressor, iterative_spec
from semcompress_plugin.errors import ImageError
from semcompress_plugin.hookspecs import hookimpl
from semcompress_plugin.types import (
    Compressor,
    CompressorSpec,
    Constraint,
    Decoder,
    Effort,
    Evaluator,
    EvaluatorSpec,
    Features,
    Knob,
    Metadata,
    Metric,
    OutputFile,
    Parts,
    Reference,
    Result,
    Rule,
    Settings,
)

if TYPE_CHECKING:
    from semcompress_plugin.compressors.scaling import scaled, truecolour
    from semcompress_plugin.derive import build_tree
    from semcompress_plugin.hosts.pillow import encode
    from semcompress_plugin.metadata import save_parameters

_AT_WORK = {
    "build_tree": "semcompress_plugin.derive",
    "encode": "semcompress_plugin.hosts.pillow",
    "save_parameters": "semcompress_plugin.metadata",
    "scaled": "semcompress_plugin.compressors.scaling",
    "truecolour": "semcompress_plugin.compressors.scaling",
}

__all__ = [
    "Compressor",
    "CompressorSpec",
    "Constraint",
    "Decoder",
    "Effort",
    "Evaluator",
    "EvaluatorSpec",
    "Features",
    "ImageError",
    "IterativeCompressor",
    "Knob",
    "Metadata",
    "Metric",
    "OutputFile",
    "Parts",
    "Reference",
    "Result",
    "Rule",
    "Settings",
    "build_tree",
    "encode",
    "hookimpl",
    "iterative_spec",
    "save_parameters",
    "scaled",
    "truecolour",
]


def __getattr__(name: str) -> object:
    if name in _AT_WORK:
        return getattr(import_module(_AT_WORK[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
