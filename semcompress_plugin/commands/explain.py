"""``semcompress explain PATH``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import ImageError, SemcompressError, UsageError
from semcompress_plugin.plan import Asset, at_home, rule_at
from semcompress_plugin.registry import Registry
from semcompress_plugin.report.text import scores_in_words, settings_in_words
from semcompress_plugin.types import SUFFIXES, CompressorUse, Rule
from semcompress_plugin.walk import absolute
from semcompress_plugin.words import printable, size


def run(arguments: argparse.Namespace) -> int:
    """Say what governs a picture, what its readers see in it, and what is settled about it."""
    registry = load_registry()
    path = absolute(arguments.path)
    domain = Domains(registry, arguments.policy, in_place=False).of(path, named=True)
    assert domain is not None  # a named file always has one
    try:
        snapshot = files.read(path)
    except ImageError as error:
        raise UsageError(f"{arguments.path}: {error}") from error
    policy = domain.policy
    print(f"{printable(str(arguments.path))}: {size(len(snapshot.data))}")
    print(f"policy: {printable(str(policy.path or 'none; preset web, for files that are named one by one'))}")
    inside = path.is_relative_to(policy.root)
    rule = rule_at(domain, str(path), path.relative_to(policy.root).as_posix()) if inside else None
    if rule is None:
        outside = f", for it lies outside {policy.root}, to which the policy's patterns are relative"
        print(f"rule: none{' matches' if inside else outside}, so it is left alone")
        return 0
    if rule.skip:
        _tell([f"rule: {rule.name}, which says to skip it", *_budget(rule)])
        return 0
    rule = at_home(Asset(str(path), str(arguments.path), domain, rule), snapshot.sha256).rule
    _tell([*_rule(rule, path, registry), *_budget(rule), *_settled(snapshot.sha256, path, domain, rule)])
    _tell(_seen(snapshot.data, path, rule, registry))
    return 0


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(printable(line))


def _rule(rule: Rule, path: Path, registry: Registry) -> list[str]:
    compressors = []
    for use in _able(rule, path, registry):
        knobs = (f"{k.name} {k.low:g}" if k.fixed else f"{k.name} {k.low:g} to {k.high:g}" for k in use.knobs)
        compressors.append(f"{use.name} ({', '.join(knobs)})")
    return [
        f"rule: {rule.name}, preset {rule.preset}",
        f"may use: {'; '.join(compressors) or 'nothing, for none of its compressors writes what it is to write'}",
        f"must keep: {'; '.join(map(str, rule.keep))}",
        f"writes: {', '.join(rule.outputs.formats)} ({rule.outputs.place}), saving at least {rule.min_saving:.0%}",
    ]


def _budget(rule: Rule) -> list[str]:
    return [] if rule.budget is None else [f"budget: at most {size(rule.budget)}, or it fails"]


def _able(rule: Rule, path: Path, registry: Registry) -> list[CompressorUse]:
    """The rule's compressors that write a format in which it wants this picture."""

    formats = rule.outputs.formats
    wanted = {SUFFIXES.get(path.suffix.lower()) if one == "keep" else one.upper() for one in formats}
    uses = rule.compress
    return [u for u in uses if "smallest" in formats or not wanted.isdisjoint(registry.compressor(u.name).formats)]


def _settled(sha256: str, path: Path, domain: Domain, rule: Rule) -> list[str]:
    made = domain.lock.by_output(sha256) or domain.made_elsewhere(sha256, path)
    sources = [entry for entry in domain.lock.by_original(sha256) if entry not in made]
    lines = [f"settled: {_made(entry)}{_outdated(entry, rule)}" for entry in made]
    lines += [f"settled: the original of {_made(entry)}{_outdated(entry, rule)}" for entry in sources]
    return lines or ["settled: not yet"]


def _made(entry: Entry) -> str:
    if entry.relation == "kept":
        return f"kept as it is, nothing smaller was found in {entry.looks} looks"
    how = settings_in_words(entry.compressor or "?", entry.settings)
    sizes = f"{size(entry.original.bytes)} -> {size(entry.output.bytes)}"
    return f"{entry.path}: {sizes} by {how} in {entry.looks} looks; {scores_in_words(entry.scores)}"


def _outdated(entry: Entry, rule: Rule) -> str:
    return "" if entry.policy == rule.digest else " (under another policy)"


def _seen(data: bytes, path: Path, rule: Rule, registry: Registry) -> Iterator[str]:
    """What each reader that can say so sees in the picture, or why one cannot be asked."""
    from semcompress_plugin.isolation import Decoders
    from semcompress_plugin.workshop import Workshop

    try:
        with Decoders() as decoders:
            image = decoders.decode_for(rule, data, path.name).image
    except ImageError as error:
        yield f"seen: nothing, for it {error}"
        return
    workshop = Workshop(registry)
    for use in rule.evaluators:
        try:
            yield from [f"seen by {use.name}: {text}" for text in workshop.describe(use, image)]
        except SemcompressError as error:
            yield f"seen by {use.name}: nothing: {error}"
