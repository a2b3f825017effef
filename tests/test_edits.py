"""What somebody edited is neither written over nor taken for an original; and who a namesake belongs to."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import pytest
from PIL import Image

from disk import git, sha
from pictures import encoded, photo
from semcompress_plugin import settle
from semcompress_plugin.cli import main
from semcompress_plugin.git import find
from semcompress_plugin.originals import GitOriginals

POLICY = """\
version: 1
rules:
  - name: all
    files: ["**/*"]
    compress: [{webp: {quality: 60}}]
    outputs: {formats: [webp], place: PLACE}
    keep: {msssim: {score: {min: 0.3}}}
"""


def edited(path: Path) -> bytes:
    """A WebP with a caption by hand, and every pixel as it was."""
    with Image.open(path) as image:
        width, height = image.size
    caption = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>by hand</x:xmpmeta>"
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBP" + chunk(b"VP8X", b"\4\0\0\0" + size) + path.read_bytes()[12:] + chunk(b"XMP ", caption)
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    return path.read_bytes()


def chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def reasons(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["compress"]) == 1
    said = capsys.readouterr()
    return said.out + said.err


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / "a.png").write_bytes(encoded(photo((240, 180), 1), "PNG"))
    return repository


@pytest.mark.parametrize("place", ["beside", "replace"])
def test_an_edited_output_is_not_written_over_by_any_later_run(folder, capsys, place):
    (folder / ".semcompress.yaml").write_text(POLICY.replace("PLACE", place))
    original = (folder / "a.png").read_bytes()
    assert main(["compress"]) == 1
    edit = edited(folder / "a.webp")
    if place == "replace":
        assert main(["compress"]) == 0  # the edit is known for one
        (folder / "a.png").write_bytes(original)
    capsys.readouterr()
    for _ in range(3):
        assert "would overwrite a.webp, which " in reasons(capsys)
        assert (folder / "a.webp").read_bytes() == edit


@pytest.mark.parametrize("holds", [True, False])
def test_an_edit_and_a_change_of_the_policy_at_once_are_settled_by_one_run(folder, capsys, holds):
    policy = POLICY.replace("PLACE", "replace")
    (folder / ".semcompress.yaml").write_text(policy)
    original = (folder / "a.png").read_bytes()
    assert main(["compress"]) == 1
    edit = edited(folder / "a.webp")
    (folder / ".semcompress.yaml").write_text(policy.replace("min: 0.3", "min: 0.2" if holds else "min: 0.99999"))
    capsys.readouterr()
    locks = []
    for looks in (1, 0):
        assert main(["compress", "--format", "json"]) == 0
        report = json.loads(capsys.readouterr().out)
        locks.append((folder / "semcompress.lock").read_bytes())
        assert report["totals"]["looks"] == looks
        assert ("shrunk under another policy" in (report["results"][0]["reason"] or "")) != holds
    assert locks[0] == locks[1]
    assert (folder / "a.webp").read_bytes() == edit
    assert main(["restore", "a.webp"]) == 0
    assert (folder / "a.png").read_bytes() == original


def test_what_lies_at_another_place_and_would_be_lost_is_kept_before_it_is_written_over(folder, monkeypatch):
    (folder / ".semcompress.yaml").write_text(POLICY.replace("PLACE", "beside"))
    assert main(["compress"]) == 1
    edit = edited(folder / "a.webp")
    monkeypatch.setattr(settle, "_hindrance", lambda *_: None)
    assert main(["compress", "a.png"]) == 1
    assert (folder / "a.webp").read_bytes() != edit
    git(folder, "gc", "-q", "--prune=now")
    assert sha(edit) in {one.sha256 for one in GitOriginals(find(folder)).kept()}


def test_a_namesake_from_another_folder_is_not_written_over(folder, capsys):
    """The output that was moved is all that there is of its picture; a folder that was renamed is not another one."""
    (folder / ".semcompress.yaml").write_text(POLICY.replace("PLACE", "replace"))
    for name in ("one", "two"):
        (folder / name).mkdir()
    original = (folder / "a.png").read_bytes()
    (folder / "a.png").rename(folder / "one/a.png")
    assert main(["compress"]) == 1
    ours = (folder / "one/a.webp").rename(folder / "two/a.webp").read_bytes()
    other = encoded(photo((240, 180), 2), "PNG")
    (folder / "two/a.png").write_bytes(other)
    capsys.readouterr()
    assert "would be written where one/a.png is" in reasons(capsys)
    assert (folder / "two/a.webp").read_bytes() == ours
    assert (folder / "two/a.png").read_bytes() == other
    (folder / "two/a.png").write_bytes(original)  # its very own, as a run that was killed leaves it
    assert main(["compress"]) == 1
    assert (folder / "two/a.webp").read_bytes() == ours
    assert not (folder / "two/a.png").exists()


LOSSLESS = """\
version: 1
rules:
  - name: all
    files: ["*.png"]
    compress: [{png: {colors: 257}}]
    keep: {msssim: {score: {min: 0.9}}}
