"""What third parties' plugins are held to: their specs before anybody uses them, their answers every time.

Our own go through tests; a stranger's mistake must be one line that names who made it, and never a damaged picture.
"""

from __future__ import annotations

import math
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from semcompress_plugin.errors import NOT_THEIRS, ImageError, PluginError, SemcompressError
from semcompress_plugin.search import STRATEGIES
from semcompress_plugin.types import (
    FORMATS,
    CompressorSpec,
    Effort,
    EvaluatorSpec,
    Knob,
    Metadata,
    Metric,
    Parts,
    Proposal,
    Transform,
)
from semcompress_plugin.words import shortened

if TYPE_CHECKING:
    from PIL import Image

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EFFORTS = ("draft", "fast", "best")
_ROUNDING = 1e-6
_LINE = 300
"""Characters of what an exception says that are shown."""


def mistakes(spec: CompressorSpec | EvaluatorSpec) -> Iterator[str]:
    """What is wrong with a spec, each as ``field: expected …, got …``."""
    kind = CompressorSpec if isinstance(spec, CompressorSpec) else EvaluatorSpec
    for field, allowed in _FIELDS[kind].items():
        if not allowed.fits(value := getattr(spec, field)):
            yield _wrong(field, allowed.expected, value)
    yield from _option_mistakes(spec.options)
    yield from _compressor_mistakes(spec) if isinstance(spec, CompressorSpec) else _evaluator_mistakes(spec)


def _compressor_mistakes(spec: CompressorSpec) -> Iterator[str]:
    known = (spec.writes is not None and spec.formats) or FORMATS
    if not _are(spec.formats, str) or not spec.formats or not set(spec.formats) <= set(known):
        yield _wrong("formats", f"a tuple of some of {', '.join(FORMATS)}", spec.formats)
    if not _are(spec.knobs, Knob):
        yield _wrong("knobs", "a tuple of Knob", spec.knobs)
        return
    if spec.lossless and spec.knobs:
        yield _wrong("knobs", "none, since it is lossless", [knob.name for knob in spec.knobs])
    options = spec.options if isinstance(spec.options, Mapping) else ()
    yield from _doubled("knobs and options", [*(knob.name for knob in spec.knobs), *options])
    for knob in spec.knobs:
        ends = f"{knob.low!r} to {knob.high!r}"
        yield from _named_mistakes("knob", knob)
        if not (_is_number(knob.low) and _is_number(knob.high) and knob.low <= knob.high):
            yield _wrong(f"knob {knob.name}", "numbers with low <= high", ends)
        elif knob.integer and not (float(knob.low).is_integer() and float(knob.high).is_integer()):
            yield _wrong(f"knob {knob.name}", "whole numbers, since it is integer", ends)
        elif knob.log and knob.low <= 0:
            yield _wrong(f"knob {knob.name}", "a low above 0, since it is log", knob.low)
        elif knob.name == "scale" and not 0 < knob.low <= knob.high <= 1:
            yield _wrong("knob scale", "numbers above 0 and at most 1, shares of a picture's width and height", ends)
    if not isinstance(spec.efforts, Mapping) or not set(spec.efforts) <= set(_EFFORTS):
        yield _wrong("efforts", f"a mapping with some of {', '.join(_EFFORTS)}", spec.efforts)
    elif odd := [effort for effort in spec.efforts.values() if not _is_effort(effort)]:
        yield _wrong("efforts", "Effort(options, bytes above 0) for each", odd[0])


def _evaluator_mistakes(spec: EvaluatorSpec) -> Iterator[str]:
    if not _are(spec.metrics, Metric) or not spec.metrics:
        yield _wrong("metrics", "a tuple of Metric", spec.metrics)
        return
    yield from _doubled("metrics", [metric.name for metric in spec.metrics])
    for metric in spec.metrics:
        low, high = metric.minimum, metric.maximum
        yield from _named_mistakes("metric", metric)
        if not (_is_number(low, finite=False) and _is_number(high, finite=False) and low < high):
            yield _wrong(f"metric {metric.name}", "numbers with minimum < maximum", f"{low!r} to {high!r}")
    options = spec.options if isinstance(spec.options, Mapping) else {}
    if isinstance(spec.parts, Parts):
        yield from _parts_mistakes(spec.parts, options)
    elif spec.parts is not None:
        yield _wrong("parts", "Parts or None", spec.parts)
    if spec.argument is not None and spec.argument not in [*options]:
        yield _wrong("argument", "the name of one of its options", spec.argument)


def _parts_mistakes(parts: Parts, options: Mapping[str, Any]) -> Iterator[str]:
    from semcompress_plugin.policy.check import describe
    from semcompress_plugin.policy.keywords import allows, faults

    of = parts.of if isinstance(parts.of, Mapping) else {None: ()}
    named = [*of.values()]
    if not (_are([parts.option, parts.default, *of], str) and all(_are(names, str) for names in named)):
        yield _wrong("parts", "an option, values with their parts and a default, all text", parts)
    elif parts.option not in options:
        yield _wrong("parts", "the name of one of its options", parts.option)
    elif not any(faults(schema := options[parts.option])):  # else told of as the option's
        for value in dict.fromkeys((parts.default, *parts.of, *(part for names in named for part in names))):
            if not allows(schema, value):
                yield _wrong("parts", f"values that its option {parts.option} allows, {describe(schema)}", value)


