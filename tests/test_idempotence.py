"""What is settled is neither searched nor shrunk again: not after a rename, in a clone, nor with newer tools."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from disk import commit, git, sha
from pictures import encoded, photo
from semcompress_plugin import domains, shrink
from semcompress_plugin.cli import main
from semcompress_plugin.commands import _planning
from semcompress_plugin.compressors.jpeg import JpegCompressor
from semcompress_plugin.entries import HEADER, parse
from semcompress_plugin.errors import OriginalsError
from semcompress_plugin.git import find
from semcompress_plugin.originals import GitOriginals

HEAD = "version: 1\npreset: machine\nrules:\n"
RULE = """\
  - name: {name}
    files: ["{files}"]
    compress: [{compress}]
    keep: {{classifier: {{js_divergence: {{max: {bound}}}}}}}
"""


def rules(folder: Path, *wanted: dict) -> None:
    usual = {"name": "all", "files": "*.jpg", "compress": "jpeg", "bound": 0.05}
    (folder / ".semcompress.yaml").write_text(HEAD + "".join(RULE.format(**{**usual, **one}) for one in wanted))


@pytest.fixture
def folder(repository: Path) -> Path:
    rules(repository, {})
    (repository / "a.jpg").write_bytes(encoded(photo((240, 180), 1), "JPEG", quality=97))
    return repository


@pytest.fixture
def worked_on(monkeypatch) -> list[str]:
    """The pictures that were taken up, to be measured or searched."""
    names: list[str] = []
    load = shrink.Work.load
    monkeypatch.setattr(shrink.Work, "load", lambda self: (names.append(self.pending.asset.shown), load(self))[1])
    return names


def settled(folder: Path, worked_on: list[str]) -> bool:
    """Whether a run over everything takes nothing up and changes nothing, here and in a fresh clone."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}
    worked_on.clear()
    assert main(["compress"]) == 0
    commit(folder)
    clone = folder.parent / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    git(folder.parent, "clone", "-q", f"file://{folder}", "clone")
    assert main(["compress", str(clone)]) == 0
    after = {path: path.read_bytes() for path in before}
    return after == before and not worked_on and not git(clone, "status", "--porcelain")


def test_a_rename_a_copy_and_a_fresh_clone(folder, worked_on):
    assert main(["compress"]) == 1
    shutil.copy(folder / "a.jpg", folder / "copy.jpg")
    (folder / "sub").mkdir()
    (folder / "a.jpg").rename(folder / "sub" / "renamed.jpg")
    assert settled(folder, worked_on)


def test_of_a_line_that_a_lock_forgot_it_is_said_that_it_is_put_back(folder, capsys):
    assert main(["compress"]) == 1
    text = (folder / "semcompress.lock").read_text()
    (folder / "semcompress.lock").write_text(text.splitlines(keepends=True)[0])
    assert main(["compress"]) == 0
    assert "semcompress.lock: put 1 forgotten line back\n" in capsys.readouterr().err
    assert (folder / "semcompress.lock").read_text() == text


def test_two_originals_with_one_output(folder, worked_on, monkeypatch):
    rules(folder, {"bound": 0.9, "compress": "{jpeg: {scale: 1}}"})
    other = encoded(photo((240, 180), 1), "JPEG", quality=96)
    (folder / "b.jpg").write_bytes(other)
    result = encoded(photo((240, 180), 1), "JPEG", quality=80)
    monkeypatch.setattr(JpegCompressor, "compress", lambda self, *_: result)
    assert main(["compress"]) == 1
    assert (folder / "a.jpg").read_bytes() == (folder / "b.jpg").read_bytes() == result
    entries = parse((folder / "semcompress.lock").read_text(), "x")
    assert len({entry.original for entry in entries}) == 2
    assert settled(folder, worked_on)
    assert main(["restore", "b.jpg"]) == 0
    assert (folder / "b.jpg").read_bytes() == other


def test_one_content_under_two_rules(folder, worked_on):
    rules(folder, {"name": "strict", "files": "strict/*.jpg", "bound": 0.01}, {})
    (folder / "strict").mkdir()
    shutil.copy(folder / "a.jpg", folder / "strict/a.jpg")
    assert main(["compress"]) == 1
    policies = {entry.policy for entry in parse((folder / "semcompress.lock").read_text(), "x")}
    assert len(policies) == 2
    assert settled(folder, worked_on)


