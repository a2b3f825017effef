"""Of copies of one picture one is searched for; the others are tried with what was found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pictures import encoded, photo
from policies import POLICY
from semcompress_plugin.cli import main
from semcompress_plugin.compressors.jpeg import JpegCompressor

PLACES = ("a.jpg", "v1/a.jpg", "v1/b.jpg", "v2/a.jpg")


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / ".semcompress.yaml").write_text(POLICY)
    original = encoded(photo((240, 180), 1), "JPEG", quality=97)
    for place in PLACES:
        (repository / place).parent.mkdir(exist_ok=True)
        (repository / place).write_bytes(original)
    (repository / "other.jpg").write_bytes(encoded(photo((240, 180), 2), "JPEG", quality=97))
    return repository


def results(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, dict]:
    main([*command, "--format", "json"])
    return {one["path"]: one for one in json.loads(capsys.readouterr().out)["results"]}


@pytest.mark.parametrize("command", [("check",), ("compress",), ("build", ".", "../out")])
def test_one_is_searched_for_and_the_others_are_looked_at_once(folder, capsys, command):
    found = results(capsys, *command)
    assert {one["status"] for one in found.values()} == {"compressed"}
    looks = sorted(found[place]["looks"] for place in PLACES)
    assert looks[:3] == [1, 1, 1]
    assert looks[3] > 1 < found["other.jpg"]["looks"]
    assert len({found[place]["after"] for place in PLACES}) == 1
    outputs = {json.dumps({**found[place]["outputs"][0], "path": ""}) for place in PLACES}
    assert len(outputs) == 1, "the same settings and scores"


def test_each_is_replaced_recorded_and_comes_back(folder, capsys):
    before = {place: (folder / place).read_bytes() for place in PLACES}
    results(capsys, "compress")
    assert len({(folder / place).read_bytes() for place in PLACES} | set(before.values())) == 2
    lines = (folder / "semcompress.lock").read_text().splitlines()[1:]
    assert {json.loads(line)["path"] for line in lines} == {*PLACES, "other.jpg"}
    assert not any(one["looks"] for one in results(capsys, "compress").values())
    assert main(["restore", "--all"]) == 0
    assert {place: (folder / place).read_bytes() for place in PLACES} == before


@pytest.mark.parametrize("command", [("check",), ("compress",), ("build", ".", "../out")])
def test_where_nothing_is_found_for_one_the_others_are_not_looked_at(folder, capsys, command):
    (folder / ".semcompress.yaml").write_text(POLICY.replace("0.05", "0.01") + "    min_saving: 93%\n")
    found = results(capsys, *command)
    assert {one["status"] for one in found.values()} == {"unchanged"}
    looks = sorted(found[place]["looks"] for place in PLACES)
    assert looks[:3] == [0, 0, 0]
    assert looks[3] > 0
    assert len({found[place]["reason"] for place in PLACES}) == 1
    if command == ("compress",):
        assert not any(one["looks"] for one in results(capsys, "compress").values())


def test_where_one_fails_the_others_have_their_own_try(folder, capsys, monkeypatch):
    compress, failed = JpegCompressor.compress, []

    def failing_once(self, *arguments):
        if not failed:
            failed.append(True)
            raise RuntimeError("once")
        return compress(self, *arguments)

    (folder / "other.jpg").unlink()
    monkeypatch.setattr(JpegCompressor, "compress", failing_once)
    found = results(capsys, "compress")
    assert sorted(one["status"] for one in found.values()) == ["compressed"] * 3 + ["failed"]


def test_an_edit_of_an_output_is_known_for_one_however_many_copies_there_are(folder, capsys):
    for place in PLACES[1:]:
        (folder / place).unlink()
    results(capsys, "compress")
    data = (folder / "a.jpg").read_bytes()
    edited = data[:2] + b"\xff\xfe\x00\x07hello" + data[2:]
    for place in PLACES:
        (folder / place).write_bytes(edited)
    found = results(capsys, "compress")
    assert {(found[place]["status"], found[place]["looks"]) for place in PLACES} == {("unchanged", 0)}
    assert all((folder / place).read_bytes() == edited for place in PLACES)
    shutil.rmtree(folder / "v2")
    assert not any(one["looks"] for one in results(capsys, "compress").values())
