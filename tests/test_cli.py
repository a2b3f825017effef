"""The command line: what it says, what it writes, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from PIL import Image, ImageCms

from pictures import encoded, photo
from policies import POLICY
from semcompress_plugin import runner, settle, shrink
from semcompress_plugin.cli import main, parser
from semcompress_plugin.commands import _shrinking
from semcompress_plugin.cores import available_cores
from semcompress_plugin.errors import LockError, ModelError, PluginError
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.lock import Lock
from semcompress_plugin.originals import is_original
from semcompress_plugin.report.json import SCHEMA


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / ".semcompress.yaml").write_text(POLICY)
    for seed in range(3):
        (repository / f"{seed}.jpg").write_bytes(encoded(photo((320, 240), seed), "JPEG", quality=97))
    return repository


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out = capsys.readouterr()
    return code, out.out, out.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    code, out, _ = run(capsys, *arguments, "--format", "json")
    return code, json.loads(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the pictures that the classifier is shown."""
    seen: list[int] = []
    really = ClassifierEvaluator.observe

    def observe(self, images):
        seen.extend([1] * len(images))
        return really(self, images)

    monkeypatch.setattr(ClassifierEvaluator, "observe", observe)
    return seen


def test_compress_shrinks_in_place_and_exits_1_and_a_second_run_asks_nothing_and_exits_0(folder, capsys, looks):
    before = contents(folder)
    code, report = as_json(capsys, "compress")
    jsonschema.validate(report, SCHEMA)
    assert code == 1
    assert report["totals"]["compressed"] == 3
    after = contents(folder)
    for name in ("0.jpg", "1.jpg", "2.jpg"):
        assert len(after[name]) < 0.95 * len(before[name])
    looks.clear()
    code, report = as_json(capsys, "compress")
    assert (code, report["totals"]["unchanged"], report["totals"]["looks"]) == (0, 3, 0)
    assert looks == []
    assert contents(folder) == after


def test_a_fresh_clone_a_rename_and_a_copy_are_left_alone(folder, capsys, tmp_path, monkeypatch, looks):
    run(capsys, "compress", "--quiet")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "x"], check=True)
    subprocess.run(["git", "clone", "-q", f"file://{folder}", str(tmp_path / "clone")], check=True)
    monkeypatch.chdir(tmp_path / "clone")
    Path("0.jpg").rename("renamed.jpg")
    shutil.copy("1.jpg", "copy.jpg")
    looks.clear()
    code, report = as_json(capsys, "compress")
    assert (code, report["totals"]["files"], report["totals"]["unchanged"]) == (0, 4, 4)
    assert looks == []


def test_what_was_written_satisfies_its_constraints_when_decoded_again(folder, capsys):
    originals = {name: data for name, data in contents(folder).items() if name.endswith(".jpg")}
    _, report = as_json(capsys, "compress")
    eyes = ClassifierEvaluator()
    for result in report["results"]:
        import io

        before = Image.open(io.BytesIO(originals[result["path"]])).convert("RGB")
        after = Image.open(folder / result["path"]).convert("RGB")
        seen = eyes.observe([before, after])
        (measured,) = eyes.compare(seen[0], seen[1:])
        assert measured["js_divergence"] <= 0.05
        assert result["outputs"][0]["scores"]["classifier"]["js_divergence"] == pytest.approx(
            measured["js_divergence"], rel=1e-6
        )
        assert result["outputs"][0]["bytes"] == (folder / result["path"]).stat().st_size == result["after"]


def test_check_says_what_compress_would_do_and_writes_nothing(folder, capsys):
    before = contents(folder)
    code, would = as_json(capsys, "check")
    assert code == 1
    assert contents(folder) == before
    assert subprocess.run(["git", "for-each-ref"], capture_output=True, check=True).stdout == b""
    _, did = as_json(capsys, "compress")
    assert [r["outputs"] for r in would["results"]] == [r["outputs"] for r in did["results"]]
    code, _ = as_json(capsys, "check")
    assert code == 0


def test_restore_brings_back_every_byte_and_the_mode(folder, capsys):
    (folder / "0.jpg").chmod(0o640)
    before = contents(folder)
    run(capsys, "compress", "--quiet")
    code, _ = as_json(capsys, "restore", "0.jpg")
    assert code == 0
    assert (folder / "0.jpg").read_bytes() == before["0.jpg"]
    assert (folder / "0.jpg").stat().st_mode & 0o777 == 0o640
    assert (folder / "1.jpg").read_bytes() != before["1.jpg"]
    run(capsys, "restore", "--all")
    assert {n: d for n, d in contents(folder).items() if n.endswith("jpg")} == {
        n: d for n, d in before.items() if n.endswith("jpg")
    }


def test_a_restored_picture_is_shrunk_again_to_what_was_found_before_with_one_look(folder, capsys):
    _, first = as_json(capsys, "compress")
    run(capsys, "restore", "--all")
    _, again = as_json(capsys, "compress")
    assert [r["outputs"] for r in again["results"]] == [r["outputs"] for r in first["results"]]
    assert again["totals"]["looks"] == 3


def test_a_changed_policy_measures_first_and_starts_again_from_the_original(folder, capsys):
    before = contents(folder)
    run(capsys, "compress", "--quiet")
    loose = contents(folder)
    (folder / ".semcompress.yaml").write_text(POLICY.replace("0.05", "0.06"))
    _, report = as_json(capsys, "compress")
    assert report["totals"]["unchanged"] == 3
    assert all(result["reason"] == "still holds under the changed policy" for result in report["results"])
    assert {n: d for n, d in contents(folder).items() if n.endswith("jpg")} == {
        n: d for n, d in loose.items() if n.endswith("jpg")
    }
    # a strict policy: better than the loose output is, so the search must have begun at the original
    (folder / ".semcompress.yaml").write_text(POLICY.replace("0.05", "0.005"))
    _, report = as_json(capsys, "compress")
    assert report["totals"]["compressed"] == 3
    eyes = ClassifierEvaluator()
    for result in report["results"]:
        assert (folder / result["path"]).read_bytes() not in (before[result["path"]], loose[result["path"]])
        seen = eyes.observe(
            [
                Image.open(io.BytesIO(data)).convert("RGB")
                for data in (before[result["path"]], (folder / result["path"]).read_bytes())
            ]
        )
        assert eyes.compare(seen[0], seen[1:])[0]["js_divergence"] <= 0.005
    _, report = as_json(capsys, "compress")
    assert report["totals"]["unchanged"] == 3
    assert report["totals"]["looks"] == 0