@pytest.mark.parametrize("how", ["a new policy below", "--policy", "moved to another policy"])
def test_what_another_lock_knows_for_ours_is_no_original(folder, tmp_path, monkeypatch, how):
    """A clone into which a shrunk folder was copied: no journal and no commit tells, only the other lock can."""
    (folder / "sub").mkdir()
    (folder / "a.jpg").rename(folder / "sub/a.jpg")
    original = (folder / "sub/a.jpg").read_bytes()
    commit(folder)
    rules(folder, {"files": "sub/*.jpg"})
    assert main(["compress"]) == 1
    git(tmp_path, "clone", "-q", f"file://{folder}", "clone")
    clone = tmp_path / "clone"
    for name in ("sub/a.jpg", ".semcompress.yaml", "semcompress.lock"):
        shutil.copy(folder / name, clone / name)
    monkeypatch.chdir(clone)
    place, arguments = clone / "sub/a.jpg", []
    looser = {"bound": 0.5, "compress": "jpeg: {quality: [5, 30]}"}
    if how == "--policy":
        rules(clone / "sub", looser)
        (clone / "sub/.semcompress.yaml").rename(clone / "sub/other.yaml")
        arguments = ["--policy", "sub/other.yaml"]
    elif how == "a new policy below":
        rules(clone / "sub", looser)
    else:
        (clone / "other").mkdir()
        rules(clone / "other", looser)
        place = place.rename(clone / "other/b.jpg")
    assert main(["compress", *arguments]) in (0, 1)
    (lock,) = [path for path in clone.rglob("semcompress.lock") if path.parent != clone]
    (entry,) = parse(lock.read_text(), "lock")
    assert entry.original.bytes == len(original), "measured, or searched, from the original"
    assert entry.generation == 1
    assert main(["restore", str(place)]) == 0
    assert place.read_bytes() == original


@pytest.mark.parametrize("where", ["as it was", "renamed", "renamed in a clone"])
def test_refreshing_ends_and_says_where_nothing_changed(folder, tmp_path, monkeypatch, capsys, worked_on, where):
    assert main(["compress"]) == 1
    lock = folder / "semcompress.lock"
    lock.write_text(lock.read_text().replace('"pillow": "', '"pillow": "0'))
    (folder / ".git/semcompress/journal").unlink()
    commit(folder)
    if where != "as it was":
        git(folder, "mv", "a.jpg", "b.jpg")
    if where == "renamed in a clone":
        commit(folder)
        git(tmp_path, "clone", "-q", f"file://{folder}", "clone")
        git(folder, "push", "-q", str(tmp_path / "clone"), "refs/semcompress/*:refs/semcompress/*")
        monkeypatch.chdir(tmp_path / "clone")
    (path,) = Path().glob("*.jpg")
    before = path.read_bytes()
    for taken_up in (True, False, False):
        worked_on.clear()
        capsys.readouterr()
        code = main(["compress", "--refresh", "--format", "json"])
        (one,) = json.loads(capsys.readouterr().out)["results"]
        assert (code, one["status"], bool(worked_on)) == (0, "unchanged", taken_up)
    assert path.read_bytes() == before


def tagged(path: Path, name: str = "Ada") -> bytes:
    """The same picture with another tag, as programs do it that leave the pixels alone."""
    exif = Image.Exif()
    exif[0x013B] = name
    block = b"Exif\0\0" + exif.tobytes()
    data = path.read_bytes()
    edited = data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
    path.write_bytes(edited)
    return edited


