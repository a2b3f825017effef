"""Builds over shards: cutting, settling, and that a run goes on from where another one ended."""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import fsspec
import jsonschema
import pytest

from pictures import encoded, photo
from semcompress_plugin import files
from semcompress_plugin.baseline import Old
from semcompress_plugin.baseline import render as render_baseline
from semcompress_plugin.cli import main
from semcompress_plugin.errors import ImageError, LockError, PluginError, UsageError
from semcompress_plugin.files import digest
from semcompress_plugin.images import decode_candidate
from semcompress_plugin.plugins import Plugins
from semcompress_plugin.report.json import SCHEMA
from semcompress_plugin.runner import Runner
from semcompress_plugin.scale import job
from semcompress_plugin.scale.account import Account, Record, parse, place, render
from semcompress_plugin.scale.desk import Order, desk
from semcompress_plugin.scale.executors import Pool
from semcompress_plugin.scale.run import run
from semcompress_plugin.scale.shards import Item, Shard, cut
from semcompress_plugin.scale.store import Store
from semcompress_plugin.types import Result

POLICY = """\
version: 1
preset: machine
rules:
  - name: raw
    files: ["raw/"]
    skip: true
  - name: all
    files: ["*.jpg"]
    compress: [jpeg]
    keep: {msssim: {score: {min: 0.9}}}
    search: {frontier: {looks: 3}}
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "in"
    for seed in range(6):
        path = source / f"{'ab'[seed % 2]}/{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(photo((96, 72), seed), "JPEG", quality=97))
    (source / ".semcompress.yaml").write_text(POLICY)
    (source / "page.html").write_text("<p>hello")
    return source


@pytest.fixture
def memory():
    yield fsspec.filesystem("memory")
    fsspec.filesystem("memory").store.clear()


def build(capsys, source, out, *more, code=0):
    arguments = ["build", str(source), str(out), "--executor", "threads", "--jobs", "1", *more, "--format", "json"]
    assert main(arguments) == code
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SCHEMA)
    return report


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".semcompress" not in path.relative_to(folder).parts
    }


def items(keys) -> list[Item]:
    return [Item(key, 1, "") for key in keys]


def test_cuts_stay_where_they_are_when_objects_come_and_go():
    keys = [f"p/{number:05d}.jpg" for number in range(3000)]
    before = {shard.name: shard.items for shard in cut(items(keys), 20)}
    assert 3000 / 30 < len(before) < 3000 / 10
    gone = random.Random(1).sample(keys, 3)
    new = [f"p/{number:05d}x.jpg" for number in (7, 1500, 2999)]
    after = {shard.name: shard.items for shard in cut(items(sorted({*keys, *new} - {*gone})), 20)}
    changed = [name for name in after if before.get(name) != after[name]]
    assert 1 <= len(changed) <= 9


def test_every_object_lies_in_one_shard_and_none_is_much_too_large():
    keys = [f"{number}.jpg" for number in range(5000)]
    shards = list(cut(items(keys), 10))
    assert [item.key for shard in shards for item in shard.items] == keys
    assert max(len(shard.items) for shard in shards) <= 40
    assert len({shard.name for shard in shards}) == len(shards)


def test_pictures_that_could_get_one_name_are_never_cut_apart():
    keys = sorted(f"{number}.{end}" for number in range(2000) for end in ("jpg", "min.jpg", "png"))
    for shard in cut(items(keys), 2):
        stems = [item.key.partition(".")[0] for item in shard.items]
        assert all(stems.count(stem) == 3 for stem in stems)


def test_a_long_sequence_of_frames_is_cut_nevertheless():
    keys = [f"frame.{number:06d}.jpg" for number in range(2000)]
    assert max(len(shard.items) for shard in cut(items(keys), 10)) < 200


def test_listings_are_cut_while_they_stream():
    taken = []
    shards = cut((taken.append(item) or item for item in items(f"{n}.jpg" for n in range(10_000))), 10)
    next(shards)
    assert len(taken) < 100


def test_a_build_over_shards_derives_the_tree_and_touches_no_source(tree, tmp_path, capsys):
    before = contents(tree)
    report = build(capsys, tree, tmp_path / "out", "--shard-size", "2")
    assert (report["totals"]["compressed"], report["totals"]["failed"]) == (6, 0)
    assert contents(tree) == before
    after = contents(tmp_path / "out")
    assert after.keys() == before.keys() - {".semcompress.yaml"}
    assert after["page.html"] == before["page.html"]
    for name in [name for name in after if name.endswith(".jpg")]:
        assert len(after[name]) < len(before[name])
        decode_candidate(after[name])
    assert len(list((tmp_path / "out/.semcompress/shards").rglob("*.jsonl"))) > 1


@pytest.mark.parametrize("source", ["in", "in/derived"])
def test_a_derived_tree_is_no_source(tree, tmp_path, capsys, source):
    """Neither as a whole nor below the sources: its pictures would be shrunk a second time."""
    build(capsys, tree / "b", tmp_path / "in/derived", "--policy", str(tree / ".semcompress.yaml"))
    before = contents(tmp_path / "in/derived")
    arguments = [source, "out", "--executor", "threads", "--policy", str(tree / ".semcompress.yaml")]
    assert main(["build", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tree}/derived: was derived by an earlier build: build from its sources" in line
    assert not list((tmp_path / "out").rglob("derived"))
    assert contents(tmp_path / "in/derived") == before


def test_no_derived_tree_is_begun_without_a_source(tree, tmp_path, capsys):
    """Else a tree that was named as OUT by mistake would be taken for a derived one."""
    assert main(["build", "nowhere", str(tree), "--executor", "threads"]) == 2
    assert not (tree / ".semcompress").exists()
    assert build(capsys, tree, tmp_path / "out")["totals"]["compressed"] == 6


def test_what_a_build_without_shards_made_is_copied_as_it_is(tree, tmp_path, capsys):
    assert main(["build", str(tree), str(tmp_path / "made"), "--quiet"]) == 0
    report = build(capsys, tmp_path / "made", tmp_path / "out", "--policy", str(tree / ".semcompress.yaml"))
    assert (report["totals"]["skipped"], report["totals"]["looks"]) == (6, 0)
    assert contents(tmp_path / "out") == contents(tmp_path / "made")


def test_a_rerun_looks_at_nothing_and_fetches_nothing(tree, tmp_path, capsys, monkeypatch):
    first = build(capsys, tree, tmp_path / "out", "--shard-size", "2")
    read: list[str] = []
    really = Store.read
    monkeypatch.setattr(Store, "read", lambda self, key: read.append(key) or really(self, key))
    monkeypatch.setattr(Store, "copy", lambda self, key, source: read.append(key))
    again = build(capsys, tree, tmp_path / "out")
    assert first["totals"]["looks"] > 0
    assert again["totals"]["looks"] == 0
    assert again["totals"]["cached"] == 6
    assert read == []
    assert again["totals"]["after"] == first["totals"]["after"]


def test_only_what_is_new_changed_or_missing_is_done_again(tree, tmp_path, capsys):
    out = tmp_path / "out"
    build(capsys, tree, out)
    (tree / "a/0.jpg").write_bytes(encoded(photo((96, 72), 77), "JPEG", quality=97))
    (tree / "a/new.jpg").write_bytes(encoded(photo((96, 72), 78), "JPEG", quality=97))
    (out / "b/1.jpg").unlink()
    again = build(capsys, tree, out)
    assert again["totals"]["files"] - again["totals"]["cached"] == 3
    assert (out / "b/1.jpg").exists()


def test_what_was_written_again_with_the_same_bytes_is_not_looked_at(tree, tmp_path, capsys):
    build(capsys, tree, tmp_path / "out")
    for path in tree.rglob("*.jpg"):
        path.write_bytes(path.read_bytes())
    assert build(capsys, tree, tmp_path / "out")["totals"]["looks"] == 0


def test_another_policy_is_a_reason_to_look_again(tree, tmp_path, capsys):
    build(capsys, tree, tmp_path / "out")
    (tree / ".semcompress.yaml").write_text(POLICY.replace("0.9}", "0.95}"))
    assert build(capsys, tree, tmp_path / "out")["totals"]["cached"] == 0


def test_a_run_that_is_killed_costs_what_its_last_records_do_not_tell(tree, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    written = []
    really = Store.write

    def write(self, key, data):
        if len(written) == 6:
            raise KeyboardInterrupt
        written.append(key)
        really(self, key, data)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", write)
        patched.setattr(job, "SECONDS_BETWEEN_RECORDS", 0.0)
        patched.setattr(job, "_TRANSFERS", 1)
        assert main(["build", str(tree), str(out), "--executor", "threads", "--jobs", "1"]) == 130
    capsys.readouterr()
    for name, data in contents(out).items():
        if name.endswith(".jpg"):
            decode_candidate(data)
    again = build(capsys, tree, out)
    assert 1 <= again["totals"]["cached"] < 6
    assert again["totals"]["compressed"] == 6


def test_a_picture_that_fails_is_copied_reported_and_tried_again(tree, tmp_path, capsys):
    (tree / "a/broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    for _ in range(2):
        report = build(capsys, tree, tmp_path / "out", code=1)
        assert [result["path"] for result in report["results"]] == ["a/broken.jpg"]
        assert report["totals"]["failed"] == 1
        assert report["totals"]["compressed"] == 6
    assert (tmp_path / "out/a/broken.jpg").read_bytes() == (tree / "a/broken.jpg").read_bytes()


def test_a_plugin_that_fails_to_hear_of_results_is_one_warning_of_the_build(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Plugins, "tell", lambda self, result: iter(["plugin 'deaf' failed to take a result"]))
    assert main(["build", str(tree), str(tmp_path / "out"), "--executor", "threads", "--shard-size", "2"]) == 0
    assert capsys.readouterr().err.count("semcompress: warning: plugin 'deaf' failed to take a result") == 1
    assert len([*(tmp_path / "out/.semcompress/shards").rglob("*.jsonl")]) > 1


def test_a_write_that_fails_costs_that_picture_and_is_not_recorded_as_done(tree, tmp_path, capsys, monkeypatch):
    really = Store.write

    def write(self, key, data):
        if key == "a/2.jpg":
            raise ImageError("cannot be written: full")
        really(self, key, data)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", write)
        report = build(capsys, tree, tmp_path / "out", code=1)
    assert [(result["path"], result["reason"]) for result in report["results"]] == [
        ("a/2.jpg", "cannot be written: full")
    ]
    again = build(capsys, tree, tmp_path / "out")
    assert again["totals"]["cached"] == 5


def test_two_pictures_that_would_be_written_to_one_place_are_not(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x.jpg").write_bytes(encoded(photo((96, 72), 1), "JPEG", quality=97))
    (tmp_path / "in/x.png").write_bytes(encoded(photo((96, 72), 2), "PNG"))
    (tmp_path / "p.yaml").write_text(
        POLICY.replace('["*.jpg"]', '["*"]').replace("[jpeg]", "[webp]")
        + "    outputs: {formats: [webp], place: replace}\n"
    )
    run = Runner.run
    # the first of the listing is ready last
    monkeypatch.setattr(Runner, "run", lambda self, jobs: reversed(list(run(self, jobs))))
    report = build(capsys, "in", "out", "--policy", "p.yaml", code=1)
    assert report["totals"]["compressed"] == 1
    (failed,) = report["results"]
    assert failed["path"] == "x.png"
    assert failed["reason"] == "would be written where x.jpg is: rename one, or exclude one"


def test_two_that_differ_in_case_only_do_not_share_an_output(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("x.jpg", "X.JPG", "x.jpeg")):
        (tmp_path / "in" / name).write_bytes(encoded(photo((96, 72), seed), "JPEG", quality=97))
    (tmp_path / "p.yaml").write_text(
        POLICY.replace('["*.jpg"]', '["*"]').replace("[jpeg]", "[webp]")
        + "    outputs: {formats: [webp], place: beside}\n"
    )
    for settled in (False, True):
        report = build(capsys, "in", "out", "--policy", "p.yaml", code=1)
        assert (report["totals"]["compressed"], report["totals"]["failed"]) == (1, 2)
        assert all("would be written where" in result["reason"] for result in report["results"])
        assert report["totals"]["cached"] == settled
    assert len(list((tmp_path / "out").glob("*.webp"))) == 1


def test_sources_that_are_one_file_in_the_tree_are_refused_but_for_the_first(tree, tmp_path, capsys, monkeypatch):
    (tree / "a/0.JPG").write_bytes((tree / "a/0.jpg").read_bytes())
    monkeypatch.setattr(files, "folds_case", lambda folder: folder == tmp_path / "out")
    report = build(capsys, tree, tmp_path / "out", code=1)
    (refused,) = report["results"]
    assert (refused["path"], refused["status"]) == ("a/0.jpg", "failed")
    assert "differs in case only" in refused["reason"]
    assert not (tmp_path / "out/a/0.jpg").exists()


def test_an_interrupted_build_begins_nothing_more_and_the_next_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for seed in range(60):
        (tmp_path / "in" / f"{seed:02}.jpg").write_bytes(encoded(photo((48, 36), seed), "JPEG", quality=97))
    (tmp_path / "in/.semcompress.yaml").write_text(POLICY)

    def interrupted(*arguments, **keywords):
        while not list(tmp_path.glob("out/*.jpg")):
            time.sleep(0.001)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("semcompress_plugin.scale.run.wait", interrupted)
        assert main(["build", "in", "out", "--executor", "threads", "--jobs", "1", "--quiet"]) == 130
    done = len(list(tmp_path.glob("out/*.jpg")))
    assert 0 < done < 50
    capsys.readouterr()
    report = build(capsys, "in", "out")
    assert report["totals"]["cached"] == done
    assert report["totals"]["compressed"] == 60


def test_names_of_objects_have_no_power_over_a_terminal(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("\x1b[2J.jpg", "\x1b[2J.JPG")):
        (tmp_path / "in" / name).write_bytes(encoded(photo((96, 72), seed), "JPEG", quality=97))
    text = POLICY.replace("[jpeg]", "[webp]") + "    outputs: {formats: [webp], place: replace}\n"
    (tmp_path / "in/.semcompress.yaml").write_text(text)
    for more in ([], ["--quiet"]):
        assert main(["build", str(tmp_path / "in"), str(tmp_path / "out"), "--executor", "threads", *more]) == 1
        said = capsys.readouterr()
        assert "would be written where" in said.out + said.err
        assert "\x1b" not in said.out + said.err


def test_a_budget_is_judged_in_every_run_and_the_baseline_spares(tree, tmp_path, capsys):
    budget = POLICY.replace("    compress", "    budget: 300 B\n    compress")
    (tree / ".semcompress.yaml").write_text(budget)
    (tree / "raw").mkdir()
    for settled in (False, True):
        report = build(capsys, tree, tmp_path / "out", code=1)
        assert (report["totals"]["compressed"], report["totals"]["cached"]) == (6, 6 * settled)
        assert len(report["results"]) == 6
        assert all(found["reason"].startswith("above its budget: ") for found in report["results"])
    old = [tree / "a/0.jpg", tree / "b/1.jpg"]
    lines = [Old(path.name, digest(path.read_bytes()), path.stat().st_size) for path in old]
    (tree / "semcompress.baseline").write_text(render_baseline(lines))
    report = build(capsys, tree, tmp_path / "out", code=1)
    assert [found["path"] for found in report["results"]] == ["a/2.jpg", "a/4.jpg", "b/3.jpg", "b/5.jpg"]
    # what is skipped has one too, and a larger one settles nothing anew
    (tree / ".semcompress.yaml").write_text(budget.replace("300 B", "30 kB").replace("skip", "budget: 200 B\n    skip"))
    (tree / "raw/0.jpg").write_bytes(old[0].read_bytes())
    (tree / "raw/2.jpg").write_bytes((tree / "a/2.jpg").read_bytes())
    report = build(capsys, tree, tmp_path / "out", code=1)
    assert [(found["path"], found["status"]) for found in report["results"]] == [("raw/2.jpg", "failed")]
    assert report["totals"]["looks"] == 0


def test_text_names_what_is_above_its_budget(tree, tmp_path, capsys):
    (tree / ".semcompress.yaml").write_text(POLICY.replace("    compress", "    budget: 300 B\n    compress"))
    assert main(["build", str(tree), str(tmp_path / "out"), "--executor", "threads"]) == 1
    out = capsys.readouterr().out
    assert out.count("above its budget: ") == 6
    assert "6 compressed, 0 unchanged, 0 skipped, 0 failed" in out


def test_seconds_of_work_are_limited(tree, tmp_path, capsys):
    (tree / ".semcompress.yaml").write_text(POLICY + "limits: {max_seconds: 0.001}\n")
    report = build(capsys, tree, tmp_path / "out", code=1)
    assert {found["reason"] for found in report["results"]} == {
        "took longer than 0.001 s of work: raise limits.max_seconds in the policy"
    }
    assert contents(tmp_path / "out").keys() >= {"a/0.jpg", "b/5.jpg"}, "copied as they are"


def test_an_edit_that_keeps_size_and_time_is_built_again(tree, tmp_path, capsys):
    note = tree / "note.txt"
    note.write_text("one")
    build(capsys, tree, tmp_path / "out")
    times = note.stat()
    note.write_text("two")
    os.utime(note, ns=(times.st_atime_ns, times.st_mtime_ns))
    build(capsys, tree, tmp_path / "out")
    assert (tmp_path / "out/note.txt").read_text() == "two"


def test_what_was_settled_in_place_is_copied_as_it_is(repository, tmp_path, capsys):
    for seed in range(2):
        Path(f"{seed}.jpg").write_bytes(encoded(photo((96, 72), seed), "JPEG", quality=97))
    Path(".semcompress.yaml").write_text(POLICY)
    assert main(["compress", "--quiet"]) == 1
    capsys.readouterr()
    report = build(capsys, repository, tmp_path / "out")
    assert report["totals"]["looks"] == 0
    assert report["totals"]["skipped"] == 2
    assert (tmp_path / "out/1.jpg").read_bytes() == Path("1.jpg").read_bytes()


def test_what_was_kept_under_another_policy_is_looked_at_anew(repository, tmp_path, capsys):
    Path("0.jpg").write_bytes(encoded(photo((96, 72)), "JPEG", quality=97))
    Path(".semcompress.yaml").write_text(POLICY.replace("0.9", "1.0"))  # nothing holds
    assert main(["compress", "--quiet"]) == 0
    capsys.readouterr()
    report = build(capsys, repository, tmp_path / "one")
    assert (report["totals"]["looks"], report["totals"]["skipped"]) == (0, 1)
    Path(".semcompress.yaml").write_text(POLICY)
    report = build(capsys, repository, tmp_path / "two")
    assert report["totals"]["looks"] > 0
    assert report["totals"]["compressed"] == 1


def test_rules_that_skip_and_other_policies_further_down(tree, tmp_path, capsys):
    (tree / "raw").mkdir()
    (tree / "raw/x.jpg").write_bytes(encoded(photo((96, 72), 5), "JPEG", quality=97))
    assert build(capsys, tree, tmp_path / "out")["totals"]["skipped"] == 1
    (tree / "a/.semcompress.yaml").write_text("version: 1\n")
    report = build(capsys, tree, tmp_path / "out", code=1)
    assert report["results"][0]["path"] == "a/.semcompress.yaml"
    assert "one policy" in report["results"][0]["reason"]
    (tree / "a/.semcompress.yaml").rename(tree / "a/semcompress.lock")
    report = build(capsys, tree, tmp_path / "out", "--policy", str(tree / ".semcompress.yaml"), code=1)
    assert report["results"][0]["path"] == "a/semcompress.lock"


def test_memory_to_memory_and_names_that_no_path_can_have(memory, tmp_path, capsys):
    for name in ("x.jpg", "sub/y.jpg"):
        memory.pipe_file(f"/in/{name}", encoded(photo((96, 72), 3), "JPEG", quality=97))
    memory.pipe_file("/in/.semcompress.yaml", POLICY.encode())
    memory.store["/in/a/../../../evil-name.jpg"] = memory.store["/in/x.jpg"]
    report = build(capsys, "memory://in", tmp_path / "out", code=1)
    assert report["totals"]["compressed"] == 2
    assert [result["reason"] for result in report["results"]] == ["is no name that a path can have"]
    assert not list(tmp_path.parent.rglob("evil-name.jpg"))
    assert build(capsys, "memory://in", "memory://out", code=1)["totals"]["compressed"] == 2
    assert memory.cat_file("/out/sub/y.jpg") == (tmp_path / "out/sub/y.jpg").read_bytes()
    assert build(capsys, "memory://in", "memory://out", code=1)["totals"]["looks"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["memory://in", "memory://out", "--executor", "carrier-pigeons"], "expected threads, dask, or dask:ADDRESS"),
        (["nosuch://in", "memory://out"], "no storage that fsspec knows"),
        (["ftp://127.0.0.1:1/in", "memory://out"], "ftp://127.0.0.1:1/in: cannot be listed: Connection refused"),
        (["zip://nowhere/a.zip", "memory://out"], "cannot be listed: "),
        (["in", "http://example.org/out"], "written whole"),
        (["in/a", "in"], "over its own sources"),
        (["in", "in/out"], "lies within"),
        (["memory://in", "memory://in/out"], "lies within"),
        (["nowhere", "out", "--executor", "threads"], "cannot be listed"),
        (["in", "out", "--executor", "dask:tcp://127.0.0.1:1"], "no scheduler answers"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tree, capsys, arguments, words, monkeypatch):
    from semcompress_plugin.scale import executors

    monkeypatch.setattr(executors, "_CONNECT_SECONDS", 1)
    more = [] if "--executor" in arguments else ["--executor", "threads"]
    assert main(["build", *arguments, *more]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("protocol", "error", "words"),
    [
        (
            "gs",
            ImportError("Please install gcsfs to access Google Storage"),
            "needs a package: Please install gcsfs to",
        ),
        ("s3", ImportError("Install s3fs to access S3"), "needs a package: pip install 'semcompress-plugin[s3]'"),
        (
            "gs",
            ModuleNotFoundError("No module named 'fsspec'", name="fsspec"),
            "pip install 'semcompress-plugin[remote]'",
        ),
    ],
)
def test_a_missing_package_is_one_that_brings_that_storage(monkeypatch, protocol, error, words):
    def missing(*_, **__):
        raise error

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UsageError) as caught:
        Store(f"{protocol}://bucket/in")
    assert words in str(caught.value)


def test_the_shard_size_of_a_tree_stays(tree, tmp_path, capsys):
    build(capsys, tree, tmp_path / "out", "--shard-size", "2")
    assert main(["build", str(tree), str(tmp_path / "out"), "--executor", "threads", "--shard-size", "3"]) == 2
    assert "begun with --shard-size 2" in capsys.readouterr().err


@pytest.mark.parametrize("outputs", ["formats: [keep, webp], place: beside", "formats: [webp]"])
def test_pages_are_said_to_be_left_alone_where_outputs_lie_beside_or_have_another_name(tree, tmp_path, capsys, outputs):
    policy = POLICY.replace("[jpeg]", "[jpeg, webp]") + f"    outputs: {{{outputs}}}\n"
    (tree / ".semcompress.yaml").write_text(policy)
    assert main(["build", str(tree), str(tmp_path / "out"), "--executor", "threads"]) == 0
    assert "1 HTML page was copied as is" in capsys.readouterr().err
    assert (tmp_path / "out/a/0.webp").exists()
    assert (tmp_path / "out/a/0.jpg").exists() == ("beside" in outputs)


def test_a_worker_with_other_versions_or_another_policy_is_an_error(tree, tmp_path):
    order = Order(str(tree), str(tmp_path / "out"), POLICY, digest(POLICY.encode()), "p", {"all": {"pillow": "0"}})
    with pytest.raises(PluginError, match=r"has pillow .*, this program 0"):
        desk(order)
    with pytest.raises(UsageError, match="did not reach the worker"):
        desk(replace(order, policy=POLICY + " "))


def test_a_worker_that_lacks_a_plugin_is_named(tree, tmp_path):
    text = POLICY.replace("msssim", "batched")
    order = Order(str(tree), str(tmp_path / "out"), text, digest(text.encode()), "p.yaml", {})
    with pytest.raises(PluginError) as caught:
        desk(order)
    said = str(caught.value)
    assert said.startswith(f"the worker on {gethostname()} cannot work by this policy, as this program can: p.yaml:")
    assert "unknown evaluator 'batched'" in said
    assert said.endswith("install the same versions everywhere, or pictures would depend on who looked at them")


def test_a_shard_that_is_lost_costs_that_shard(tree, tmp_path, monkeypatch):
    def work(order, shard):
        if shard.name == "1":
            raise MemoryError("no room\nat all")
        return Account(files=1)

    monkeypatch.setattr("semcompress_plugin.scale.run.work", work)
    order = Order(str(tree), str(tmp_path / "out"), "", "", "p", {})
    shards = (Shard(str(number), (Item(str(number), 1, ""),)) for number in range(50))
    most = []
    with ThreadPoolExecutor(2) as executor:
        done = list(run(order, shards, Pool(executor, 1, lambda: most.append(1) or 3)))
    assert [each.lost for each in done if each.account is None] == ["MemoryError: no room"]
    assert sum(each.account.files for each in done if each.account) == 49


def test_records_are_read_as_they_were_written_and_damage_is_told():
    shard = Shard("ab", (Item("ü\n.jpg", 3, "t"), Item("z", 1, "")))
    records = [Record(shard.items[0], "failed", "p", "r", "because"), Record(shard.items[1], "copied")]
    text = render(shard, records)
    assert list(parse(text, "x").values()) == sorted(records, key=lambda record: record.item.key)
    assert place("ab").startswith(".semcompress/shards/ab/")
    for damaged, where in ((text.replace("copied", "eaten"), "x:[23]"), ("{}", "x:1"), (text[:-9], "x:3")):
        with pytest.raises(LockError, match=where):
            parse(damaged, "x")
    with pytest.raises(LockError, match="newer"):
        parse(text.replace('"version": 1', '"version": 9'), "x")


def test_sums_stay_small_however_much_fails():
    total = Account()
    for number in range(5000):
        total.add(Result(str(number), "failed", 1, 1))
    for _ in range(3):
        total.merge(total)
    assert total.failed == 40_000
    assert len(total.failures) == Account.NAMED
