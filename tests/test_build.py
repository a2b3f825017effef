"""Builds whose rules write files beside pictures: what lies in the tree, what pages say, what a second build does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from pictures import encoded, photo
from semcompress_plugin import files
from semcompress_plugin.cli import main
from semcompress_plugin.derive import build, build_tree, pages
from semcompress_plugin.errors import PolicyError, UsageError
from semcompress_plugin.evaluators.msssim import MsssimEvaluator
from semcompress_plugin.pages import html
from semcompress_plugin.report.json import SCHEMA
from semcompress_plugin.types import Result
from semcompress_plugin.walk import place_below

DOCS = Path(__file__).parent.parent / "docs"
POLICY = """\
version: 1
rules:
  - name: all
    files: ["*.jpg", "*.png", "*.avif"]
    compress: [{jpeg: {quality: 60}}, {webp: {quality: 60}}, {avif: {quality: 50}}]
    keep: {msssim: {score: {min: 0.3}}}
    outputs: {formats: [avif, webp, keep], place: beside}
"""
PAGE = '<!doctype html>\n<link rel=stylesheet href=s.css>\n<img src="img/a.jpg" alt=a>\n<img src=gone.png>\n'
SOURCE = r'<source style="display: none" type="image/{0}" srcset="{1}\.{0}">'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "site"
    (folder / "img").mkdir(parents=True)
    (folder / ".semcompress.yaml").write_text(POLICY)
    (folder / "img" / "a.jpg").write_bytes(encoded(photo((200, 150)), "JPEG", quality=95))
    (folder / "img" / "b.png").write_bytes(encoded(photo((160, 120), 1), "PNG"))
    (folder / "index.html").write_text(PAGE)
    (folder / "s.css").write_text("p { background: url(img/b.png) }\n")
    return folder


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    really = MsssimEvaluator.observe

    def observe(self, images):
        seen.extend([1] * len(images))
        return really(self, images)

    monkeypatch.setattr(MsssimEvaluator, "observe", observe)
    return seen


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def distance(one: Path | str, other: Path | str) -> float:
    """Mean absolute difference of two pictures of one size, in grey levels."""
    with Image.open(one) as a, Image.open(other) as b:
        return float(np.abs(np.subtract(a.convert("L"), b.convert("L"), dtype=np.float64)).mean())


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    code = main(["build", *arguments, "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SCHEMA)
    assert code == int(report["totals"]["failed"] > 0)
    return report


def by_path(results: tuple[Result, ...]) -> dict[str, Result]:
    return {result.path: result for result in results}


def test_a_build_writes_a_file_per_format_and_pages_offer_them(site, capsys):
    before = contents(site)
    report = run(capsys, "site", "out")
    assert contents(site) == before
    out = contents(Path("out"))
    assert set(out) == {"index.html", "s.css"} | {
        f"img/{n}" for n in ("a.jpg", "a.avif", "a.webp", "b.png", "b.avif", "b.webp")
    }
    for name in ("a.avif", "a.webp"):
        with Image.open(Path("out/img", name)) as image:
            assert (image.format.lower(), image.size) == (name.split(".")[1], (200, 150))
        assert len(out[f"img/{name}"]) < len(before["img/a.jpg"])
    page = out["index.html"].decode()
    assert page.startswith(PAGE[: PAGE.index("<img")])
    assert '<img src="img/a.jpg" alt=a></picture>\n<img src=gone.png>\n' in page
    offered = re.findall(r'type="image/(\w+)" srcset="img/a\.(\w+)"', page)
    sizes = [len(out[f"img/a.{suffix}"]) for _, suffix in offered] + [len(out["img/a.jpg"])]
    assert offered
    assert all(type == suffix for type, suffix in offered)
    assert sizes == sorted(sizes)
    assert b'image-set(url("img/b.' in out["s.css"]
    assert out["s.css"].startswith(before["s.css"][:30])
    assert report["pages"]["pictures"] == report["pages"]["backgrounds"] == 1
    assert report["pages"]["rewritten"] == 2
    assert report["pages"]["left"] == [
        {"page": "index.html", "reference": "gone.png", "reason": "leads to no file"}
    ]  # fmt: skip


def test_a_second_build_over_the_first_changes_nothing_and_says_what_came_from_the_cache(site, capsys, looks):
    run(capsys, "site", "out")
    built = contents(Path("out"))
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    looks.clear()
    report = run(capsys, "site", "out")
    assert contents(Path("out")) == built
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == times
    assert looks == []
    assert report["totals"]["cached"] == report["totals"]["compressed"] == 2
    assert main(["build", "site", "out"]) == 0
    told = capsys.readouterr().out
    assert "2 compressed, 0 unchanged, 0 skipped, 0 failed (all from the cache)" in told
    assert "pages: 2 of 2 rewritten, 1 <picture> and 1 image-set() added" in told
    assert "references left alone: leads to no file (1) (--format json names them)" in told


def test_in_place_twice_changes_nothing_and_a_page_made_anew_is_given_its_pictures_again(site, capsys, looks):
    run(capsys, "--in-place", "site")
    built = contents(site)
    assert b"<picture" in built["index.html"]
    assert b"image-set(" in built["s.css"]
    looks.clear()
    report = run(capsys, "--in-place", "site")
    assert contents(site) == built
    assert report["totals"]["compressed"] == report["totals"]["cached"]
    # a generator made the page again, and left the pictures as they were
    (site / "index.html").write_text(PAGE)
    run(capsys, "--in-place", "site")
    assert contents(site) == built
    assert looks == []


def test_pages_stay_as_they_are_without_files_beside_or_when_told_so(site, capsys):
    report = run(capsys, "site", "out", "--no-pages")
    assert Path("out/img/a.avif").exists()
    assert Path("out/index.html").read_text() == PAGE
    assert "pages" not in report
    (site / ".semcompress.yaml").write_text(POLICY.replace("[avif, webp, keep], place: beside", "[keep]"))
    report = run(capsys, "site", "plain")
    assert Path("plain/index.html").read_text() == PAGE
    assert "pages" not in report
    # and a page that an earlier build rewrote is put back
    run(capsys, "site", "out")
    assert Path("out/index.html").read_text() == PAGE


NAMED = """<!doctype html><link rel=icon type=image/png href=img/b.png><meta property=og:image content="img/a.jpg#x">
<a href="/img/a.jpg"><img src='img/a.jpg?v=1&amp;w=2' srcset="img/a.jpg, img/b.png 2x" data-src=img/a.jpg></a>
<svg viewBox="0 0 1 1"><image xlink:href="img/b.png" /></svg><template><img src=img/a.jpg></template>
<noscript><video poster=img/a.jpg></video></noscript><style>p { content: url(img/a.jpg) }</style>
<i style="background: url('img/b.png')"><script>show("img/a.jpg", "other/a.jpg")</script><img src=img/c.jpg>
"""


@pytest.mark.parametrize("formats", ["[webp]", "[smallest]"])
@pytest.mark.parametrize("place", [["site", "out"], ["--in-place", "site"]])
def test_pages_name_a_picture_that_was_written_under_another_name_by_that(site, capsys, formats, place):
    policy = POLICY.replace("[avif, webp, keep], place: beside", f"{formats}, place: replace")
    (site / ".semcompress.yaml").write_text(re.sub("compress: .*", "compress: [{webp: {quality: 60}}]", policy))
    (site / "index.html").write_text(NAMED)
    (site / "img" / "c.jpg").write_bytes(b"no picture")
    code = main(["build", *place, "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SCHEMA)
    assert code == 1, "for c.jpg"
    out = Path(place[-1])
    assert sorted(path.name for path in (out / "img").iterdir() if path.name != "c.jpg") == ["a.webp", "b.webp"]
    expected = NAMED.replace("image/png", '"image/webp"').replace("b.png", "b.webp").replace("/a.jpg", "/a.webp")
    expected = expected.replace('show("img/a.webp", "other/a.webp")', 'show("img/a.jpg", "other/a.jpg")')
    unquoted = re.sub(r"[\"']", "", (out / "index.html").read_text())
    assert unquoted == re.sub(r"[\"']", "", expected)
    assert (out / "s.css").read_text() == 'p { background: url("img/b.webp") }\n'
    left = [(one["reference"], one["reason"]) for one in report["pages"]["left"]]
    named = "has another name in the tree, and is named where that cannot be put"
    assert left == [("img/a.jpg", named)]
    built = contents(out)
    assert main(["build", *place, "--quiet"]) == 1
    assert contents(out) == built


@pytest.mark.parametrize(
    ("name", "text", "reference"),
    [
        ("x.shtml", "<img src='img/a.jpg'>", "img/a.jpg"),
        ("sub/x.PHP", "<img src='../img/a.jpg'>", "../img/a.jpg"),
        ("feed.rss", "<description>&lt;img src=&quot;/img/a.jpg#x&quot;&gt;</description>", "/img/a.jpg#x"),
        ("site.webmanifest", '{"icons": [{"src": "img\\/a.jpg"}]}', "img/a.jpg"),
        ("js/app.js", "show('img/a.jpg')", "img/a.jpg"),
        ("pic.svg", "<image href='img/a.jpg'/>", "img/a.jpg"),
        ("notes.md", "![a](img/a.jpg)", "img/a.jpg"),
        ("map.xml", "<loc>img/a.jpg</loc>", "img/a.jpg"),
    ],
)
def test_what_files_that_stay_as_they_are_name_and_is_called_otherwise_there_is_told(site, name, text, reference):
    (site / ".semcompress.yaml").write_text(
        POLICY.replace("formats: [avif, webp, keep], place: beside", "formats: [webp]")
    )
    path = site / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text} a.jpg other/a.jpg b.jpg https://example.org/img/a.jpg")
    report = build_tree(site, site.parent / "out")
    assert report.pages is not None
    assert [(one.page, one.reference) for one in report.pages.left if one.page == name] == [(name, reference)]
    assert (site.parent / "out" / name).read_bytes() == path.read_bytes()


def test_a_data_set_is_not_looked_through_for_names_and_said(site, monkeypatch):
    monkeypatch.setattr(pages, "_MOST", 20)
    (site / ".semcompress.yaml").write_text(
        POLICY.replace("formats: [avif, webp, keep], place: beside", "formats: [webp]")
    )
    (site / "small.json").write_text('"img/a.jpg"')
    (site / "large.json").write_text('["img/a.jpg", "img/a.jpg"]')
    left = build_tree(site, site.parent / "out").pages.left
    said = [(one.page, one.reference, one.reason.partition(",")[0]) for one in left if one.page.endswith(".json")]
    assert said == [
        ("large.json", None, "is too large to be looked through for names of pictures"),
        ("small.json", "img/a.jpg", "has another name in the tree"),
    ]


def test_xhtml_is_rewritten_in_the_encoding_that_it_declares_and_links_of_it_count(site):
    (site / ".semcompress.yaml").write_text(
        POLICY.replace("formats: [avif, webp, keep], place: beside", "formats: [webp]")
    )
    text = (
        '<?xml version="1.0" encoding="latin1"?><html>é<link href="s.css" integrity="x"/><img src="img/a.jpg"/></html>'
    )
    (site / "x.xhtml").write_bytes(text.encode("latin1"))
    report = build_tree(site, site.parent / "out")
    assert (site.parent / "out/x.xhtml").read_bytes() == text.replace("a.jpg", "a.webp").encode("latin1")
    assert ("s.css", "a page holds a digest of it (integrity)") in [(one.page, one.reason) for one in report.pages.left]


def test_what_an_earlier_build_has_left_behind_is_no_file_that_a_page_may_name(site, capsys):
    (site / "old.txt").write_text("old")
    (site / "index.html").write_text(PAGE + '<img src=old.txt><img src="/img/b.png"><img src=a/../img/b.webp>')
    assert [one["reference"] for one in run(capsys, "site", "out")["pages"]["left"]] == ["gone.png"]
    (site / "old.txt").unlink()
    (site / "img" / "b.png").unlink()
    left = run(capsys, "site", "out")["pages"]["left"]
    assert Path("out/img/b.png").exists(), "as documented"
    assert {(one["page"], one["reference"]) for one in left} == {
        ("index.html", "gone.png"), ("index.html", "old.txt"), ("index.html", "/img/b.png"),
        ("index.html", "a/../img/b.webp"), ("s.css", "img/b.png"),
    }  # fmt: skip
    assert {one["reason"] for one in left} == {"leads to no file"}


def test_a_picture_of_ones_own_is_never_written_over_by_one_that_lies_beside_another(site, capsys):
    own = encoded(photo((200, 150), 5), "AVIF", quality=90)
    (site / "img" / "a.avif").write_bytes(own)
    (site / "img" / "b.jpg").write_bytes(encoded(photo((160, 120), 7), "JPEG", quality=95))
    reports = [run(capsys, "site", name) for name in ("one", "two")]
    results = {result["path"]: result for result in reports[0]["results"]}
    assert distance("one/img/a.avif", site / "img/a.avif") < 8 < distance("one/img/a.avif", site / "img/a.jpg")
    assert "a.avif is not written, for there is one among the sources" in results["img/a.jpg"]["reason"]
    assert [Path(output["path"]).name for output in results["img/a.jpg"]["outputs"]] in (
        ["a.webp", "a.jpg"],
        ["a.webp"],
    )
    assert 'srcset="img/a.avif"' not in Path("one/index.html").read_text()
    # b.jpg and b.png would share their names: the first by name has them, whichever is ready first
    assert "img/b.jpg has one of that name" in results["img/b.png"]["reason"]
    assert contents(Path("one")) == contents(Path("two"))


def test_two_pictures_never_share_an_output_not_even_where_case_does_not_count(site, capsys):
    for seed, name in enumerate(("c.jpg", "C.jpg", "c.JPG")):
        (site / "img" / name).write_bytes(encoded(photo((160, 120), seed), "JPEG", quality=95))
    reports = [run(capsys, "site", name) for name in ("one", "two", "one")]
    for report in reports:
        results = {Path(result["path"]).name: result for result in report["results"]}
        assert "not written" not in (results["C.jpg"]["reason"] or "")
        for other in ("c.jpg", "c.JPG"):
            assert "c.webp is not written, for img/C.jpg has one of that name" in results[other]["reason"]
    assert sorted(path.name for path in Path("one/img").glob("[cC].*")) == [
        "C.avif",
        "C.jpg",
        "C.webp",
        "c.JPG",
        "c.jpg",
    ]
    assert contents(Path("one")) == contents(Path("two"))


def test_the_text_says_which_output_was_not_written_and_whose_name_it_would_have(site, capsys):
    for seed, name in enumerate(("A.jpg", "a.jpeg")):
        (site / "img" / name).write_bytes(encoded(photo((160, 120), seed), "JPEG", quality=95))
    policy = POLICY.replace('"*.jpg",', '"*.jpg", "*.jpeg",').replace("[avif, webp, keep]", "[webp]")
    (site / ".semcompress.yaml").write_text(policy)
    for _ in range(2):  # from the cache as well
        assert main(["build", "site", "out"]) == 0
        said = capsys.readouterr().out
        for name in ("a.jpg", "a.jpeg"):
            assert f"left out: img/{name}: a.webp is not written, for img/A.jpg has one of that name\n" in said
    for number in range(3):
        (site / "img" / f"b.{'jJ'[number % 2]}p{'gG'[number // 2]}").write_bytes((site / "img/A.jpg").read_bytes())
    main(["build", "site", "out"])
    said = capsys.readouterr().out
    assert said.count("left out: img/") == 3
    assert "left out: for the same reason outputs of 2 more (--format json names them)\n" in said


def test_one_output_for_two_pictures_in_place_of_both_is_written_for_one(site, capsys):
    (site / ".semcompress.yaml").write_text(
        POLICY.replace("outputs: {formats: [avif, webp, keep], place: beside}", "outputs: {formats: [webp]}")
    )
    (site / "img" / "A.png").write_bytes(encoded(photo((160, 120), 3), "PNG"))
    for out in ("one", "two", "one"):
        report = run(capsys, "site", out)
        (failed,) = (result for result in report["results"] if result["status"] == "failed")
        assert "would be written where" in failed["reason"]
        assert len(list(Path(out, "img").glob("[aA].webp"))) == 1
        assert Path(out, failed["path"]).read_bytes() == (site / failed["path"]).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["site", "out", "--executor", "threads", "--in-place", "x"], "not both"),
        (["site", "out", "--in-place", "x"], "not both"),
        (["site", "--in-place", "x"], "not both"),
        (["site", "out", "--shard-size", "5"], "--shard-size is of a build over shards"),
        (["--in-place", "site", "--shard-size", "5"], "--shard-size is of a build over shards"),
        (["site", "site/s.css"], "site/s.css: is not a folder"),
        ([], "say what to build: SRC and OUT, or --in-place DIR"),
        (["site"], "say where to build to"),
    ],
)
def test_what_a_build_could_not_heed_is_a_mistake_of_the_command_line(site, capsys, arguments, said):
    before = contents(site)
    assert main(["build", *arguments]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert contents(site) == before
    assert not Path("out").exists()


def test_sources_that_would_be_one_file_in_the_tree_stop_the_build_before_it_writes(site, capsys, monkeypatch):
    (site / "img" / "A.JPG").write_bytes(b"whatever it is")
    monkeypatch.setattr(files, "folds_case", lambda folder: folder == Path("out").absolute())
    assert main(["build", "site", "out"]) == 2
    error = capsys.readouterr().err
    assert "does not tell img/A.JPG from img/a.jpg" in error
    assert not Path("out").exists()
    monkeypatch.undo()
    assert files.folds_case(site) is False, "this system tells case apart, so the other answer is made up above"
    assert sorted(contents(site)) == sorted(
        [".semcompress.yaml", "img/A.JPG", "img/a.jpg", "img/b.png", "index.html", "s.css"]
    )


def test_a_budget_is_judged_in_every_build_and_named(site, capsys):
    (site / ".semcompress.yaml").write_text(POLICY.replace("    keep", "    budget: 300 B\n    keep"))
    for more in ([], ["--quiet"], ["--format", "json"]):
        assert main(["build", "site", "out", *more]) == 1
        said = capsys.readouterr()
        assert "above its budget: " in (said.out if "json" in more else said.err)
    report = build_tree(site, site.parent / "two")
    assert [result.path for result in report.failed] == ["img/a.jpg", "img/b.png"]
    assert {result.status for result in report.failed} == {"compressed"}
    (site / ".semcompress.yaml").write_text(POLICY.replace("    keep", "    budget: 30 kB\n    keep"))
    assert main(["build", "site", "out"]) == 0


def test_a_nested_policy_and_where_originals_are_kept_hide_nothing_else(site, capsys):
    (site / "blog").mkdir()
    (site / "blog" / ".semcompress.yaml").write_text(POLICY.replace("version: 1", "version: 1\noriginals: kept"))
    for name in ("blog/index.html", "blog/kept/secret", "git/index.html", "none/index.html"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(name)
    shutil.copy(site / "img" / "a.jpg", site / "blog" / "c.jpg")
    (site / ".semcompress.yaml").write_text(POLICY.replace("version: 1", "version: 1\noriginals: git"))
    subprocess.run(["git", "init", "-q"], check=True)
    run(capsys, "site", "out")
    assert {"blog/index.html", "blog/c.avif", "git/index.html", "none/index.html"} <= contents(Path("out")).keys()
    assert not Path("out/blog/kept").exists(), "originals are private"


def test_the_folder_of_a_policy_that_was_named_is_content_like_any_other(site, capsys):
    (site / "conf").mkdir()
    (site / ".semcompress.yaml").rename(site / "conf" / "p.yaml")
    (site / "conf" / "page.html").write_text("hello")
    run(capsys, "site", "out", "--policy", "site/conf/p.yaml")
    assert Path("out/conf/page.html").read_text() == "hello"


PRIVATE = "originals: kept\n" + POLICY.replace("[avif, webp, keep], place: beside", "[keep], place: replace")


def test_a_link_to_a_picture_is_built_as_that_and_publishes_nothing_private(site, capsys):
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    (site / "img/a.jpg").write_bytes(encoded(photo((200, 150)), "JPEG", quality=95, exif=exif))
    (site / "link.jpg").symlink_to("img/a.jpg")
    (site / ".semcompress.yaml").write_text(PRIVATE)
    run(capsys, "site", "out")
    assert Path("out/link.jpg").read_bytes() == Path("out/img/a.jpg").read_bytes()
    with Image.open("out/link.jpg") as image:
        assert not image.getexif().get_ifd(0x8825)
    (site / ".semcompress.yaml").write_text(PRIVATE.replace("[keep]", "[webp]"))
    assert main(["build", "site", "two", "--format", "json"]) == 1
    failed = [result for result in json.loads(capsys.readouterr().out)["results"] if result["status"] == "failed"]
    assert [(result["path"], "link" in result["reason"]) for result in failed] == [("link.jpg", True)]
    assert not Path("two/link.jpg").exists()


@pytest.mark.parametrize("formats", ["[keep]", "[webp]"])
def test_in_place_a_picture_that_is_saved_meanwhile_is_not_written_over(site, capsys, monkeypatch, formats):
    (site / ".semcompress.yaml").write_text(PRIVATE.replace("[keep]", formats))
    edited = encoded(photo((200, 150), 9), "JPEG", quality=90)
    really = build.look

    def look(*arguments, **options):
        for item, result, settlement in really(*arguments, **options):
            item.asset.path.write_bytes(edited)
            yield item, result, settlement

    monkeypatch.setattr(build, "look", look)
    assert main(["build", "--in-place", "site", "--format", "json"]) == 1
    results = {result["path"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert results["img/a.jpg"]["status"] == "failed"
    assert "has changed while it was looked at" in results["img/a.jpg"]["reason"]
    assert (site / "img/a.jpg").read_bytes() == (site / "img/b.png").read_bytes() == edited


def test_in_place_nothing_is_offered_that_was_made_of_a_picture_which_was_saved_meanwhile(site, capsys, monkeypatch):
    really = build.look

    def look(*arguments, **options):
        for item, result, settlement in really(*arguments, **options):
            item.asset.path.write_bytes(encoded(photo((200, 150), 9), "JPEG", quality=98))
            yield item, result, settlement

    monkeypatch.setattr(build, "look", look)
    assert main(["build", "--in-place", "site", "--format", "json"]) == 1
    assert "img/a.avif" in contents(site)
    assert (site / "index.html").read_text() == PAGE


@pytest.mark.parametrize("blocked", ["img/a.webp", "img/a.avif", "img/a.jpg"])
def test_a_picture_of_which_an_output_cannot_be_written_is_copied_as_it_is_and_the_rest_is_built(site, capsys, blocked):
    (Path("out") / blocked).mkdir(parents=True)
    assert main(["build", "site", "out", "--format", "json"]) == 1
    results = json.loads(capsys.readouterr().out)["results"]
    assert [one["path"] for one in results if one["status"] == "failed"] == ["img/a.jpg"]
    assert Path("out/index.html").read_text() == PAGE
    assert "image-set" in Path("out/s.css").read_text()
    if blocked != "img/a.jpg":
        assert Path("out/img/a.jpg").read_bytes() == (site / "img/a.jpg").read_bytes()


def test_a_settled_picture_that_cannot_be_copied_is_offered_nothing_and_the_rest_is_built(repository, capsys):
    (repository / ".semcompress.yaml").write_text(POLICY)
    (repository / "img").mkdir()
    (repository / "img/a.jpg").write_bytes(encoded(photo((200, 150)), "JPEG", quality=95))
    (repository / "index.html").write_text(PAGE)
    assert main(["compress", "img/a.jpg"]) == 1
    Path("../out").mkdir()
    Path("../out/img").write_text("where a folder is to be")
    assert main(["build", ".", "../out"]) == 1
    assert Path("../out/index.html").read_text() == PAGE


def test_in_place_a_picture_that_a_link_leads_to_keeps_its_name(site, capsys):
    (site / ".semcompress.yaml").write_text(
        POLICY.replace("[avif, webp, keep], place: beside", "[webp], place: replace")
    )
    (site / "soft.jpg").symlink_to("img/again.jpg")
    (site / "img/again.jpg").symlink_to("a.jpg")
    before = (site / "img/a.jpg").read_bytes()
    for _ in range(2):
        assert main(["build", "--in-place", "site", "--format", "json"]) == 1
        results = by_path(Result(**one) for one in json.loads(capsys.readouterr().out)["results"])
        failed = [result for result in results.values() if result.status == "failed"]
        assert [result.path for result in failed] == ["img/a.jpg"]
        assert "soft.jpg is a link to it" in failed[0].reason
        assert (site / "soft.jpg").read_bytes() == before
        assert {"a.jpg", "again.jpg", "b.webp"} == {path.name for path in (site / "img").iterdir()}
    assert 'src="img/a.jpg"' in (site / "index.html").read_text()


def test_in_place_a_page_that_is_saved_meanwhile_is_not_written_over(site, capsys, monkeypatch):
    really = html.rewrite

    def rewrite(*arguments):
        (site / "index.html").write_text("saved meanwhile")
        return really(*arguments)

    monkeypatch.setattr(html, "rewrite", rewrite)
    report = run(capsys, "--in-place", "site")
    assert (site / "index.html").read_text() == "saved meanwhile"
    assert [left["page"] for left in report["pages"]["left"]] == ["index.html"]


def test_what_version_control_keeps_is_not_published(site, capsys):
    for name in (".jj", ".hg", "CVS"):
        (site / name).mkdir()
        (site / name / "store").write_text("private")
    run(capsys, "site", "out")
    assert not [path for path in contents(Path("out")) if "store" in path]


@pytest.mark.parametrize("name", ["index.html", "s.css", "notes.txt"])
def test_a_file_that_cannot_be_read_fails_by_name_and_the_others_are_built(site, capsys, monkeypatch, name):
    (site / "notes.txt").write_text("notes")
    really = Path.open

    def denied(path: Path, *arguments: object, **keywords: object):
        if path == site / name:
            raise PermissionError(13, "Permission denied")
        return really(path, *arguments, **keywords)

    def denied_too(path: object, *arguments: object, **keywords: object):
        if path == site / name:
            raise PermissionError(13, "Permission denied")
        return lower(path, *arguments, **keywords)

    lower = os.open
    monkeypatch.setattr(Path, "open", denied)  # root reads everything
    monkeypatch.setattr(os, "open", denied_too)
    assert main(["build", "site", "out", "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    failed = {result["path"]: result["reason"] for result in report["results"] if result["status"] == "failed"}
    assert failed == {name: "cannot be copied: Permission denied"}
    assert {"img/a.avif", "img/b.webp", *({"index.html", "s.css", "notes.txt"} - {name})} <= contents(
        Path("out")
    ).keys()


def test_what_was_found_with_one_effort_is_not_taken_for_another(site, capsys, looks):
    run(capsys, "site", "out")
    looks.clear()
    run(capsys, "site", "out", "--effort", "best")
    assert looks
    looks.clear()
    run(capsys, "site", "out", "--effort", "best")
    assert not looks


def test_a_picture_that_a_build_made_too_is_shrunk_again_when_the_policy_gets_stricter(site, capsys):
    """Whether a cache happens to know its content must not decide."""
    policy = POLICY.replace("[avif, webp, keep], place: beside", "[keep], place: replace")
    (site / ".semcompress.yaml").write_text(f"originals: kept\n{policy}")
    run(capsys, "site", "out")
    assert main(["compress", "site"]) == 1
    assert (site / "img/a.jpg").read_bytes() == Path("out/img/a.jpg").read_bytes()
    stricter = policy.replace("{quality: 60}", "{quality: 90}").replace("0.3", "0.9")
    (site / ".semcompress.yaml").write_text(f"originals: kept\n{stricter}")
    capsys.readouterr()
    main(["compress", "site", "--format", "json"])
    results = {result["path"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert results["site/img/a.jpg"]["looks"] > 0
    assert "made by a build" not in (results["site/img/a.jpg"]["reason"] or "")


def test_effort_is_heard(site, capsys, monkeypatch):
    heard = []
    really = build.look

    def look(*arguments, effort, **options):
        heard.append(effort)
        return really(*arguments, effort=effort, **options)

    monkeypatch.setattr(build, "look", look)
    assert main(["build", "site", "one", "--effort", "best"]) == 0
    assert heard == ["best"]


def test_what_compress_has_committed_beside_pictures_is_offered_too(repository, capsys, looks):
    Path(".semcompress.yaml").write_text(POLICY)
    Path("a.jpg").write_bytes(encoded(photo((200, 150)), "JPEG", quality=95))
    original = Path("a.jpg").read_bytes()
    Path("index.html").write_text("<img src=a.jpg>")
    assert main(["compress", "--quiet"]) == 1
    assert main(["compress", "--quiet"]) == 0, "what lies beside is settled as well"
    assert {path.name for path in Path().glob("a.*")} == {"a.jpg", "a.avif", "a.webp"}
    committed = contents(Path())
    looks.clear()
    report = run(capsys, ".", "public")
    assert looks == []
    assert report["totals"]["unchanged"] == 2
    page = Path("public/index.html").read_text()
    assert 'srcset="a.avif"' in page
    for name in ("a.jpg", "a.avif", "a.webp"):
        assert Path("public", name).read_bytes() == committed[name]
    assert main(["restore", "--all", "--quiet"]) == 0
    assert Path("a.jpg").read_bytes() == original


def test_a_file_of_another_size_in_pixels_is_not_offered(site, capsys):
    scaled = (
        POLICY.replace("{quality: 50}", "{quality: 50, scale: 0.5}")
        .replace("keep, ", "")
        .replace("[avif, webp, keep]", "[avif]")
    )
    (site / ".semcompress.yaml").write_text(scaled)
    report = run(capsys, "site", "out")
    assert report["totals"]["compressed"] == 2
    assert Path("out/index.html").read_text() == PAGE


@pytest.mark.parametrize("piece", ["a { ", "@media x { "])
def test_a_page_that_is_nested_too_deeply_is_copied_as_it_is(site, capsys, piece):
    deep = piece * 5000 + "background: url(img/b.png)" + " }" * 5000
    (site / "deep.css").write_text(deep)
    (site / "deep.html").write_text(f"<style>{deep}</style><img src=img/a.jpg>")
    report = run(capsys, "site", "out")
    assert Path("out/deep.css").read_text() == deep
    left = {one["page"]: one["reason"] for one in report["pages"]["left"] if one["reference"] is None}
    assert left == dict.fromkeys(["deep.css", "deep.html"], "is nested too deeply to be read")
    assert "<picture" in Path("out/index.html").read_text(), "the others are rewritten"


def test_a_stylesheet_whose_digest_a_page_holds_is_left_as_it_is(site, capsys):
    (site / "sub").mkdir()
    (site / "sub" / "x.html").write_text("<link rel=stylesheet href=../s.css integrity=sha384-abc>")
    (site / "latin.html").write_bytes(b"<meta charset=utf-8><img src=img/a.jpg alt=\xe9>")
    report = run(capsys, "site", "out")
    assert Path("out/s.css").read_bytes() == (site / "s.css").read_bytes()
    assert Path("out/latin.html").read_bytes() == (site / "latin.html").read_bytes()
    said = {left["page"]: left["reason"] for left in report["pages"]["left"] if left["reference"] is None}
    assert said["s.css"] == "a page holds a digest of it (integrity)"
    assert said["latin.html"].startswith("is not utf-8, as which a browser would read it")


def test_out_within_the_sources_excluded_folders_and_links_are_no_part_of_the_tree(site):
    (site / "private").mkdir()
    (site / "private" / "x.html").write_text(PAGE)
    Path("link").symlink_to("site")
    for _ in range(2):
        report = build_tree(site, site / "public", exclude=[Path("link/private")])
        assert not report.failed
    assert sorted(contents(site / "public")) == sorted(
        {"index.html", "s.css"} | {f"img/{n}" for n in ("a.jpg", "a.avif", "a.webp", "b.png", "b.avif", "b.webp")}
    )


def test_what_a_build_made_is_copied_and_not_shrunk_again_when_it_comes_among_the_sources(site, capsys):
    policy = POLICY.replace("[avif, webp, keep], place: beside", "[keep], place: replace")
    (site / ".semcompress.yaml").write_text(policy)
    run(capsys, "site", "site/out")
    made = (site / "out/img/a.jpg").read_bytes()
    assert made != (site / "img/a.jpg").read_bytes()
    (site / ".semcompress.yaml").write_text(policy.replace("quality: 60", "quality: 20"))
    assert main(["build", "site", "public", "--format", "json"]) == 0
    results = {one["path"]: one for one in json.loads(capsys.readouterr().out)["results"]}
    assert Path("public/out/img/a.jpg").read_bytes() == made
    assert "was made by an earlier build" in results["out/img/a.jpg"]["reason"]
    assert results["img/a.jpg"]["status"] == "compressed"


def test_a_folder_to_build_to_that_lies_within_the_sources_is_warned_of(site, capsys):
    assert main(["build", "site", "site/out"]) == 0
    assert "warning: site/out lies within site" in capsys.readouterr().err
    assert main(["build", "site", "out"]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--executor", "threads"]], ids=["here", "shards"])
@pytest.mark.parametrize(
    ("source", "out"), [("site", "link"), ("link", "site"), ("site/img", "link"), ("site", "up/site"), ("site", "up")]
)
def test_a_build_never_writes_over_its_own_sources_wherever_links_lead(site, capsys, source, out, more):
    Path("link").symlink_to("site")
    Path("up").symlink_to(".")
    before = contents(site)
    assert main(["build", source, out, *more]) == 2
    assert f"{out}: would be written over its own sources" in capsys.readouterr().err
    assert contents(site) == before
    assert sorted(path.name for path in Path().iterdir()) == ["link", "site", "up"]


def test_an_out_that_a_link_leads_to_among_the_sources_is_no_part_of_the_tree(site, capsys):
    (site / "public").mkdir()
    Path("out").symlink_to("site/public")
    assert main(["build", "site", "out"]) == 0
    assert "warning: out lies within site" in capsys.readouterr().err
    before = contents(site)
    assert "public/img/a.webp" in before
    assert main(["build", "site", "out"]) == 0
    assert contents(site) == before
    assert main(["build", "site", "out", "--executor", "threads"]) == 2
    assert "lies within" in capsys.readouterr().err


def test_links_above_the_tree_are_the_users_own(site, capsys):
    """As of those who build into releases/1 by the name of current."""
    Path("releases/1").mkdir(parents=True)
    Path("current").symlink_to("releases/1")
    run(capsys, "site", "current/public")
    built = contents(Path("releases/1/public"))
    assert "img/a.webp" in built
    shutil.copytree(site, "releases/1/site")
    run(capsys, "--in-place", "current/site")
    assert {"img/a.webp", "img/b.avif"} <= contents(Path("releases/1/site")).keys()
    shutil.rmtree("releases/1/public/img")
    Path("releases/1/public/img").symlink_to(site / "img")
    assert main(["build", "site", "current/public"]) == 2
    assert "current/public/img: is a symbolic link" in capsys.readouterr().err


def test_where_case_does_not_count_the_sources_are_known_by_any_spelling(site, monkeypatch):
    """As a disk does that takes SITE/Public for site/public."""
    (site / "public").mkdir()
    really, top = os.path.samefile, str(site.parent)

    def folded(path: Path) -> str:
        return top + str(path).removeprefix(top).lower()

    monkeypatch.setattr(os.path, "samefile", lambda one, other: really(folded(one), folded(other)))
    assert place_below(Path("SITE"), site) == site
    assert place_below(Path("SITE/PUBLIC/New"), site) == site / "public" / "New"
    assert place_below(Path("elsewhere"), site) is None


def test_a_deleted_source_takes_its_offer_with_it_though_not_its_files(site, capsys):
    run(capsys, "site", "out")
    (site / "img" / "a.jpg").unlink()
    report = run(capsys, "site", "out")
    assert "<picture" not in Path("out/index.html").read_text()
    assert Path("out/img/a.avif").exists()
    assert report["totals"]["files"] == 1


def test_the_function_takes_a_policy_with_patterns_relative_to_the_tree(site, tmp_path):
    policy = tmp_path / "elsewhere" / "policy.yaml"
    policy.parent.mkdir()
    policy.write_text(POLICY.replace('["*.jpg", "*.png", "*.avif"]', '["/img/a.jpg"]'))
    (site / ".semcompress.yaml").unlink()
    (site / "index.html").write_text("<img src=/repo/img/a.jpg>")
    report = build_tree(site, policy=policy, root=site, site_url="https://example.org/repo/")
    results = by_path(report.results)
    assert results["img/a.jpg"].status == "compressed"
    assert results["img/b.png"].status == "skipped"
    assert 'srcset="/repo/img/a.avif"' in (site / "index.html").read_text()
    assert report.pages is not None
    assert (report.failed, report.bugs, report.pages.pictures) == ((), (), 1)
    assert json.loads(report.json())["totals"]["compressed"] == 1
    assert "1 compressed" in report.text()
    with pytest.raises(UsageError, match="address of a site"):
        build_tree(site, site_url="nonsense")
    policy.write_text("version: 2\n")
    with pytest.raises(PolicyError):
        build_tree(site, policy=policy)


def test_two_builds_at_once_with_one_cache_write_the_same(site, tmp_path):
    command = [sys.executable, "-m", "semcompress_plugin", "build", "--quiet", "site"]
    environment = {**os.environ, "SEMCOMPRESS_PLUGINS": ""}
    both = [subprocess.Popen([*command, out], cwd=tmp_path, env=environment) for out in ("out", "out")]
    assert [process.wait(120) for process in both] == [0, 0]
    assert not list(Path("out").rglob("*.tmp"))
    build_tree(site, tmp_path / "alone")
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_the_cache_may_be_deleted_between_builds(site, capsys, looks):
    run(capsys, "site", "out")
    built = contents(Path("out"))
    shutil.rmtree(os.environ["SEMCOMPRESS_CACHE"])
    looks.clear()
    report = run(capsys, "site", "out")
    assert looks
    assert report["totals"]["cached"] == 0
    assert contents(Path("out")) == built


def test_the_policy_in_the_documentation_gives_pages_their_pictures(site, capsys):
    text = (DOCS / "hosts" / "site.md").read_text()
    (policy,) = re.findall(r"```yaml\n(version: 1\n.*?)```", text, re.DOTALL)
    (site / ".semcompress.yaml").write_text(policy)
    (site / "photos").mkdir()
    shutil.copy(site / "img" / "a.jpg", site / "photos" / "a.jpg")
    (site / "index.html").write_text("<img src=photos/a.jpg>")
    report = run(capsys, "site", "out")
    assert report["pages"]["pictures"] == 1, report
