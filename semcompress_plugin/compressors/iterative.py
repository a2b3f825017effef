"""Compressors that are one step, repeated: the shape of the original blog post.

A third party writes the step and nothing else::

    from semcompress_plugin import IterativeCompressor, hookimpl, iterative_spec

    class Blur(IterativeCompressor):
        def iteration(self, image):
            from PIL import ImageFilter
            return image.filter(ImageFilter.BoxBlur(1))

    @hookimpl
    def semcompress_compressors():
        yield iterative_spec("blur", "1", "blurred until a reader sees something else", Blur)

This module loads neither Pillow nor numpy, so that such a plugin can be listed cheaply.
"""

from __future__ import annotations

import inspect
import io
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from semcompress_plugin.types import Compressor, CompressorSpec, Knob, Metadata, Reference, Settings

if TYPE_CHECKING:
    from random import Random

    from PIL import Image

KEPT = 3
"""How many iterates of one picture are remembered: the newest, and those that are taken if its file fails."""

LOSSLESS = frozenset({"PNG"})
QUALITY_STEP = 5

THEN: Mapping[str, Any] = MappingProxyType(
    {
        "then": {
            "type": "object",
            "additionalProperties": False,
            "title": "a mapping such as {quality: 95}",
            "properties": {"quality": {"type": "integer", "minimum": 1, "maximum": 100, "default": 95}},
            "description": "how the last iterate is written where the format is lossy: at this quality, or less where "
            "the file would not be smaller than the source",
        }
    }
)
SEED: Mapping[str, Any] = MappingProxyType(
    {
        "seed": {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": "where random draws start; every picture starts there",
        }
    }
)


def iterative_spec(
    name: str,
    version: str,
    summary: str,
    factory: str | Callable[..., Compressor],
    *,
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "AVIF"),
    steps: int = 500,
    options: Mapping[str, Any] | None = None,
    alpha: bool = True,
) -> CompressorSpec:
    """The spec of an :class:`IterativeCompressor`: at most ``steps`` steps, walked one by one (search ``linear``)."""
    return CompressorSpec(
        name,
        version,
        summary,
        formats=formats,
        knobs=(Knob("steps", "how often the step is repeated", low=1, high=steps, integer=True, smaller="high"),),
        factory=factory,
        options={**THEN, **SEED} if options is None else options,
        cost=100,
        alpha=alpha,
        search="linear",
        previews=True,
    )


@dataclass(frozen=True, slots=True)
class _Iterate:
    """The picture after ``step`` steps, and the state of the random draws then."""

    step: int
    image: Image.Image
    draws: tuple[Any, ...]


@dataclass(slots=True)
class _Chain:
    """What is remembered of one picture's iterates. It must not refer to the Reference, which would never die."""

    kept: deque[_Iterate] = field(default_factory=lambda: deque(maxlen=KEPT))
    lock: threading.Lock = field(default_factory=threading.Lock)


