"""After a generation loss that was allowed: runs start from the first original that can be had, and count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disk import commit, git, repository, sha
from pictures import encoded, photo
from semcompress_plugin.cli import main
from semcompress_plugin.lock import Entry, parse

POLICY = """\
version: 1
rules:
  - name: all
    files: ["*.jpg", "*.webp"]
    compress: [{jpeg: {quality: QUALITY}}, {webp: {quality: QUALITY}}]
    keep: {msssim: {score: {min: BOUND}}}
    outputs: {formats: [FORMAT], place: replace}
"""


def write_policy(folder: Path, quality: int, bound: float, format: str = "keep") -> None:
    text = POLICY.replace("QUALITY", str(quality)).replace("BOUND", str(bound)).replace("FORMAT", format)
    (folder / ".semcompress.yaml").write_text(text)


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = repository(tmp_path / "upstream")
    monkeypatch.chdir(folder)
    write_policy(folder, 60, 0.3)
    (folder / "a.jpg").write_bytes(encoded(photo((240, 180), 1), "JPEG", quality=97))
    commit(folder, "pristine")
    assert main(["compress"]) == 1
    commit(folder)
    return folder


@pytest.fixture
def clone(upstream: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Without the original, where a generation was lost on purpose: from quality 60 to 15."""
    git(upstream.parent, "clone", "-q", "--depth", "1", f"file://{upstream}", "clone")
    monkeypatch.chdir(clone := upstream.parent / "clone")
    write_policy(clone, 15, 0.5)
    assert main(["compress"]) == 0, "left alone"
    assert main(["compress", "--allow-generation-loss"]) == 1
    return clone


def line_of(folder: Path, name: str) -> Entry:
    """What the lock says of a file as it is."""
    now = sha((folder / name).read_bytes())
    lines = parse((folder / "semcompress.lock").read_text(), "lock")
    (line,) = (one for one in lines if one.output.sha256 == now)
    return line


def reason(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    main([*words, "--format", "json"])
    (one,) = json.loads(capsys.readouterr().out)["results"]
    return str(one["reason"])


def test_the_loss_is_counted_and_said(clone, upstream):
    line = line_of(clone, "a.jpg")
    assert line.generation == 2
    assert line.original.sha256 == sha((upstream / "a.jpg").read_bytes())


@pytest.mark.parametrize("format", ["keep", "webp"])
def test_what_starts_from_our_output_later_says_so_and_counts_from_there(clone, upstream, capsys, format):
    write_policy(clone, 30, 0.94, format)
    assert "was made of an output of ours" in reason(capsys, "compress")
    line = line_of(clone, f"a.{'jpg' if format == 'keep' else format}")
    assert line.original.sha256 == sha((upstream / "a.jpg").read_bytes()), "not of the second generation"
    assert line.generation == 2
    assert main(["compress"]) == 0


@pytest.mark.parametrize("format", ["keep", "webp"])
def test_the_pristine_original_is_started_from_once_it_can_be_had(clone, upstream, capsys, format):
    pristine = git(upstream, "rev-parse", "HEAD~1:a.jpg").strip()
    git(clone, "fetch", "-q", "origin", "refs/semcompress/*:refs/semcompress/*")
    write_policy(clone, 30, 0.94, format)
    assert "was made of an output of ours" not in reason(capsys, "compress")
    name = f"a.{'jpg' if format == 'keep' else format}"
    line = line_of(clone, name)
    assert (line.blob, line.generation, line.name) == (pristine, 1, "a.jpg")
    assert main(["compress"]) == 0
    assert main(["restore", name]) == 0
    assert git(clone, "hash-object", "a.jpg").strip() == pristine


def test_a_second_generation_that_was_lost_is_no_hindrance_on_the_way_to_the_first_original(clone, upstream, capsys):
    git(clone, "fetch", "-q", "origin", "refs/semcompress/*:refs/semcompress/*")
    commit(clone)
    git(upstream.parent, "clone", "-q", "--depth", "1", f"file://{clone}", "third")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(third := upstream.parent / "third")
        git(third, "fetch", "-q", str(upstream), "refs/semcompress/*:refs/semcompress/*")
        write_policy(third, 30, 0.94)
        assert main(["compress"]) == 1
        assert line_of(third, "a.jpg").generation == 1


def test_lines_that_go_in_circles_end(clone, upstream):
    """A hostile lock, or two pictures that were taken for each other."""
    lock = clone / "semcompress.lock"
    lines = lock.read_text().splitlines()
    line = line_of(clone, "a.jpg")
    text = next(one for one in lines if one.startswith("{") and f'"output": {{"sha256": "{line.output.sha256}"' in one)
    back = text.replace(line.output.sha256, "x").replace(line.original.sha256, line.output.sha256)
    back = back.replace("x", line.original.sha256)
    lock.write_text("\n".join([lines[0], *sorted([*lines[1:], back]), ""]))
    write_policy(clone, 30, 0.94)
    assert main(["compress"]) in (0, 1)
