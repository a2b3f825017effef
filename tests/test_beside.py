"""Files that a rule wants beside a picture: made where they are not there, and never lost where they are the last."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from disk import commit, content, entry, git, sha, workplace
from pictures import encoded, photo
from semcompress_plugin import settle
from semcompress_plugin.cli import main
from semcompress_plugin.files import _temporary
from semcompress_plugin.lock import Lock, parse

POLICY = """\
version: 1
rules:
  - name: all
    files: ["*.jpg"]
    compress: [{jpeg: {quality: [40, 60]}}, {webp: {quality: [40, 60]}}]
    outputs: {formats: FORMATS, place: beside}
    keep: {msssim: {score: {min: 0.3}}}
"""
BOTH = POLICY.replace("FORMATS", "[webp, keep]")


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / ".semcompress.yaml").write_text(BOTH)
    (repository / "a.jpg").write_bytes(encoded(photo((240, 180), 1), "JPEG", quality=97))
    return repository


def run(capsys: pytest.CaptureFixture[str], command: str, *more: str) -> tuple[int, list[dict]]:
    capsys.readouterr()
    code = main([command, *more, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)["results"]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".lock"}


def settled(capsys: pytest.CaptureFixture[str]) -> None:
    code, results = run(capsys, "compress")
    assert (code, [one["looks"] for one in results if one["looks"]]) == (0, [])


def test_what_was_deleted_beside_a_picture_is_made_again_and_nothing_else_is_touched(folder, capsys):
    original = (folder / "a.jpg").read_bytes()
    assert run(capsys, "compress")[0] == 1
    before = files(folder)
    assert before["a.jpg"] != original
    settled(capsys)
    (folder / "a.webp").unlink()
    assert run(capsys, "check")[0] == 1
    assert run(capsys, "verify")[0] == 1
    code, (result,) = run(capsys, "compress", "a.jpg")
    assert (code, [one["path"] for one in result["outputs"]]) == (1, ["a.webp"])
    assert result["looks"] == 2, "one to see that the picture holds, one at what was found before"
    assert files(folder) == before
    settled(capsys)
    assert main(["restore", "--all"]) == 0
    assert (folder / "a.jpg").read_bytes() == original


def raised(folder: Path, policy: str) -> None:
    (folder / ".semcompress.yaml").write_text(policy.replace("min: 0.3", "min: 0.9999"))


def test_verify_measures_what_lies_beside_a_picture_that_was_itself_replaced(folder, capsys):
    assert run(capsys, "compress")[0] == 1
    code, (result, _) = run(capsys, "verify", "a.jpg", "a.webp")
    assert (code, result["status"], result["looks"]) == (0, "unchanged", 2)
    raised(folder, BOTH)
    code, (result,) = run(capsys, "verify", "a.jpg")
    assert (code, result["status"], result["looks"]) == (1, "failed", 2)
    assert sorted(result["reason"].count(words) for words in ("does not hold", "a.webp does not hold")) == [1, 2]
    assert run(capsys, "verify", "--tolerance", "1")[0] == 0


def test_verify_names_what_lies_beside_a_replaced_picture_and_is_another_or_gone(folder, capsys):
    assert run(capsys, "compress")[0] == 1
    for policy in (BOTH, BOTH.replace("min: 0.3", "min: 0.31")):  # what is settled, and what is to be looked at again
        (folder / ".semcompress.yaml").write_text(policy)
        (folder / "a.webp").write_bytes(encoded(photo((240, 180), 2), "WEBP"))
        code, (result,) = run(capsys, "verify", "a.jpg")
        assert (code, result["status"], result["looks"]) == (1, "failed", 1)
        assert result["reason"].startswith("a.webp, which should lie beside it, is not what was written: ")
        (folder / "a.webp").unlink()
        code, (result,) = run(capsys, "verify")
        assert (code, result["status"]) == (1, "failed")
        assert result["reason"].startswith("a.webp, which should lie beside it, is not there: ")
    (folder / ".semcompress.yaml").write_text(POLICY.replace("FORMATS", "[keep]"))
    assert run(capsys, "verify")[0] == 0, "the rule wants none any more"


def test_a_changed_policy_is_what_outputs_beside_an_original_are_measured_by(folder, capsys):
    alone = POLICY.replace("FORMATS", "[webp]")
    (folder / ".semcompress.yaml").write_text(alone)
    assert run(capsys, "compress")[0] == 1
    raised(folder, alone)
    code, (result,) = run(capsys, "verify", "a.jpg")
    assert (code, result["looks"]) == (1, 1)
    assert result["reason"].startswith("a.webp does not hold what its policy asks")
    (folder / "a.webp").unlink()
    assert run(capsys, "verify")[0] == 1
    assert run(capsys, "compress")[1][0]["status"] == "unchanged", "nothing holds"
    assert run(capsys, "verify")[0] == 0


def test_without_the_original_what_lies_beside_is_not_measured_but_missed_all_the_same(
    folder, capsys, monkeypatch, tmp_path
):
    assert run(capsys, "compress")[0] == 1
    commit(folder)
    git(tmp_path, "clone", "-q", f"file://{folder}", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    code, (result, _) = run(capsys, "verify", "a.jpg", "a.webp")
    assert (code, result["status"], result["looks"]) == (0, "skipped", 0)
    assert main(["verify"]) == 0
    assert "verified 0 of 2 outputs against their originals; 2 could not be" in capsys.readouterr().err
    assert run(capsys, "verify", "--require-originals")[0] == 1
    Path("a.webp").unlink()
    assert run(capsys, "verify")[0] == 1


def forget_what_replaced(folder: Path) -> None:
    """Have the lock know only what lies beside originals, as one side of a merge may."""
    lock = folder / "semcompress.lock"
    lines = lock.read_text().splitlines(keepends=True)
    lock.write_text("".join(line for line in lines if '"relation": "replaced"' not in line))


@pytest.mark.parametrize("how", ["restored", "from a commit", "in a clone", "with a lock that knows half of it"])
def test_an_original_that_comes_back_is_shrunk_again_though_an_output_lies_beside_it(folder, capsys, monkeypatch, how):
    commit(folder)
    assert run(capsys, "compress")[0] == 1
    commit(folder)
    before = files(folder)
    if how == "in a clone":
        git(folder.parent, "clone", "-q", f"file://{folder}", "clone")
        monkeypatch.chdir(folder := folder.parent / "clone")
    if how == "restored":
        assert main(["restore", "a.jpg"]) == 0
    else:
        git(folder, "checkout", "-q", "HEAD~1", "--", "a.jpg")
    if how == "with a lock that knows half of it":
        forget_what_replaced(folder)
    assert files(folder) != before
    assert run(capsys, "check")[0] == 1
    code, results = run(capsys, "compress")
    assert (code, [one["status"] for one in results if one["path"] == "a.jpg"]) == (1, ["compressed"])
    assert files(folder) == before
    settled(capsys)


def test_a_build_shrinks_it_too(folder, capsys, tmp_path):
    assert run(capsys, "compress")[0] == 1
    before = files(folder)
    assert main(["restore", "a.jpg"]) == 0
    assert run(capsys, "build", ".", str(tmp_path / "public"))[0] == 0
    assert files(tmp_path / "public") == {name: data for name, data in before.items() if name != ".semcompress.yaml"}


@pytest.mark.parametrize("known", ["by the lock", "by the journal alone"])
def test_where_nothing_takes_its_place_any_more_that_is_not_asked_again_either(folder, capsys, monkeypatch, known):
    """Another version of an encoder may write larger files: then the original is kept, beside its WebP."""
    from semcompress_plugin.shrink import Work

    assert run(capsys, "compress")[0] == 1
    assert main(["restore", "a.jpg"]) == 0
    if known == "by the journal alone":
        forget_what_replaced(folder)
    really = Work.study

    def study(self, reference):
        found = yield from really(self, reference)
        alone = tuple(one for one in found.decisions if one.candidate and one.candidate.proposal.format != "JPEG")
        return replace(found, decisions=alone)

    monkeypatch.setattr(Work, "study", study)
    run(capsys, "compress")
    settled(capsys)


@pytest.mark.parametrize("folders", [("", ""), ("", "sub")], ids=["under one lock", "under two"])
def test_nor_is_it_where_a_copy_of_it_became_an_output_of_another_name(repository, capsys, folders):
    """What holds in the place of a copy is no sign that anything would take the place of the original itself."""
    replaced = """\
