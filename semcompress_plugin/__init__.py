"""Semantic image compression: the smallest file for which a reader still sees the same.

These are the names that plugin authors need. Importing them loads neither numpy nor Pillow nor a model runtime.
"""

from semcompress_plugin.compressors.iterative import IterativeCompressor, iterative_spec
from semcompress_plugin.hookspecs import hookimpl
from semcompress_plugin.types import (
    Compressor,
    CompressorSpec,
    Constraint,
    Decoder,
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
)

__all__ = [
    "Compressor",
    "CompressorSpec",
    "Constraint",
    "Decoder",
    "Evaluator",
    "EvaluatorSpec",
    "Features",
    "IterativeCompressor",
    "Knob",
    "Metadata",
    "Metric",
    "OutputFile",
    "Parts",
    "Reference",
    "Result",
    "Rule",
    "hookimpl",
    "iterative_spec",
]