def _option_mistakes(options: object) -> Iterator[str]:
    from semcompress_plugin.policy.keywords import faults  # policies need YAML, and only strangers' specs this

    if not isinstance(options, Mapping):
        yield _wrong("options", "a mapping of names to JSON schemas", options)
        return
    for name, schema in options.items():
        if not isinstance(name, str) or name == "use":
            yield _wrong("options", "names other than 'use', which says which plugin is meant", name)
        for fault in faults(schema):
            yield _wrong(f"option {name}", fault.expected, fault.got)


def _named_mistakes(kind: str, one: Knob | Metric) -> Iterator[str]:
    for field, allowed in _FIELDS[Knob if isinstance(one, Knob) else Metric].items():
        if not allowed.fits(value := getattr(one, field)):
            yield _wrong(f"{kind} {one.name}", f"{field} to be {allowed.expected}", value)


def _doubled(field: str, names: Sequence[str]) -> Iterator[str]:
    texts = [name for name in names if isinstance(name, str)]
    for name in dict.fromkeys(name for name in texts if texts.count(name) > 1):
        yield _wrong(field, "each name once", name)


def _wrong(field: str, expected: str, got: object) -> str:
    said = got if isinstance(got, str) and " to " in got else repr(got)
    return f"{field}: expected {expected}, got {shortened(said)}"


def _are(values: object, kind: type) -> bool:
    return isinstance(values, (tuple, list)) and all(isinstance(value, kind) for value in values)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_effort(value: object) -> bool:
    sound = isinstance(value, Effort) and isinstance(value.options, Mapping)
    return sound and _is_number(value.bytes) and value.bytes > 0  # type: ignore[attr-defined]  # it is one


def _is_number(value: object, *, finite: bool = True) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (math.isfinite(value) if finite else not math.isnan(value))  # type: ignore[arg-type]


class _Allowed(NamedTuple):
    """What a field may be: in words, and whether a value is that."""

    expected: str
    fits: Callable[[Any], bool]


def _one_of(values: Sequence[str], *, also: tuple[object, ...] = ()) -> _Allowed:
    return _Allowed(f"one of {', '.join(values)}", lambda value: value in (*values, *also))


_IDENTIFIER = _Allowed("letters, digits, '.', '_' and '-'", lambda v: isinstance(v, str) and bool(_NAME.fullmatch(v)))
_TEXT = _Allowed("text", lambda value: isinstance(value, str))
_TEXT_OR_NONE = _Allowed("text or None", lambda value: value is None or isinstance(value, str))
_FLAG = _Allowed("True or False", lambda value: isinstance(value, bool))
_FACTORY = _Allowed(
    "'module:attribute' or a callable",
    lambda value: callable(value) or (isinstance(value, str) and value.count(":") == 1),
)
_ANY_SPEC = {
    "name": _IDENTIFIER,
    **dict.fromkeys(("version", "summary"), _TEXT),
    "factory": _FACTORY,
    "cost": _Allowed("milliseconds per megapixel", lambda value: _is_number(value) and value >= 0),
    "extra": _TEXT_OR_NONE,
}
_FIELDS: Mapping[type, Mapping[str, _Allowed]] = {
    CompressorSpec: {
        **_ANY_SPEC,
        **dict.fromkeys(("alpha", "previews", "lossless"), _FLAG),
        "search": _one_of([*STRATEGIES], also=(None,)),
        "writes": _TEXT_OR_NONE,
    },
    EvaluatorSpec: {
        **_ANY_SPEC,
        **dict.fromkeys(("equal_sizes", "concurrent"), _FLAG),
        "batch": _Allowed("a whole number of at least 1", lambda value: _is_whole(value) and value >= 1),
        "reads": _Allowed("a tuple of networks' names", lambda value: _are(value, str)),
    },
    Knob: {
        "name": _IDENTIFIER,
        "summary": _TEXT,
        **dict.fromkeys(("integer", "log"), _FLAG),
        "smaller": _one_of(["low", "high"]),
    },
    Metric: {
        "name": _IDENTIFIER,
        **dict.fromkeys(("summary", "unit"), _TEXT),
        "higher_is_better": _FLAG,
        "transform": _one_of(get_args(Transform)),
    },
}
"""Of every field that stands for itself what it may be; those that depend on others have functions."""


