"""From an image in memory to the smallest file that a rule allows: what Pillow's ``save`` of this format does."""

from __future__ import annotations

import contextlib
import difflib
import json
import operator
import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from PIL import Image, ImageFile

from semcompress_plugin.colours import with_colours
from semcompress_plugin.engine import Candidate, Decision, Encode, decide, drive
from semcompress_plugin.errors import PolicyError, SemcompressError
from semcompress_plugin.hosts import _semc
from semcompress_plugin.hosts._judgement import judgement, with_record
from semcompress_plugin.images import MODES, metadata_of, upright
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import SUFFIXES, Features, Knob, Outputs, Proposal, Reference, Rule
from semcompress_plugin.workshop import Workshop

FORMAT = "SEMCOMPRESS"
SUFFIX = ".semc"
ORIENTATION = 0x0112

_RULE = ("preset", "compress", "keep", "min_saving", "search", "metadata", "icc")
_PASSED = ("icc_profile", "exif", "xmp", "dpi")
_OPTIONS = ("target", "container", "record", "rule", "evaluators", *_RULE, *_PASSED)
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "icc_profile": ((bytes,), "a profile as bytes"),
    "exif": ((bytes, Image.Exif), "EXIF data as bytes or a PIL.Image.Exif"),
    "xmp": ((bytes, str), "XMP as bytes or text"),
}
_TYPO = 0.85  # catches `kep` and `presets`; lets Pillow's own `compression` pass

# data colour space in an ICC profile's header (ICC.1, 7.2.6), and the modes whose pixels it describes
_DESCRIBED = {b"RGB ": ("P", "RGB", "RGBA"), b"GRAY": ("1", "L", "LA")}

_workshop: Workshop | None = None
_opening = threading.Lock()


def workshop() -> Workshop:
    """The one of this process, so that every model is loaded once, when it is first needed."""
    global _workshop
    with _opening:
        if _workshop is None:
            _workshop = Workshop(Registry())
        return _workshop


def encode(image: Image.Image, filename: str = "", /, **options: Any) -> bytes:
    """The bytes that ``image.save(filename, "SEMCOMPRESS", **options)`` would write; see docs/hosts/pillow.md.

    Nothing is written anywhere, and ``image`` is not modified. Raises ValueError for options that make no sense or are
    not known, TypeError for what is no image, and OSError for an image that cannot be written or bounds that nothing
    satisfies (saying what came nearest).
    """
    if not isinstance(image, Image.Image):
        raise TypeError(f"encode wants an image of Pillow's, such as Image.open gives, got {image!r:.80}")
    _refuse_typos(options)
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise ValueError(f"unknown option {unknown[0]!r}; known: {', '.join(sorted(_OPTIONS))}")
    return saved(image, filename, options)


def saved(image: Image.Image, filename: str, options: Mapping[str, Any]) -> bytes:
    """As :func:`encode`, of what Pillow hands to a format's ``save``: options of other formats are passed over."""
    _refuse_typos(options)
    _check_passed(options)
    tools = workshop()
    tools.forgive()
    if image.mode not in MODES:
        raise OSError(f"cannot write mode {image.mode} as {FORMAT}")
    if not all(image.size):
        raise ValueError(f"cannot write empty image as {FORMAT}")
    target, container = _target(filename, options, tools.registry)
    rule = _rule(target, container, options, tools.registry)
    try:
        reference, orientation = _reference(image, rule, options)
        decision = _decided(reference, rule, tools)
        if decision.candidate is None:
            raise OSError(f"cannot write this image as {FORMAT} ({target}): {decision.reason}")
        proposal = decision.candidate.proposal
        judged = judgement(rule, proposal, decision.scores, tools.registry)
        if container:
            return _semc.pack(decision.candidate.data, proposal.format, image.size, judged, orientation)
        if options.get("record"):
            return _with_record(decision.candidate, reference, rule, judged, tools)
        return decision.candidate.data
    except SemcompressError as error:  # whoever guards a save guards it against OSError
        raise OSError(f"cannot write this image as {FORMAT} ({target}): {error}") from error


