"""Whoever reads what a command says may leave, may never have been there, or may not know every letter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pictures import encoded, photo
from semcompress_plugin.cli import main
from test_cli import POLICY

COMMAND = [sys.executable, "-P", "-m", "semcompress_plugin"]


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / ".semcompress.yaml").write_text(POLICY)
    (repository / "a.jpg").write_bytes(encoded(photo((320, 240)), "JPEG", quality=97))
    return repository


def into_nobody(*arguments: str, stream: str = "stdout") -> tuple[int, str]:
    """The exit code, and what comes out of the other stream, where nobody reads ``stream`` any more."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    done = subprocess.run([*COMMAND, *arguments], text=True, check=False, **streams)
    os.close(writer)
    return done.returncode, done.stderr if stream == "stdout" else done.stdout


def test_whoever_stops_reading_the_report_changes_no_exit_code(folder):
    assert into_nobody("check") == (1, "")
    assert into_nobody("check", stream="stderr")[0] == 1
    assert into_nobody("check", "no.jpg") == (2, "")
    assert into_nobody("check", "--policy", "no.yaml", stream="stderr") == (2, "")
    assert into_nobody("plugins") == (0, "")


def test_a_hook_says_what_to_stage_and_stops_the_commit_though_nobody_reads_the_report(folder):
    subprocess.run(["git", "add", "-A"], check=True)
    code, said = into_nobody("compress", "--hook")
    assert code == 1
    assert said.endswith("stage what changed, and commit again: git add a.jpg semcompress.lock\n")
    assert into_nobody("compress", "--hook", stream="stderr") == (1, "")


def test_a_hook_says_what_to_stage_though_the_report_finds_no_room(folder):
    subprocess.run(["git", "add", "-A"], check=True)
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "compress", "--hook"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "git add a.jpg semcompress.lock\n" in done.stderr


def test_a_restore_goes_on_though_nobody_reads_of_it(folder, monkeypatch):
    (folder / "b.jpg").write_bytes(encoded(photo((320, 240), 1), "JPEG", quality=97))
    originals = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    assert main(["compress"]) == 1
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    assert into_nobody("restore", "--all") == (0, "")
    assert [path.read_bytes() for path in sorted(folder.glob("*.jpg"))] == originals


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_is_closed_from_the_start_is_no_bug(folder, closed):
    redirected = ["sh", "-c", f'"$@" {closed}>&-', "sh", *COMMAND]
    for arguments, code in (["check"], 1), (["check", "--format", "json"], 1), (["check", "--policy", "no.yaml"], 2):
        done = subprocess.run([*redirected, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr == "") == (code, closed == 2 or code == 1)
        assert "semcompress: " not in done.stdout


@pytest.mark.parametrize(("encoding", "name"), [("cp1252", "日本"), ("utf-8:strict", os.fsdecode(b"caf\xe9"))])
def test_a_name_that_the_terminal_has_no_letters_for_is_reported_all_the_same(folder, monkeypatch, encoding, name):
    place = folder / name
    place.mkdir()
    (folder / "a.jpg").rename(place / f"{name}.jpg")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    for arguments, code in (
        (["init", name], 0),
        (["validate", name], 0),
        (["explain", f"{name}/{name}.jpg"], 0),
        (["baseline", "--policy", f"{name}/.semcompress.yaml"], 0),
        (["compress", "--no-baseline", name], 1),
    ):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
        assert (done.returncode, b"\\u" in done.stdout or b"\\udce9" in done.stdout) == (code, True), done
