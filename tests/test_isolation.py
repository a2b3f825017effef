"""Decoding in a process of its own: the same pictures, and a decoder's death costs one of them."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

import metadata_table
from pictures import encoded, photo
from semcompress_plugin import isolation
from semcompress_plugin.cli import main
from semcompress_plugin.errors import ImageError, UnsupportedImageError
from semcompress_plugin.images import decode
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.types import Limits

LIMITS = Limits(isolate=True, max_seconds=30)

# Python runs a module of this name when it starts, in the children too: decoders that do harm on sight
HARM = """\
import ctypes, os, signal, time
from PIL import JpegImagePlugin
really = JpegImagePlugin.JpegImageFile.load
def load(self):
    comment = self.info.get("comment")
    if comment == b"crash":
        ctypes.string_at(0)
    if comment == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if comment == b"hang":
        time.sleep(600)
    if comment == b"burn":
        while True:
            pass
    if comment == b"eat":
        bytearray(1 << 42)
    if comment == b"write":
        try:
            os.write(os.open("written", os.O_CREAT | os.O_WRONLY), b"x" * 99)
        except OSError:
            pass
    if comment == b"babble":
        print("I am an answer", flush=True)
        os.write(1, b"and so am I")
    return really(self)
JpegImagePlugin.JpegImageFile.load = load
"""


@pytest.fixture
def harmful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harm").mkdir()
    (tmp_path / "harm" / "sitecustomize.py").write_text(HARM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "harm"), prepend=os.pathsep)


def jpeg(comment: bytes = b"") -> bytes:
    return encoded(photo((64, 48)), "JPEG", quality=97, comment=comment)


MODES = {
    "1": encoded(photo((33, 21)).convert("1"), "PNG"),
    "L": encoded(photo((33, 21)).convert("L"), "PNG"),
    "L with a transparent grey": encoded(photo((33, 21)).convert("L"), "PNG", transparency=77),
    "LA": encoded(photo((33, 21)).convert("LA"), "PNG"),
    "P": encoded(photo((33, 21)).quantize(50), "PNG"),
    "P with transparency": encoded(photo((33, 21)).quantize(50), "PNG", transparency=3),
    "P with several": encoded(photo((33, 21)).quantize(50), "PNG", transparency=bytes(range(0, 250, 5))),
    "RGB": encoded(photo((33, 21)), "PNG"),
    "RGB with a transparent colour": encoded(photo((33, 21)), "PNG", transparency=(1, 2, 3)),
    "RGBA": metadata_table.transparent("PNG"),
    "everything beside the pixels": encoded(
        photo((33, 21)), "JPEG", comment=b"c", xmp=metadata_table.XMP % b"", dpi=(300, 300),
        icc_profile=metadata_table.PROFILE, exif=Image.Exif(),
    ),
    "turned": metadata_table.with_exif(metadata_table._orientation)("JPEG"),
    "chunks": metadata_table.png_with((b"gAMA", b"\0\1\0\0"), (b"tEXt", b"Comment\0x"))("PNG"),
}  # fmt: skip


@pytest.fixture(scope="module")
def decoders():
    with Decoders() as made:
        yield made


@pytest.mark.parametrize("data", MODES.values(), ids=MODES)
def test_a_picture_comes_through_as_it_is_decoded_here(decoders, data):
    here, there = decode(data), decoders.decode(data, None, "keep", LIMITS)
    assert (there.format, there.metadata, there.source) == (here.format, here.metadata, data)
    assert (there.image.mode, there.image.size) == (here.image.mode, here.image.size)
    assert there.image.tobytes() == here.image.tobytes()
    assert there.image.convert("RGBA").tobytes() == here.image.convert("RGBA").tobytes()
    assert there.image.has_transparency_data == here.image.has_transparency_data
    assert there.image.info.get("icc_profile") == here.image.info.get("icc_profile")
    again = [encoded(image, "PNG") for image in (here.image, there.image)]
    assert again[0] == again[1]


def test_errors_come_through_as_they_are_raised_here(decoders):
    with pytest.raises(UnsupportedImageError, match="is animated: left alone"):
        decoders.decode(metadata_table.animation("GIF"), "a.gif", "keep", LIMITS)
    with pytest.raises(ImageError, match="holds JPEG, not PNG"):
        decoders.decode(jpeg(), "a.png", "keep", LIMITS)


def test_without_isolate_no_process_is_started(monkeypatch):
    monkeypatch.setattr(isolation, "_Child", None)
    with Decoders() as decoders:
        assert decoders.decode(jpeg(), "a.jpg", "keep", Limits()).image.size == (64, 48)


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        (b"crash", r"crashed its decoder \(SIG(SEGV|BUS)\)"),
        (b"kill", "the system killed the decoder"),
        (b"burn", "took longer than 1 s to decode: raise limits.max_seconds"),
        (b"hang", "took longer than 1 s to decode: raise limits.max_seconds"),
        (b"eat", "needs more memory than there is"),
    ],
)
def test_what_harms_the_decoder_is_one_pictures_failure(harmful, monkeypatch, comment, words):
    monkeypatch.setattr(isolation, "_SLACK", 1.0)
    started = time.monotonic()
    with Decoders() as decoders:
        for _ in range(2):
            with pytest.raises(ImageError, match=words) as caught:
                decoders.decode(jpeg(comment), "a.jpg", "keep", Limits(isolate=True, max_seconds=1))
            assert "\n" not in str(caught.value)
        assert decoders.decode(jpeg(), "a.jpg", "keep", LIMITS).image.size == (64, 48)
    assert time.monotonic() - started < 40, "twice two seconds, and starts on a busy machine"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_decoder_that_burns_is_ended_by_the_system_and_not_only_by_the_parents_clock(harmful, monkeypatch):
    monkeypatch.setattr(isolation, "_SLACK", 60.0)
    started = time.monotonic()
    with Decoders() as decoders, pytest.raises(ImageError, match="took longer than 1 s to decode"):
        decoders.decode(jpeg(b"burn"), "a.jpg", "keep", Limits(isolate=True, max_seconds=1))
    assert time.monotonic() - started < 40


def test_a_decoder_can_neither_write_files_nor_answer_by_printing(harmful, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Decoders() as decoders:
        decoders.decode(jpeg(b"write"), "a.jpg", "keep", LIMITS)
        assert Path("written").stat().st_size == 0
        assert decoders.decode(jpeg(b"babble"), "a.jpg", "keep", LIMITS).image.size == (64, 48)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_huge_picture_cannot_have_more_memory_than_the_limits_are_worth(monkeypatch):
    """A sound PNG of 400 million pixels, which Pillow would need 1.6 GB for, under limits for fewer bytes a pixel."""
    rows = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    few = f"from semcompress_plugin import isolation as i; i.MEMORY_PER_PIXEL = 0; i.MEMORY_AT_REST = {300 << 20}"
    really = isolation.subprocess.Popen
    monkeypatch.setattr(
        isolation.subprocess,
        "Popen",
        lambda command, **more: really([sys.executable, "-c", f"{few}; i.main()"], **more),
    )
    with Decoders() as decoders:
        with pytest.raises(ImageError, match="needs more memory than there is"):
            decoders.decode(rows, "a.png", "keep", Limits(isolate=True, max_pixels=500_000_000))
        assert decoders.decode(jpeg(), "a.jpg", "keep", LIMITS).image.size == (64, 48)


def test_a_run_loses_the_crashing_picture_only(harmful, repository, capsys):
    (repository / ".semcompress.yaml").write_text(
        "version: 1\nisolate: true\nrules: [{name: a, files: ['*'], keep: {classifier: {js_divergence: {max: .2}}}}]\n"
    )
    for number in range(3):
        (repository / f"{number}.jpg").write_bytes(encoded(photo((160, 120), number), "JPEG", quality=97))
    (repository / "evil.jpg").write_bytes(jpeg(b"crash"))
    assert main(["compress", "--format", "json"]) == 1
    results = {result["path"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert "crashed its decoder" in results.pop("evil.jpg")["reason"]
    assert {result["status"] for result in results.values()} == {"compressed"}
    assert (repository / "evil.jpg").read_bytes() == jpeg(b"crash")


def test_verify_decodes_as_isolated_as_compress_does(repository, tmp_path, monkeypatch, capsys):
    policy = repository / ".semcompress.yaml"
    policy.write_text("version: 1\nrules: [{name: a, files: ['*'], keep: {msssim: {score: {min: .9}}}}]\n")
    (repository / "evil.jpg").write_bytes(encoded(photo((160, 120)), "JPEG", quality=97, comment=b"crash"))
    (repository / "good.jpg").write_bytes(encoded(photo((160, 120), 2), "JPEG", quality=97))
    assert main(["compress"]) == 1
    (tmp_path / "sitecustomize.py").write_text(HARM)  # from here on, and in other processes than this
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    policy.write_text(policy.read_text() + "isolate: true\n")
    capsys.readouterr()
    assert main(["verify", "--format", "json"]) == 1
    results = {result["path"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert "crashed its decoder" in results["evil.jpg"]["reason"]
    assert results["good.jpg"]["status"] == "unchanged"


def test_children_are_kept_between_pictures_one_for_each_thread_and_gone_afterwards(monkeypatch):
    started = []
    really = isolation.subprocess.Popen

    def start(*arguments, **keywords):
        started.append(really(*arguments, **keywords))
        return started[-1]

    monkeypatch.setattr(isolation.subprocess, "Popen", start)
    with Decoders() as decoders:
        for _ in range(5):
            decoders.decode(jpeg(), None, "keep", LIMITS)
            with pytest.raises(UnsupportedImageError):  # an answer like any other
                decoders.decode(metadata_table.animation("GIF"), None, "keep", LIMITS)
        assert len(started) == 1
        threads = [threading.Thread(target=decoders.decode, args=(jpeg(), None, "keep", LIMITS)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= len(started) <= 3
        assert all(process.poll() is None for process in started)
    assert all(process.returncode == -signal.SIGKILL for process in started)


def test_a_folder_called_pil_in_the_working_folder_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL" / "__init__.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    with Decoders() as decoders:
        decoders.decode(jpeg(), None, "keep", LIMITS)
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"mode": "RGB", "size": [10, 10], "format": "JPEG", "palette": None, "info": {}, "metadata": {}},
        {"mode": "F", "size": [1, 1], "format": "JPEG", "palette": None, "info": {}, "metadata": {}},
        {"mode": "L", "size": [1, 1], "format": "JPEG", "palette": None, "info": [], "metadata": {}},
        {"mode": "L", "size": [1, 1], "format": "JPEG", "palette": None, "info": {}, "metadata": {"what": 1}},
        {"mode": "L", "size": [10**9, 10**9], "format": "JPEG", "palette": None, "info": {}, "metadata": {}},
        {"mode": "L", "size": [1, 1], "format": "JPEG", "palette": None, "info": {}, "metadata": {}, "orientation": 9},
    ],
)
def test_a_child_that_was_taken_over_is_not_believed(answer):
    with pytest.raises(ImageError, match="nonsense"):
        isolation._reference({"orientation": 1, **answer}, b"x", b"")


def test_what_a_child_costs(decoders):
    """A generous bound: starting takes a fraction of a second, a picture of 0.8 megapixels milliseconds more."""
    data = encoded(photo((1024, 768)), "JPEG")
    decoders.decode(data, None, "keep", LIMITS)
    started = time.monotonic()
    decoders.decode(data, None, "keep", LIMITS)
    assert time.monotonic() - started < 5
