"""Every kind of bad input gets one clear line, stays as it was, and lets the others go on."""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from pictures import encoded, photo
from semcompress_plugin import shrink
from semcompress_plugin.cli import main
from semcompress_plugin.digests import Digests

POLICY = """\
version: 1
rules:
  - name: all
    files: ["*"]
    keep: {classifier: {js_divergence: {max: 0.2}}}
limits: {max_pixels: 2000000}
"""


def png(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG whose header says what it likes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes(width * 3 * depth // 8) for _ in range(min(height, 16)))
    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def animated(format: str) -> bytes:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


GOOD = encoded(photo((320, 240)), "JPEG", quality=97)
WORDS = [
    ("truncated.jpg", GOOD[: len(GOOD) // 2], "failed", "is damaged or cut off"),
    ("empty.jpg", b"", "failed", "is empty: delete it or put the picture back"),
    ("text.jpg", b"I am not a picture" * 99, "failed", "is not a picture that can be read"),
    ("really-a-png.jpg", encoded(photo(), "PNG"), "failed", "holds PNG, not JPEG as '.jpg' says: rename the file"),
    ("zero-size.png", png(0, 0), "failed", "is not a picture|has no pixels"),
    ("bomb.png", png(50_000, 50_000), "failed", "2,500,000,000 pixels, more than 2,000,000"),
    (
        "over-the-limit.png",
        png(2_000, 2_000),
        "failed",
        "4,000,000 pixels, more than 2,000,000: raise limits.max_pixels",
    ),
    ("animated.gif", animated("GIF"), "skipped", "is animated: left alone"),
    ("animated.png", animated("PNG"), "skipped", "is animated: left alone"),
    ("animated.webp", animated("WEBP"), "skipped", "is animated: left alone"),
    ("cmyk.jpg", encoded(photo().convert("CMYK"), "JPEG"), "skipped", "mode CMYK.*left alone"),
    ("sixteen.png", png(16, 16, 16), "skipped", "more than 8 bits a channel.*left alone"),
    ("pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "skipped", "git lfs pull"),
]


def compress(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, object]]]:
    code = main(["compress", *arguments, "--format", "json"])
    out = capsys.readouterr()
    assert "Traceback" not in out.err
    return code, {result["path"]: result for result in json.loads(out.out)["results"]}


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / ".semcompress.yaml").write_text(POLICY)
    (repository / "good.jpg").write_bytes(GOOD)
    return repository


@pytest.mark.parametrize(("name", "data", "status", "words"), WORDS, ids=[word[0] for word in WORDS])
def test_bad_input_gets_one_line_stays_as_it_was_and_the_others_go_on(folder, capsys, name, data, status, words):
    (folder / name).write_bytes(data)
    code, results = compress(capsys=capsys)
    assert code == 1
    assert results[name]["status"] == status
    assert re.search(words, results[name]["reason"])
    assert "\n" not in results[name]["reason"]
    assert (folder / name).read_bytes() == data
    assert results["good.jpg"]["status"] == "compressed"


def test_a_skipped_picture_alone_is_no_failure(folder, capsys):
    (folder / "good.jpg").unlink()
    (folder / "animated.gif").write_bytes(animated("GIF"))
    code, _ = compress(capsys=capsys)
    assert code == 0


@pytest.mark.parametrize(
    ("name", "image", "parameters"),
    [
        ("one.png", Image.new("RGB", (1, 1)), {}),
        ("one.jpg", Image.new("RGB", (1, 1)), {}),
        ("long.png", photo((20_000, 10)), {}),
        ("long.jpg", photo((20_000, 10)), {"quality": 97}),
        ("palette.png", photo().quantize(200), {"transparency": 3}),
    ],
)
def test_odd_pictures_are_handled_and_keep_their_shape(folder, capsys, name, image, parameters):
    (folder / name).write_bytes(encoded(image, name[-3:].replace("jpg", "jpeg"), **parameters))
    _, results = compress(capsys=capsys)
    assert results[name]["status"] in ("compressed", "unchanged")
    with Image.open(folder / name) as after:
        after.load()
        assert after.size == image.size
        assert after.has_transparency_data == (name == "palette.png")


def test_an_unreadable_file(folder, capsys, monkeypatch):
    path = folder / "secret.jpg"
    path.write_bytes(GOOD)
    if os.geteuid() == 0:  # root reads everything
        really = os.open

        def denied(name, *arguments, **keywords):
            if Path(name) == path:
                raise PermissionError(13, "Permission denied")
            return really(name, *arguments, **keywords)

        monkeypatch.setattr(os, "open", denied)
    else:
        path.chmod(0)
    code, results = compress(capsys=capsys)
    assert code == 1
    assert results["secret.jpg"]["reason"] == "cannot be read: Permission denied"
    assert results["good.jpg"]["status"] == "compressed"


def test_when_the_cache_of_hashes_was_wrong_it_is_forgotten_and_the_next_run_is_right(folder, capsys, monkeypatch):
    """As after a write through a memory map, which moves no time that anybody could look at."""
    really, told = Digests.of, ["0" * 64]
    monkeypatch.setattr(Digests, "of", lambda self, place: (told[0], 1) if told else really(self, place))
    monkeypatch.setattr(Digests, "clear", lambda self: told.clear())
    _, results = compress("good.jpg", capsys=capsys)
    assert "has changed while it was waiting" in results["good.jpg"]["reason"]
    _, results = compress("good.jpg", capsys=capsys)
    assert results["good.jpg"]["status"] == "compressed"


def test_a_file_that_vanishes_before_it_is_planned_costs_itself(folder, capsys, monkeypatch):
    (folder / ".semcompress.yaml").write_text(POLICY.replace('["*"]', '["good.jpg"]'))
    (folder / "other.jpg").write_bytes(GOOD)
    really = os.stat

    def gone(path, *arguments, **keywords):
        if str(path).endswith("other.jpg"):
            raise FileNotFoundError(2, "No such file or directory")
        return really(path, *arguments, **keywords)

    monkeypatch.setattr(os, "stat", gone)
    code, results = compress(capsys=capsys)
    assert code == 1
    assert results["other.jpg"]["reason"] == "cannot be read: No such file or directory"
    assert results["good.jpg"]["status"] == "compressed"


def test_a_read_only_file(folder, capsys, make_read_only):
    path = folder / "precious.jpg"
    path.write_bytes(GOOD + b"\0")
    make_read_only(path)
    code, results = compress(capsys=capsys)
    assert code == 1
    assert "is read-only: make it writable (chmod u+w)" in results["precious.jpg"]["reason"]
    assert path.read_bytes() == GOOD + b"\0"
    assert results["good.jpg"]["status"] == "compressed"


def test_a_folder_named_like_a_picture(folder, capsys):
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inner.jpg").write_bytes(GOOD + b"\0")
    code, results = compress(capsys=capsys)
    assert code == 1
    assert "folder.jpg" not in results
    assert results["folder.jpg/inner.jpg"]["status"] == "compressed"


@pytest.mark.parametrize("place", ["replace", "beside"])
def test_a_name_that_is_too_long_for_another_format_costs_that_picture(folder, capsys, place):
    text = (folder / ".semcompress.yaml").read_text()
    outputs = f"    outputs: {{formats: [webp], place: {place}}}\n"
    (folder / ".semcompress.yaml").write_text(text.replace("    keep:", f"    compress: [webp]\n{outputs}    keep:"))
    long = "x" * 251 + ".jpg"
    for name in (long, "good.jpg"):
        (folder / name).write_bytes(GOOD)
    for command in (["compress"], ["check"], ["build", ".", "out"]):
        main([*command, "--format", "json"])
        results = {one["path"]: one for one in json.loads(capsys.readouterr().out)["results"]}
        failed, done = results[long], next(one for path, one in results.items() if path.startswith("good"))
        assert failed["status"] == "failed"
        assert "File name too long" in failed["reason"]
        assert failed["looks"] == 0 or command[0] == "build"
        assert done["status"] in ("compressed", "unchanged")
        assert (folder / long).read_bytes() == GOOD


def test_a_broken_symlink_and_a_missing_file_that_were_named(folder, capsys):
    (folder / "link.jpg").symlink_to("nowhere.jpg")
    code, results = compress("link.jpg", "missing.jpg", "good.jpg", capsys=capsys)
    assert code == 2, "a mistyped name is a mistake of the command line"
    assert results["link.jpg"]["reason"] == "is a symbolic link: name what it points to"
    assert results["missing.jpg"]["reason"] == "does not exist"
    assert results["good.jpg"]["status"] == "compressed"
    assert (folder / "link.jpg").is_symlink()


def test_links_are_passed_by_where_folders_are_walked(folder, capsys):
    (folder / "link.jpg").symlink_to("good.jpg")
    _, results = compress(capsys=capsys)
    assert set(results) == {"good.jpg"}


def test_a_file_that_vanishes_while_we_run(folder, capsys, monkeypatch):
    path = folder / "fleeting.jpg"
    path.write_bytes(GOOD + b"\0")
    load = shrink.Work.load

    def gone(self):
        if self.pending.asset.path == path:
            path.unlink()
        return load(self)

    monkeypatch.setattr(shrink.Work, "load", gone)
    code, results = compress(capsys=capsys)
    assert code == 1
    assert results["fleeting.jpg"]["reason"] == "does not exist"
    assert results["good.jpg"]["status"] == "compressed"
    assert not path.exists()


def test_a_file_that_is_edited_while_we_look_at_it_is_never_overwritten(folder, capsys, monkeypatch):
    path = folder / "good.jpg"
    settle = shrink.Work.settle

    def edited(self, found):
        path.write_bytes(GOOD + b"edited")
        return settle(self, found)

    monkeypatch.setattr(shrink.Work, "settle", edited)
    code, results = compress(capsys=capsys)
    assert code == 1
    assert "has changed while it was looked at" in results["good.jpg"]["reason"]
    assert path.read_bytes() == GOOD + b"edited"
