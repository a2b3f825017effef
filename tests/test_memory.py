"""A run holds little of each picture, however many there are; what it holds is what it was given."""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disk import POLICY, content, entry
from semcompress_plugin import cli, files
from semcompress_plugin.backlog import Backlog
from semcompress_plugin.commands import _shrinking, compress
from semcompress_plugin.derive import build
from semcompress_plugin.domains import Domain
from semcompress_plugin.entries import HEADER, Index, encode, is_sound, lacking, merged, render
from semcompress_plugin.lock import Lock, parse
from semcompress_plugin.looking import Seen
from semcompress_plugin.plain import plain
from semcompress_plugin.plan import Asset, Pending
from semcompress_plugin.policy import default_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.report import json as json_report
from semcompress_plugin.report import text as text_report
from semcompress_plugin.report import totals
from semcompress_plugin.report.ledger import Ledger
from semcompress_plugin.settle import Settlement
from semcompress_plugin.types import OutputFile, Result

FEW, MANY = 40, 240
SCORES = {"classifier": {"sway": 0.1234567890123, "js_divergence": 0.0123456789012, "agrees": 1.0}}
SETTINGS = {"scale": 0.707106781186, "quality": 41.0}


def looked(work: Backlog, *_: object, **__: object) -> Iterator[Seen]:
    """As if every picture had been searched: what a search needs itself is the same for any number of pictures."""
    while work:
        item = work.popleft()
        asset, snapshot = item.asset, files.read(item.asset.path)
        new = b"smaller " + asset.path.name.encode()
        output = OutputFile(asset.shown, "jpeg", dict(SETTINGS), len(new), {"classifier": dict(SCORES["classifier"])})
        result = Result(asset.shown, "compressed", item.bytes, len(new), asset.rule.name, (output,), looks=9)
        line = entry(
            0,
            original=content(snapshot.data),
            output=content(new),
            policy=asset.rule.digest,
            path=asset.domain.lock.relative(asset.path),
            name=asset.path.name,
            scores=SCORES,
        )
        yield item, result, Settlement(snapshot, (line,), {asset.path: new})


def peak(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, command: list[str]) -> int:
    """Bytes that a command over so many pictures holds at most."""
    for number in range(count):
        path = folder / "in" / f"{number % 10}" / f"picture {number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not even a picture %d" % number * 20)
    (folder / "in/.semcompress.yaml").write_text(
        'version: 1\npreset: machine\noriginals: kept\nrules:\n  - name: all\n    files: ["*"]\n'
    )
    monkeypatch.chdir(folder)
    with Path(os.devnull).open("w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        gc.collect()
        tracemalloc.start()
        try:
            assert cli.main(command) in (0, 1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            monkeypatch.undo()


@pytest.mark.parametrize(
    ("words", "form"), [(["compress", "in"], "text"), (["compress", "in"], "json"), (["build", "in", "out"], "text")]
)
def test_memory_hardly_grows_with_the_number_of_pictures(tmp_path, monkeypatch, words, form):
    def run(count: int) -> int:
        monkeypatch.setenv("SEMCOMPRESS_CACHE", str(tmp_path / f"cache{os.urandom(4).hex()}"))
        monkeypatch.setattr(compress, "look", looked)
        monkeypatch.setattr(build, "look", looked)
        monkeypatch.setattr(_shrinking, "BYTES_BETWEEN_COMMITS", 10_000)
        return peak(tmp_path / os.urandom(4).hex(), monkeypatch, count, [*words, "--format", form])

    run(10)  # whatever is imported and remembered by then
    # of two runs the lesser: in the other, tables of the interpreter's own may have grown to their next size
    each = (min(run(MANY), run(MANY)) - run(FEW)) / (MANY - FEW)
    assert each < LIMIT, f"{each:.0f} bytes for each picture"


LIMIT = 800
"""Bytes a picture, at the worst moment; a line of a lock alone, or a result as objects, is more."""


# ---- what is held is what was given

results = st.builds(
    Result,
    st.text(min_size=1, max_size=9),
    st.sampled_from(["compressed", "unchanged", "skipped", "failed"]),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.none() | st.text(max_size=5),
    st.lists(
        st.builds(
            OutputFile,
            st.text(max_size=9),
            st.text(max_size=5),
            st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False) | st.integers(-9, 9), max_size=2),
            st.integers(1, 10**12),
            st.dictionaries(st.text(max_size=4), st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False))),
        ),
        max_size=2,
    ).map(tuple),
    st.integers(0, 99),
    st.none() | st.text(max_size=9),
    st.booleans(),
)