version: 1
rules:
  - name: all
    files: ["*"]
    compress: [{webp: {quality: 50}}]
    outputs: {formats: [webp], place: replace}
    keep: {msssim: {score: {min: 0.3}}}
"""
    beside = replaced.replace("50", "30").replace("[webp], place: replace", "[keep, webp], place: beside")
    beside = beside.replace("[{webp", "[{jpeg: {quality: 30}}, {webp")
    places = [repository / folder for folder in folders]
    for place, name in zip(places, ["a.png", "b.png"], strict=True):
        place.mkdir(exist_ok=True)
        (place / ".semcompress.yaml").write_text(replaced)
        (place / name).write_bytes(encoded(photo((240, 180), 1), "PNG"))
    assert run(capsys, "compress")[0] == 1
    assert main(["restore", str(places[1] / "b.webp")]) == 0
    for place in places:
        (place / ".semcompress.yaml").write_text(beside)
    assert run(capsys, "compress")[0] == 1
    assert (places[1] / "b.png").is_file()
    settled(capsys)


@pytest.mark.parametrize("shrunk", [False, True], ids=["an original", "an output"])
def test_of_two_outputs_that_lay_at_one_place_under_one_policy_either_will_do(tmp_path, shrunk):
    """One of another policy may hold under this, where one was made before, on another branch say."""
    original = content(b"original")
    (tmp_path / "a.webp").write_bytes(b"output")
    lock = Lock(tmp_path / "semcompress.lock")
    lines = [
        entry(0, original=original, output=content(output), relation="beside", path="a.webp", name="a.jpg")
        for output in (b"an older output", b"output")
    ]
    ours = entry(0, original=original, output=content(b"shrunk"), path="a.jpg", name="a.jpg")
    lock.add([*lines, ours] if shrunk else lines)

    def is_complete() -> bool:
        if shrunk:
            return not lock.lacks(ours.output.sha256, ours.policy, tmp_path / "a.jpg")
        return lock.settled(original.sha256, ours.policy, tmp_path / "a.jpg") is not None

    assert is_complete()
    (tmp_path / "a.webp").unlink()
    assert not is_complete()


def test_a_rule_that_comes_to_want_a_file_beside_a_picture_gets_it_from_the_original(folder, capsys):
    original = (folder / "a.jpg").read_bytes()
    (folder / ".semcompress.yaml").write_text(POLICY.replace("FORMATS", "[keep]"))
    assert run(capsys, "compress")[0] == 1
    shrunk = (folder / "a.jpg").read_bytes()
    (folder / ".semcompress.yaml").write_text(BOTH)
    code, (result,) = run(capsys, "check")
    assert (code, result["status"]) == (1, "compressed")
    assert run(capsys, "compress")[0] == 1
    assert (folder / "a.jpg").read_bytes() == shrunk
    lines = [json.loads(line) for line in (folder / "semcompress.lock").read_text().splitlines()[1:]]
    (beside,) = (line for line in lines if line["relation"] == "beside")
    assert {line["original"]["sha256"] for line in lines} == {beside["original"]["sha256"]}
    settled(capsys)
    main(["build", ".", "../out"])
    assert (folder.parent / "out/a.webp").read_bytes() == (folder / "a.webp").read_bytes()
    assert main(["restore", "--all"]) == 0
    assert (folder / "a.jpg").read_bytes() == original


def test_in_a_clone_without_the_original_what_is_missing_stays_missing_with_a_word(
    folder, capsys, monkeypatch, tmp_path
):
    assert run(capsys, "compress")[0] == 1
    git(folder, "add", "a.jpg", "semcompress.lock", ".semcompress.yaml")
    git(folder, "commit", "-qm", "without the webp")
    subprocess.run(["git", "clone", "-q", f"file://{folder}", tmp_path / "clone"], check=True)
    monkeypatch.chdir(tmp_path / "clone")
    before = files(Path())
    for _ in range(2):
        code, (result,) = run(capsys, "compress")
        assert (code, result["status"]) == (0, "skipped")
        assert result["reason"].startswith("lacks what was written beside it, and its original")
        assert files(Path()) == before


ALONE = """\
version: 1
rules:
  - name: all
    files: ["**/*"]
    compress: [{webp: {quality: [40, 90]}}, {jpeg: {quality: [40, 90]}}]
    outputs: {formats: FORMATS, place: PLACE}
    keep: {msssim: {score: {min: BOUND}}}