def _refuse_typos(options: Mapping[str, Any]) -> None:
    """Pillow's writers pass over options that they do not know; a misspelt bound must not be passed over."""
    for name in options.keys() - set(_OPTIONS):
        if near := difflib.get_close_matches(name, _OPTIONS, 1, _TYPO):
            raise ValueError(f"unknown option {name!r}; did you mean {near[0]!r}?")


def _check_passed(options: Mapping[str, Any]) -> None:
    """Raise ValueError for what cannot be written beside a picture."""
    for name, (kinds, expected) in _KINDS.items():
        value = options.get(name)
        if value and not isinstance(value, kinds):  # an empty text too says that there is to be none
            raise ValueError(f"{name}: expected {expected}, got {value!r:.80}")
    try:
        if exif := options.get("exif"):
            Image.Exif().load(exif if isinstance(exif, bytes) else exif.tobytes())
    except Exception as error:  # whatever Pillow raises for bytes that are none
        raise ValueError(f"exif: expected {_KINDS['exif'][1]}, got {exif!r:.80}: {error}") from error
    try:
        if (dpi := options.get("dpi")) is not None:
            _, _ = map(float, dpi)
    except (TypeError, ValueError) as error:
        raise ValueError(f"dpi: expected two numbers, got {dpi!r:.80}") from error


def _target(filename: str, options: Mapping[str, Any], registry: Registry) -> tuple[str, bool]:
    """The format of the file, or of a container's payload (``SMALLEST``: whichever wins); whether it is a container."""
    suffix = PurePath(filename).suffix.lower()
    target, container = options.get("target"), options.get("container")
    if container is None:
        container = suffix == SUFFIX or (target is None and suffix not in SUFFIXES)
    if target is None:
        target = "SMALLEST" if container else SUFFIXES.get(suffix, "SMALLEST")
    known = {format for spec in registry.compressors.values() if spec.writes is None for format in spec.formats}
    if container:
        known &= set(_semc.FORMATS.values())
    if not isinstance(target, str) or target.upper() not in {"SMALLEST", *known}:
        near = difflib.get_close_matches(str(target).upper(), known, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"unknown target {target!r}; {hint}known: {', '.join(sorted(known))}, smallest")
    return target.upper(), bool(container)


def _rule(target: str, container: bool, options: Mapping[str, Any], registry: Registry) -> Rule:
    """The rule that was given, or the one that the options make up, with ``target`` as its only output."""
    given = {key: options[key] for key in (*_RULE, "evaluators") if options.get(key) is not None}
    rule = options.get("rule")
    if rule is None:
        if container:
            given.setdefault("preset", "machine")
            if target == "SMALLEST":
                given.setdefault("compress", ["jpeg", "webp"])
        rule = _composed(given, target, registry)
    elif not isinstance(rule, Rule):
        raise ValueError(f"expected rule to be a semcompress_plugin.Rule, got {type(rule).__name__}")
    elif given:
        raise ValueError(f"rule says everything; leave it out, or what is beside it: {', '.join(given)}")
    if container:
        allowed = set(_semc.FORMATS.values())
        able = [use for use in rule.compress if allowed.issuperset(registry.compressor(use.name).formats)]
        if not able:
            raise ValueError(
                f"none of the rule's compressors writes what a {SUFFIX} holds: {', '.join(sorted(allowed))}"
            )
        rule = replace(rule, compress=tuple(able))
    return replace(rule, outputs=Outputs((target.lower(),)))


def _composed(given: dict[str, Any], target: str, registry: Registry) -> Rule:
    evaluators = {"evaluators": given.pop("evaluators")} if "evaluators" in given else {}
    rule = {"name": "save", "files": ["*"], **given, "outputs": {"formats": [target.lower()]}}
    evaluators, rule = _as_policy(evaluators), _as_policy(rule)
    # JSON is YAML: the policy's own parser judges, in its own words
    text = json.dumps({"version": 1, **evaluators, "rules": [rule]}, ensure_ascii=False)
    try:
        return parse_policy(text, registry, Path(), "save").rules[0]
    except PolicyError as error:
        # lines and columns of a text that was made up here would only puzzle
        findings = [re.sub(r"^save:\d+:\d+: (rules\[0\]\.)?", "", finding) for finding in error.findings]
        raise ValueError("\n".join(findings)) from error


