"""What the JSON schemas of a plugin's options may say, so that policies can be checked against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from semcompress_plugin.policy.check import ANNOTATIONS, TYPES, VALIDATIONS, Checker, describe
from semcompress_plugin.policy.nodes import Node

_KNOWN = {*VALIDATIONS, "type", "then"}
_SCHEMA = "a JSON schema such as {'type': 'integer'}"


class Fault(NamedTuple):
    """What is wrong with a schema: what was expected there, and what it has."""

    expected: str
    got: object


def faults(schema: object) -> Iterator[Fault]:
    """What is wrong with ``schema``, in the order in which it stands there; nothing where policies can be checked."""
    if not isinstance(schema, Mapping):
        yield Fault(_SCHEMA, schema)
        return
    for keyword, argument in schema.items():
        if keyword in _KNOWN:
            yield from _argument_faults(keyword, argument)
        elif keyword not in ANNOTATIONS:
            yield Fault(f"keywords among {', '.join(sorted(_KNOWN))}", keyword)
    rest = {keyword: argument for keyword, argument in schema.items() if keyword != "default"}
    if "default" in schema and not any(faults(rest)) and not allows(rest, schema["default"]):
        yield Fault(f"a default that it allows, {describe(rest)}", schema["default"])


def allows(schema: Mapping[str, Any], value: object) -> bool:
    """Whether an option with this schema, in which there are no faults, may have this ``value``."""
    return Checker().valid(_node(value), schema)


def _node(value: object) -> Node:
    """A value of Python's as a policy would have it, at no place in particular."""
    if isinstance(value, Mapping):
        return Node({key: _node(one) for key, one in value.items()}, 1, 1, keys={key: Node(key, 1, 1) for key in value})
    if isinstance(value, (list, tuple)):
        return Node([_node(one) for one in value], 1, 1)
    return Node(value, 1, 1)


def _argument_faults(keyword: str, argument: object) -> Iterator[Fault]:
    expected, fits = _ARGUMENTS[keyword]
    if not fits(argument):
        yield Fault(f"{_SCHEMA}, {keyword} being {expected}", argument)
    elif keyword in _SCHEMAS and not isinstance(argument, bool):
        yield from faults(argument)
    elif isinstance(argument, Mapping) and keyword == "properties":
        for each in argument.values():
            yield from faults(each)
    elif isinstance(argument, (list, tuple)) and keyword in ("anyOf", "allOf"):
        for each in argument:
            yield from faults(each)


def _is_type(value: object) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, (list, tuple)) and bool(names) and all(isinstance(n, str) and n in TYPES for n in names)


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


def _are_names(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)


_SCHEMAS = {"items", "additionalProperties", "propertyNames", "if", "then"}
_ARGUMENTS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "type": (f"some of {', '.join(sorted(TYPES))}", _is_type),
    "enum": ("a list of values", _is_list),
    "const": ("a value", lambda value: True),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), ("a number", _is_number)),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        ("a whole number of at least 0", _is_count),
    ),
    "pattern": ("a regular expression", _is_pattern),
    "uniqueItems": ("True or False", lambda value: isinstance(value, bool)),
    "required": ("a list of names", _are_names),
    "properties": ("a mapping of names to JSON schemas", lambda value: isinstance(value, Mapping)),
    **dict.fromkeys(("anyOf", "allOf"), ("a list of JSON schemas", _is_list)),
    **dict.fromkeys(_SCHEMAS, ("a JSON schema", lambda value: isinstance(value, (bool, Mapping)))),
}
