"""Every compressor, preset and format: the second run does nothing, and every replaced file comes back bit for bit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from pictures import encoded
from semcompress_plugin.cli import main
from semcompress_plugin.policy.presets import names
from semcompress_plugin.registry import Registry

SITE = Path(__file__).parents[1] / "examples" / "site" / "img"
SAVED_AS = {
    "a.jpg": ("JPEG", {"quality": 98}),
    "b.png": ("PNG", {"compress_level": 0}),
    "c.webp": ("WEBP", {"quality": 99}),
    "d.avif": ("AVIF", {"quality": 98}),
}
POLICY = """\
version: 1
preset: PRESET
rules:
  - {name: plain, files: [plain/]}
  - {name: beside, files: [beside/], keep: LOOSE, outputs: {formats: [avif, webp, keep], place: beside}}
  - {name: smallest, files: [smallest/], keep: LOOSE, outputs: {formats: [smallest]}}
  - {name: resized, files: [resized/], compress: [seed-resize], keep: SAME}
  - {name: again, files: [again/], compress: [seed-jpeg], keep: SAME}
  - {name: coloured, files: [coloured/], compress: [jpeg-444], keep: LOOSE}
  - {name: packed, files: [packed/], compress: [repack], keep: SAME, min_saving: 0}
  - name: features
    files: [features/]
    compress: [feature]
    keep: {classifier: {js_divergence: {max: 0.05}}}
    outputs: {formats: [semf], place: beside}
""".replace("LOOSE", "{msssim: {score: {min: 0.9}}}").replace("SAME", "{classifier: {top1_agreement: {min: 1}}}")
FOLDERS = {
    "plain": SAVED_AS,
    "beside": ["a.jpg", "b.png"],
    "smallest": SAVED_AS,
    "resized": SAVED_AS,
    "again": ["a.jpg"],
    "coloured": ["a.jpg"],
    "packed": ["a.jpg", "c.webp"],
    "features": ["a.jpg", "c.webp"],
}


def lay(folder: Path, preset: str) -> dict[str, bytes]:
    """Pictures for every rule; what was laid, by path."""
    with Image.open(SITE / "coffee.jpg") as picture:
        small = picture.convert("RGB").resize((150, 100))
    laid = {}
    for place, files in FOLDERS.items():
        (folder / place).mkdir()
        for number, name in enumerate(files):
            format, parameters = SAVED_AS[name]
            # names of their own, since 'smallest' and 'beside' choose the extension
            path = folder / place / f"{place}-{number}.{name.partition('.')[2]}"
            path.write_bytes(encoded(small.crop((number, 0, 140 + number, 100)), format, **parameters))
            laid[path.relative_to(folder).as_posix()] = path.read_bytes()
    (folder / ".semcompress.yaml").write_text(POLICY.replace("PRESET", preset))
    return laid


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def totals(capsys: pytest.CaptureFixture[str], command: str) -> tuple[int, dict, list[dict]]:
    code = main([command, "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    return code, report["totals"], report["results"]


@pytest.mark.parametrize("preset", [name for name in names() if "@" not in name or name == "machine@1"])
def test_the_second_run_does_nothing_and_everything_comes_back(repository, capsys, monkeypatch, tmp_path, preset):
    laid = lay(repository, preset)
    code, first, results = totals(capsys, "compress")
    assert (code, first["failed"]) == (1, 0), results
    used = {output["compressor"] for result in results for output in result["outputs"]}
    if preset == "machine":  # the presets for people may find a picture as small as it gets already
        assert used == set(Registry().compressors), "every compressor has written something"
    shrunk = contents(repository)
    code, again, _ = totals(capsys, "compress")
    assert (code, again["compressed"], again["looks"]) == (0, 0, 0)
    assert contents(repository) == shrunk
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-qm", "x"], check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", repository, clone], check=True)
    monkeypatch.chdir(clone)
    code, again, _ = totals(capsys, "compress")
    assert (code, again["compressed"], again["looks"]) == (0, 0, 0)
    assert contents(clone) == shrunk
    monkeypatch.chdir(repository)
    assert main(["restore", "--all"]) == 0
    back = contents(repository)
    assert {name: back.get(name) for name in laid} == laid