@pytest.mark.parametrize("place", ["here", "in a clone"])
def test_an_edit_of_what_lies_beside_the_pixels_shrinks_nothing_again(folder, monkeypatch, capsys, place):
    original = (folder / "a.jpg").read_bytes()
    assert main(["compress"]) == 1
    if place == "in a clone":
        monkeypatch.chdir(clone := cloned(folder))
        git(clone, "fetch", "-q", "origin", "refs/semcompress/*:refs/semcompress/*")
        folder = clone
    for name in ("Ada", "Eve"):
        edited = tagged(folder / "a.jpg", name)
        capsys.readouterr()
        assert main(["compress", "--format", "json"]) == 0
        assert "only what lies beside them was edited" in json.loads(capsys.readouterr().out)["results"][0]["reason"]
        assert (folder / "a.jpg").read_bytes() == edited
    assert main(["compress", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["looks"] == 0
    # another policy: measured, and never searched for anew
    rules(folder, {"bound": 0.06})
    assert main(["compress"]) == 0
    rules(folder, {"bound": 0.0000001})
    for looks in (1, 0):  # one is enough to know that it does not hold
        capsys.readouterr()
        assert main(["compress", "--format", "json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert "was edited since: left alone" in report["results"][0]["reason"]
        assert report["totals"]["looks"] == looks
    assert (folder / "a.jpg").read_bytes() == edited
    assert main(["compress", "--refresh"]) == 0
    assert (folder / "a.jpg").read_bytes() == edited
    assert main(["restore", "--all"]) == 0
    assert (folder / "a.jpg").read_bytes() == original
    assert sha(edited) in {one.sha256 for one in GitOriginals(find(folder)).kept()}, "the edit is not lost"


def test_an_edit_of_the_pixels_is_another_picture(folder, worked_on):
    assert main(["compress"]) == 1
    with Image.open(folder / "a.jpg") as image:
        other = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    other.save(folder / "a.jpg", quality=97)
    before = (folder / "a.jpg").read_bytes()
    assert main(["compress"]) == 1
    assert len((folder / "a.jpg").read_bytes()) < len(before)


def cloned(folder: Path) -> Path:
    """A clone, where no journal remembers what a lock forgets."""
    commit(folder)
    git(folder.parent, "clone", "-q", f"file://{folder}", "clone")
    return folder.parent / "clone"


def moved(folder: Path) -> Path:
    """A clone in which what one policy's lock knows has moved under another's."""
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    rules(folder / "one", {})
    rules(folder / "two", {"bound": 0.06})
    (folder / "a.jpg").rename(folder / "one" / "a.jpg")
    assert main(["compress"]) == 1
    (folder / "one" / "a.jpg").rename(folder / "two" / "b.jpg")
    return cloned(folder)


def test_a_lock_that_was_deleted_is_read_from_git_and_put_back(folder, worked_on, monkeypatch):
    assert main(["compress"]) == 1
    clone = cloned(folder)
    lock = (clone / "semcompress.lock").read_bytes()
    monkeypatch.chdir(clone)
    for prepare in ([], ["rm", "-q", "--cached", "semcompress.lock"]):  # from the index, then from the last commit
        git(clone, *prepare) if prepare else None
        (clone / "semcompress.lock").unlink()
        worked_on.clear()
        assert main(["compress"]) == 0
        assert not worked_on
        assert (clone / "semcompress.lock").read_bytes() == lock


def test_a_lock_that_was_deleted_before_it_was_committed_is_read_from_the_index_and_put_back(folder, worked_on):
    assert main(["compress"]) == 1
    git(folder, "add", "-A")
    shutil.rmtree(folder / ".git/semcompress")  # with the journal
    lock = (folder / "semcompress.lock").read_bytes()
    (folder / "semcompress.lock").unlink()
    worked_on.clear()
    assert main(["compress"]) == 0
    assert not worked_on
    assert (folder / "semcompress.lock").read_bytes() == lock


def test_a_lock_that_a_sparse_checkout_leaves_out_is_read_from_git(folder, worked_on, monkeypatch):
    clone = moved(folder)
    git(clone, "sparse-checkout", "set", "two")
    assert not (clone / "one").exists()
    monkeypatch.chdir(clone)
    before = (clone / "two" / "b.jpg").read_bytes()
    assert main(["compress"]) in (0, 1)
    assert (clone / "two" / "b.jpg").read_bytes() == before


def test_a_lock_hidden_by_how_git_was_asked_to_read_patterns_is_found(folder, monkeypatch):
    clone = moved(folder)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    before = (clone / "two" / "b.jpg").read_bytes()
    assert main(["compress"]) in (0, 1)
    assert (clone / "two" / "b.jpg").read_bytes() == before


def test_what_moved_under_a_newer_policy_is_restored_and_verified(folder, monkeypatch, capsys):
    original = (folder / "a.jpg").read_bytes()
    assert main(["compress"]) == 1
    (folder / "new").mkdir()
    rules(folder / "new", {})
    (folder / "a.jpg").rename(folder / "new" / "a.jpg")
    capsys.readouterr()
    assert main(["verify", "--require-originals"]) == 0
    assert "verified 1 of 1 outputs" in capsys.readouterr().err
    assert main(["restore", "new/a.jpg"]) == 0
    assert (folder / "new" / "a.jpg").read_bytes() == original


def test_without_git_the_locks_of_the_folders_above_are_asked(folder, tmp_path, monkeypatch):
    (folder / "sub").mkdir()
    (folder / "a.jpg").rename(folder / "sub/a.jpg")
    rules(folder, {"files": "sub/*.jpg"})
    assert main(["compress"]) == 1
    ours = (folder / "sub/a.jpg").read_bytes()
    rules(folder / "sub", {"bound": 0.5, "compress": "jpeg: {quality: [5, 30]}"})
    monkeypatch.setattr(domains, "run_git", no_git)
    assert main(["build", "sub", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/a.jpg").read_bytes() == ours, "it still holds"


def no_git(*_: object) -> bytes:
    raise OriginalsError("git is not on the PATH")


def test_outputs_beside_also_after_a_rename_of_both(folder, worked_on):
    rules(folder, {"compress": "webp]\n    outputs: {formats: [webp], place: beside}\n    search: [bisect"})
    text = (folder / ".semcompress.yaml").read_text().replace("search: [bisect]", "search: bisect")
    (folder / ".semcompress.yaml").write_text(text)
    assert main(["compress"]) == 1
    assert settled(folder, worked_on)
    for suffix in (".jpg", ".webp"):
        (folder / f"a{suffix}").rename(folder / f"b{suffix}")
    assert settled(folder, worked_on)


def test_a_newer_library_and_a_newer_model(folder, worked_on, monkeypatch):
    assert main(["compress"]) == 1
    real = _planning.versions
    newer = lambda rule, registry: {name: f"{version}.1" for name, version in real(rule, registry).items()}  # noqa: E731
    monkeypatch.setattr(_planning, "versions", newer)
    assert settled(folder, worked_on)
    assert main(["compress", "--refresh"]) in (0, 1)
    assert worked_on == ["a.jpg"], "but --refresh does redo it"


def test_processes_at_once_lose_no_entry_and_shrink_nothing_twice(folder, worked_on):
    (folder / "a.jpg").unlink()
    for worker in range(3):
        (folder / str(worker)).mkdir()
        for seed in range(3):
            picture = encoded(photo((120, 90), 10 * worker + seed), "JPEG", quality=97)
            (folder / str(worker) / f"{seed}.jpg").write_bytes(picture)
    command = [sys.executable, "-m", "semcompress_plugin", "compress", "--jobs", "1"]
    # each has its own pictures, and those of its neighbour
    running = [subprocess.Popen([*command, str(n), str((n + 1) % 3)], cwd=folder, stdout=subprocess.DEVNULL)
               for n in range(3)]  # fmt: skip
    assert {process.wait(timeout=300) for process in running} <= {0, 1}
    entries = parse((folder / "semcompress.lock").read_text(), "x")
    assert {entry.path for entry in entries} >= {f"{n}/{seed}.jpg" for n in range(3) for seed in range(3)}
    assert {entry.generation for entry in entries} <= {0, 1}
    assert settled(folder, worked_on)
    assert main(["restore", "--all"]) == 0
    for path in folder.glob("?/*.jpg"):
        worker, seed = int(path.parent.name), int(path.stem)
        assert path.read_bytes() == encoded(photo((120, 90), 10 * worker + seed), "JPEG", quality=97)


def test_each_lock_is_read_once_whatever_the_number_of_policies(repository, capsys, monkeypatch):
    for number in range(6):
        (repository / str(number)).mkdir()
        rules(repository / str(number), {})
        (repository / str(number) / "semcompress.lock").write_text(HEADER + "\n")
        (repository / str(number) / "a.jpg").write_bytes(encoded(photo((96, 72), number), "JPEG", quality=97))
    read, really = [], domains.salvaged
    monkeypatch.setattr(domains, "salvaged", lambda data, lock: read.append(lock) or really(data, lock))
    assert main(["check"]) == 1
    capsys.readouterr()
    assert sorted(path.parent.name for path in read) == [str(number) for number in range(6)]
