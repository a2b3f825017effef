"""The keys that rules and presets share, from checked nodes to the types that the engine knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from semcompress_plugin.errors import PluginError
from semcompress_plugin.policy.check import Checker, known, near
from semcompress_plugin.policy.digest import fraction
from semcompress_plugin.policy.nodes import Node
from semcompress_plugin.policy.schema import ANY_METRICS, Known, find_evaluator, metrics
from semcompress_plugin.types import (
    CompressorSpec,
    CompressorUse,
    Constraint,
    EvaluatorUse,
    Knob,
    Metric,
    Outputs,
    SearchUse,
)


class Body:
    """Resolves one rule's or preset's keys. Faults go to the checker; what it holds bad already is passed over.

    ``uses`` are the evaluators that the policy names itself, ``names`` all names that it gives, also to broken ones.
    ``knobs`` are the preset's values for knobs that are not given, by the knob's name.
    """

    def __init__(
        self,
        registry: Known,
        checker: Checker,
        uses: Mapping[str, EvaluatorUse],
        names: frozenset[str] = frozenset(),
        knobs: Mapping[str, float] | None = None,
    ) -> None:
        self._registry = registry
        self._checker = checker
        self._uses = uses
        self._names = names
        self._knobs = knobs or {}

    def fields(self, node: Node, path: str) -> dict[str, Any]:
        """Fields of :class:`semcompress_plugin.types.Rule` for the keys that are given in ``node``."""
        given: dict[str, Any] = {}
        if compress := self._good(node["compress"]):
            given["compress"] = tuple(self._compress(compress, f"{path}compress"))
        if keep := self._good(node["keep"]):
            wanted = list(self._keep(keep, f"{path}keep"))
            given["keep"] = tuple(constraint for _, constraint in wanted)
            given["evaluators"] = tuple({use.name: use for use, _ in wanted}.values())
        if outputs := self._good(node["outputs"]):
            given["outputs"] = self._outputs(outputs, f"{path}outputs")
        if search := self._good(node["search"]):
            given["search"] = _search(search)
        if saving := self._good(node["min_saving"]):
            given["min_saving"] = fraction(saving.value)
        for name in ("metadata", "orientation", "icc"):
            if choice := self._good(node[name]):
                given[name] = choice.value
        return given

    def _compress(self, node: Node, path: str) -> Iterator[CompressorUse]:
        seen = set()
        for where, key, settings in _named(node):
            name, here = key.value, f"{path}{where}"
            if name not in self._registry.compressors:
                continue
            if name in seen:
                self._checker.fault(key, here, f"{name!r} is there already; give all its settings in one place")
            seen.add(name)
            spec = self._registry.compressors[name]
            given = settings.value if settings is not None and isinstance(settings.value, dict) else {}
            knobs = tuple(self._knob(spec, knob, self._good(given.get(knob.name)), key, here) for knob in spec.knobs)
            options = {option: child.plain() for option, child in given.items() if spec.knob(option) is None}
            yield CompressorUse(name, knobs, options)

    def _knob(self, spec: CompressorSpec, knob: Knob, given: Node | None, key: Node, path: str) -> Knob:
        if given is None:
            if knob.name not in self._knobs:
                return knob
            low = high = self._knobs[knob.name]
            if not knob.low <= low <= knob.high:
                said = f"{spec.name} cannot do {knob.name} {low:g}, which the preset wants; give {knob.name} yourself"
                self._checker.fault(key, path, said)
                return knob
        elif isinstance(given.value, list):
            ends = [self._good(end) for end in given.value]
            if len(ends) != 2 or ends[0] is None or ends[1] is None:
                return knob
            low, high = ends[0].value, ends[1].value
            if low > high:
                said = f"expected [low, high], got [{low:g}, {high:g}]"
                self._checker.fault(given, f"{path}.{spec.name}.{knob.name}", said)
        else:
            low = high = given.value
        number = int if knob.integer else float
        return replace(knob, low=number(low), high=number(high))

    def _keep(self, node: Node, path: str) -> Iterator[tuple[EvaluatorUse, Constraint]]:
        for name, wanted in node.value.items():
            here = f"{path}.{name}"
            use = self._uses.get(name)
            if use is None:
                if find_evaluator(self._registry, name) is None:
                    if name not in self._names:  # else its entry has been found wrong already
                        self._checker.fault(node.keys[name], path, self._unknown(node.keys[name], name))
                    continue
                use = EvaluatorUse(name, name)
            spec = self._registry.evaluator(use.plugin)
            if spec.argument and use.plugin == spec.name and spec.argument not in use.options:
                one = f"{spec.name}:{spec.argument.upper()}"
                said = f"{spec.name} is many readers: expected the name of one, such as {one}"
                self._checker.fault(node.keys[name], path, said)
                continue
            if name not in self._registry.evaluators and self._checker.valid(wanted, ANY_METRICS):
                self._checker.check(wanted, metrics(spec), here)
            for metric_name, bound in wanted.value.items() if isinstance(wanted.value, dict) else ():
                metric = spec.metric(metric_name)
                if metric is not None and isinstance(bound.value, dict) and self._good(bound):
                    yield use, self._constraint(name, metric, bound, f"{here}.{metric_name}")

    def _constraint(self, evaluator: str, metric: Metric, bound: Node, path: str) -> Constraint:
        low, high = self._good(bound["min"]), self._good(bound["max"])
        if low and high and low.value > high.value:
            said = f"expected min below max, got min {low.value:g} and max {high.value:g}"
            self._checker.fault(bound, path, said)
        if low and low.value <= metric.minimum:
            said = f"nothing can fail this: {metric.name} is never below {metric.minimum:g}; remove it"
            self._checker.fault(low, f"{path}.min", said)
        if high and high.value >= metric.maximum:
            said = f"nothing can fail this: {metric.name} is never above {metric.maximum:g}; remove it"
            self._checker.fault(high, f"{path}.max", said)
        wrong, right = ("max", "min") if metric.higher_is_better else ("min", "max")
        if (given := bound.value.get(wrong)) is not None and bound.value.get(right) is None:
            better = "higher" if metric.higher_is_better else "lower"
            said = f"a {wrong} alone lets the worst pass: {metric.name} is the better the {better}; expected {right}"
            self._checker.fault(given, f"{path}.{wrong}", said)
        return Constraint(evaluator, metric, float(low.value) if low else None, float(high.value) if high else None)

    def _unknown(self, key: Node, name: str) -> str:
        """Names given here come first; the registry knows the others, and which plugins could not be loaded."""
        if near(key, self._names):
            return f"unknown evaluator {name!r}{known(key, {*self._names, *self._registry.evaluators})}"
        try:
            self._registry.evaluator(name)
        except PluginError as error:
            return str(error)
        return f"unknown evaluator {name!r}"

    def _outputs(self, node: Node, path: str) -> Outputs:
        formats, place = self._good(node["formats"]), node["place"]
        given = [child for child in formats.value if self._good(child)] if formats else []
        names = tuple(child.value for child in given) or Outputs().formats
        where = place.value if place else Outputs().place
        if "smallest" in names and len(names) > 1:
            said = "'smallest' chooses among all formats and stands alone, got others too"
            self._checker.fault(given[1], f"{path}.formats", said)
        elif where == "replace" and len(names) > 1:  # a misspelt place has its own finding
            said = f"place: replace takes one format, got {len(names)}; choose one, or place: beside"
            self._checker.fault(given[1], f"{path}.formats", said)
        return Outputs(names, where)

    def check_formats(self, node: Node, compress: tuple[CompressorUse, ...], path: str) -> None:
        """Find formats in ``node``'s ``outputs`` that none of ``compress`` writes."""
        outputs = self._good(node["outputs"])
        formats = self._good(outputs["formats"]) if outputs else None
        specs = [self._registry.compressors[use.name] for use in compress]
        written = sorted({name.lower() for spec in specs for name in spec.formats})
        for child in formats.value if formats and written else ():
            if self._good(child) and child.value not in ("keep", "smallest", *written):
                names = ", ".join(spec.name for spec in specs)
                said = f"no compressor of this rule ({names}) writes {child.value}; they write {', '.join(written)}"
                self._checker.fault(child, f"{path}outputs.formats", said)

    def check_search(self, node: Node, compress: tuple[CompressorUse, ...], path: str) -> None:
        """Find a knob that ``node``'s ``search`` is to step and one of ``compress`` does not have."""
        searches = self._good(node["search"])
        if searches is None or node["compress"] in self._checker.bad:
            return
        for _, name, options in _named(searches):
            knob = None if options is None else self._good(options["knob"])
            if knob is None:
                continue
            specs = [self._registry.compressors[use.name] for use in compress]
            # what is lossless has no knobs, and is not searched
            if lacking := [spec for spec in specs if not spec.lossless and spec.knob(knob.value) is None]:
                names = known(knob, (one.name for one in lacking[0].knobs))
                said = f"{lacking[0].name} has no knob {knob.value!r}{names}"
                self._checker.fault(knob, f"{path}search.{name.value}.knob", said)

    def check_features(self, node: Node, fields: Mapping[str, Any], path: str) -> None:
        """Find what does not go with a compressor that writes no pixels: readers that need them, other places."""
        outputs: Outputs = fields["outputs"]
        at = self._good(node["outputs"]) or self._good(node["compress"]) or node
        for use in fields["compress"]:
            spec = self._registry.compressors[use.name]
            if spec.writes is None:
                continue
            formats = [name.lower() for name in spec.formats]
            if outputs.place != "beside" or not set(formats) & set(outputs.formats) or "smallest" in outputs.formats:
                said = f"{use.name} writes no pixels, so only beside the picture, and only where asked for by name"
                hint = f"give outputs: {{formats: [{', '.join(formats)}], place: beside}}"
                self._checker.fault(at, f"{path}outputs", f"{said}: {hint}")
            readers = self._registry.evaluators
            able = ", ".join(name for name, reader in readers.items() if spec.writes in reader.reads)
            for evaluator in fields["evaluators"]:
                if spec.writes not in self._registry.evaluator(evaluator.plugin).reads:
                    where = self._good(node["keep"]) or self._good(node["compress"]) or node
                    said = f"{evaluator.name} needs pixels; compressor {use.name} writes none"
                    self._checker.fault(where, f"{path}keep", f"{said}: keep what {able} measures alone")

    def _good(self, node: Node | None) -> Node | None:
        return None if node is None or node in self._checker.bad else node


def _search(node: Node) -> SearchUse:
    for _, key, settings in _named(node):
        # anything else has been found fault with already
        options = dict(settings.plain()) if settings is not None and isinstance(settings.value, dict) else {}
        looks = options.pop("looks", None)
        return SearchUse(key.value, None if looks is None else int(looks), options)
    return SearchUse()


def _named(node: Node) -> Iterator[tuple[str, Node, Node | None]]:
    """Places, names and their settings, whether written ``a``, ``[a, {b: …}]`` (places ``[0]``, …) or ``{a: …}``."""
    parts = [(f"[{index}]", part) for index, part in enumerate(node.value)] if isinstance(node.value, list) else []
    for where, part in parts or [("", node)]:
        if isinstance(part.value, str):
            yield where, part, None
        elif isinstance(part.value, dict):
            for name, settings in part.value.items():
                key = part.keys[name]
                yield where, Node(name, key.line, key.column), settings