def check_file(data: object, proposal: Proposal, wanted: Metadata, orientation: int = 1) -> Image.Image:
    """The upright pixels of what ``compress`` returned.

    Raises unless that is a file of the format with the metadata that was ``wanted``.

    It must be one still picture of a kind that we would take in: of an animation readers see the first frame alone.
    An ``orientation`` other than 1 that is to be kept and was not is looked for elsewhere, as a lost profile is.
    """
    from semcompress_plugin.images import file_of, orientation_of, refuse_written, upright

    if not isinstance(data, bytes):
        raise TypeError(f"compress must return bytes, got {type(data).__name__}")
    if not data:
        raise TypeError(f"compress must return a {proposal.format} file; what it wrote is empty")
    try:
        image = file_of(data)
    except ImageError as error:
        raise TypeError(f"compress must return a {proposal.format} file; what it wrote {error}") from None
    if image.format != proposal.format:
        raise TypeError(f"compress must return a {proposal.format} file, got {image.format}")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise TypeError(f"compress wrote an animation of {frames} frames: expected one still picture")
    try:
        refuse_written(image, data)
    except ImageError as error:
        said = str(error).removesuffix(": left alone")
        raise TypeError(f"compress wrote a picture that {said}: expected one that would not be left alone") from None
    if orientation in (1, orientation_of(image)):
        _check_metadata(image, data, proposal, wanted, orientation)
    return upright(image, orientation_of(image))


def _check_metadata(image: Image.Image, data: bytes, proposal: Proposal, wanted: Metadata, orientation: int) -> None:
    from semcompress_plugin import exif
    from semcompress_plugin.metadata import metadata_of

    here = metadata_of(image, "keep", data, "apply" if orientation == 1 else "keep")
    # GIF has no place for it, JPEG alone for comments
    same = here.xmp == wanted.xmp and exif.alike(here.exif, wanted.exif)
    if proposal.format == "JPEG":
        same &= {*here.jpeg_segments} <= {*wanted.jpeg_segments} and here.comment in (None, wanted.comment)
    if not same and proposal.format != "GIF":
        raise TypeError("compress wrote other metadata than the rule wants: write those of save_parameters")


def check_promises(made: object, spec: CompressorSpec) -> None:
    """A compressor must have the methods of which its spec speaks."""
    promised = [("preview", spec.previews, "previews=True"), ("decode", spec.writes is not None, "writes")]
    for method, wanted, field in promised:
        if wanted and not callable(getattr(made, method, None)):
            raise TypeError(f"its spec says {field}, but {type(made).__name__} has no method {method}")


def check_values(answers: Sequence[Mapping[str, float]], spec: EvaluatorSpec) -> None:
    """Every metric of the spec must have a number in its range; what cannot be judged must not pass for a verdict."""
    for metric in spec.metrics:
        for answer in answers:
            if not isinstance(answer, Mapping):
                raise TypeError(
                    f"compare must give a mapping of metrics for each candidate, got {shortened(repr(answer))}"
                )
            if metric.name not in answer:
                given = f"only {', '.join(map(str, answer))}" if answer else "and nothing else"
                raise ValueError(f"compare gave no {metric.name!r}, {shortened(given, 200)}")
            value = _number(answer[metric.name])
            if value is None:
                gave = shortened(repr(answer[metric.name]))
                raise TypeError(f"compare gave {gave} for {metric.name!r}: expected a number")
            if math.isnan(value):
                raise ValueError(f"compare gave NaN for {metric.name!r}")
            if not metric.minimum - _ROUNDING <= value <= metric.maximum + _ROUNDING:
                said = f"compare gave {value:g} for {metric.name!r}"
                raise ValueError(f"{said}: its spec says from {metric.minimum:g} to {metric.maximum:g}")


def _number(value: Any) -> float | None:
    """A number as Python's, also numpy's and a tensor's; None for what is none, text among it."""
    try:
        return None if isinstance(value, (str, bytes, bytearray)) else float(value)
    except (TypeError, ValueError):
        return None


def fault(kind: str, name: str, provider: object, error: BaseException) -> PluginError:
    """A stranger's exception as an error that names the plugin, its file and its line."""
    text = f"{kind} {name!r} of {provider} failed: {reason(error)}"
    return PluginError(text)


def reason(error: BaseException) -> str:
    """An exception in one line, with the place in the stranger's code."""
    try:
        first_line = next(iter(str(error).splitlines()), "")
    except NOT_THEIRS:
        raise
    except BaseException:  # its words are a stranger's code, too
        first_line = ""
    # of a whole array, or of what a program said
    text = f"{type(error).__name__}: {shortened(first_line, _LINE)}".rstrip(": ")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(Path(frame.filename))]
    if not frames or isinstance(error, SemcompressError):
        return text
    entered = Path(frames[0].filename)  # what it calls may be a library's, of which its author knows nothing
    own = [frame for frame in frames if _belongs(Path(frame.filename), entered)]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})"


def _belongs(path: Path, entered: Path) -> bool:
    shared = entered.parent.name in ("site-packages", "dist-packages")
    return path == entered if shared else path.is_relative_to(entered.parent)


def _is_ours(path: Path) -> bool:
    """Whether code is semcompress's own or Python's."""
    if str(path).startswith("<") or path.is_relative_to(Path(__file__).parent):
        return True
    python = Path(os.__file__).parent
    return path.is_relative_to(python) and not {"site-packages", "dist-packages"} & {*path.parts}