def test_without_its_original_an_outdated_picture_is_left_alone_unless_loss_is_allowed(
    folder, capsys, tmp_path, monkeypatch
):
    run(capsys, "compress", "--quiet")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "x"], check=True)
    subprocess.run(["git", "clone", "-q", f"file://{folder}", str(tmp_path / "clone")], check=True)
    clone = tmp_path / "clone"
    monkeypatch.chdir(clone)
    (clone / ".semcompress.yaml").write_text(POLICY.replace("0.05", "0.2"))
    before = contents(clone)
    code, report = as_json(capsys, "compress")
    assert (code, report["totals"]["skipped"]) == (0, 3)
    assert "original" in report["results"][0]["reason"]
    assert contents(clone) == before
    _, report = as_json(capsys, "compress", "--allow-generation-loss")
    assert report["totals"]["skipped"] == 0
    lines = [json.loads(line) for line in (clone / "semcompress.lock").read_text().splitlines()[1:]]
    assert any(line["generation"] == 2 for line in lines)


def test_a_new_version_of_a_tool_changes_nothing_unless_refreshed(folder, capsys, monkeypatch, looks):
    run(capsys, "compress", "--quiet")
    from semcompress_plugin import made_with

    really = made_with.version
    monkeypatch.setattr(made_with, "version", lambda name: "99" if name == "pillow" else really(name))
    looks.clear()
    code, report = as_json(capsys, "compress")
    assert (code, looks) == (0, [])
    code, report = as_json(capsys, "compress", "--refresh")
    assert report["totals"]["looks"] > 0


def test_an_unmatched_file_is_left_alone_and_not_an_error(folder, capsys):
    (folder / "other.png").write_bytes(encoded(photo(), "PNG"))
    before = (folder / "other.png").read_bytes()
    _, report = as_json(capsys, "compress")
    (other,) = (r for r in report["results"] if r["path"] == "other.png")
    assert (other["status"], other["reason"]) == ("skipped", "no rule matches")
    assert (folder / "other.png").read_bytes() == before


def test_beside_writes_another_file_and_leaves_the_first(folder, capsys, looks):
    (folder / ".semcompress.yaml").write_text(
        POLICY.replace("compress: [jpeg]", "compress: [webp]\n    outputs: {formats: [webp], place: beside}")
    )
    before = contents(folder)
    code, _ = as_json(capsys, "compress")
    assert code == 1
    for name in ("0", "1", "2"):
        assert (folder / f"{name}.jpg").read_bytes() == before[f"{name}.jpg"]
        with Image.open(folder / f"{name}.webp") as image:
            assert image.format == "WEBP"
    looks.clear()
    code, _ = as_json(capsys, "compress")
    assert (code, looks) == (0, [])


def test_smallest_replaces_name_and_format_and_restore_brings_the_old_name_back(folder, capsys):
    (folder / ".semcompress.yaml").write_text(
        POLICY.replace("compress: [jpeg]", "compress: [webp]\n    outputs: {formats: [smallest]}")
        + "  - {name: rest, files: ['*'], skip: true}\n"
    )
    before = contents(folder)
    run(capsys, "compress")
    assert (folder / "0.webp").exists()
    assert not (folder / "0.jpg").exists()
    run(capsys, "restore", "0.webp")
    assert (folder / "0.jpg").read_bytes() == before["0.jpg"]
    assert not (folder / "0.webp").exists()


def test_restore_never_deletes_what_also_lay_beside_its_original(folder, capsys):
    beside = POLICY.replace("compress: [jpeg]", "compress: [webp]\n    outputs: {formats: [webp], place: beside}")
    (folder / ".semcompress.yaml").write_text(beside)
    run(capsys, "compress", "--quiet")
    before = contents(folder)
    (folder / ".semcompress.yaml").write_text(beside.replace("[webp], place: beside", "[smallest]"))
    run(capsys, "compress", "--quiet")
    assert not (folder / "0.jpg").exists()
    for _ in range(2):
        assert run(capsys, "restore", "--all")[0] == 0
        after = contents(folder)
        assert {n: d for n, d in after.items() if n[1:] in (".jpg", ".webp")} == {
            n: d for n, d in before.items() if n[1:] in (".jpg", ".webp")
        }


def test_a_file_that_is_not_ours_is_never_overwritten(folder, capsys):
    (folder / ".semcompress.yaml").write_text(
        POLICY.replace("compress: [jpeg]", "compress: [webp]\n    outputs: {formats: [webp], place: beside}")
    )
    (folder / "0.webp").write_bytes(b"mine")
    code, report = as_json(capsys, "compress", "0.jpg")
    assert code == 1
    assert "not ours" in report["results"][0]["reason"]
    assert (folder / "0.webp").read_bytes() == b"mine"


def test_two_pictures_that_would_become_one_file_are_an_error(folder, capsys):
    (folder / ".semcompress.yaml").write_text(
        POLICY.replace('["*.jpg"]', '["*"]').replace(
            "compress: [jpeg]", "compress: [webp]\n    outputs: {formats: [webp], place: beside}"
        )
    )
    (folder / "0.png").write_bytes(encoded(photo((320, 240), 9), "PNG"))
    code, report = as_json(capsys, "compress", "0.jpg", "0.png")
    assert code == 1
    statuses = sorted(r["status"] for r in report["results"])
    assert statuses == ["compressed", "failed"]


def test_a_folder_without_a_policy_is_a_usage_error_and_a_named_file_gets_preset_web(folder, capsys):
    (folder / ".semcompress.yaml").unlink()
    code, _, err = run(capsys, "compress")
    assert code == 2
    assert "semcompress init" in err
    code, report = as_json(capsys, "compress", "0.jpg")
    assert code == 1
    assert report["results"][0]["outputs"][0]["settings"]["scale"] == 1
    assert set(report["results"][0]["outputs"][0]["scores"]) == {"classifier", "msssim"}


def test_what_no_policy_governs_is_skipped_beside_what_one_does_and_alone_is_a_usage_error(folder, capsys):
    for name in ("anim", "site"):  # in the order in which they are met: the ungoverned one first
        (folder / name).mkdir()
    (folder / "0.jpg").rename(folder / "anim" / "a.jpg")
    for name in ("1.jpg", "2.jpg", ".semcompress.yaml"):
        (folder / name).rename(folder / "site" / name)
    before = contents(folder)
    for command, word in (("check", "compressed"), ("compress", "compressed"), ("verify", "unchanged")):
        code, report = as_json(capsys, command)
        assert code == (command != "verify")
        assert [(one["path"], one["status"], one["reason"]) for one in report["results"]] == [
            ("anim/a.jpg", "skipped", "no policy governs it"),
            ("site/1.jpg", word, None),
            ("site/2.jpg", word, None),
        ]
        assert contents(folder)["anim/a.jpg"] == before["anim/a.jpg"]
    code, _, err = run(capsys, "compress", "anim")
    assert code == 2
    assert "anim/a.jpg: no policy governs it: write one" in err
    (folder / "site/1.jpg").write_bytes(before["site/1.jpg"])
    (folder / "site/.semcompress.yaml").unlink()
    assert run(capsys, "compress", "site/1.jpg", "anim")[0] == 2, "preset web, for want of a policy, is none"
    assert (folder / "site/1.jpg").read_bytes() == before["site/1.jpg"], "nothing is begun"


