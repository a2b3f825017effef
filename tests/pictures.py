"""Pictures and small readers that several tests use."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from semcompress_plugin import CompressorSpec, EvaluatorSpec, Metric, hookimpl
from semcompress_plugin.plugins import Plugins
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import CompressorUse, Constraint, EvaluatorUse, Outputs, Reference, Rule, SearchUse

DIFFERENCE = Metric("difference", "mean absolute difference of 32 x 32 thumbnails", higher_is_better=False)


def photo(size: tuple[int, int] = (160, 120), seed: int = 0) -> Image.Image:
    """Noise with the falling spectrum of a photograph, so that encoders behave as on one."""
    generator = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3))
    for octave in range(1, 7):
        small = generator.normal(size=(2**octave, 2**octave, 3)) / octave
        channels = [Image.fromarray(small[..., c].astype(np.float32)).resize(size) for c in range(3)]
        picture += np.stack([np.asarray(channel) for channel in channels], axis=-1)
    picture = 128 + 60 * picture / np.abs(picture).max()
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str, **parameters: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **parameters)
    return out.getvalue()


def save_photo(path: Path, seed: int) -> None:
    """A JPEG of 240 x 180 that nobody has shrunk."""
    path.write_bytes(encoded(photo((240, 180), seed), "JPEG", quality=97))


class Thumbnails:
    """A reader that is quick and honest: what it sees is a thumbnail."""

    def observe(self, images: Sequence[Image.Image]) -> list[np.ndarray]:
        return [np.asarray(image.resize((32, 32), Image.Resampling.BOX), np.float64) / 255 for image in images]

    def compare(self, reference: np.ndarray, candidates: Sequence[np.ndarray]) -> list[dict[str, float]]:
        return [{"difference": float(np.abs(reference - candidate).mean())} for candidate in candidates]


def reader(name: str = "thumbnails", factory: object = Thumbnails, **more: object) -> EvaluatorSpec:
    return EvaluatorSpec(name, "1", "thumbnails", metrics=(DIFFERENCE,), factory=factory, **more)


def registry(*specs: EvaluatorSpec | CompressorSpec) -> Registry:
    """The built-ins and these specs (by default :class:`Thumbnails`), as a third party would bring them."""

    class Plugin:
        @hookimpl
        def semcompress_evaluators(self) -> list[EvaluatorSpec]:
            return [spec for spec in specs or (reader(),) if isinstance(spec, EvaluatorSpec)]

        @hookimpl
        def semcompress_compressors(self) -> list[CompressorSpec]:
            return [spec for spec in specs if isinstance(spec, CompressorSpec)]

    plugins = Plugins(found=[])
    plugins.register(Plugin(), "third-party")
    return Registry(plugins)


def rule(
    known: Registry,
    *compressors: str,
    bound: float = 0.01,
    evaluators: Sequence[str] = ("thumbnails",),
    formats: tuple[str, ...] = ("keep",),
    **more: object,
) -> Rule:
    """A rule that keeps ``difference`` of each evaluator at or below ``bound``."""
    uses = tuple(CompressorUse(name, known.compressor(name).knobs) for name in compressors)
    keep = tuple(Constraint(name, DIFFERENCE, max=bound) for name in evaluators)
    more.setdefault("search", SearchUse("exhaustive", looks=200, options={"steps": 4}))
    return Rule(
        "test",
        ("*",),
        compress=uses,
        evaluators=tuple(EvaluatorUse(name, name) for name in evaluators),
        keep=keep,
        outputs=Outputs(formats, "replace" if formats == ("keep",) else "beside"),
        **more,
    )


def reference(image: Image.Image, format: str = "JPEG", **parameters: object) -> Reference:
    from semcompress_plugin.images import decode

    if format == "JPEG":
        parameters.setdefault("quality", 98)
    return decode(encoded(image, format, **parameters))
