"""From a policy's text to rules: read, check against the schema, fill presets in, judge what depends on two places."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import PurePath
from typing import Any, NamedTuple

from semcompress_plugin.budget import in_bytes
from semcompress_plugin.errors import PluginError, PolicyError
from semcompress_plugin.policy import presets
from semcompress_plugin.policy.body import Body
from semcompress_plugin.policy.check import Checker
from semcompress_plugin.policy.digest import digest
from semcompress_plugin.policy.match import problem
from semcompress_plugin.policy.nodes import Finding, Node, read
from semcompress_plugin.policy.schema import VERSION, Known, find_evaluator, preset_schema, schema
from semcompress_plugin.types import EvaluatorUse, Limits, Rule

EVERYTHING = ("*",)
_GIT = ".git"


class Parsed(NamedTuple):
    """What a policy's text asks for. ``originals`` is None when it does not say."""

    rules: tuple[Rule, ...]
    originals: str | None
    limits: Limits


def parse(data: bytes, source: str, registry: Known) -> Parsed:
    """What a policy's text (UTF-8) asks for; ``source`` is what errors call it.

    Raises PolicyError with everything that is wrong with it.
    """
    document, findings = read(data)
    if document is None:
        raise _error(source, findings)
    version = document["version"]
    if version is not None and type(version.value) is int and version.value > VERSION:
        said = f"version: expected at most {VERSION}, got {version.value}: install a semcompress that knows it"
        raise _error(source, [version.finding(said)])
    keys = schema(registry)
    checker = Checker(lambda noun, name: _unknown(registry, keys["properties"], noun, name))
    checker.check(document, keys)
    parsed = _Policy(document, registry, checker).parsed()
    if findings or checker.findings:
        raise _error(source, findings + checker.findings)
    return parsed


def originals(data: bytes, source: str) -> str | None:
    """Where a policy's text says that originals are kept, whatever else may be wrong with it; None where it is silent.

    Raises PolicyError where that cannot be read.
    """
    document, findings = read(data)
    if document is None:
        raise _error(source, findings)
    place = document["originals"]
    if place is not None and not isinstance(place.value, str):
        raise _error(source, [place.finding("originals: expected `git`, `none` or a folder")])
    return None if place is None else str(place.value)


