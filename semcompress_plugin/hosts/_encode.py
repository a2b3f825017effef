"""From an image in memory to the smallest file that a rule allows: what Pillow's ``save`` of this format does."""

from __future__ import annotations

import difflib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from PIL import Image, ImageFile, ImageOps

from semcompress_plugin.engine import Candidate, Decision, Encode, decide, drive
from semcompress_plugin.errors import PolicyError, SemcompressError
from semcompress_plugin.hosts import _semc
from semcompress_plugin.images import MODES, SUFFIXES, metadata_of
from semcompress_plugin.plugins import DISTRIBUTION, Provider
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Metadata, Outputs, Reference, Rule
from semcompress_plugin.workshop import Workshop

FORMAT = "SEMCOMPRESS"
SUFFIX = ".semc"
ORIENTATION, EXIF_IFD, USER_COMMENT = 0x0112, 0x8769, 0x9286
ASCII = b"ASCII\0\0\0"
"""How EXIF marks a UserComment in ASCII (Exif 2.32, table 9)."""

_RULE = ("preset", "compress", "keep", "min_saving", "search", "metadata")
_PASSED = ("icc_profile", "exif", "xmp", "dpi")
_OPTIONS = ("target", "container", "record", "rule", "evaluators", *_RULE, *_PASSED)
_TYPO = 0.85  # catches `kep` and `presets`; lets Pillow's own `compression` pass

# data colour space in an ICC profile's header (ICC.1, 7.2.6), and the modes whose pixels it can describe
_DESCRIBED = {b"RGB ": ("P", "RGB", "RGBA"), b"GRAY": ("1", "L", "LA")}

_workshop: Workshop | None = None
_opening = threading.Lock()


@dataclass(frozen=True, slots=True)
class Shot:
    """An image to be saved: what readers compare with (upright), and the orientation that it had (1 to 8)."""

    reference: Reference
    orientation: int


def workshop() -> Workshop:
    """The one of this process, so that every model is loaded once, when it is first needed."""
    global _workshop
    with _opening:
        if _workshop is None:
            _workshop = Workshop(Registry())
        return _workshop


def encode(image: Image.Image, filename: str = "", **options: Any) -> bytes:
    """The bytes that ``image.save(filename, "SEMCOMPRESS", **options)`` writes; docs/hosts/pillow.md lists options.

    Nothing is written anywhere, and ``image`` is not modified. Raises ValueError for options that make no sense,
    OSError for an image that cannot be written or a rule that nothing satisfies (saying what came nearest).
    """
    _refuse_typos(options)
    tools = workshop()
    if image.mode not in MODES:
        raise OSError(f"cannot write mode {image.mode} as {FORMAT}")
    if not all(image.size):
        raise ValueError(f"cannot write empty image as {FORMAT}")
    target, container = _target(filename, options, tools.registry)
    try:
        rule = _rule(target, container, options, tools.registry)
        shot = _shot(image, rule, options)
        (decision,) = drive(decide(shot.reference, rule, tools.registry), tools.perform)
        if decision.candidate is None:
            raise OSError(f"cannot write this image as {target}: {decision.reason}")
        judgement = _judgement(rule, decision.candidate, decision, tools.registry)
        if container:
            proposal = decision.candidate.proposal
            return _semc.pack(decision.candidate.data, proposal.format, image.size, judgement, shot.orientation)
        if options.get("record"):
            return _recorded(decision.candidate, shot.reference, rule, judgement, tools)
        return decision.candidate.data
    except SemcompressError as error:  # those who guard a save guard it against OSError
        raise OSError(f"cannot write this image as {target}: {error}") from error


def _refuse_typos(options: Mapping[str, Any]) -> None:
    """Pillow's writers pass over options they do not know; a misspelt bound must not be passed over."""
    for name in options:
        near = difflib.get_close_matches(name, _OPTIONS, 1, _TYPO)
        if near and name not in _OPTIONS:
            raise ValueError(f"unknown option {name!r}; did you mean {near[0]!r}?")


def _target(filename: str, options: Mapping[str, Any], registry: Registry) -> tuple[str, bool]:
    """The format of the file, or of the container's payload (``smallest``: whichever wins); whether a container."""
    suffix = PurePath(filename).suffix.lower()
    target = options.get("target")
    container = options.get("container")
    if container is None:
        container = suffix == SUFFIX or (target is None and suffix not in SUFFIXES)
    if target is None:
        target = "smallest" if container else SUFFIXES.get(suffix, "smallest")
    spaces = {format for spec in registry.compressors.values() for format in spec.formats}
    known = spaces.intersection(_semc.FORMATS.values()) if container else spaces
    if not isinstance(target, str) or target.upper() not in {"SMALLEST", *known}:
        raise ValueError(f"unknown target {target!r}; known: {', '.join(sorted(known))}, smallest")
    return target.lower() if target.upper() == "SMALLEST" else target.upper(), bool(container)


