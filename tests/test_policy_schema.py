"""The JSON schema: what it says, that the parser agrees with it, and that the reference in docs/ agrees with both."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from policy_registry import Stand
from semcompress_plugin.policy import parse_policy, presets, schema
from semcompress_plugin.policy.check import Checker
from semcompress_plugin.policy.nodes import read
from semcompress_plugin.policy.schema import preset_schema
from semcompress_plugin.registry import Registry

SCHEMA = schema(Stand())
JUDGE = jsonschema.Draft202012Validator(SCHEMA)
DOCUMENT = {
    "version": 1,
    "preset": "web@1",
    "evaluators": {"thumbs": {"use": "classifier", "view": "center"}, "msssim": {}, "classifier": {"view": "full"}},
    "rules": [
        {"name": "logos", "files": ["logo*"], "skip": True},
        {
            "name": "photos",
            "files": ["*.jpg", "!raw/"],
            "preset": "machine",
            "compress": ["png", {"jpeg": {"quality": [40, 95], "scale": 0.5, "subsampling": "4:2:0"}}],
            "keep": {"thumbs": {"js_divergence": {"max": 0.02}}, "msssim": {"score": {"min": 0.9, "max": 0.99}}},
            "outputs": {"formats": ["keep", "jpeg"], "place": "beside"},
            "min_saving": "5%",
            "metadata": "keep",
            "orientation": "keep",
            "icc": "srgb",
            "search": {"frontier": {"looks": 8, "gain": 0.5}},
        },
        {
            "name": "rest",
            "files": ["*"],
            "compress": {"webp": {"method": 3}, "avif": None},
            "min_saving": 0.1,
            "search": "bisect",
        },
    ],
    "originals": "none",
    "limits": {"max_pixels": 1000, "max_seconds": 2.5},
    "isolate": True,
}


def places(value, path=()):
    yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(child, (*path, key))


def at(document, path):
    for key in path:
        document = document[key]
    return document


# pieces that fit somewhere, so that many a changed document is valid again, or wrong in one thing only
PIECES = [at(DOCUMENT, path) for path in places(DOCUMENT)]
JUNK = [None, True, False, 0, 1, -1, 0.0, 1.0, 0.5, 96, 101, 1.5, "", "x", "no", "100%", "1.5%", "5 %", [], {}, [1, 2]]
WORDS = ["min", "max", "use", "view", "jpeg", "webp", "looks", "gain", "quality", "scale", "classifier", "luma", "x"]


@st.composite
def documents(draw):
    document = copy.deepcopy(DOCUMENT)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(document))))
        piece = copy.deepcopy(draw(st.sampled_from(PIECES + JUNK)))
        target = at(document, path)
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "add" and isinstance(target, dict):
            target[draw(st.sampled_from(WORDS))] = piece
        elif action == "add" and isinstance(target, list):
            target.append(piece)
        elif path and action == "remove":
            del at(document, path[:-1])[path[-1]]
        elif path:
            at(document, path[:-1])[path[-1]] = piece
        else:
            document = piece
    return document


@given(documents())
def test_the_parser_and_the_json_schema_agree_on_structure(document):
    node, findings = read(yaml.safe_dump(document).encode())
    assert findings == []
    assert node.plain() == document
    checker = Checker()
    checker.check(node, SCHEMA)
    valid = JUDGE.is_valid(document)
    event(f"valid: {valid}")
    assert (checker.findings == []) == valid, (
        checker.findings,
        [error.message for error in JUDGE.iter_errors(document)],
    )


def test_a_long_list_is_searched_for_doubles_in_time_that_grows_with_its_length():
    (node, _), checker = read(f"[{', '.join(f'name{i}' for i in range(8_000))}, name0]".encode()), Checker()
    started = time.process_time()
    checker.check(node, {"type": "array", "uniqueItems": True})
    assert [finding.text for finding in checker.findings] == ["[8000]: 'name0' is there already; remove it"]
    assert time.process_time() - started < 5


OPTIONS = [
    {"enum": [1, "a", [0], {"x": 1}]},
    {"const": 1},
    {"type": "integer", "minimum": 0, "exclusiveMaximum": 1.5},
    {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1},
    {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[a-z]"},
    {"minLength": 2, "minimum": 1, "minItems": 2, "minProperties": 2},
    {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "maxItems": 2},
    {"uniqueItems": True},
    {"anyOf": [{"type": "number", "maximum": 0}, {"type": "integer", "minimum": 1}, {"enum": ["a"]}]},
    {"allOf": [{"type": "number"}, {"minimum": 1}]},
    {"properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": {"type": "string"}},
    {"properties": {"x": False}, "additionalProperties": False},
    {"type": "object", "maxProperties": 1, "propertyNames": {"maxLength": 1}},
    {"if": {"type": "string"}, "then": {"maxLength": 1}},
]
VALUES = [None, True, False, 0, 1, 1.0, 1.5, 2, -1, "", "a", "abc", "abcd", "A", [], [0], [1, 1], [1, True], [1.0, 1]]
VALUES += [[False], [0, 1, 2], [[1], [1.0]], [{"a": 1}, {"a": True}], {}, {"x": 1}, {"x": 1, "y": "s"}, {"x": "1"}]
VALUES += [{"x": True}, {"y": 2}, {"long": 1}, {"x": 1.0}]


@pytest.mark.parametrize("option", OPTIONS, ids=map(str, range(len(OPTIONS))))
def test_options_of_plugins_are_judged_as_json_schema_judges_them(option):
    judge = jsonschema.Draft202012Validator(option)
    for value in VALUES:
        node, _ = read(yaml.safe_dump({"option": value}).encode())
        assert Checker().valid(node["option"], option) == judge.is_valid(value), value


def test_the_document_that_is_changed_is_valid_itself():
    JUDGE.validate(DOCUMENT)
    assert len(parse_policy(yaml.safe_dump(DOCUMENT), Stand(), Path()).rules) == 3


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(preset_schema(Stand()))


@pytest.mark.parametrize("path", sorted(presets.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_fit_their_schema(path):
    jsonschema.validate(yaml.safe_load(path.read_text()), preset_schema(Stand()))


def rows(properties, prefix=""):
    """The table in the reference: a row for each key, and for the keys of mappings whose keys are fixed."""
    for key, about in properties.items():
        default = about.get("default")
        shown = yaml.safe_dump(default, default_flow_style=True).removesuffix("\n...\n").strip()
        said = f" Default: `{shown}`." if default is not None else ""
        yield f"| `{prefix}{key}` | {about['description']}{said} |"
        if "properties" in about and key in ("outputs", "limits"):
            yield from rows(about["properties"], f"{prefix}{key}.")


def test_the_reference_describes_every_key_in_the_schemas_words():
    text = (Path(__file__).parent.parent / "docs" / "policy.md").read_text(encoding="utf-8")
    top, rule = SCHEMA["properties"], SCHEMA["properties"]["rules"]["items"]["properties"]
    expected = [*rows(top), *rows(rule)]
    assert [row for row in expected if row not in text] == []
    listed = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row for row in listed if row not in expected] == []


def test_every_policy_in_the_reference_is_valid():
    text = (Path(__file__).parent.parent / "docs" / "policy.md").read_text(encoding="utf-8")
    examples = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    assert len(examples) >= 3
    for example in examples:
        assert parse_policy(example, Registry(), Path()).rules
