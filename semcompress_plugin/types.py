"""The vocabulary of semcompress as data: what plugins declare, what searches exchange, what users get back.

Nothing here imports numpy, Pillow or a model runtime, so that listing plugins stays light. Classes of which there are
many instances have slots; in others slots would only double the time that it takes to make the class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray
    from PIL import Image

Settings = Mapping[str, float]
"""One point of a compressor's space, such as ``{"scale": 0.5, "quality": 40}``."""

Scores = Mapping[str, Mapping[str, float]]
"""Evaluator name -> metric name -> value. Evaluators that were not asked are absent."""

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF")
"""What we open, by Pillow's names; every further decoder would be one more that strangers' files can attack."""

SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".gif": "GIF",
}
"""What names of pictures end with, in lower case -> the format that they say."""

Transform = Literal["identity", "log", "log1m", "step"]

MetadataPolicy = Literal["keep", "strip-private", "strip-all"]
OrientationPolicy = Literal["apply", "keep"]
ProfilePolicy = Literal["keep", "drop-srgb", "srgb"]
Observation = Any
"""What an evaluator keeps of one picture; opaque to everyone but that evaluator."""

_TINY = 1e-6


@dataclass(frozen=True)
class Metric:
    """A named number that an evaluator yields.

    ``minimum`` and ``maximum`` bound the values it can take. ``transform`` names the scale on which it varies
    smoothly with the settings: ``log`` for divergences, ``log1m`` (the logarithm of ``1 - value``) for
    similarities near 1, ``step`` for yes/no answers, ``identity`` otherwise.
    """

    name: str
    summary: str
    higher_is_better: bool
    minimum: float = 0.0
    maximum: float = 1.0
    unit: str = ""
    transform: Transform = "identity"

    def smooth(self, value: float) -> float:
        """``value`` on its smooth scale; strictly increasing in ``value`` (up to a floor of 1e-6)."""
        if self.transform == "log":
            return math.log(max(value, _TINY))
        if self.transform == "log1m":
            return -math.log(max(1.0 - value, _TINY))
        return value


@dataclass(frozen=True)
class Constraint:
    """A bound that a rule puts on one metric of one evaluator; at least one of ``min`` and ``max`` is given."""

    evaluator: str
    metric: Metric
    min: float | None = None
    max: float | None = None

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies within the bound. NaN never does."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max) and value == value

    def slack(self, value: float) -> float:
        """How far inside the bound ``value`` lies on the metric's smooth scale; negative when outside."""
        if value != value:
            return -math.inf
        here = self.metric.smooth(value)
        below = math.inf if self.max is None else self.metric.smooth(self.max) - here
        above = math.inf if self.min is None else here - self.metric.smooth(self.min)
        return min(below, above)

    def shown(self, value: float) -> str:
        """``value`` in four digits, or in as many as it takes to see on which side of the bound it lies."""
        texts = (f"{value:.{digits}g}" for digits in range(4, 18))
        return next((text for text in texts if self.holds(float(text)) == self.holds(value)), f"{value!r}")

    def __str__(self) -> str:
        bounds = [f"{word} {bound:.15g}" for word, bound in (("min", self.min), ("max", self.max)) if bound is not None]
        return f"{self.evaluator}.{self.metric.name} {' '.join(bounds)}"


@dataclass(frozen=True)
class Knob:
    """One dimension of a compressor's space, from ``low`` to ``high`` inclusive.

    ``smaller`` says in which direction files become smaller. ``log`` knobs are searched on a logarithmic scale.
    A knob with ``low == high`` is fixed.
    """

    name: str
    summary: str
    low: float
    high: float
    integer: bool = False
    smaller: Literal["low", "high"] = "low"
    log: bool = False

    @property
    def fixed(self) -> bool:
        return self.low == self.high


EffortName = Literal["fast", "best"]
"""How much time the files that are kept may cost; what a reader must see in them is not affected."""


@dataclass(frozen=True)
class Effort:
    """Options that an effort sets where a rule does not.

    ``bytes`` is what a file typically needs, as a share of those of ``draft`` (or else of ``fast``).
    """

    options: Mapping[str, Any]
    bytes: float = 1.0


@dataclass(frozen=True)
class CompressorSpec:
    """A compressor as data: what it is called, what it can turn, what it writes, how to make one.

    ``formats`` are Pillow's names of the formats it writes (``"JPEG"``). ``factory`` is a callable, or
    ``"package.module:attribute"``, called with the rule's options as keyword arguments only when a policy uses the
    compressor. ``options`` is a JSON schema of those options (an object schema's ``properties``). ``extra`` names
    the extra that installs what it needs. ``cost`` is a rough number of milliseconds per megapixel. ``alpha`` says
    whether what it writes can be transparent, ``grey`` whether it is of use for pictures without colours. ``search``
    names the search that suits its knobs, for rules that name none (default: the one for everybody). ``efforts`` say
    which options ``draft``, ``fast`` and ``best`` set: with ``draft`` (or else ``fast``) a search tries settings out,
    with one of the others the file that is kept is written. ``previews``: it is a :class:`Previewer` as well.
    ``writes`` names the network whose features it writes in the place of pixels; it is then a :class:`Decoder` as well.
    ``lossless``: it has no knobs and packs the source's own file anew, in its format, so that every pixel stays; it is
    asked where the others of a rule find nothing, or little. Not of a host's pixels, which have no file.
    """

    name: str
    version: str
    summary: str
    formats: tuple[str, ...]
    knobs: tuple[Knob, ...]
    factory: str | Callable[..., Compressor]
    options: Mapping[str, Any] = field(default_factory=dict)
    cost: float = 100.0
    alpha: bool = True
    grey: bool = True
    extra: str | None = None
    search: str | None = None
    efforts: Mapping[Literal["draft", "fast", "best"], Effort] = field(default_factory=dict)
    previews: bool = False
    writes: str | None = None
    lossless: bool = False

    def knob(self, name: str) -> Knob | None:
        return next((knob for knob in self.knobs if knob.name == name), None)