class _Policy:
    """A policy's document. Faults go to the checker; values are of use only when it found none.

    What the checker holds bad already is passed over, so that everything else is still judged.
    """

    def __init__(self, document: Node, registry: Known, checker: Checker) -> None:
        self._document = document
        self._registry = registry
        self._checker = checker
        entries = document["evaluators"]
        self._entries: Mapping[str, Node] = entries.value if entries and isinstance(entries.value, dict) else {}
        self._uses = {use.name: use for use in self._evaluators()}
        self._presets: dict[str, tuple[dict[str, float], dict[str, Any]]] = {}
        self._named: dict[str, Node] = {}

    def parsed(self) -> Parsed:
        originals, limits, rules = (self._good(self._document[key]) for key in ("originals", "limits", "rules"))
        wanted = {field.name: limits[field.name] for field in fields(Limits)} if limits else {}
        wanted["isolate"] = self._document["isolate"]  # a key of its own, wherever else somebody wrote it
        bounds = Limits(**{name: node.value for name, node in wanted.items() if self._good(node) and node})
        if self._document["rules"] is None:
            whole = Node({}, self._document.line, self._document.column)
            found = [self._rule(whole, "all", EVERYTHING, "")]
        else:
            found = list(self._rules(rules)) if rules else []
        return Parsed(tuple(replace(rule, limits=bounds) for rule in found), self._place(originals), bounds)

    def _place(self, originals: Node | None) -> str | None:
        if originals is None:
            return None
        place = str(originals.value)
        if _GIT in PurePath(os.path.normpath(place.lower())).parts:
            said = f"expected `git`, `none` or a folder that is not within {_GIT}, which is git's alone, got {place!r}"
            self._checker.fault(originals, "originals", said)
        return place

    def _evaluators(self) -> Iterator[EvaluatorUse]:
        for name, node in self._entries.items():
            use = node["use"]
            if isinstance(node.value, dict) and (use is None or self._good(use)):
                options = dict(node.plain())
                plugin = options.pop("use", name)
                if find_evaluator(self._registry, plugin) is not None:
                    yield EvaluatorUse(name, plugin, options)

    def _rules(self, rules: Node) -> Iterator[Rule]:
        for index, node in enumerate(rules.value):
            if isinstance(node.value, dict):
                path = f"rules[{index}]."
                files = tuple(self._files(node, f"{path}files"))
                yield self._rule(node, self._name(node, f"{path}name"), files, path)

    def _name(self, rule: Node, path: str) -> str:
        name = self._good(rule["name"])
        if name is None:
            return ""
        if not name.value.isprintable():
            self._checker.fault(name, path, f"expected printable text, got {name.value!r}")
        first = self._named.setdefault(name.value, name)
        if first is not name:
            self._checker.fault(name, path, f"two rules are called {name.value!r}, the first in line {first.line}")
        return str(name.value)

    def _files(self, rule: Node, path: str) -> Iterator[str]:
        files = self._good(rule["files"])
        patterns = [child for child in files.value if self._good(child)] if files else []
        for index, pattern in enumerate(patterns):
            if said := problem(pattern.value):
                self._checker.fault(pattern, f"{path}[{index}]", f"{said}, got {pattern.value!r}")
            yield pattern.value
        if files and patterns and all(pattern.value.startswith("!") for pattern in patterns):
            said = "expected a pattern that takes files in, got only such as take out (!)"
            self._checker.fault(files, path, said)

    def _rule(self, node: Node, name: str, files: tuple[str, ...], path: str) -> Rule:
        written = self._good(node["preset"]) or self._good(self._document["preset"])
        preset = written.value if written else presets.DEFAULT
        knobs, defaults = self._preset(preset)
        body = Body(self._registry, self._checker, self._uses, frozenset(self._entries), knobs)
        fields = defaults | body.fields(node, path)
        body.check_formats(node, fields["compress"], path)
        body.check_search(node, fields["compress"], path)
        body.check_features(node, fields, path)
        skip, most = node["skip"], self._good(node["budget"])
        budget = in_bytes(most.value) if most else None
        rule = Rule(name, files, skip is not None and skip.value is True, budget, preset, **fields)
        if self._checker.findings:
            return rule
        used = {use.name: self._entries[use.name].plain() for use in rule.evaluators if use.name in self._entries}
        return replace(rule, digest=digest(node.plain(), preset, used))

    def _preset(self, name: str) -> tuple[dict[str, float], dict[str, Any]]:
        """A preset's values for knobs, and the fields of a rule that it fills in."""
        if name not in self._presets:
            path, node = presets.load(name)
            checker = Checker()
            checker.check(node, preset_schema(self._registry))
            given = node["knobs"]
            knobs: dict[str, float] = given.plain() if given else {}
            fields = Body(self._registry, checker, self._uses, knobs=knobs).fields(node, "")
            if checker.findings:
                raise _error(str(path), checker.findings)
            self._presets[name] = knobs, fields
        return self._presets[name]

    def _good(self, node: Node | None) -> Node | None:
        return None if node is None or node in self._checker.bad else node


def _error(source: str, findings: list[Finding]) -> PolicyError:
    return PolicyError([f"{source}:{line}:{column}: {text}" for line, column, text in sorted(set(findings))])


def _unknown(registry: Known, keys: Mapping[str, Any], noun: str, name: str) -> str | None:
    """The registry's words for an unknown plugin: it knows which plugins are there but cannot be loaded.

    For an unknown key that is known elsewhere in a policy with these ``keys``, where.
    """
    if noun == "key":
        return f"{name} {place}" if (place := _places(registry, keys).get(name)) else None
    try:
        if noun == "compressor":
            registry.compressor(name)
        elif noun == "evaluator":
            registry.evaluator(name)
    except PluginError as error:
        return str(error)
    return None


def _places(registry: Known, keys: Mapping[str, Any]) -> dict[str, str]:
    """Where each key of a policy stands; of one that stands in several places, the outermost."""
    rule = keys["rules"]["items"]["properties"]
    knobs = {knob.name for spec in registry.compressors.values() for knob in spec.knobs}
    return {
        **dict.fromkeys(knobs, "is a knob of compressors, within `compress`"),
        **dict.fromkeys(rule["outputs"]["properties"], "is a key of `outputs`, in a rule"),
        **dict.fromkeys(keys["limits"]["properties"], "is a key of `limits`, at the top of the policy"),
        **dict.fromkeys(rule, "is a key of rules: write it in one"),
        **dict.fromkeys(keys, "is a key of its own, at the top of the policy"),
    }
