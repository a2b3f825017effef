"""Reading YAML: places, duplicates, limits, and what is refused."""

from __future__ import annotations

import re
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from semcompress_plugin.policy import nodes
from semcompress_plugin.policy.nodes import MAX_BYTES, MAX_DEPTH, MAX_NODES, read


def plain(text):
    node, findings = read(text.encode())
    assert findings == []
    return node.plain()


def complaints(text):
    _, findings = read(text if isinstance(text, bytes) else text.encode())
    return [f"{line}:{column}: {said}" for line, column, said in findings]


def test_every_value_and_key_knows_its_line_and_column():
    root, _ = read("a:\n  - x\n  - {ключ: [1, 'b']}\n".encode())
    assert (root["a"].value[0].line, root["a"].value[0].column) == (2, 5)
    inner = root["a"].value[1]
    assert (inner.keys["ключ"].line, inner.keys["ключ"].column) == (3, 6)
    assert (inner["ключ"].value[1].line, inner["ключ"].value[1].column) == (3, 16)
    assert root["b"] is None
    assert inner["ключ"]["no mapping"] is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("1_000", 1000),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("2E5", 2e5),
        ("true", True),
        ("No", False),
        ("on", True),
        ("nO", "nO"),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"no"', "no"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("0x1f", "0x1f"),
        ("5%", "5%"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("-", None),
        ("+", "+"),
        (".", "."),
        ("e5", "e5"),
        ("2026-01-31", "2026-01-31"),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_bare_scalars_are_what_they_look_like(text, value):
    found = plain(f"k: {text}" if text != "-" else "k:")["k"]
    assert (type(found), found) == (type(value), value)


# the one thing on which we differ from the writer: `1e5` is a number to us
TEXT = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda text: not re.search("[0-9._][eE]", text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXT,
        lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
        max_leaves=12,
    )
)
def test_what_a_yaml_writer_writes_is_read_back(value):
    text = yaml.safe_dump({"k": value})
    root, findings = read(text.encode())
    assert findings == []
    assert root.plain() == {"k": value}


def test_a_byte_order_mark_and_windows_line_ends_are_read():
    assert complaints("\ufeffa: 1\r\na: 2\r\n") == ["2:1: duplicate key 'a'; it stands in line 1 already"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n'a': 2\nb: {c: 1, c: 2}", ["2:1: duplicate key 'a'; it stands in line 1 already",
         "3:11: duplicate key 'c'; it stands in line 3 already"]),
        ("a: !!python/object/apply:os.system [ls]", ["1:4: tags such as tag:yaml.org,2002:python/object/apply:os.system"
         " are not allowed; remove it"]),
        ("a: !include x\nb: !!int 3", ["1:4: tags such as !include are not allowed; remove it, or put a pattern "
         "that begins with ! in quotes",
         "2:4: tags such as tag:yaml.org,2002:int are not allowed; remove it"]),
        ("? [a]\n: 1", ["1:3: expected text as key, got a list or a mapping"]),
        ("a: *b", ["1:4: unknown alias *b; put a pattern that begins with * in quotes"]),
        ("a: &a [*a]", ["1:8: unknown alias *a; put a pattern that begins with * in quotes"]),
        ("a:\n  - b\n  - *.jpg", ["3:5: not YAML: put a pattern that begins with * in quotes"]),
        ("a: [**/b]", ["1:5: not YAML: put a pattern that begins with * in quotes"]),
        ("a:\n\tb: 1", ["2:1: not YAML: a tab: indent with spaces"]),
        ("a: @x", ["1:4: not YAML: found character that cannot start any token"]),
        ("a: 1\n--- \nb: 1", ["2:1: expected one document, got another one"]),
        (b"a: 1\nb\xff: 1", ["2:2: expected UTF-8, got byte 0xff"]),
    ],
)  # fmt: skip
def test_what_is_not_a_plain_document_is_refused_at_its_place(text, expected):
    assert complaints(text) == expected


@pytest.mark.parametrize("text", ["a: [1, 2", "a: b: c", "a: 'x", "\ta: 1", "a: @x", "%YAML 3.0\n---\na: 1"])
def test_broken_yaml_is_one_finding_with_a_place(text):
    (complaint,) = complaints(text)
    assert ": not YAML: " in complaint


def test_control_characters_are_found_at_their_place():
    assert complaints("a: 1\nb: x\x01") == ["2:5: not YAML: the character U+0001 is not allowed"]


def test_too_large_a_file_is_refused_before_it_is_read():
    assert complaints(b"#" * (MAX_BYTES + 1)) == ["1:1: expected at most 1 MiB, got 1,048,577 bytes"]
    assert complaints(b"#" * MAX_BYTES) == []


def test_too_deep_a_document_is_refused():
    assert complaints("[" * 100_000)[0].endswith(f"nested deeper than {MAX_DEPTH} levels")
    assert complaints("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert complaints("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == [
        f"1:{MAX_DEPTH + 1}: nested deeper than {MAX_DEPTH} levels"
    ]


def test_aliases_cannot_hide_depth():
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60))]
    assert complaints("\n".join(lines)) == [f"31:6: nested deeper than {MAX_DEPTH} levels"]


def test_a_billion_laughs_are_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    start = time.perf_counter()
    (complaint,) = complaints("\n".join(lines))
    assert complaint.endswith(f"more than {MAX_NODES:,} values, aliases written out")
    assert time.perf_counter() - start < 10


def test_the_reader_written_in_python_reads_the_same(monkeypatch):
    text = "a: [1, {b: 'x'}]\nä: &q {c: no}\nd: *q\n"
    fast = read(text.encode())[0].plain()
    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    assert read(text.encode())[0].plain() == fast == {"a": [1, {"b": "x"}], "ä": {"c": False}, "d": {"c": False}}
