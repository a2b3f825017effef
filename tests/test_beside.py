"""Files that a rule wants beside a picture which was shrunk in place: those that are not there are made."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from disk import git
from pictures import encoded, photo
from semcompress_plugin.cli import main

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
    assert run(capsys, "verify")[1][0]["status"] == "unchanged", "what lies there holds"
    code, (result,) = run(capsys, "compress", "a.jpg")
    assert (code, [one["path"] for one in result["outputs"]]) == (1, ["a.webp"])
    assert result["looks"] == 2, "one to see that the picture holds, one at what was found before"
    assert files(folder) == before
    settled(capsys)
    assert main(["restore", "--all"]) == 0
    assert (folder / "a.jpg").read_bytes() == original


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