@dataclass(frozen=True)
class Parts:
    """How an evaluator can be asked in parts, one after the other, each as its ``option`` says.

    ``of`` gives, by the option's value, the values of its parts: ``{"both": ("center", "full")}``; other values are
    parts themselves. Of every metric the whole's value must be the worst of its parts' (exactly), so that a part that
    breaks a bound settles the matter. ``default`` is the value where a rule gives none.
    """

    option: str
    of: Mapping[str, tuple[str, ...]]
    default: str

    def names(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The parts of an evaluator with these options."""
        value = str(options.get(self.option, self.default))
        return self.of.get(value, (value,))


@dataclass(frozen=True)
class EvaluatorSpec:
    """A reader as data; see :class:`CompressorSpec` for ``factory``, ``options``, ``cost`` and ``extra``.

    ``equal_sizes``: candidates are resized to the reference's size (Lanczos) before they are observed.
    ``concurrent``: ``observe`` and ``compare`` may be called from several threads at once.
    ``batch``: how many pictures one ``observe`` should receive at most.
    ``argument``: the evaluator is a family, and names of it go on with a colon and a value of this option:
    ``torchvision:resnet152``.
    ``reads``: networks whose :class:`Features` it observes as well as pictures.
    ``parts``: it may be asked part by part.
    """

    name: str
    version: str
    summary: str
    metrics: tuple[Metric, ...]
    factory: str | Callable[..., Evaluator]
    options: Mapping[str, Any] = field(default_factory=dict)
    cost: float = 10.0
    extra: str | None = None
    equal_sizes: bool = False
    concurrent: bool = False
    batch: int = 8
    argument: str | None = None
    reads: tuple[str, ...] = ()
    parts: Parts | None = None

    def metric(self, name: str) -> Metric | None:
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What travels beside the pixels. Orientation is not here where it has been applied to the pixels.

    ``png_chunks`` are kinds and payloads of colour and text chunks; ``jpeg_segments`` markers and payloads of what
    only a JPEG has a place for (IPTC, extended XMP).
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    jpeg_segments: tuple[tuple[int, bytes], ...] = ()
    comment: bytes | None = None


@dataclass(frozen=True)
class Limits:
    """What one picture may cost; one that would cost more is reported as failed.

    ``max_metadata`` counts bytes, as stored and as unpacked; ``max_seconds`` the time that is spent on the picture
    itself. ``isolate``: strangers' files are decoded in a process of their own, with resource limits.
    """

    max_pixels: int = 89_478_485
    max_frames: int = 10_000
    max_metadata: int = 16_777_216
    max_seconds: float = 900.0
    isolate: bool = False


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Reference:
    """The picture as it stood before us: upright, in one of the modes 1, L, LA, P, RGB, RGBA.

    ``source`` are the file's bytes, absent when a host hands over pixels only. ``format`` is Pillow's name of the
    source's format. ``metadata`` is what the rule wants written back. ``orientation`` is the one that a file of the
    same format is to have, 1 to 8 as EXIF numbers them: compressors are then handed the picture as such a file stores
    it, and what they wrote is turned upright again before anybody looks.
    """

    image: Image.Image
    source: bytes | None = None
    format: str | None = None
    metadata: Metadata = Metadata()
    orientation: int = 1

    @property
    def bytes(self) -> int | None:
        return None if self.source is None else len(self.source)


@dataclass(frozen=True, eq=False, slots=True)
class Features:
    """What a file without pixels holds: the features that a network had of a picture.

    ``network`` is its name, as in the specs' ``writes`` and ``reads``. ``values`` is (views, features), a row for each
    of ``views``, which are that network's ways of looking at a picture. ``size`` is the picture's width and height.
    """

    network: str
    views: tuple[str, ...]
    values: NDArray[float32]
    size: tuple[int, int]


@runtime_checkable
class Compressor(Protocol):
    """Turns a picture and settings into a file's bytes."""

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        """Encode ``reference.image`` with its metadata. Must not modify the image; must be deterministic."""
        ...


class Previewer(Compressor, Protocol):
    """A compressor whose pixels can be judged before they are encoded for keeping."""

    def preview(self, reference: Reference, settings: Settings) -> Image.Image:
        """The pixels that ``compress`` would encode. Raises ValueError where these settings give none."""
        ...


class Decoder(Compressor, Protocol):
    """A compressor whose files hold no pixels."""

    def decode(self, data: bytes) -> Features:
        """What a file of its own holds. Raises :class:`ImageError` where it is not a whole one."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """A reader. Evaluators measure; policies judge."""

    def observe(self, images: Sequence[Image.Image]) -> Sequence[Observation]:
        """What the reader sees in each picture (upright, mode RGB, any size from 1x1 up), in the same order."""
        ...

    def compare(self, reference: Observation, candidates: Sequence[Observation]) -> Sequence[Mapping[str, float]]:
        """For each candidate a value for every metric that the spec declares, in the same order."""
        ...


@dataclass(frozen=True)
class Space:
    """What a search may choose from for one output: a compressor, the format it is to write, its knobs narrowed.

    ``cost`` is a rough number of milliseconds per megapixel that is encoded. ``options`` are the compressor's, as the
    rule gives them.
    """

    compressor: str
    format: str
    knobs: tuple[Knob, ...]
    previews: bool = False
    cost: float = 100.0
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Settings that a search wants looked at; with ``preview`` not the file but the pixels that it would be made of.

    ``draft``: encoded with less effort than what is kept.
    """

    compressor: str
    format: str
    settings: Settings
    preview: bool = False
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One look: a proposal, the size of its file, and what the evaluators measured.

    ``scores`` lacks evaluators that were skipped because a cheaper one had failed, and is empty when the file was
    already too large to be worth a look (``looked`` is then false). ``bytes`` is 0 where there is no file: it could not
    be encoded, or a preview was asked for. Those of a draft are what the kept file is expected to have. ``parts`` are
    what evaluators showed that are asked part by part, as ``metric/part``. Parts that were not asked, another having
    broken a bound already, are absent: the score, the worst of those asked, is then as good as the whole's or better.
    """

    proposal: Proposal
    bytes: int
    scores: Scores
    holds: bool
    looked: bool = True
    parts: Scores = field(default_factory=dict)


class Search(Protocol):
    """A strategy that proposes settings (ask) and learns from looks (tell). It is finished once ``ask`` gives none."""

    def ask(self, n: int) -> list[Proposal]: ...

    def tell(self, trials: Sequence[Trial]) -> None: ...


Status = Literal["compressed", "unchanged", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file that was written or would be: ``path`` relative to the working folder (or to OUT for a build)."""

    path: str
    compressor: str
    settings: Settings
    bytes: int
    scores: Scores


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one picture. ``before`` and ``after`` are bytes; ``reason`` says why when nothing was saved.

    ``cached``: an earlier build found this out, and this one only wrote it where it was not there yet.
    ``over_budget``: the file is larger than its rule's budget, as ``reason`` says. ``unstripped``: it was left as it
    is, with metadata that its rule would have removed.
    """

    path: str
    status: Status
    before: int
    after: int
    rule: str | None = None
    outputs: tuple[OutputFile, ...] = ()
    looks: int = 0
    reason: str | None = None
    cached: bool = False
    over_budget: bool = False
    unstripped: bool = False


@dataclass(frozen=True)
class CompressorUse:
    """A compressor as a rule uses it: knobs narrowed to the ranges the rule allows, options checked."""

    name: str
    knobs: tuple[Knob, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluatorUse:
    """An evaluator as a policy names it: ``plugin`` is the registered evaluator behind ``name``."""

    name: str
    plugin: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchUse:
    """A search strategy by name, with its options and the most looks it may take at one picture.

    Without a ``name`` every compressor is searched as suits it; without ``looks`` the search's own budget holds.
    """

    name: str | None = None
    looks: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outputs:
    """``formats``: ``keep`` (the file's own), ``smallest`` (whichever wins), or names such as ``webp``.

    ``replace`` puts one output in the file's place; ``beside`` writes one file per format next to it.
    """

    formats: tuple[str, ...] = ("keep",)
    place: Literal["replace", "beside"] = "replace"


@dataclass(frozen=True)
class Rule:
    """One rule with its preset's defaults filled in: everything that decides what becomes of a file.

    ``min_saving`` is a fraction of the file's bytes. ``budget`` is the most bytes a file may have: a guard that
    reports, never a reason to shrink below ``keep``. ``digest`` identifies what the user asked for (the rule as
    written, without its name and patterns, and the preset's name as written): a changed digest makes a settled
    picture outdated, a new version of a tool does not.
    """

    name: str
    files: tuple[str, ...]
    skip: bool = False
    budget: int | None = None
    preset: str = "web"
    compress: tuple[CompressorUse, ...] = ()
    evaluators: tuple[EvaluatorUse, ...] = ()
    keep: tuple[Constraint, ...] = ()
    outputs: Outputs = Outputs()
    min_saving: float = 0.05
    metadata: MetadataPolicy = "strip-private"
    orientation: OrientationPolicy = "apply"
    icc: ProfilePolicy = "keep"
    search: SearchUse = SearchUse()
    limits: Limits = Limits()
    digest: str = ""