def _rule(target: str, container: bool, options: Mapping[str, Any], registry: Registry) -> Rule:
    """The rule that was given, or the one that the options make up, with ``target`` as its only output."""
    given = {key: options[key] for key in _RULE if options.get(key) is not None}
    evaluators = options.get("evaluators")
    if (rule := options.get("rule")) is not None:
        if not isinstance(rule, Rule):
            raise ValueError(f"expected rule to be a semcompress_plugin.Rule, got {type(rule).__name__}")
        if given or evaluators:
            said = ", ".join([*given, *(["evaluators"] if evaluators else [])])
            raise ValueError(f"rule says everything; give it alone or leave it out, got {said} too")
    else:
        if container:
            given.setdefault("preset", "machine")
            if target == "smallest":
                given.setdefault("compress", ["jpeg", "webp"])
        rule = _parsed(given, target, evaluators, registry)
    if container:
        able = [use for use in rule.compress if {*registry.compressor(use.name).formats} <= {*_semc.FORMATS.values()}]
        rule = replace(rule, compress=tuple(able))
    return replace(rule, outputs=Outputs((target.lower(),)))


def _parsed(given: Mapping[str, Any], target: str, evaluators: object, registry: Registry) -> Rule:
    asked = {"name": "save", "files": ["*"], **given, "outputs": {"formats": [target.lower()]}}
    policy = {"version": 1, "rules": [asked]} | ({"evaluators": evaluators} if evaluators is not None else {})
    try:
        # JSON is YAML: the policy's own parser judges, in its own words
        return parse_policy(json.dumps(policy, ensure_ascii=False), registry, Path(), "save").rules[0]
    except PolicyError as error:
        # lines and columns of the text made up here would only puzzle
        findings = [re.sub(r"^save:\d+:\d+: (rules\[0\]\.)?", "", finding) for finding in error.findings]
        raise ValueError("\n".join(findings)) from error


def _shot(image: Image.Image, rule: Rule, options: Mapping[str, Any]) -> Shot:
    """A copy of ``image`` with what was passed beside it, upright.

    EXIF that came with a file describes the pixels of that file. Pillow hands it on when an image is rotated or
    transposed and does not say so; only for an image straight from a file, or with EXIF that was passed, do we know
    that its orientation has not been applied yet.
    """
    passed = {key: options[key] for key in _PASSED if key in options}
    copy = image.copy()
    if not any(image.mode in modes for space, modes in _DESCRIBED.items() if space == _colour_space(copy)):
        copy.info.pop("icc_profile", None)
    if isinstance(passed.get("exif"), Image.Exif):
        passed["exif"] = passed["exif"].tobytes()
    copy.info.update(passed)
    orientation = copy.getexif().get(ORIENTATION, 1)
    upright = copy
    if isinstance(image, ImageFile.ImageFile) or passed.get("exif"):
        upright = ImageOps.exif_transpose(copy)
    else:
        orientation = 1
    own, everything = metadata_of(upright, rule.metadata), metadata_of(upright, "keep")
    metadata = replace(own, **{key: getattr(everything, key) for key in passed})
    return Shot(Reference(upright, metadata=metadata), orientation if orientation in range(2, 9) else 1)


def _colour_space(image: Image.Image) -> bytes:
    profile = image.info.get("icc_profile") or b""
    return bytes(profile[16:20])


def _judgement(rule: Rule, candidate: Candidate, decision: Decision, registry: Registry) -> dict[str, Any]:
    """What a file was judged by, as plain data; docs/semc.md describes the keys."""
    readers = {}
    for use in rule.evaluators:
        spec = registry.evaluator(use.plugin)
        readers[use.name] = {"evaluator": use.plugin, "version": spec.version, "options": dict(use.options)}
    keep: dict[str, dict[str, dict[str, float]]] = {}
    for constraint in rule.keep:
        bounds = {"min": constraint.min, "max": constraint.max}
        given = {word: bound for word, bound in bounds.items() if bound is not None}
        keep.setdefault(constraint.evaluator, {})[constraint.metric.name] = given
    spec = registry.compressor(candidate.proposal.compressor)
    ours = Provider(DISTRIBUTION, version(DISTRIBUTION))
    return {
        "semcompress": ours.version,
        "rule": rule.digest,
        "keep": keep,
        "readers": readers,
        "scores": {name: dict(values) for name, values in decision.scores.items()},
        "compressor": {"name": spec.name, "version": spec.version, "settings": dict(candidate.proposal.settings)},
    }