@given(st.lists(results, max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_ledger_gives_back_every_result_as_it_came_and_sorted_by_path(some):
    ledger = Ledger(some)
    assert list(ledger) == some
    assert len(ledger) == len(some)
    assert list(ledger.by_path()) == sorted(some, key=lambda one: one.path)
    ledger.revise(ledger)
    assert list(ledger) == some


@given(st.lists(results, max_size=4), st.none() | st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_json_in_pieces_is_the_json_of_the_whole(some, alone):
    ordered = sorted(some, key=lambda one: one.path)
    whole = {"results": [asdict(one) for one in ordered], "totals": asdict(totals(some, 1.5))}
    whole |= {} if alone is None else {"originals": {"only_here": alone}}
    assert json_report.report(some, 1.5, only_here=alone) == json.dumps(plain(whole), indent=2)


def test_scores_without_a_number_in_json_and_names_that_are_not_utf8_come_back():
    output = OutputFile("\udcff.jpg", "jpeg", {"quality": 40}, 1, {"psnr": {"db": math.inf}})
    odd = Result("\udcff.jpg", "compressed", 2, 1, "all", (output,))
    assert list(Ledger([odd])) == [odd]
    assert text_report.report([odd], 0, {}) == text_report.report(Ledger([odd]), 0, {})


def test_a_backlog_gives_back_every_picture_as_it_came(tmp_path):
    domain = Domain(default_policy(Registry(), tmp_path))
    (rule,) = domain.policy.rules
    places = {"/a/b/c.jpg": "c.jpg", "/a/b/d\udcff.jpg": "d\udcff.jpg", "/a/e.jpg": "/a/e.jpg", "/f.jpg": "/f.jpg"}
    items = [
        Pending(Asset(place, shown, domain, rule), content(place.encode("utf-8", "surrogateescape")).sha256, number)
        for number, (place, shown) in enumerate(places.items())
    ]
    known = Pending(items[0].asset, items[0].sha256, 7, entry(1, path="x\udcff.jpg"), (entry(2), entry(3)), anew=True)
    backlog = Backlog()
    for item in [*items, known]:
        backlog.append(item)
    assert len(backlog) == 5
    assert [backlog.popleft() for _ in range(5)] == [*items, known]
    assert not backlog
    assert set(map(id, backlog.rules())) == {id(rule)}


# ---- a lock that is written line by line is the lock that was written whole

some_entries = st.lists(
    st.builds(
        entry,
        st.integers(0, 4),
        policy=st.sampled_from([POLICY, "f" * 16]),
        path=st.sampled_from(["a.jpg", "é.jpg", '", "name": "', "\U0001f600.jpg", "\udcff"]),
        looks=st.integers(0, 2),
    ),
    max_size=6,
)


@given(some_entries, some_entries)
@settings(max_examples=200, deadline=None)
def test_lines_are_merged_as_an_index_would(old, new):
    text, lines = render(old), list(map(encode, new))
    index = Index.load(text, "x")
    index.add(lines)
    before = text.encode().splitlines(keepends=True)
    assert is_sound(before)
    assert b"".join(merged(before, lines)) == index.text().encode()
    assert bool(lacking(before, lines)) == (index.text() != text)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n".join([HEADER, *reversed(text.splitlines()[1:]), ""]),
        lambda text: text.replace('"looks": 7', '"looks": 6', 1) + text.split("\n", 1)[1],
        lambda text: text[:-1],
        lambda text: text.replace(": ", ":"),
    ],
)
def test_a_lock_that_others_have_touched_is_written_as_ours_again(tmp_path, spoil):
    lock = Lock(tmp_path / "semcompress.lock", tmp_path / "state")
    lock.add([entry(1), entry(2)])
    lock.path.write_bytes(spoil(lock.path.read_text()).encode())
    lock.add([entry(3)])
    assert lock.path.read_text() == render(parse(lock.path.read_text(), "x"))
    assert {one.name for one in parse(lock.path.read_text(), "x")} == {"1.jpg", "2.jpg", "3.jpg"}


def test_of_two_findings_the_journal_ends_with_the_last_one(tmp_path):
    lock = Lock(tmp_path / "semcompress.lock", tmp_path / "state")
    for looks in (1, 2, 1):
        lock.add([entry(1, looks=looks)])
    lock.path.unlink()
    lock.forget()
    assert [one.looks for one in lock.by_output(entry(1).output.sha256)] == [1]
    assert len((tmp_path / "state/journal").read_text().splitlines()) > 2
    journal = (tmp_path / "state/journal").read_text().split("\n")
    assert len([line for line in journal if line]) == 3
