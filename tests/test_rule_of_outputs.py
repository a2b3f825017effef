"""An output that got another name stays under the rule that made it, whichever rule its new name matches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from disk import commit, git
from pictures import encoded, photo
from semcompress_plugin.cli import main
from semcompress_plugin.lock import parse

THUMBS = """\
  - name: thumbs
    files: ["shots/*.png"]
    compress: [{webp: {quality: QUALITY}}]
    keep: {msssim: {score: {min: 0.3}}}
    outputs: {formats: [webp], place: PLACE}
"""
OTHERS = {
    "a catch-all that keeps formats": """\
  - name: rest
    files: ["*"]
    compress: [png, {webp: {quality: 90}}]
    keep: {msssim: {score: {min: 0.9}}}
""",
    "a stricter one for the new name": """\
  - name: rest
    files: ["*.webp"]
    compress: [webp]
    keep: {msssim: {score: {min: 0.999999}}}
""",
    "one that wants another format": """\
  - name: rest
    files: ["**/*.webp"]
    compress: [{png: {}}]
    keep: {msssim: {score: {min: 0.3}}}
    outputs: {formats: [png], place: replace}
""",
}


def policy(other: str, quality: int = 60, place: str = "replace") -> str:
    thumbs = THUMBS.replace("QUALITY", str(quality)).replace("PLACE", place)
    return f"version: 1\nrules:\n{thumbs}{OTHERS.get(other, other)}"


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / "shots").mkdir()
    (repository / "shots/a.png").write_bytes(encoded(photo((200, 150), 1), "PNG"))
    (repository / "shots/b.png").write_bytes(encoded(photo((200, 150), 2), "PNG"))
    return repository


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict]]:
    capsys.readouterr()
    code = main([*words, "--format", "json"])
    return code, {one["path"]: one for one in json.loads(capsys.readouterr().out)["results"]}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "shots").iterdir()}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("place", ["replace", "beside"])
def test_a_second_run_changes_nothing_whichever_rule_the_new_name_matches(folder, capsys, other, place):
    (folder / ".semcompress.yaml").write_text(policy(other, place=place))
    assert run(capsys, "compress")[0] == 1
    before = files(folder)
    assert {"a.webp", "b.webp"} <= before.keys()
    for command in ("compress", "check", "compress"):
        code, results = run(capsys, command)
        assert (code, {one["status"] for one in results.values()}) == (0, {"unchanged"})
        assert not any(one["looks"] for one in results.values())
        assert results["shots/a.webp"]["rule"] == "thumbs"
    assert files(folder) == before


@pytest.mark.parametrize("how", ["renamed", "moved", "copied", "cloned", "twice renamed"])
def test_it_stays_there_wherever_it_goes_under_that_rule(folder, capsys, monkeypatch, how):
    (folder / ".semcompress.yaml").write_text(policy("a catch-all that keeps formats").replace("shots/*.png", "*.png"))
    assert run(capsys, "compress")[0] == 1
    commit(folder)
    match how:
        case "renamed" | "twice renamed":
            git(folder, "mv", "shots/a.webp", "shots/c.webp")
            commit(folder)
            if how == "twice renamed":
                git(folder, "mv", "shots/c.webp", "shots/d.webp")
        case "moved":
            git(folder, "mv", "shots/a.webp", "a.webp")
        case "copied":
            (folder / "copy.webp").write_bytes((folder / "shots/a.webp").read_bytes())
        case "cloned":
            git(folder.parent, "clone", "-q", f"file://{folder}", "clone")
            monkeypatch.chdir(folder.parent / "clone")
    code, results = run(capsys, "compress")
    assert (code, {one["status"] for one in results.values()}) == (0, {"unchanged"})
    assert {one["rule"] for one in results.values()} == {"thumbs"}


def test_only_a_change_of_that_rule_makes_it_outdated(folder, capsys):
    catch_all = "a catch-all that keeps formats"
    (folder / ".semcompress.yaml").write_text(policy(catch_all))
    assert run(capsys, "compress")[0] == 1
    (folder / ".semcompress.yaml").write_text(policy(catch_all).replace("0.9}", "0.95}"))
    assert run(capsys, "compress")[0] == 0
    (folder / ".semcompress.yaml").write_text(policy(catch_all, quality=95).replace("0.3}", "0.985}"))
    before = files(folder)
    code, results = run(capsys, "compress")
    assert code == 1
    assert results["shots/a.webp"]["outputs"][0]["path"] == "shots/a.webp"
    after = files(folder)
    assert after.keys() == before.keys()
    assert after["a.webp"] != before["a.webp"]
    assert run(capsys, "compress")[0] == 0


def test_refreshing_goes_by_the_versions_of_that_rule(folder, capsys):
    (folder / ".semcompress.yaml").write_text(policy("a catch-all that keeps formats"))
    assert run(capsys, "compress")[0] == 1
    code, results = run(capsys, "compress", "--refresh")
    assert (code, [one["looks"] for one in results.values()]) == (0, [0, 0])


def test_two_originals_of_one_output_agree_on_their_rule(folder, capsys):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "another")
    picture = Image.open(folder / "shots/a.png")
    picture.save(folder / "shots/b.png", pnginfo=info)
    (folder / ".semcompress.yaml").write_text(policy("a catch-all that keeps formats"))
    assert run(capsys, "compress")[0] == 1
    assert len(set(files(folder).values())) == 1
    (folder / "shots/a.webp").rename(folder / "shots/z.webp")
    code, results = run(capsys, "compress")
    assert (code, {one["status"] for one in results.values()}) == (0, {"unchanged"})


def test_an_edit_beside_its_pixels_stays_under_that_rule_too(folder, capsys):
    (folder / ".semcompress.yaml").write_text(policy("a catch-all that keeps formats"))
    assert run(capsys, "compress")[0] == 1
    path = folder / "shots/a.webp"
    data = path.read_bytes()
    exif = Image.Exif()
    exif[0x010E] = "a caption"
    with Image.open(path) as picture:
        picture.save(path, lossless=True, exact=True, exif=exif)
    assert path.read_bytes() != data
    edited = path.read_bytes()
    code, results = run(capsys, "compress")
    assert (code, results["shots/a.webp"]["status"], results["shots/a.webp"]["rule"]) == (0, "unchanged", "thumbs")
    policies = {entry.policy for entry in parse((folder / "semcompress.lock").read_text(), "lock")}
    assert len(policies) == 1
    lock = (folder / "semcompress.lock").read_bytes()
    assert run(capsys, "compress")[0] == 0
    assert (path.read_bytes(), (folder / "semcompress.lock").read_bytes()) == (edited, lock)


def test_explain_verify_and_budgets_speak_of_that_rule(folder, capsys):
    text = policy("a catch-all that keeps formats") + "    budget: 1 kB\n"
    (folder / ".semcompress.yaml").write_text(text)
    assert run(capsys, "compress")[0] == 1
    assert run(capsys, "check")[0] == 0, "the other rule's budget is none of theirs"
    code, results = run(capsys, "verify")
    assert (code, {one["rule"] for one in results.values()}) == (0, {"thumbs"})
    assert main(["explain", "shots/a.webp"]) == 0
    told = capsys.readouterr().out
    assert "rule: thumbs" in told
    assert "under another policy" not in told


def test_where_its_rule_is_gone_the_new_names_rule_governs(folder, capsys):
    (folder / ".semcompress.yaml").write_text(policy("a catch-all that keeps formats"))
    assert run(capsys, "compress")[0] == 1
    skipped = policy("a catch-all that keeps formats").partition("    compress")[0] + "    skip: true\n"
    (folder / ".semcompress.yaml").write_text(skipped + OTHERS["a stricter one for the new name"])
    before = files(folder)
    code, results = run(capsys, "compress")
    assert {one["rule"] for one in results.values()} == {"rest"}
    assert files(folder).keys() != before.keys(), "under a policy that wants more, the originals are back"
    assert code == 1
    assert run(capsys, "compress")[0] == 0


def test_a_build_copies_it_as_it_is(folder, capsys, tmp_path):
    (folder / ".semcompress.yaml").write_text(policy("a catch-all that keeps formats"))
    assert run(capsys, "compress")[0] == 1
    assert run(capsys, "build", ".", str(tmp_path / "public"))[0] == 0
    assert files(tmp_path / "public") == files(folder)


def alone(folder: Path, **more: str) -> None:
    """A policy of one rule, which matches no name that it gives."""
    changes = "".join(f"    {key}: {value}\n" for key, value in more.items())
    (folder / ".semcompress.yaml").write_text(policy("") + changes)


def test_a_name_that_no_rule_matches_is_governed_where_the_lock_has_it_for_a_picture_that_was_replaced(folder, capsys):
    alone(folder)
    assert run(capsys, "compress")[0] == 1
    before = files(folder)
    assert before.keys() == {"a.webp", "b.webp"}
    for command in ("compress", "check"):
        code, results = run(capsys, command)
        assert (code, [(one["status"], one["rule"], one["looks"]) for one in results.values()]) == (
            (0, [("unchanged", "thumbs", 0)] * 2)
        )
    assert main(["verify"]) == 0
    assert "verified 2 of 2" in capsys.readouterr().err
    alone(folder, budget="100 B")
    assert run(capsys, "check")[1]["shots/a.webp"]["over_budget"]
    (folder / ".semcompress.yaml").write_text(policy("", quality=95).replace("0.3}", "0.985}"))
    assert main(["verify"]) == 1, "guards notice a stricter policy"
    assert run(capsys, "compress")[0] == 1
    assert files(folder).keys() == before.keys()
    assert files(folder)["a.webp"] != before["a.webp"]
    assert main(["restore", "--all"]) == 0
    assert files(folder).keys() == {"a.png", "b.png"}


def test_of_such_a_name_only_what_the_lock_has_there_is_governed(folder, capsys):
    alone(folder)
    assert run(capsys, "compress")[0] == 1
    (folder / "shots/a.webp").write_bytes(encoded(photo((200, 150), 7), "WEBP"))
    (folder / "shots/stranger.webp").write_bytes(encoded(photo((200, 150), 8), "WEBP"))
    before = files(folder)
    code, results = run(capsys, "compress")
    assert code == 0
    assert {name: one["status"] for name, one in results.items()} == {
        "shots/a.webp": "skipped", "shots/b.webp": "unchanged", "shots/stranger.webp": "skipped",
    }  # fmt: skip
    assert results["shots/a.webp"]["reason"] == "no rule matches"
    assert files(folder) == before


def test_a_lock_that_cannot_be_read_is_no_matter_of_pictures_that_no_rule_matches(folder, capsys):
    alone(folder)
    assert run(capsys, "compress")[0] == 1
    with (folder / "semcompress.lock").open("a") as lock:
        lock.write("<<<<<<< ours\n")
    code, results = run(capsys, "check", "shots/b.webp")
    assert (code, results["shots/b.webp"]["reason"]) == (0, "no rule matches")