class IterativeCompressor(ABC):
    """A chain of pictures, each made of the one before; its settings are ``{"steps": how many}``.

    ``then`` is how the last iterate is written where its format is lossy: ``{"quality": 1 to 100}``, at most.
    ``seed`` is where the draws of ``iteration(image, rng)`` start, for every picture anew: what becomes of a picture
    does not depend on which others were there. A few iterates of each picture are remembered while its Reference
    lives; what is no longer there is made again from the beginning.
    """

    def __init__(self, *, then: Mapping[str, Any] | None = None, seed: int = 0) -> None:
        self.quality = int((then or {}).get("quality", 95))
        self.seed = seed
        self._draws = len(inspect.signature(self.iteration).parameters) > 1
        self._chains: WeakKeyDictionary[Reference, _Chain] = WeakKeyDictionary()
        self._opening = threading.Lock()

    @abstractmethod
    def iteration(self, *args: Any, **kwargs: Any) -> Image.Image:
        """The next picture, of ``image``: a copy (mode L, LA, RGB or RGBA), which may be changed in place.

        Written as ``iteration(self, image)`` or ``iteration(self, image, rng)``, for which the parameters are left open
        here (type checkers take either form then); ``rng`` is a ``random.Random``, and all that may differ from one
        call to the next. A step that draws nothing and changes nothing ends the chain.
        """

    def preview(self, reference: Reference, settings: Settings) -> Image.Image:
        """The picture after ``settings["steps"]`` steps; ValueError where the chain ends before."""
        return self.iterate(reference, int(settings["steps"]))

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        """The same picture as a file.

        A smaller picture must be a smaller file: where a lossy one has more bytes than the source in proportion to
        its width (the source may have been stored at a lower quality), the quality is lowered by steps of 5.
        """
        image = self.preview(reference, settings)
        data = written(image, reference.metadata, format, self.quality)
        if reference.bytes is None or format in LOSSLESS:
            return data
        room = reference.bytes * image.width / reference.image.width
        for quality in range(self.quality - QUALITY_STEP, 0, -QUALITY_STEP):
            if len(data) <= room:
                break
            data = written(image, reference.metadata, format, quality)
        return data

    def iterate(self, reference: Reference, steps: int) -> Image.Image:
        """The picture after ``steps`` steps (0: as it came, without palette); ValueError where the chain ends before.

        The picture that is given back is remembered: leave it as it is.
        """
        from random import Random

        with self._opening:
            chain = self._chains.setdefault(reference, _Chain())
        with chain.lock:
            known = [iterate for iterate in chain.kept if iterate.step <= steps]
            here = max(known, key=lambda iterate: iterate.step) if known else self._first(reference)
            rng = Random()
            rng.setstate(here.draws)
            while here.step < steps:
                image = self._next(here, rng)
                here = _Iterate(here.step + 1, image, rng.getstate())
                chain.kept.append(here)
        return here.image

    def _first(self, reference: Reference) -> _Iterate:
        from random import Random

        from semcompress_plugin.compressors.scaling import truecolour

        return _Iterate(0, truecolour(reference.image), Random(self.seed).getstate())

    def _next(self, here: _Iterate, rng: Random) -> Image.Image:
        from PIL import Image

        copy = here.image.copy()
        image = self.iteration(copy, rng) if self._draws else self.iteration(copy)
        if not isinstance(image, Image.Image):
            raise TypeError(f"iteration must return a picture, got {image!r}")
        if not self._draws and _same(image, here.image):
            size = f"{image.width} x {image.height} pixels"
            raise ValueError(f"after {here.step} steps ({size}) another one changes nothing")
        return image


def _same(one: Image.Image, other: Image.Image) -> bool:
    return (one.size, one.mode) == (other.size, other.mode) and one.tobytes() == other.tobytes()


def written(image: Image.Image, metadata: Metadata, format: str, quality: int) -> bytes:
    """``image`` as a file of ``format`` with ``metadata``, by our own compressor of that format where there is one."""
    reference = Reference(image, metadata=metadata)
    if format == "JPEG":
        from semcompress_plugin.compressors.jpeg import JpegCompressor

        return JpegCompressor().compress(reference, {"quality": quality}, format)
    if format == "PNG":
        from semcompress_plugin.compressors.png import TRUECOLOUR, PngCompressor

        return PngCompressor().compress(reference, {"colors": TRUECOLOUR}, format)
    if format == "WEBP":
        from semcompress_plugin.compressors.webp import WebpCompressor

        return WebpCompressor().compress(reference, {"quality": quality}, format)
    if format == "AVIF":
        from semcompress_plugin.compressors.avif import AvifCompressor

        return AvifCompressor().compress(reference, {"quality": quality}, format)
    from semcompress_plugin.images import save_parameters

    out = io.BytesIO()
    image.save(out, format, quality=quality, **save_parameters(metadata, format))
    return out.getvalue()
