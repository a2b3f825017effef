"""A small stand-in for the registry: what policies may name, with every kind of knob, option and metric."""

from __future__ import annotations

from types import SimpleNamespace

from semcompress_plugin.errors import PluginError
from semcompress_plugin.types import CompressorSpec, EvaluatorSpec, Knob, Metric

SCALE = Knob("scale", "linear size", 0.05, 1, log=True)


def compressor(name, *knobs, options=None, formats=None):
    formats = formats or (name.upper(),)
    return CompressorSpec(name, "1", f"writes {name}", formats, knobs, "nowhere:Nothing", options or {})


def _quality(high):
    return Knob("quality", "quality number", 1, high, integer=True)


AVIF = {"grain": {"type": "boolean", "default": False}, "subsampling": {"enum": ["4:4:4", "4:2:0"]}}


def _metrics(text):
    lower = ("js_divergence", "sway", "colour_shift", "ringing", "contrast_error", "tint", "patch_shift")
    return tuple(Metric(name, name, higher_is_better=name not in lower) for name in text.split())


class Stand:
    """Knows what it is given; says of anything else what a registry would."""

    def __init__(self, *more):
        known = (
            compressor("jpeg", SCALE, _quality(95), options={"subsampling": {"enum": ["4:4:4", "4:2:0"]}}),
            compressor("jpeg-444", SCALE, _quality(95), formats=("JPEG",)),
            compressor("webp", SCALE, _quality(100), options={"method": {"type": "integer", "maximum": 6}}),
            compressor("avif", SCALE, _quality(100), options=AVIF),
            compressor("png", SCALE, Knob("colors", "palette size", 2, 257, integer=True, log=True)),
            compressor("repack", formats=("JPEG", "WEBP")),
            *more,
        )
        self.compressors = {spec.name: spec for spec in known}
        view = {"view": {"enum": ["center", "full", "both"], "default": "both"}}
        ratio = Metric("confidence_ratio", "ratio", higher_is_better=True, maximum=float("inf"))
        classifier = (*_metrics("top1_agreement topk_overlap js_divergence sway feature_cosine"), ratio)
        msssim = _metrics("score luma chroma worst_tile colour_shift ringing contrast_error tint patch_shift")
        self.evaluators = {
            "classifier": EvaluatorSpec("classifier", "1", "classes", classifier, "nowhere:Nothing", view),
            "msssim": EvaluatorSpec("msssim", "1", "similarity", msssim, "nowhere:Nothing"),
        }
        gain = {"gain": {"type": "number", "exclusiveMinimum": 0}}
        self.searches = {
            name: SimpleNamespace(name=name, summary=f"the {name} search", options=options)
            for name, options in {"frontier": gain, "bisect": {}}.items()
        }

    def compressor(self, name):
        return self._find("compressor", name, self.compressors)

    def evaluator(self, name):
        return self._find("evaluator", name, self.evaluators)

    def _find(self, kind, name, known):
        if name not in known:
            raise PluginError(f"unknown {kind} {name!r}; the registry knows {', '.join(known)}")
        return known[name]
