"""JSON schema on nodes: the keywords that policies and plugins' options need, with errors for people.

A general validator knows neither lines nor spelling, answers "is not valid under any of the given schemas", and
takes longer to import than a policy takes to read. The tests hold this one against it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, cast

from semcompress_plugin.errors import PluginError
from semcompress_plugin.policy.nodes import Finding, Node, resolve

Schema = Mapping[str, Any]
Unknown = Callable[[str, str], str | None]

_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "nothing",
}
TYPES = frozenset(_WORDS)
_COUNTS = (
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "item"),
    ("minProperties", "maxProperties", "key"),
)
ANNOTATIONS = {"title", "description", "default", "examples", "deprecated", "$schema", "$id", "$comment"}


class Checker:
    """Collects what is wrong with nodes.

    A schema's ``title`` names in an error what was expected. ``unknown(noun, name)`` may word the error for a name
    that is not in an ``enum`` with the title ``noun``, and say where a ``key`` stands that is not known here. ``bad``
    holds every node that is itself wrong (not merely something within it), so that nobody judges it twice.
    """

    def __init__(self, unknown: Unknown = lambda noun, name: None) -> None:
        self.findings: list[Finding] = []
        self.bad: set[Node] = set()
        self._unknown = unknown

    def check(self, node: Node, schema: Schema | bool, path: str = "") -> None:
        """Judge ``node``, which stands at ``path`` (such as ``rules[0].keep``; empty for the document)."""
        if schema is True:
            return
        if schema is False:
            return self.fault(node, path, "is not allowed here")
        if odd := schema.keys() - VALIDATIONS.keys() - ANNOTATIONS - {"type", "then"}:
            raise PluginError(
                f"the schema of {path} uses {', '.join(sorted(odd))}, which semcompress does not know; "
                f"known: {', '.join(sorted(VALIDATIONS))}"
            )
        if "type" in schema and not _is_one_of(node, schema["type"]):
            one = schema["type"] == "array" and isinstance(node.value, str)
            hint = f"; write [{_quoted(node.value)}]" if one and self.valid(node, schema.get("items", True)) else ""
            return self.fault(node, path, f"expected {describe(schema)}, got {_got(node, schema)}{hint}")
        for keyword, argument in schema.items():
            if keyword in VALIDATIONS:
                VALIDATIONS[keyword](self, node, argument, schema, path)

    def valid(self, node: Node, schema: Schema | bool, path: str = "") -> bool:
        """Whether ``node`` satisfies ``schema``; finds nothing."""
        trial = Checker(self._unknown)
        trial.check(node, schema, path)
        return not trial.findings

    def fault(self, node: Node, path: str, text: str) -> None:
        """Record that ``node`` is wrong."""
        self.findings.append(node.finding(f"{path}: {text}" if path else text))
        self.bad.add(node)

    def _enum(self, node: Node, values: list[Any], schema: Schema, path: str) -> None:
        if any(_same(node.plain(), value) for value in values):
            return
        noun = schema.get("title")
        if noun is None or not isinstance(node.value, str):
            return self.fault(node, path, f"expected {describe(schema)}, got {_got(node, schema)}{near(node, values)}")
        text = self._unknown(noun, node.value) or f"unknown {noun} {node.value!r}{known(node, values)}"
        self.fault(node, path, text)

    def _const(self, node: Node, value: Any, schema: Schema, path: str) -> None:
        if not _same(node.plain(), value):
            self.fault(node, path, f"expected {value!r}, got {_got(node, schema)}")

    def _range(self, node: Node, _: Any, schema: Schema, path: str) -> None:
        number = node.value
        if not _is(node, "number"):
            return
        inside = (
            number >= schema.get("minimum", number)
            and number <= schema.get("maximum", number)
            and ("exclusiveMinimum" not in schema or number > schema["exclusiveMinimum"])
            and ("exclusiveMaximum" not in schema or number < schema["exclusiveMaximum"])
        )
        # the first keyword speaks for all, lest one number give two findings
        if not inside and node not in self.bad:
            self.fault(node, path, f"expected {describe(schema)}, got {node.value:g}")

    def _text(self, node: Node, _: Any, schema: Schema, path: str) -> None:
        if not isinstance(node.value, str) or node in self.bad:
            return
        fits = schema.get("minLength", 0) <= len(node.value) <= schema.get("maxLength", len(node.value))
        if not fits or not re.search(schema.get("pattern", ""), node.value):
            self.fault(node, path, f"expected {describe(schema)}, got {_got(node, schema)}")

    def _items(self, node: Node, items: Schema | bool, schema: Schema, path: str) -> None:
        if isinstance(node.value, list):
            for index, child in enumerate(node.value):
                self.check(child, items, f"{path}[{index}]")

    def _length(self, node: Node, _: Any, schema: Schema, path: str) -> None:
        if not isinstance(node.value, (list, dict)) or node in self.bad:
            return
        least, most = ("minItems", "maxItems") if isinstance(node.value, list) else ("minProperties", "maxProperties")
        count = len(node.value)
        if not schema.get(least, 0) <= count <= schema.get(most, count):
            self.fault(node, path, f"expected {describe(schema)}, got {count or 'an empty one'}")

    def _unique(self, node: Node, wanted: bool, schema: Schema, path: str) -> None:
        if not isinstance(node.value, list) or not wanted:
            return
        seen = set()
        for index, child in enumerate(node.value):
            value = child.plain()
            if (key := _key(value)) in seen:
                self.fault(child, f"{path}[{index}]", f"{value!r} is there already; remove it")
            seen.add(key)

    def _required(self, node: Node, names: list[str], schema: Schema, path: str) -> None:
        if isinstance(node.value, dict):
            for name in names:
                if name not in node.value:
                    example = schema.get("properties", {}).get(name, True)
                    what = f"expected {describe(example)}" if example is not True else "expected it here"
                    self.findings.append(node.finding(f"{path + ': ' if path else ''}{name!r} is missing, {what}"))

    def _properties(self, node: Node, properties: Mapping[str, Schema | bool], schema: Schema, path: str) -> None:
        if isinstance(node.value, dict):
            for name, child in node.value.items():
                if name in properties:
                    self.check(child, properties[name], f"{path}.{name}" if path else name)

    def _others(self, node: Node, others: Schema | bool, schema: Schema, path: str) -> None:
        if not isinstance(node.value, dict):
            return
        names = schema.get("properties", {})
        for name, child in node.value.items():
            if name in names:
                continue
            if others is False:
                key = node.keys[name]
                elsewhere = self._unknown("key", name)
                self.fault(key, path, f"unknown key {name!r}{f'; {elsewhere}' if elsewhere else known(key, names)}")
            else:
                self.check(child, others, f"{path}.{name}" if path else name)

    def _names(self, node: Node, names: Schema, schema: Schema, path: str) -> None:
        if isinstance(node.value, dict):
            for name, key in node.keys.items():
                self.check(Node(name, key.line, key.column), names, path)

    def _any_of(self, node: Node, branches: list[Schema], schema: Schema, path: str) -> None:
        possible = [branch for branch in branches if "type" not in branch or _is_one_of(node, branch["type"])]
        if len(possible) == 1:  # only one can be meant: its findings say more than "none of these"
            return self.check(node, possible[0], path)
        if not any(self.valid(node, branch, path) for branch in possible):
            for branch in possible:
                if "enum" in branch and "title" in branch:  # a list of names: the nearest of them says most
                    return self.check(node, branch, path)
            self.fault(node, path, f"expected {describe(schema)}, got {_got(node, schema)}")

    def _all_of(self, node: Node, schemas: list[Schema], schema: Schema, path: str) -> None:
        for part in schemas:
            self.check(node, part, path)

    def _if(self, node: Node, condition: Schema, schema: Schema, path: str) -> None:
        if "then" in schema and self.valid(node, condition, path):
            self.check(node, schema["then"], path)


VALIDATIONS: Mapping[str, Callable[[Checker, Node, Any, Schema, str], None]] = {
    "enum": Checker._enum,
    "const": Checker._const,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), Checker._range),
    **dict.fromkeys(("pattern", "minLength", "maxLength"), Checker._text),
    **dict.fromkeys(("minItems", "maxItems", "minProperties", "maxProperties"), Checker._length),
    "items": Checker._items,
    "uniqueItems": Checker._unique,
    "required": Checker._required,
    "properties": Checker._properties,
    "additionalProperties": Checker._others,
    "propertyNames": Checker._names,
    "anyOf": Checker._any_of,
    "allOf": Checker._all_of,
    "if": Checker._if,
}


def describe(schema: Schema) -> str:
    """What a schema wants, in words: ``a number from 0 to 1``."""
    if "const" in schema:
        return f"{schema['const']!r}"
    if "enum" in schema:
        listed = ", ".join(map(str, schema["enum"]))
        return f"{_article(schema['title'])} ({listed})" if "title" in schema else f"one of {listed}"
    if "title" in schema:
        return str(schema["title"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(describe(branch) for branch in schema["anyOf"]))
    types = schema.get("type", list(_WORDS))
    text = " or ".join(_WORDS[name] for name in ([types] if isinstance(types, str) else types))
    for low, high, more in (("minimum", "maximum", ""), ("exclusiveMinimum", "exclusiveMaximum", "above ")):
        if low in schema and high in schema and not more:
            text += f" from {schema[low]:g} to {schema[high]:g}"
        elif low in schema:
            text += f" {more or 'of at least '}{schema[low]:g}"
        elif high in schema:
            text += f" {'below ' if more else 'of at most '}{schema[high]:g}"
    for low, high, unit in _COUNTS:
        text += _how_many(schema.get(low), schema.get(high), unit)
    return text + (f" that matches {schema['pattern']}" if "pattern" in schema else "")


def _how_many(least: int | None, most: int | None, unit: str) -> str:
    """`` of at least 2 items``; nothing where there is no bound."""
    if least is None and most is None:
        return ""
    if least is None or most is None:
        number = f"at most {most}" if least is None else f"at least {least}"
    else:
        number = f"{most}" if least == most else f"{least} to {most}"
    return f" of {number} {unit}{'' if (least if most is None else most) == 1 else 's'}"


def near(node: Node, names: Iterable[object]) -> str:
    """``; did you mean 'jpeg'?`` where a known name is close to the node's text."""
    import difflib  # only mistakes need it

    texts = [name for name in names if isinstance(name, str)]
    wanted = node.value if isinstance(node.value, str) else node.source
    close = difflib.get_close_matches(wanted or "", texts, 1) or (
        [text for text in texts if wanted and text.lower() == wanted.lower()]
    )
    return f"; did you mean {close[0]!r}?" if close else ""