"""
JPEG, PNG = encoded(photo((240, 180), 1), "JPEG", quality=97), encoded(photo((240, 180), 2), "PNG")


def rule(folder: Path, place: str, formats: str = "[webp]", bound: str = "0.3") -> None:
    text = ALONE.replace("PLACE", place).replace("FORMATS", formats).replace("BOUND", bound)
    (folder / ".semcompress.yaml").write_text(text)


@pytest.fixture
def site(repository: Path) -> Path:
    rule(repository, "beside")
    (repository / "a.jpg").write_bytes(JPEG)
    return repository


def refused(capsys: pytest.CaptureFixture[str], path: str) -> str:
    """Why a picture cannot be written, the same in a second run."""
    first, again = ([one["reason"] for one in run(capsys, "compress")[1] if one["path"] == path] for _ in range(2))
    assert first == again
    return first[0]


@pytest.mark.parametrize("place", ["beside", "replace"])
def test_an_output_whose_original_is_gone_is_not_written_over_by_another_picture(site, capsys, place):
    assert run(capsys, "compress")[0] == 1
    last = (site / "a.webp").read_bytes()
    (site / "a.jpg").unlink()
    (site / "a.png").write_bytes(PNG)
    rule(site, place)
    assert refused(capsys, "a.png") == (
        "would overwrite a.webp, which was made beside a.jpg, not here any more: delete it if nothing needs it, or "
        "rename one"
    )
    assert (site / "a.webp").read_bytes() == last


@pytest.mark.parametrize("name", ["a.JPG", "a.jpeg", "A.jpg"])
def test_a_picture_that_spells_its_name_otherwise_and_was_edited_writes_over_its_own_output(site, capsys, name):
    assert run(capsys, "compress")[0] == 1
    (site / "a.jpg").unlink()
    (site / name).write_bytes(encoded(photo((240, 180), 5), "JPEG", quality=97))
    if name.startswith("A"):
        (site / "a.webp").rename(site / "A.webp")
    before = (site / name).with_suffix(".webp").read_bytes()
    code, (result,) = run(capsys, "compress", name)
    assert (code, result["status"]) == (1, "compressed")
    assert (site / name).with_suffix(".webp").read_bytes() != before
    settled(capsys)


def test_what_lies_beside_its_settled_original_costs_no_more_git_than_anything_else(site, capsys, monkeypatch):
    assert run(capsys, "compress")[0] == 1
    commit(site)
    assert main(["compress", "--quiet"]) == 0  # of files that were just written, the hash is taken again
    asked: list[str] = []
    really = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **more: (asked.append(str(a[0])), really(*a, **more))[1])
    assert main(["compress", "--quiet"]) == 0
    assert not [one for one in asked if "cat-file" in one or "--unmerged" in one]


@pytest.mark.parametrize("committed", [False, True])
def test_the_output_of_a_picture_that_was_edited_gives_way_and_is_kept_if_it_may_be_the_last(site, capsys, committed):
    (site / "sub").mkdir()
    assert run(capsys, "compress")[0] == 1
    for name in ("a.jpg", "a.webp"):
        (site / name).rename(site / "sub" / name)
    last = (site / "sub/a.webp").read_bytes()
    if committed:
        commit(site)
    (site / "sub/a.jpg").write_bytes(encoded(photo((240, 180), 2), "JPEG", quality=97))
    code, results = run(capsys, "compress")
    assert (code, [one["status"] for one in results if one["path"] == "sub/a.jpg"]) == (1, ["compressed"])
    assert (site / "sub/a.webp").read_bytes() != last
    assert [one.sha256 for one in workplace(site)[1].kept()] == ([] if committed else [sha(last)])
    settled(capsys)


@pytest.mark.parametrize("how", ["a copy", "another policy"])
def test_a_second_line_about_an_output_gives_it_to_nobody_else(site, capsys, how):
    if how == "a copy":
        (site / "old").mkdir()
        (site / "old/b.jpg").write_bytes(JPEG)
        assert run(capsys, "compress", "old")[0] == 1
    else:
        assert run(capsys, "compress")[0] == 1
        rule(site, "replace")
    assert run(capsys, "compress")[0] == 1
    ours = (site / "a.webp").read_bytes()
    (site / "a.png").write_bytes(PNG)
    assert refused(capsys, "a.png") == "would be written where a.jpg is: rename one, or exclude one"
    assert (site / "a.webp").read_bytes() == ours


def test_what_a_killed_run_had_taken_out_is_not_swept_where_it_is_the_last(site, capsys):
    assert run(capsys, "compress")[0] == 1
    lock, originals = workplace(site)
    taken = lock.state / f"{_temporary.PREFIX}0123456789abcdef{_temporary.PARKED}"
    taken.write_bytes((site / "a.webp").read_bytes())
    (site / "a.jpg").unlink()
    assert settle.sweep_parked([lock.state], lock, originals) == [taken]
    (site / "a.jpg").write_bytes(JPEG)
    assert settle.sweep_parked([lock.state], lock, originals) == []
    assert not taken.exists()


@pytest.mark.parametrize("policy", [".", "sub"])
def test_what_took_its_originals_place_is_not_settled_for_having_lain_beside_it(site, capsys, policy):
    (site / "sub").mkdir()
    (site / "a.jpg").rename(site / "sub/a.jpg")
    assert run(capsys, "compress")[0] == 1
    rule(site, "replace")
    assert run(capsys, "compress")[0] == 1
    (site / ".git/semcompress/journal").unlink()  # as in a clone
    rule(site / policy, "replace", bound="0.99")
    assert run(capsys, "check")[0] == 1
    assert run(capsys, "compress")[0] == 1
    assert run(capsys, "verify")[0] == 0
    settled(capsys)


def test_what_lies_beside_its_original_again_is_settled_again(site, capsys):
    assert run(capsys, "compress")[0] == 1
    rule(site, "replace")
    assert run(capsys, "compress")[0] == 1
    assert run(capsys, "restore", "--all")[0] == 0
    assert files(site).keys() >= {"a.jpg", "a.webp"}
    rule(site, "beside", bound="0.99")
    code, results = run(capsys, "compress")
    assert (code, {one["path"]: one["status"] for one in results}) == (
        1,
        {"a.jpg": "compressed", "a.webp": "unchanged"},
    )
    settled(capsys)


def test_of_an_output_beside_restore_says_whose_it_is_and_where_that_is(site, capsys):
    assert run(capsys, "compress")[0] == 1
    reason = lambda name: run(capsys, "restore", name)[1][0]["reason"]  # noqa: E731
    assert reason("a.webp") == "was made beside a.jpg, which is there"
    (site / "a.jpg").unlink()
    assert reason("a.webp") == "was made beside a.jpg, which is not here any more"
    (site / "a.webp").rename(site / "b.webp")
    assert reason("b.webp") == "was made beside a.jpg, which is not here any more"


@pytest.mark.parametrize("which", ["--all", "a.webp"])
def test_an_original_that_was_kept_comes_back_beside_what_was_made_of_it(site, capsys, which):
    rule(site, "beside", "[keep, webp]")
    assert run(capsys, "compress")[0] == 1
    beside = (site / "a.webp").read_bytes()
    (site / "a.jpg").unlink()
    assert run(capsys, "restore", which)[0] == 0
    assert (site / "a.jpg").read_bytes() == JPEG
    assert (site / "a.webp").read_bytes() == beside


def test_restore_removes_what_took_an_originals_place_though_it_lies_beside_another_elsewhere(site, capsys):
    assert run(capsys, "compress")[0] == 1
    (site / "sub").mkdir()
    (site / "sub/a.jpg").write_bytes(JPEG)
    (site / "a.jpg").unlink()
    rule(site, "replace")
    assert run(capsys, "compress")[0] == 1
    assert {entry.relation for entry in parse((site / "semcompress.lock").read_text(), "x")} == {"beside", "replaced"}
    assert run(capsys, "restore", "sub/a.webp")[0] == 0
    assert [path.name for path in (site / "sub").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(("low", "redone"), [(0.9, False), (0.985, True)])
def test_what_lies_beside_a_picture_is_measured_too_where_the_policy_changed(folder, capsys, low, redone):
    """a.jpg holds under either bound; a.webp, of a poor quality, under the first alone."""
    policy = BOTH.replace("[40, 60]", "90", 1).replace("[40, 60]", "[20, 90]")
    (folder / ".semcompress.yaml").write_text(policy)
    assert run(capsys, "compress")[0] == 1
    before = files(folder)
    (folder / ".semcompress.yaml").write_text(policy.replace("0.3", str(low)))
    assert main(["verify", "--quiet"]) == int(redone)
    assert run(capsys, "compress")[0] == int(redone)
    after = files(folder)
    assert after["a.jpg"] == before["a.jpg"]
    assert (after["a.webp"] != before["a.webp"]) == redone
    assert main(["verify", "--quiet"]) == 0
    settled(capsys)