def test_outside_git_originals_must_be_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = encoded(photo((320, 240)), "JPEG", quality=97)
    Path("0.jpg").write_bytes(data)
    Path(".semcompress.yaml").write_text(POLICY)
    code, _, err = run(capsys, "compress")
    assert code == 2
    assert "originals:" in err
    assert Path("0.jpg").read_bytes() == data
    Path(".semcompress.yaml").write_text(POLICY + "originals: kept\n")
    assert run(capsys, "compress")[0] == 1
    assert Path("0.jpg").read_bytes() != data
    run(capsys, "restore", "--all")
    assert Path("0.jpg").read_bytes() == data


def test_the_nearest_policy_governs_and_policy_overrides_it(folder, capsys):
    inner = folder / "inner"
    inner.mkdir()
    shutil.copy(folder / "0.jpg", inner / "0.jpg")
    (inner / ".semcompress.yaml").write_text("version: 1\nrules:\n  - {name: none, files: ['*'], skip: true}\n")
    _, report = as_json(capsys, "check", "inner")
    assert report["results"][0]["rule"] == "none"
    _, report = as_json(capsys, "check", "inner", "--policy", ".semcompress.yaml")
    assert report["results"][0]["rule"] == "all"


@pytest.mark.parametrize("outside", [False, True])
def test_a_picture_named_through_a_link_to_the_repository_is_governed_by_its_policy(
    folder, tmp_path, capsys, monkeypatch, outside
):
    (folder / "real").mkdir()
    (folder / "0.jpg").rename(folder / "real/0.jpg")
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path if outside else folder)
    for policy in ([], ["--policy", os.path.relpath(folder / ".semcompress.yaml")]):
        _, report = as_json(capsys, "check", str(tmp_path / "link/real/0.jpg"), *policy)
        assert [(one["status"], one["rule"]) for one in report["results"]] == [("compressed", "all")]


def test_a_policy_with_mistakes_is_exit_2_with_every_mistake_at_its_place(folder, capsys):
    (folder / ".semcompress.yaml").write_text(
        POLICY.replace("js_divergence", "js_divergense").replace("[jpeg]", "[jpg]")
    )
    for command in (["compress"], ["validate"]):
        code, _, err = run(capsys, *command)
        assert code == 2
        assert ".semcompress.yaml:6:16" in err
        assert ".semcompress.yaml:7:25" in err
        assert "js_divergence" in err


def test_build_derives_a_tree_leaves_sources_alone_and_the_second_build_looks_at_nothing(
    folder, capsys, looks, tmp_path
):
    (folder / "page.html").write_text("<img src=0.jpg>")
    (folder / "deep").mkdir()
    shutil.copy(folder / "0.jpg", folder / "deep" / "same.jpg")
    before = contents(folder)
    out = tmp_path / "out"
    code, report = as_json(capsys, "build", ".", str(out))
    jsonschema.validate(report, SCHEMA)
    assert code == 0
    assert contents(folder) == before
    built = contents(out)
    assert set(built) == set(before) - {".semcompress.yaml"}
    assert built["page.html"] == before["page.html"]
    assert all(len(built[name]) < len(before[name]) for name in built if name.endswith(".jpg"))
    looks.clear()
    code, report = as_json(capsys, "build", ".", str(out))
    assert looks == []
    assert contents(out) == built
    assert report["totals"]["compressed"] == 4
    assert report["totals"]["looks"] == 0


def test_a_build_into_its_own_sources_excludes_them_from_the_walk(folder, capsys):
    run(capsys, "build", ".", "public")
    run(capsys, "build", ".", "public")
    assert not (folder / "public" / "public").exists()
    assert len(list((folder / "public").glob("*.jpg"))) == 3


def test_a_changed_policy_redoes_a_build(folder, capsys, tmp_path, looks):
    run(capsys, "build", ".", str(tmp_path / "out"))
    looks.clear()
    (folder / ".semcompress.yaml").write_text(POLICY.replace("0.05", "0.01"))
    run(capsys, "build", ".", str(tmp_path / "out"))
    assert looks


def test_build_in_place_shrinks_a_generated_tree_once(folder, capsys, looks):
    site = folder / "_site"
    site.mkdir()
    shutil.copy(folder / "0.jpg", site / "0.jpg")
    before = (site / "0.jpg").read_bytes()
    code, _ = as_json(capsys, "build", "--in-place", "_site")
    assert code == 0
    after = (site / "0.jpg").read_bytes()
    assert len(after) < len(before)
    assert not (folder / "semcompress.lock").exists()
    looks.clear()
    run(capsys, "build", "--in-place", "_site")
    assert looks == []
    assert (site / "0.jpg").read_bytes() == after