def _as_policy(value: Any, path: str = "") -> Any:
    """``value`` as a policy can say it: mappings, lists, text, numbers. Raises ValueError for anything else."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, (str, int))]:
            raise ValueError(f"{path}: expected names, got {odd[0]!r:.80}")
        return {key: _as_policy(one, f"{path}.{key}" if path else str(key)) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_policy(one, f"{path}[{index}]") for index, one in enumerate(value)]
    for number in (
        (operator.index, float) if not hasattr(value, "__len__") else ()
    ):  # numpy's numbers are none of Python's
        with contextlib.suppress(TypeError, ValueError):
            return number(value)
    raise ValueError(f"{path}: expected a mapping, a list, text or a number, got {value!r:.80}")


def _reference(image: Image.Image, rule: Rule, options: Mapping[str, Any]) -> tuple[Reference, int]:
    """A copy of ``image``, upright, with what is to be written beside it; and the orientation it had, 1 to 8.

    EXIF describes the pixels of the file that it came in. Pillow hands it on to what is rotated or transposed and
    does not say so: only of an image straight from a file, or with EXIF that was passed, is it known that the
    orientation has not been applied yet.
    """
    passed = {key: options[key] for key in _PASSED if key in options}
    copy = image.copy()
    exif = passed.get("exif")
    if exif:
        copy.info["exif"] = exif.tobytes() if isinstance(exif, Image.Exif) else exif
    orientation = 1
    if exif or isinstance(image, ImageFile.ImageFile):
        tag = copy.getexif().get(ORIENTATION, 1)
        orientation = tag if tag in range(1, 9) else 1
        copy = upright(copy, orientation)  # not Pillow's exif_transpose, which writes EXIF anew
    if image.mode not in _DESCRIBED.get((copy.info.get("icc_profile") or b"")[16:20], ()):
        copy.info.pop("icc_profile", None)  # of the image that this one was converted from
    own = metadata_of(copy, rule.metadata)
    copy.info.update({key: value for key, value in passed.items() if key != "exif"})
    full = metadata_of(copy, "keep")
    wanted: dict[str, Any] = {key: getattr(full, key) if passed[key] else None for key in passed}
    reference = Reference(copy, metadata=replace(own, **wanted))
    return with_colours(reference, rule.icc), orientation


def _decided(reference: Reference, rule: Rule, tools: Workshop) -> Decision:
    """The decision for the rule's only output.

    A search may see from what it knows that nothing will hold, and look at nothing. Whoever saves is then told how
    near the gentlest settings come.
    """
    (decision,) = drive(decide(reference, rule, tools.registry), tools.perform)
    if decision.candidate is None and not decision.looks:
        gentlest = {
            format: Proposal(use.name, format, {knob.name: _gentlest(knob) for knob in use.knobs})
            for use in rule.compress
            for spec in (tools.registry.compressor(use.name),)
            for format in spec.formats
            if not spec.lossless
        }
        (decision,) = drive(decide(reference, rule, tools.registry, gentlest), tools.perform)
    return decision


def _gentlest(knob: Knob) -> float:
    return knob.high if knob.smaller == "low" else knob.low


def _with_record(
    candidate: Candidate, reference: Reference, rule: Rule, judged: Mapping[str, Any], tools: Workshop
) -> bytes:
    """The candidate's file once more, with the judgement in its EXIF and the same pixels."""
    try:
        exif = with_record(reference.metadata.exif, judged)
    except ValueError as error:
        raise OSError(f"cannot record what was measured beside {error}") from error
    noted = replace(reference, metadata=replace(reference.metadata, exif=exif))
    use = next(use for use in rule.compress if use.name == candidate.proposal.compressor)
    again = tools.encode(Encode(use, noted, candidate.proposal))
    if not isinstance(again, Candidate):
        raise OSError(f"cannot record what was measured: {again.reason}")
    if isinstance(again.image, Features) or isinstance(candidate.image, Features):
        raise OSError(f"cannot record what was measured: {use.name} writes no pixels")
    if again.image.mode != candidate.image.mode or again.image.tobytes() != candidate.image.tobytes():
        raise OSError(f"cannot record what was measured: {use.name} wrote other pixels for the same settings")
    return again.data
