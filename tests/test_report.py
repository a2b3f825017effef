"""What people and programs read."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields, replace

import jsonschema
import pytest

from pictures import encoded, photo
from semcompress_plugin.cli import main
from semcompress_plugin.report import json as json_report
from semcompress_plugin.report import markdown as markdown_report
from semcompress_plugin.report import text as text_report
from semcompress_plugin.report import totals
from semcompress_plugin.report.ledger import Ledger
from semcompress_plugin.types import Constraint, Metric, OutputFile, Result
from semcompress_plugin.words import percent, size

JS = Metric("js_divergence", "", higher_is_better=False)
OUT = OutputFile("a.jpg", "jpeg", {"scale": 0.5, "quality": 40}, 400, {"reader": {"js_divergence": 0.01, "other": 3.0}})
RESULTS = [
    Result("b.png", "skipped", 50, 50, reason="is animated: left alone"),
    Result("a.jpg", "compressed", 1000, 400, "photos", (OUT,), looks=9),
    Result("c.jpg", "failed", 10, 10, "photos", reason="is empty"),
    Result("d.jpg", "unchanged", 200, 200, "photos"),
]


def test_totals_count_what_was_left_alone_at_its_own_size():
    sums = totals(RESULTS, 1.23456)
    assert (sums.before, sums.after) == (1260, 660)
    assert (sums.files, sums.compressed, sums.unchanged, sums.skipped, sums.failed) == (4, 1, 1, 1, 1)
    assert (sums.looks, sums.seconds) == (9, 1.235)


def test_the_json_report_is_one_object_of_the_documented_shape_sorted_by_path():
    report = json.loads(json_report.report(RESULTS, 1.0))
    jsonschema.validate(report, json_report.SCHEMA)
    assert [result["path"] for result in report["results"]] == ["a.jpg", "b.png", "c.jpg", "d.jpg"]
    assert report["results"][0]["outputs"] == [
        {"path": "a.jpg", "compressor": "jpeg", "settings": {"scale": 0.5, "quality": 40}, "bytes": 400,
         "scores": {"reader": {"js_divergence": 0.01, "other": 3.0}}}
    ]  # fmt: skip


def not_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_a_score_that_is_infinite_is_text_as_in_the_lock_for_json_has_no_such_number():
    scores = {"reader": {"psnr": math.inf, "gain": -math.inf, "plain": 1.0}}
    out = replace(OUT, scores=scores)
    report = json.loads(json_report.report([replace(RESULTS[1], outputs=(out,))], 1.0), parse_constant=not_json)
    jsonschema.validate(report, json_report.SCHEMA)
    (written,) = report["results"][0]["outputs"]
    assert written["scores"] == {"reader": {"psnr": "inf", "gain": "-inf", "plain": 1.0}}
    assert {name: float(value) for name, value in written["scores"]["reader"].items()} == scores["reader"]
    assert json.loads(json_report.dumps({"scores": scores}), parse_constant=not_json)["scores"] == written["scores"]
    markdown_report.report(report)


@pytest.mark.parametrize("alone", [None, 0, 3])
def test_originals_that_exist_only_here_are_counted_where_that_is_known(alone):
    report = json.loads(json_report.report(RESULTS, 1.0, only_here=alone))
    jsonschema.validate(report, json_report.SCHEMA)
    assert report.get("originals") == (None if alone is None else {"only_here": alone})
    assert ("exist only in the clone" in markdown_report.report(report)) == bool(alone)


def test_a_name_that_is_not_utf8_is_reported_all_the_same():
    report = json_report.report([Result("\udcff.jpg", "unchanged", 1, 1)], 0)
    assert json.loads(report)["results"][0]["path"] == "\udcff.jpg"
    text = text_report.report([Result("\udcff\n.jpg", "failed", 1, 1, reason="is empty")], 0, {})
    assert "\n" in text
    assert text.splitlines()[0] == r"failed: \udcff\n.jpg: is empty"
    text.encode()


def test_the_table_shows_the_metrics_that_the_rule_bounds():
    text = text_report.report(RESULTS, 1.0, {"photos": (Constraint("reader", JS, max=0.02),)})
    assert [" ".join(line.split()) for line in text.splitlines()[:2]] == [
        "file before after saved how readers",
        "a.jpg 1 kB 400 B -60 % jpeg scale 0.5 quality 40 reader: js_divergence 0.01",
    ]
    assert text.splitlines()[2:] == [
        "skipped: b.png: is animated: left alone",
        "failed: c.jpg: is empty",
        "1 compressed, 1 unchanged, 1 skipped, 1 failed, 1.26 kB -> 660 B (-48 %); 9 looks in 1.0 s",
    ]


@pytest.mark.parametrize("command", [["compress"], ["build", ".", "../out"]])
def test_rules_of_one_name_in_several_policies_each_have_their_readers_shown(repository, capsys, command):
    policy = 'version: 1\nrules: [{name: all, files: ["*"], compress: [{jpeg: {quality: 40}}], keep: {%s}}]\n'
    keep = {"app": "msssim: {score: {min: 0.3}}", "web": "classifier: {js_divergence: {max: 0.5}}"}
    for seed, (folder, bound) in enumerate(keep.items()):
        (repository / folder).mkdir()
        (repository / folder / ".semcompress.yaml").write_text(policy % bound)
        (repository / folder / "a.jpg").write_bytes(encoded(photo((240, 180), seed), "JPEG", quality=97))
    main(command)
    _, app, web = capsys.readouterr().out.splitlines()[:3]
    assert re.search(r"^app/a.jpg .* msssim: score [\d.]+$", app)
    assert re.search(r"^web/a.jpg .* classifier: js_divergence [\d.e-]+$", web)


def test_many_that_were_skipped_for_one_reason_share_a_line():
    many = [Result(f"{n}.png", "skipped", 1, 1, reason="no rule matches") for n in range(9)]
    text = text_report.report([*many, RESULTS[0]], 0, {})
    assert text.splitlines()[:2] == ["skipped: 9 files: no rule matches", "skipped: b.png: is animated: left alone"]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345, "12.3 kB"), (999_499, "999 kB"), (1_500_000, "1.5 MB"),
     (2_500_000_000, "2.5 GB")],
)  # fmt: skip
def test_sizes_in_words(count, words):
    assert size(count) == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(1000, 400, "-60 %"), (1000, 12, "-99 %"), (10_000, 40, "-99.6 %"), (10**7, 1, "-99.9 %"), (10, 0, "-100 %"),
     (100, 100, "+0 %"), (0, 0, "0 %")],
)  # fmt: skip
def test_only_what_is_gone_is_a_hundred_per_cent_less(before, after, words):
    assert percent(before, after) == words


def test_a_ledger_gives_back_every_field_of_a_result():
    output = OutputFile("a.webp", "webp", {"quality": 40}, 60, {"reader": {"score": 0.5}})
    given = {"path": "a.jpg", "status": "compressed", "before": 100, "after": 60, "rule": "all", "outputs": (output,)}
    rest = {"looks": 3, "reason": "so", "cached": True, "over_budget": True, "unstripped": True}
    assert {one.name for one in fields(Result)} == {*given, *rest}, "one that this test does not know of"
    result = Result(**given, **rest)
    assert list(Ledger([result])) == [result]