def test_a_link_out_of_the_sources_is_not_published(folder, capsys, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    run(capsys, "build", ".", str(tmp_path / "out"))
    assert not (tmp_path / "out" / "link.txt").exists()


def test_a_build_never_publishes_originals(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, policy in ((".semcompress/originals", POLICY), ("kept", POLICY)):
        site = tmp_path / name.replace("/", "-")
        site.mkdir()
        monkeypatch.chdir(site)
        Path("0.jpg").write_bytes(encoded(photo((320, 240)), "JPEG", quality=97))
        Path(".semcompress.yaml").write_text(f"{policy}originals: {name}\n")
        run(capsys, "compress")
        assert (site / name).is_dir()
        run(capsys, "build", ".", str(tmp_path / "out"))
        assert set(contents(tmp_path / "out")) == {"0.jpg"}


@pytest.mark.parametrize("in_git", [False, True])
def test_a_build_never_publishes_originals_that_no_policy_names_any_more(tmp_path, capsys, monkeypatch, in_git):
    site = tmp_path / "site"
    (site / "blog").mkdir(parents=True)
    monkeypatch.chdir(site)
    if in_git:
        subprocess.run(["git", "init", "-q"], check=True)
    for folder, name in ((site, "kept"), (site / "blog", "mine")):
        (folder / "0.jpg").write_bytes(encoded(photo((320, 240)), "JPEG", quality=97))
        (folder / ".semcompress.yaml").write_text(f"{POLICY}originals: {name}\n")
    (site / "kept").mkdir()
    (site / "kept/page.html").write_text("hello")
    run(capsys, "compress")
    (site / "blog/0.jpg").unlink()  # nor is its policy met by a build then
    (site / ".semcompress.yaml").write_text(POLICY)
    kept = set(contents(site))
    assert {name.partition("/")[0] for name in kept if is_original(Path(name))} == {"kept", "blog"}
    for more in (["--executor", "threads"], []):
        out = tmp_path / f"out{len(more)}"
        if in_git and not more:
            (site / "kept/users").unlink()  # the repository knows that it kept originals there
        assert main(["build", ".", str(out), *more]) == (1 if more else 0)
        assert published(out) - {"kept/.gitignore", "blog/mine/.gitignore"} == {"0.jpg", "kept/page.html"}


def test_a_build_never_publishes_originals_that_lie_among_pictures(tmp_path, capsys, monkeypatch):
    site = tmp_path / "site"
    (site / "blog").mkdir(parents=True)
    monkeypatch.chdir(site)
    for folder in (site, site / "blog"):
        (folder / "0.jpg").write_bytes(encoded(photo((320, 240)), "JPEG", quality=97))
        (folder / ".semcompress.yaml").write_text(f"{POLICY}originals: .\n")
        (folder / "page.html").write_text("hello")
    run(capsys, "compress")
    assert len([name for name in contents(site) if is_original(Path(name))]) == 2
    (site / "users").unlink()
    for more in ([], ["--executor", "threads"]):
        out = tmp_path / f"out{len(more)}"
        assert main(["build", ".", str(out), *more]) == (1 if more else 0)
        assert published(out) == {"0.jpg", "page.html", "blog/0.jpg", "blog/page.html"}


def test_originals_behind_a_link_that_the_policy_names_are_not_published(folder, capsys, tmp_path):
    (folder / "private").mkdir()
    (folder / "link").symlink_to("private")
    (folder / ".semcompress.yaml").write_text(f"{POLICY}originals: link\n")
    run(capsys, "compress")
    (folder / "private/users").unlink()
    run(capsys, "build", ".", str(tmp_path / "out"))
    assert published(tmp_path / "out") == {"0.jpg", "1.jpg", "2.jpg"}


def published(out: Path) -> set[str]:
    return {name for name in contents(out) if not name.startswith(".semcompress/")}


def test_what_a_build_made_is_not_shrunk_again_in_place(folder, capsys, looks):
    (folder / ".semcompress.yaml").write_text(POLICY.replace('["*.jpg"]', '["public/*.jpg"]'))
    (folder / "strict.yaml").write_text(POLICY)
    run(capsys, "build", ".", "public", "--policy", "strict.yaml")
    before = contents(folder / "public")
    looks.clear()
    code, report = as_json(capsys, "compress", "public")
    assert (code, looks, report["totals"]["unchanged"]) == (0, [], 3)
    assert contents(folder / "public") == before


def test_a_dry_run_is_called_check(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["compress", "--dry-run"])
    assert stopped.value.code == 2
    assert "semcompress check" in capsys.readouterr().err


def test_a_picture_whose_original_was_put_back_has_a_line_of_its_own(folder, capsys):
    assert run(capsys, "compress", "0.jpg")[0] == 1
    (folder / ".semcompress.yaml").write_text(POLICY.replace("max: 0.05", "max: 1.0e-9"))
    code, out, _ = run(capsys, "compress", "0.jpg")
    assert code == 1
    assert "put back: 0.jpg: the original is back, since under the changed policy nothing" in out


def test_an_original_of_another_format_is_put_back_under_its_own_name(repository, capsys):
    policy = """version: 1
rules:
  - name: all
    files: ["*"]
    compress: [webp]
    keep: {msssim: {score: {min: %s}}}
    outputs: {formats: [webp], place: replace}
"""
    before = encoded(photo((160, 120)), "PNG")
    Path("a.png").write_bytes(before)
    Path(".semcompress.yaml").write_text(policy % 0.9)
    assert run(capsys, "compress")[0] == 1
    assert not Path("a.png").exists()
    Path(".semcompress.yaml").write_text(policy % 0.99999999)
    assert run(capsys, "compress")[0] == 1
    assert [path.name for path in Path().glob("a.*")] == ["a.png"]
    assert Path("a.png").read_bytes() == before
    assert run(capsys, "compress")[0] == 0


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a policy of its own, whose lock cannot be written, and settled last."""
    (folder / "zz").mkdir()
    (folder / "zz" / ".semcompress.yaml").write_text(POLICY)
    for seed in (7, 8):
        (folder / "zz" / f"{seed}.jpg").write_bytes(encoded(photo((320, 240), seed), "JPEG", quality=97))
    really = Lock._write

    def write(self, *arguments):
        if self.path.parent.name == "zz":
            raise LockError(f"{self.path}: cannot be written: Read-only file system")
        return really(self, *arguments)

    monkeypatch.setattr(Lock, "_write", write)
    monkeypatch.setattr(_shrinking, "FILES_BETWEEN_COMMITS", 1)
    return folder / "zz"


def test_a_lock_that_cannot_be_written_costs_its_own_pictures_and_the_report_tells_of_the_others(
    refused, folder, capsys, looks
):
    before = contents(refused)
    code, report = as_json(capsys, "compress", "--jobs", "1")
    assert code == 1
    results = {one["path"]: (one["status"], one["reason"]) for one in report["results"]}
    assert {path for path, (status, _) in results.items() if status == "compressed"} == {"0.jpg", "1.jpg", "2.jpg"}
    assert all(
        results[name][0] == "failed" and "cannot be written: Read-only" in results[name][1]
        for name in ("zz/7.jpg", "zz/8.jpg")
    )
    assert contents(refused) == before


def test_what_a_lock_would_not_record_is_not_looked_at(refused, capsys, looks):
    for seed in range(10, 60):
        (refused / f"{seed}.jpg").write_bytes(encoded(photo((320, 240), seed), "JPEG", quality=97))
    code, report = as_json(capsys, "compress", "zz", "--jobs", "1")
    assert (code, report["totals"]["failed"]) == (1, 52)
    assert sum(one["looks"] > 0 for one in report["results"]) < 30


def test_a_hook_says_what_to_stage_though_a_lock_could_not_be_written(refused, folder, capsys):
    subprocess.run(["git", "add", "-A"], check=True)
    code, _, err = run(capsys, "compress", "--hook")
    assert code == 1
    assert "commit again: git add 0.jpg 1.jpg 2.jpg semcompress.lock" in err


def test_what_ends_a_run_is_told_behind_the_report_on_what_it_changed(folder, capsys, monkeypatch):
    really = shrink.Work.glance

    def glance(self):
        if self.pending.asset.path.name == "2.jpg":
            raise ModelError("a model is missing")
        return really(self)

    monkeypatch.setattr(shrink.Work, "glance", glance)
    monkeypatch.setattr(_shrinking, "FILES_BETWEEN_COMMITS", 1)
    monkeypatch.setattr(runner, "PIXELS_IN_FLIGHT", 1)
    monkeypatch.setattr(runner, "PIXELS_PER_THREAD", 1)
    before = (folder / "0.jpg").read_bytes()
    code, out, err = run(capsys, "compress", "--jobs", "1")
    assert (folder / "0.jpg").read_bytes() != before
    assert (code, err) == (2, "semcompress: a model is missing\n")
    assert "0.jpg" in out


def test_few_files_are_open_at_once_however_fast_they_are_shrunk(folder, capsys, monkeypatch):
    groups = []
    really = settle.settle
    monkeypatch.setattr(settle, "settle", lambda group, *rest: groups.append(len(group)) or really(group, *rest))
    monkeypatch.setattr(_shrinking, "SECONDS_BETWEEN_COMMITS", 60.0)
    monkeypatch.setattr(_shrinking, "FILES_BETWEEN_COMMITS", 2)
    assert run(capsys, "compress")[0] == 1
    assert groups == [2, 1]


def test_outside_git_the_report_says_where_originals_are_and_check_what_compress_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(encoded(photo((320, 240)), "JPEG", quality=97))
    (tmp_path / ".semcompress.yaml").write_text(POLICY)
    code, _, err = run(capsys, "check")
    assert code == 1
    assert "warning: compress would refuse: " in err
    assert "not in a git repository, so say in the policy where originals are kept" in err
    (tmp_path / ".semcompress.yaml").write_text(POLICY + "originals: .kept\n")
    code, _, err = run(capsys, "check")
    assert (code, "refuse" in err) == (1, False)
    assert "originals are kept in .kept (`semcompress restore` brings them back)" in run(capsys, "compress")[1]


def test_what_must_be_writable_and_is_not_is_left_before_it_is_looked_at(folder, capsys, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))  # root may all
    for command in ("check", "compress"):
        code, report = as_json(capsys, command)
        assert code == 0
        assert {one["status"] for one in report["results"]} == {"skipped"}
        assert all("is read-only" in one["reason"] for one in report["results"])
        assert report["totals"]["looks"] == 0


@pytest.mark.parametrize("outputs", ["[keep, webp], place: beside", "[jpeg, webp], place: beside"])
def test_nor_is_one_that_may_not_be_replaced_by_its_own_format_beside_another(folder, capsys, make_read_only, outputs):
    policy = POLICY.replace("[jpeg]", "[jpeg, webp]") + f"    outputs: {{formats: {outputs}}}\n"
    (folder / ".semcompress.yaml").write_text(policy)
    make_read_only(folder / "0.jpg")
    _, report = as_json(capsys, "check", "0.jpg")
    (result,) = report["results"]
    assert (result["status"], report["totals"]["looks"]) == ("skipped", 0)
    assert "is read-only" in result["reason"]


@pytest.mark.parametrize("outputs", ["[keep], place: replace", "[webp], place: beside", "[keep, webp], place: beside"])
def test_what_lies_in_a_folder_that_cannot_be_written_to_is_not_looked_at(folder, capsys, make_read_only, outputs):
    policy = POLICY.replace("[jpeg]", "[jpeg, webp]") + f"    outputs: {{formats: {outputs}}}\n"
    (folder / ".semcompress.yaml").write_text(policy)
    make_read_only(folder)
    folder.chmod(0o755)
    for command in ("check", "compress"):
        code, report = as_json(capsys, command)
        assert (code, report["totals"]["skipped"], report["totals"]["looks"]) == (0, 3, 0)
        assert all("lies in a folder that cannot be written to" in one["reason"] for one in report["results"])


def test_check_looks_at_what_is_mounted_read_only(folder, capsys, make_read_only, monkeypatch):
    """A guard in a container, where the checkout is mounted so."""
    make_read_only(folder)
    folder.chmod(0o755)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    code, report = as_json(capsys, "check")
    assert (code, report["totals"]["compressed"]) == (1, 3)
    code, report = as_json(capsys, "compress")
    assert (code, report["totals"]["skipped"], report["totals"]["looks"]) == (0, 3, 0)


def test_what_only_its_owner_may_replace_is_not_looked_at(folder, capsys, monkeypatch):
    folder.chmod(0o1777)
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    code, report = as_json(capsys, "check")
    assert (code, report["totals"]["skipped"], report["totals"]["looks"]) == (0, 3, 0)
    assert all("is somebody else's, in a folder where only owners" in one["reason"] for one in report["results"])
    monkeypatch.setattr(os, "geteuid", lambda: us)
    assert as_json(capsys, "check")[1]["totals"]["compressed"] == 3


def test_evaluate_asks_for_the_rule_of_a_picture_named_through_a_link_to_its_repository(folder, tmp_path, capsys):
    (folder / "real").mkdir()
    (folder / "0.jpg").rename(folder / "real" / "0.jpg")
    (tmp_path / "link").symlink_to(folder / "real")
    shutil.copy(folder / "real" / "0.jpg", elsewhere := tmp_path / "elsewhere.jpg")
    code, out, _ = run(capsys, "evaluate", str(tmp_path / "link" / "0.jpg"), str(elsewhere))
    assert (code, "max 0.05" in out) == (0, True)


def test_evaluate_says_what_became_of_transparency(folder, capsys):
    (folder / ".semcompress.yaml").write_text(POLICY.replace("*.jpg", "*.png"))
    for name, alpha in (("opaque", 255), ("thin", 254)):
        image = photo((64, 48)).convert("RGBA")
        image.putpixel((0, 0), (255, 255, 255, alpha))
        image.save(folder / f"{name}.png")
    for names, said in ((("opaque", "thin"), "made it transparent"), (("thin", "opaque"), "lost the transparency")):
        code, out, _ = run(capsys, "evaluate", *(f"{name}.png" for name in names))
        assert (code, said in out) == (1, True)


def test_evaluate_asks_for_the_rule_of_either_picture(folder, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere.jpg"
    shutil.copy(folder / "0.jpg", elsewhere)
    code, out, _ = run(capsys, "evaluate", str(elsewhere), "0.jpg", "--policy", ".semcompress.yaml")
    assert (code, "rule all" in out, "max 0.05" in out) == (0, True, True)
    code, _, err = run(capsys, "evaluate", str(elsewhere), str(elsewhere), "--policy", ".semcompress.yaml")
    assert code == 2
    assert "no rule of it governs" in err


def test_evaluate_measures_and_judges(folder, capsys):
    code, out, _ = run(capsys, "evaluate", "0.jpg", "0.jpg")
    assert code == 0
    assert "js_divergence 0 " in out
    assert out.endswith("holds\n")
    code, out, _ = run(capsys, "evaluate", "0.jpg", "1.jpg")
    assert code == 1
    assert "MISSED: max 0.05" in out
    code, report = as_json(capsys, "evaluate", "0.jpg", "0.jpg")
    assert report["scores"]["classifier"]["js_divergence"] == 0


def test_explain_says_rule_readers_and_what_is_settled(folder, capsys):
    code, out, _ = run(capsys, "explain", "0.jpg")
    assert code == 0
    assert "rule: all, preset machine" in out
    assert "seen by classifier:" in out
    assert "settled: not yet" in out
    run(capsys, "compress")
    _, out, _ = run(capsys, "explain", "0.jpg")
    assert "by jpeg quality" in out


@pytest.mark.parametrize("method", ["__init__", "describe"])
def test_explain_names_a_reader_that_fails_after_all_else_was_said(folder, capsys, monkeypatch, method):
    def broken(*_: object, **__: object) -> None:
        raise PluginError("lens fogged")

    monkeypatch.setattr(ClassifierEvaluator, method, broken)
    (folder / ".semcompress.yaml").write_text(POLICY.replace("files:", "budget: 200 kB\n    files:"))
    code, out, err = run(capsys, "explain", "0.jpg")
    assert (code, err) == (0, "")
    beginnings = "0.jpg: |policy: |rule: all|may use: |must keep: |writes: |budget: at most 200 kB|settled: not yet"
    *lines, last = out.splitlines()
    assert [*map(str.startswith, lines, beginnings.split("|"))] == [True] * len(lines)
    assert last == "seen by classifier: nothing: lens fogged"


def test_explain_tells_the_budget_of_a_rule_that_skips(folder, capsys):
    (folder / ".semcompress.yaml").write_text(POLICY.replace("files:", "budget: 1 MB\n    skip: true\n    files:"))
    assert "rule: all, which says to skip it\nbudget: at most 1 MB" in run(capsys, "explain", "0.jpg")[1]


@pytest.mark.parametrize("command", ["check", "compress"])
def test_a_policy_in_a_folder_without_pictures_governs_nothing_and_is_refused(folder, capsys, command):
    (folder / "config").mkdir()
    (folder / ".semcompress.yaml").rename(folder / "config" / "pictures.yaml")
    subprocess.run(["git", "add", "0.jpg"], check=True)
    before = contents(folder)
    for more in ([], ["0.jpg", "1.jpg"], ["--hook"], ["--hook", "0.jpg"]):
        code, out, err = run(capsys, command, "--policy", "config/pictures.yaml", *more)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert f"config/pictures.yaml: its patterns are relative to {folder / 'config'}, where none of" in err
    assert contents(folder) == before
    # one that governs other pictures than those that somebody's commit has is right
    shutil.copy(folder / "2.jpg", folder / "config" / "2.jpg")
    assert run(capsys, command, "--policy", "config/pictures.yaml", "--hook", "0.jpg")[0] == 0
    assert run(capsys, command, "--policy", "config/pictures.yaml", "0.jpg", "1.jpg")[0] == 0
    assert run(capsys, command, "--policy", "config/pictures.yaml")[0] == 1, "for config/2.jpg"


def test_explain_knows_what_another_lock_has_settled(folder, capsys):
    run(capsys, "compress")
    (folder / "new").mkdir()
    (folder / "new" / ".semcompress.yaml").write_text(POLICY.replace("0.05", "0.04"))
    (folder / "0.jpg").rename(folder / "new" / "0.jpg")
    shutil.rmtree(folder / ".git" / "semcompress")  # as in a fresh clone
    _, out, _ = run(capsys, "explain", "new/0.jpg")
    assert "settled: ../0.jpg: " in out
    assert "by jpeg quality" in out
    assert "(under another policy)" in out


@pytest.mark.parametrize(
    ("formats", "able"),
    [
        ("[keep]", ["jpeg", "repack"]),
        ("[webp]", ["webp", "repack"]),
        ("[smallest]", ["jpeg", "webp", "repack", "png"]),
    ],
)
def test_explain_names_the_compressors_that_write_what_is_wanted(folder, capsys, formats, able):
    policy = POLICY.replace("[jpeg]", f"[jpeg, webp, repack, png]\n    outputs: {{formats: {formats}}}")
    (folder / ".semcompress.yaml").write_text(policy)
    _, out, _ = run(capsys, "explain", "0.jpg")
    (line,) = (line for line in out.splitlines() if line.startswith("may use: "))
    assert [part.split(" ")[0] for part in line.removeprefix("may use: ").split("; ")] == able


def test_an_option_that_a_command_does_not_know_is_refused_with_the_commands_usage(folder, capsys):
    for arguments, usage in ((["explain", "0.jpg"], "semcompress explain"), (["originals", "list"], "originals list")):
        with pytest.raises(SystemExit) as stop:
            main([*arguments, "--formt", "json"])
        said = capsys.readouterr().err
        assert stop.value.code == 2
        assert usage in said.splitlines()[0]
        assert "unrecognized arguments: --formt json" in said


@pytest.mark.parametrize(
    "arguments",
    [["compress", "s3://bkt/in"], ["build", "--in-place", "s3://bkt/in"], ["verify", "--policy", "s3://bkt/x.yaml"]],
)
def test_an_url_where_a_path_is_wanted_is_answered_with_the_command_that_takes_urls(folder, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    said = f"expected a path, got '{arguments[-1]}': only `semcompress build SRC OUT` takes URLs\n"
    assert capsys.readouterr().err.endswith(said)


def test_a_path_that_looks_like_an_url_and_is_there_is_a_path(folder, capsys):
    (folder / "s3:").mkdir()
    (folder / "0.jpg").rename(folder / "s3:" / "0.jpg")
    assert run(capsys, "explain", "s3://0.jpg")[0] == 0


def test_explain_says_that_a_picture_lies_outside_its_policys_folder(folder, capsys):
    (folder / "config").mkdir()
    (folder / ".semcompress.yaml").rename(folder / "config" / "pictures.yaml")
    _, out, _ = run(capsys, "explain", "--policy", "config/pictures.yaml", "0.jpg")
    assert f"rule: none, for it lies outside {folder / 'config'}, to which the policy's patterns are relative" in out
    (folder / ".semcompress.yaml").write_text(POLICY)
    (folder / "0.jpg").rename(folder / "0.jpeg")
    assert "rule: none matches, so it is left alone" in run(capsys, "explain", "0.jpeg")[1]


def test_init_in_a_folder_without_pictures_says_so(repository, capsys):
    assert "written, though no picture is here yet; read it" in run(capsys, "init")[1]


def test_init_writes_a_policy_that_validates_and_is_not_overwritten(repository, capsys):
    (repository / "logo.png").write_bytes(encoded(photo(), "PNG"))
    assert run(capsys, "init")[0] == 0
    assert run(capsys, "validate")[0] == 0
    text = (repository / ".semcompress.yaml").read_text()
    code, _, err = run(capsys, "init")
    assert code == 2
    assert "--force" in err
    assert (repository / ".semcompress.yaml").read_text() == text
    assert run(capsys, "init", "--force")[0] == 0


@pytest.mark.parametrize("arguments", [["compress", ""], ["restore", ""], ["check", "0.jpg", ""], ["build", "", "x"]])
def test_an_empty_text_is_not_taken_for_the_working_folder(folder, capsys, arguments):
    before = contents(folder)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "expected a path, got an empty text" in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["photo.heic", "noext", "v1.2", ".hidden", "photo.jpg.bak"])
def test_what_is_not_called_a_picture_is_not_given_another_name(folder, capsys, name):
    (folder / "0.jpg").rename(folder / name)
    (folder / ".semcompress.yaml").write_text("version: 1\n")
    before = contents(folder)
    code, report = as_json(capsys, "compress", name)
    assert code == 1
    assert "has none of the extensions that pictures have here" in report["results"][0]["reason"]
    assert contents(folder) == before


def test_pictures_with_different_profiles_are_compared_as_they_are_shown(folder, capsys):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = photo((320, 240))
    Path("with.png").write_bytes(encoded(plain, "PNG", icc_profile=srgb))
    Path("without.png").write_bytes(encoded(plain, "PNG"))
    for pair in (("with.png", "without.png"), ("without.png", "with.png")):
        code, told = as_json(capsys, "evaluate", *pair)
        assert code == 0
        assert told["holds"]
        assert told["scores"]["classifier"]["js_divergence"] < 1e-9


def test_a_picture_that_keeps_private_metadata_for_want_of_a_smaller_file_is_told_of(folder, capsys):
    exif = Image.Exif()
    exif[0x013B] = "somebody"
    exif.get_ifd(0x8825)[1] = "N"
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, block in (("0.jpg", exif), ("1.jpg", turned), ("2.jpg", Image.Exif())):
        (folder / name).write_bytes(encoded(photo((320, 240)), "JPEG", quality=30, exif=block))
    text = POLICY.replace("[jpeg]", "[{jpeg: {quality: 95, scale: 1}}]")
    (folder / ".semcompress.yaml").write_text(f"{text}    metadata: strip-private\n")
    before = contents(folder)
    code, out, _ = run(capsys, "compress")
    assert code == 0
    assert "left as they are, with all metadata (exiftool -all= " in out
    assert "-orientation takes it out; min_saving: 0 does of most that a rule replaces): 0.jpg\n" in out
    assert {name: contents(folder)[name] for name in before} == before
    (folder / ".semcompress.yaml").write_text(f"{text}    metadata: keep\n")
    _, report = as_json(capsys, "compress")
    assert not any(result["unstripped"] for result in report["results"])


def test_a_picture_that_has_outputs_beside_it_and_stays_as_it_is_is_told_of_too(folder, capsys):
    exif = Image.Exif()
    exif[0x010F] = "Maker"  # Pillow does not write a block that has nothing in its first directory
    exif.get_ifd(0x8825)[1] = "N"
    (folder / "0.jpg").write_bytes(encoded(photo((320, 240)), "JPEG", quality=95, exif=exif))
    told = []
    for names, outputs in (
        ("[webp]", "{formats: [webp], place: beside}"),
        ("[webp, jpeg]", "{formats: [webp, keep], place: beside}"),
        ("[webp]", "{formats: [webp], place: replace}"),
    ):
        text = POLICY.replace("[jpeg]", names) + f"    outputs: {outputs}\n"
        (folder / ".semcompress.yaml").write_text(text)
        _, report = as_json(capsys, "check", "0.jpg")
        (result,) = report["results"]
        told.append((result["status"], result["unstripped"]))
    assert told == [("compressed", True), ("compressed", False), ("compressed", False)]


def test_what_would_be_written_over_a_file_that_is_not_ours_is_not_even_searched_for(folder, capsys):
    text = POLICY.replace("[jpeg]", "[webp]") + "    outputs: {formats: [webp], place: beside}\n"
    (folder / ".semcompress.yaml").write_text(text)
    (folder / "0.webp").write_bytes(b"somebody's")
    for command in ("check", "compress"):
        _, report = as_json(capsys, command, "0.jpg")
        (result,) = report["results"]
        assert (result["status"], result["looks"]) == ("failed", 0)
        assert "would overwrite 0.webp, which is not ours" in result["reason"]


def test_a_report_that_finds_no_room_is_no_bug(folder):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-P", "-m", "semcompress_plugin", "check", "nothing.jpg", "--format", "json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "semcompress: the report cannot be written: No space left on device\n")


def test_init_counts_what_it_leaves_alone_too(repository, capsys):
    (repository / "logo.png").write_bytes(encoded(photo(), "PNG"))
    for name in ("drawing.svg", "scan.tiff", "phone.HEIC"):
        (repository / name).touch()
    _, out, _ = run(capsys, "init")
    assert "written for 1 picture;" in out
    assert "reads them: 1 heic, 1 svg, 1 tiff." in (repository / ".semcompress.yaml").read_text()


def test_init_outside_git_says_where_originals_go(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("0.jpg").write_bytes(encoded(photo((320, 240)), "JPEG", quality=97))
    run(capsys, "init")
    assert run(capsys, "validate")[0] == 0
    assert run(capsys, "compress")[0] == 1


def test_plugins_lists_everything_with_its_distribution(capsys):
    code, listed = as_json(capsys, "plugins")
    assert code == 0
    assert {"jpeg", "webp", "avif", "png"} <= {c["name"] for c in listed["compressors"]}
    assert {"classifier", "msssim"} <= {e["name"] for e in listed["evaluators"]}
    assert all(e["distribution"] == "semcompress-plugin" for e in listed["evaluators"])


def test_schema_is_a_valid_json_schema_that_accepts_a_policy(capsys):
    import yaml

    code, out, _ = run(capsys, "schema")
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(out))
    jsonschema.validate(yaml.safe_load(POLICY), json.loads(out))


def test_a_bug_of_ours_costs_one_picture_keeps_a_traceback_and_is_exit_3(folder, capsys, monkeypatch):
    load = shrink.Work.load

    def broken(self):
        if self.pending.asset.shown == "1.jpg":
            raise ZeroDivisionError("ours")
        return load(self)

    monkeypatch.setattr(shrink.Work, "load", broken)
    code, out, err = run(capsys, "compress", "--format", "json")
    assert code == 3
    results = {r["path"]: r["status"] for r in json.loads(out)["results"]}
    assert results == {"0.jpg": "compressed", "1.jpg": "failed", "2.jpg": "compressed"}
    kept = Path(err.strip().rsplit(" ", 1)[1])
    assert "ZeroDivisionError: ours" in kept.read_text()
    kept.unlink()


def test_whatever_else_escapes_is_exit_3_with_its_traceback_kept(folder, capsys, monkeypatch):
    panic = type("PanicException", (BaseException,), {})  # as libraries in Rust raise it
    monkeypatch.setattr(runner.Runner, "run", lambda self, jobs: (_ for _ in ()).throw(panic("at lib.rs")))
    code, _, err = run(capsys, "compress")
    assert code == 3
    assert "this is a bug of ours (" in err
    Path(err.strip().rsplit(" ", 1)[1]).unlink()


@pytest.mark.parametrize("command", [["compress"], ["check", "0.jpg"], ["lock"], ["build", "a", "b"], ["init"]])
def test_a_working_folder_that_was_removed_is_said_in_one_line(tmp_path, capsys, monkeypatch, command):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, _, err = run(capsys, *command)
    assert (code, err) == (2, "semcompress: the working folder is not there any more: go to another (cd)\n")
    monkeypatch.undo()


def test_an_interruption_is_exit_130_with_a_tidy_message(folder, capsys, monkeypatch):
    monkeypatch.setattr(runner.Runner, "run", lambda self, jobs: (_ for _ in ()).throw(KeyboardInterrupt))
    code, _, err = run(capsys, "compress")
    assert code == 130
    assert err.startswith("semcompress: interrupted")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_real_interruption_leaves_whole_files_and_the_next_run_goes_on(folder, capsys):
    for seed in range(3, 40):
        (folder / f"{seed}.jpg").write_bytes(encoded(photo((320, 240), seed), "JPEG", quality=97))
    before = {path: path.stat().st_size for path in folder.glob("*.jpg")}
    process = subprocess.Popen(
        [sys.executable, "-m", "semcompress_plugin", "compress"], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    # until the first group is on disk; the rest is far from done then
    while all(path.stat().st_size == size for path, size in before.items()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err == "semcompress: interrupted; files are whole, and the next run goes on from here\n"
    for path in folder.glob("*.jpg"):
        with Image.open(path) as image:
            image.load()
    _, report = as_json(capsys, "compress")
    assert report["totals"]["failed"] == 0
    assert report["totals"]["unchanged"] > 0
    assert report["totals"]["compressed"] > 0


def test_quiet_says_nothing_but_failures(folder, capsys):
    (folder / "3.jpg").write_bytes(b"")
    code, out, err = run(capsys, "compress", "--quiet")
    assert (code, out) == (1, "")
    assert err == "semcompress: 3.jpg: is empty: delete it or put the picture back\n"


def test_the_text_report_has_a_line_for_every_change_and_a_summary(folder, capsys):
    (folder / "3.jpg").write_bytes(b"")
    _, out, _ = run(capsys, "compress")
    lines = out.splitlines()
    assert lines[0].split() == ["file", "before", "after", "saved", "how", "readers"]
    assert [line.split()[0] for line in lines[1:4]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert "jpeg quality" in lines[1]
    assert "classifier: js_divergence" in lines[1]
    assert lines[4] == "failed: 3.jpg: is empty: delete it or put the picture back"
    assert lines[5].startswith("3 compressed, 0 unchanged, 0 skipped, 1 failed,")


@pytest.mark.parametrize("arguments", [[], ["compres"], ["compress", "--format", "xml"], ["compress", "--jobs", "0"]])
def test_usage_errors_are_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_every_command_of_the_parser_has_a_module_and_help():
    from importlib import import_module

    (commands,) = (a for a in parser()._actions if a.dest == "command")
    assert set(commands.choices) == {
        "compress", "check", "build", "evaluate", "explain", "restore", "validate", "schema", "plugins", "init",
        "install-hook", "weights", "lock", "originals", "verify", "baseline",
    }  # fmt: skip
    for name in commands.choices:
        assert callable(import_module(f"semcompress_plugin.commands.{name.replace('-', '_')}").run)


@pytest.mark.parametrize("arguments", [["--help"], ["validate"], ["plugins"], ["schema"], ["compress"], ["check"]])
def test_a_run_with_nothing_to_do_loads_neither_numpy_nor_a_model_runtime(folder, arguments):
    if arguments[0] in ("compress", "check"):
        subprocess.run([sys.executable, "-m", "semcompress_plugin", "compress", "--quiet"], check=False)
    command = [sys.executable, "-X", "importtime", "-m", "semcompress_plugin", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "SEMCOMPRESS_PLUGINS": ""})
    assert done.returncode == 0, done.stderr[-500:]
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "semcompress_plugin" in loaded
    assert not loaded & {"numpy", "onnxruntime", "torch", "scipy", "PIL", "tqdm"}


@pytest.mark.parametrize(("said", "threads"), [({}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, 2)])
@pytest.mark.skipif(sys.platform != "linux", reason="counts threads where Linux lists them")
@pytest.mark.skipif(available_cores() < 2, reason="OpenBLAS starts no threads on one core")
def test_blas_starts_no_threads_beside_ours_unless_it_is_told_to(said, threads):
    program = (
        "import os, sys; from semcompress_plugin.cli import main\n"
        "main(['validate']); assert 'numpy' not in sys.modules\n"
        "import numpy as np; one = np.ones((300, 300)); one @ one; print(len(os.listdir('/proc/self/task')))"
    )
    rest = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**rest, **said})
    assert int(done.stdout.split()[-1]) == threads, done.stderr
