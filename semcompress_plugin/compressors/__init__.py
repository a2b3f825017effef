"""The built-in compressors as data; their code is imported when a policy uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from semcompress_plugin.compressors.iterative import SEED, THEN, iterative_spec
from semcompress_plugin.hookspecs import hookimpl
from semcompress_plugin.types import CompressorSpec, Effort, Knob

SCALE = Knob("scale", "linear size of the picture", low=0.05, high=1.0, log=True)
QUALITY = Knob("quality", "the encoder's own quality number", low=1, high=100, integer=True)
JPEG_QUALITY = Knob("quality", "libjpeg's quality; above 95 only the file grows", low=1, high=95, integer=True)
COLORS = Knob("colors", "palette size; 257 keeps every colour (lossless)", low=2, high=257, integer=True, log=True)
STEP = Knob("step", "how coarse, in quarter octaves", low=1, high=24, integer=True, smaller="high")

JPEG_CODING = {"enum": ["plain", "progressive", "smallest"], "default": "smallest"}
JPEG_EFFORTS: Mapping[Literal["draft", "fast", "best"], Effort] = {
    "draft": Effort({"coding": "plain"}),
    "fast": Effort({"coding": "smallest"}, 0.9),
    "best": Effort({"coding": "smallest"}, 0.9),
}

_HERE = __name__


@hookimpl
def semcompress_compressors() -> Iterable[CompressorSpec]:
    return (
        CompressorSpec(
            "jpeg",
            "1",
            "JPEG (libjpeg-turbo), packed by mozjpeg",
            formats=("JPEG",),
            knobs=(SCALE, JPEG_QUALITY),
            factory=f"{_HERE}.jpeg:JpegCompressor",
            options={
                "subsampling": {"enum": ["4:4:4", "4:2:2", "4:2:0"], "default": "4:2:0"},
                "coding": JPEG_CODING,
            },
            efforts=JPEG_EFFORTS,
            cost=40,
            alpha=False,
        ),
        CompressorSpec(
            "jpeg-444",
            "1",
            "JPEG with colours at full resolution, for pictures whose colours 4:2:0 would blur",
            formats=("JPEG",),
            knobs=(SCALE, JPEG_QUALITY),
            factory=f"{_HERE}.jpeg:FullColourJpegCompressor",
            options={"coding": JPEG_CODING},
            efforts=JPEG_EFFORTS,
            cost=50,
            alpha=False,
            grey=False,
        ),
        CompressorSpec(
            "webp",
            "1",
            "lossy WebP (libwebp), alpha kept exactly",
            formats=("WEBP",),
            knobs=(SCALE, QUALITY),
            factory=f"{_HERE}.webp:WebpCompressor",
            options={"method": {"type": "integer", "minimum": 0, "maximum": 6, "default": 4}},
            efforts={
                "fast": Effort({"method": 4}),
                "best": Effort({"method": 6}, 0.955),
            },
            cost=70,
        ),
        CompressorSpec(
            "avif",
            "4",
            "AVIF (libavif), alpha kept exactly",
            formats=("AVIF",),
            knobs=(SCALE, QUALITY),
            factory=f"{_HERE}.avif:AvifCompressor",
            options={
                "speed": {"type": "integer", "minimum": 0, "maximum": 10, "default": 6},
                "subsampling": {"enum": ["4:4:4", "4:2:2", "4:2:0"], "default": "4:2:0"},
                "grain": {"type": "boolean", "default": False},
            },
            efforts={
                "fast": Effort({"speed": 6}),
                "best": Effort({"speed": 5}, 0.96),
            },
            cost=250,
        ),
        CompressorSpec(
            "png",
            "6",
            "PNG: lossless recompression, palettes of fewer colours",
            formats=("PNG",),
            knobs=(SCALE, COLORS),
            factory=f"{_HERE}.png:PngCompressor",
            options={"level": {"type": "integer", "minimum": 0, "maximum": 6, "default": 1}},
            efforts={"fast": Effort({"level": 1}), "best": Effort({"level": 4})},
            cost=300,
        ),
        CompressorSpec(
            "repack",
            "1",
            "the file's own pixels, packed smaller, without the metadata that the rule drops",
            formats=("JPEG", "WEBP"),
            knobs=(),
            factory=f"{_HERE}.repack:RepackCompressor",
            cost=100,
            lossless=True,
        ),
        CompressorSpec(
            "feature",
            "1",
            "no picture: what the network of `classifier` makes of it before it names a class, for machines alone",
            formats=("SEMF",),
            knobs=(STEP,),
            factory=f"{_HERE}.feature:FeatureCompressor",
            options={
                "view": {
                    "enum": ["center", "full", "both"],
                    "default": "both",
                    "description": "of the usual centre crop, the whole frame, or both; it must have what the rule's "
                    "`classifier` looks at",
                }
            },
            extra="feature",
            cost=400,
            alpha=False,
            writes="efficientnet_lite0",
        ),
        iterative_spec(
            "seed-resize",
            "1",
            "the blog post's first loop: 10 pixels smaller at every step, until a reader sees something else",
            f"{_HERE}.seed_resize:SeedResizeCompressor",
            formats=("JPEG", "PNG", "WEBP", "AVIF"),
            steps=2000,
            options=THEN,
        ),
        iterative_spec(
            "seed-jpeg",
            "1",
            "the blog post's second loop: a JPEG of a JPEG at random qualities, until a reader sees something else",
            f"{_HERE}.seed_jpeg:SeedJpegCompressor",
            formats=("JPEG",),
            steps=500,
            options=SEED,
            alpha=False,
        ),
    )