def known(node: Node, names: Iterable[object]) -> str:
    """``; did you mean 'jpeg'? known: jpeg, webp``."""
    listed = sorted(map(str, names))
    return f"{near(node, listed) or ';'} known: {', '.join(listed) or 'none'}"


def _got(node: Node, schema: Schema) -> str:
    value = node.value
    if isinstance(value, bool):
        trap = node.source is not None and node.source.lower() not in ("true", "false")
        said = f"{node.source}, which YAML reads as {str(value).lower()}" if trap else str(value).lower()
        wants_text = not _accepts(schema, "boolean") and _accepts(schema, "string")
        return said + (f'; put it in quotes: "{node.source}"' if wants_text and node.source else "")
    if isinstance(value, str):
        quoted = node.source is None and not _accepts(schema, "string")
        return f"the text {value!r}" + ("; remove the quotes" if quoted and not isinstance(resolve(value), str) else "")
    if isinstance(value, (dict, list)):
        return ("a" if value else "an empty") + (" mapping" if isinstance(value, dict) else " list")
    return "nothing" if value is None else f"the number {value:g}"


def _quoted(text: str) -> str:
    """Text as a YAML list may have it."""
    return text if text.isalpha() else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _accepts(schema: Schema, name: str) -> bool:
    if "anyOf" in schema:
        return any(_accepts(branch, name) for branch in schema["anyOf"])
    if "type" not in schema and "enum" in schema:
        return name == "string"
    types = schema.get("type", name)
    return name == types or name in types


def _is_one_of(node: Node, types: str | list[str]) -> bool:
    return any(_is(node, name) for name in ([types] if isinstance(types, str) else types))


def _is(node: Node, name: str) -> bool:
    value = node.value
    if name == "number" or name == "integer":
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and (name == "number" or float(value).is_integer())
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, kinds[name])


def _same(one: Any, other: Any) -> bool:
    return _key(one) == _key(other)


def _key(value: Any) -> Hashable:
    """What values share that are equal as JSON knows it: 1 is 1.0, but not true."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, list):
        return list, tuple(map(_key, value))
    if isinstance(value, dict):
        return dict, frozenset((name, _key(child)) for name, child in value.items())
    return cast("Hashable", value)


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