"""
LOSSY = LOSSLESS.replace("257", "[2, 257]").replace("0.9", "0.5")


def captioned(path: Path) -> None:
    """A PNG with a text by hand, and every pixel as it was."""
    data, body = path.read_bytes(), b"Title\0by hand"
    text = len(body).to_bytes(4, "big") + b"tEXt" + body + zlib.crc32(b"tEXt" + body).to_bytes(4, "big")
    path.write_bytes(data[:33] + text + data[33:])


@pytest.mark.parametrize("what", ["the original", "the original, edited", "the output, edited"])
def test_what_was_packed_without_loss_is_shrunk_under_another_policy(folder, what):
    """Its pixels are the original's: nothing says of which an edit is one, and nothing is lost by starting from it."""
    (folder / ".semcompress.yaml").write_text(LOSSLESS)
    (folder / "a.png").write_bytes(encoded(photo((240, 180), 1), "PNG", compress_level=0))
    assert main(["compress"]) == 1
    if what.startswith("the original"):
        assert main(["restore", "a.png"]) == 0
    if what.endswith("edited"):
        captioned(folder / "a.png")
    started = (folder / "a.png").read_bytes()
    (folder / ".semcompress.yaml").write_text(LOSSY)
    assert main(["compress"]) == 1
    assert main(["compress"]) == 0
    assert (folder / "a.png").stat().st_size < len(started) / 2
    assert main(["restore", "a.png"]) == 0
    assert (folder / "a.png").read_bytes() == started


def lettered(path: Path, orientation: int | None = None) -> bytes:
    """A JPEG with a comment by hand, or a tag that turns it, and every pixel as it was."""
    data = path.read_bytes()
    block = b"\xff\xfe\0\x09by hand"
    if orientation is not None:
        tag = bytes([1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0])
        tags = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + tag + b"\0\0\0\0"
        block = b"\xff\xe1" + (len(tags) + 2).to_bytes(2, "big") + tags
    path.write_bytes(data[:2] + block + data[2:])
    return path.read_bytes()


def a_rename(folder: Path) -> Path:
    return (folder / "a.jpg").rename(folder / "b.jpg")


def a_copy(folder: Path) -> Path:
    return Path(shutil.copy(folder / "a.jpg", folder / "b.jpg"))


def a_move_to_another_policy(folder: Path) -> Path:
    (folder / "sub").mkdir()
    (folder / "sub/.semcompress.yaml").write_text(JPEG)
    return (folder / "a.jpg").rename(folder / "sub/b.jpg")


def an_older_lock(folder: Path) -> Path:
    """It has a line of that place, about what lay there before."""
    ours, lock = folder / "a.jpg", folder / "semcompress.lock"
    shrunk = ours.read_bytes()
    lines = lock.read_text().splitlines()[1:]
    ours.write_bytes(encoded(photo((240, 180), 9), "JPEG", quality=97))
    assert main(["compress"]) == 1
    lock.write_text("".join(f"{line}\n" for line in lock.read_text().splitlines() if line not in lines))
    ours.write_bytes(shrunk)
    return ours


def nothing_else(folder: Path) -> Path:
    return folder / "a.jpg"


JPEG = """\
version: 1
rules:
  - name: all
    files: ["**/*.jpg"]
    compress: [{jpeg: {quality: 60}}]
    keep: {msssim: {score: {min: 0.3}}}
"""


@pytest.mark.parametrize("orientation", [None, 1, 6, 7])
@pytest.mark.parametrize("and_", [nothing_else, a_rename, a_copy, a_move_to_another_policy, an_older_lock])
def test_an_edit_beside_the_pixels_is_known_wherever_the_picture_lies(folder, and_, orientation):
    (folder / ".semcompress.yaml").write_text(JPEG)
    (folder / "a.jpg").write_bytes(original := encoded(photo((240, 180), 1), "JPEG", quality=97))
    assert main(["compress"]) == 1
    place = and_(folder)
    edit = lettered(place, orientation)
    for _ in range(2):
        assert main(["compress"]) == 0
        assert place.read_bytes() == edit
    assert main(["restore", str(place)]) == 0
    assert place.read_bytes() == original


def test_what_was_converted_from_an_output_of_ours_is_another_picture(folder):
    (folder / ".semcompress.yaml").write_text(POLICY.replace("PLACE", "replace"))
    assert main(["compress"]) == 1
    with Image.open(folder / "a.webp") as image:
        image.save(folder / "b.png", compress_level=0)
    assert main(["compress"]) == 1
    assert not (folder / "b.png").exists()
