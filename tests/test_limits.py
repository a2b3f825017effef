"""What one picture may cost: files that are small and would become large, and one clear line for each."""

from __future__ import annotations

import io
import json
import re
import struct
import threading
import time
import zlib

import pytest
from PIL import Image, PngImagePlugin

import metadata_table
from pictures import Thumbnails, encoded, photo, reader, registry, rule
from semcompress_plugin import containers, exif, images
from semcompress_plugin.cli import main
from semcompress_plugin.compressors.jpeg import JpegCompressor
from semcompress_plugin.engine import decide
from semcompress_plugin.errors import ImageError, UnsupportedImageError
from semcompress_plugin.evaluators.msssim import MsssimEvaluator
from semcompress_plugin.images import decode
from semcompress_plugin.runner import Job, Runner
from semcompress_plugin.types import Limits
from semcompress_plugin.workshop import Workshop


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    return metadata_table.png_with(*chunks)("PNG")


def bomb(kind: bytes, head: bytes, size: int = 100_000_000) -> bytes:
    """A PNG with a chunk that unpacks to ``size`` bytes."""
    return png((kind, head + zlib.compress(bytes(size), 9)))


def gif(frames: int) -> bytes:
    """A sound GIF of many frames of one pixel, each 20 bytes."""
    frame = b"!\xf9\x04\0\0\0\0\0," + struct.pack("<4H", 0, 0, 1, 1) + b"\0\x02\x02D\x01\0"
    return b"GIF89a" + struct.pack("<2H", 1, 1) + b"\x80\0\0" + bytes(6) + frame * frames + b";"


def scans(many: int, size: tuple[int, int] = (2000, 2000)) -> bytes:
    """A sound progressive JPEG to which scans are added that refine nothing: each says that all its blocks are done."""
    data = encoded(Image.new("L", size), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * many + data[-2:]


BOMBS = {
    "scans": (scans(1000), "more than 256 scans, each of which takes time to decode: save it anew"),
    "pixels in a small PNG": (
        encoded(Image.new("1", (30_000, 30_000)), "PNG"),
        "900,000,000 pixels, more than 89,478,485: raise limits.max_pixels",
    ),
    "text that unpacks to 100 MB": (bomb(b"zTXt", b"Comment\0\0"), "metadata that unpacks to too much"),
    "international text": (bomb(b"iTXt", b"Comment\0\x01\0\0\0"), "metadata that unpacks to too much"),
    "a colour profile": (bomb(b"iCCP", b"icc\0\0"), "metadata that unpacks to too much"),
    "text, stored": (png((b"tEXt", b"Comment\0" + b"x" * 20_000_000)), "bytes of metadata, more than 16,777,216"),
    "EXIF in a PNG": (png((b"eXIf", b"II*\0" + bytes(20_000_000))), "bytes of metadata, more than 16,777,216"),
    "EXIF in a WebP": (
        encoded(photo((48, 32)), "WEBP", exif=b"Exif\0\0II*\0" + bytes(20_000_000)),
        "20,000,0.. bytes of metadata, more than 16,777,216: raise limits.max_metadata",
    ),
    "EXIF in an AVIF": (
        encoded(photo((48, 32)), "AVIF", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" + bytes(20_000_000)),
        "bytes of metadata, more than 16,777,216",
    ),
    "segments of a JPEG": (
        metadata_table.jpeg_with(*[(0xE5, bytes(65_000))] * 300)("JPEG"),
        "19,5..,... bytes of metadata, more than 16,777,216",
    ),
    "frames": (gif(100_000), "more than 10,000 frames: raise limits.max_frames"),
}


@pytest.mark.parametrize(("data", "words"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_costs_one_line_and_no_time(data, words):
    started = time.monotonic()
    with pytest.raises(ImageError, match=words) as caught:
        decode(data)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UnsupportedImageError)  # failed, not skipped: somebody must look at it
    assert time.monotonic() - started < 10


def test_as_many_scans_as_encoders_write_are_no_bomb():
    assert containers.jpeg_scans(data := scans(70, (64, 64)), 100) > 70
    assert decode(data).image.size == (64, 64)
    assert containers.jpeg_scans(data, 5) == 5
    for nothing in (b"", encoded(photo(), "PNG")):
        assert containers.jpeg_scans(nothing, 5) == 0
    assert containers.jpeg_scans(encoded(photo(), "JPEG") * 9, 5) == 1, "what lies behind the end is not decoded"


MANY = 1_000_000
EMPTY_SEGMENTS = {
    "comments": b"\xff\xfe\0\2",
    "JFIF": b"\xff\xe0\0\2",
    "tables": b"\xff\xc4\0\2",
    "ends": b"\xff\xd9",
    "segments with rubbish between them": b"x\xff\0\xff\xd0\xff\xff\xe5\0\2",
}
EMPTY_CHUNKS = {"chunks": b"prIv", "image data": b"IDAT"}
FLOODS = {
    **{name: b"\xff\xd8" + part * MANY for name, part in EMPTY_SEGMENTS.items()},
    **{name: png()[:33] + metadata_table.chunk(kind, b"") * MANY for name, kind in EMPTY_CHUNKS.items()},
    "chunks of a WebP": encoded(photo((48, 32)), "WEBP") + b"XMP \0\0\0\0" * MANY,
}


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS)
def test_a_flood_of_empty_parts_is_refused_before_it_is_walked_through(data, monkeypatch):
    looked_at = 0

    def counted(data):
        nonlocal looked_at
        for looked_at, size in enumerate(containers.metadata_parts(data), 1):  # noqa: B007
            yield size

    monkeypatch.setattr(images, "metadata_parts", counted)
    monkeypatch.setattr(images, "_open", lambda data: pytest.fail("Pillow saw it"))
    with pytest.raises(ImageError, match="metadata in more than 2,048 parts: remove it") as caught:
        decode(data)
    assert looked_at == 2049
    assert not isinstance(caught.value, UnsupportedImageError)


def test_headers_count_as_metadata_and_parts_that_pixels_need_do_not():
    plain = {format: sum(containers.metadata_parts(encoded(photo((48, 32)), format))) for format in ("PNG", "JPEG")}
    assert plain == {"PNG": 0, "JPEG": 0}
    segments, chunks = [(0xFE, b""), (0xE5, b"abc")], [(b"prIv", b""), (b"tEXt", b"a\0b")]
    assert sum(containers.metadata_parts(metadata_table.jpeg_with(*segments)("JPEG"))) == 4 + 4 + 3
    assert sum(containers.metadata_parts(png(*chunks))) == 12 + 12 + 3
    webp = encoded(photo((48, 32)), "WEBP", xmp=b"abc")
    assert sum(containers.metadata_parts(webp)) == 8 + 3
    many = (b"IDAT", b"x"), (b"fdAT", b"x"), (b"fcTL", b"x")
    assert len(list(containers.metadata_parts(png(*many * 2000)))) < 10, "as many as a picture is large"


def test_limits_are_the_policys(repository, capsys):
    (repository / ".semcompress.yaml").write_text(
        "version: 1\nlimits: {max_pixels: 9000, max_frames: 5, max_metadata: 3000}\n"
    )
    pictures = {
        "pixels.png": (encoded(photo((100, 100)), "PNG"), "10,000 pixels, more than 9,000: raise limits.max_pixels"),
        "frames.gif": (gif(6), "more than 5 frames: raise limits.max_frames"),
        "metadata.jpg": (
            metadata_table.jpeg_with((0xE5, bytes(4000)))("JPEG"),
            "4,0.. bytes of metadata, more than 3,000: raise limits.max_metadata",
        ),
    }
    for name, (data, _) in pictures.items():
        (repository / name).write_bytes(data)
    (repository / "animated.gif").write_bytes(gif(5))
    assert main(["compress", "--format", "json"]) == 1
    results = {result["path"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    for name, (data, words) in pictures.items():
        assert results[name]["status"] == "failed"
        assert re.search(words, results[name]["reason"])
        assert (repository / name).read_bytes() == data
    assert results["animated.gif"]["status"] == "skipped"


def test_directories_that_point_at_each_other_cost_no_time():
    """A block of 60 kB in which 5,000 entries each point at 5,000 entries, which point back."""
    count = 2500
    places = (8, 8 + 2 + 12 * count + 4)
    directories = [
        struct.pack("<H", count) + struct.pack("<HHII", tag, 4, 1, other) * count + struct.pack("<I", 8)
        for tag, other in ((0x8769, places[1]), (0xA005, places[0]))
    ]
    block = b"II*\0\x08\0\0\0" + b"".join(directories)
    turned = struct.pack("<HHII", 0x112, 3, 1, 6)
    dropped = b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + turned * 65_535 + bytes(4)
    started = time.monotonic()
    for hostile in (block, dropped):
        exif.whole(hostile)
        exif.as_srgb(hostile)
        exif.only_orientation(hostile)
    assert time.monotonic() - started < 5


def test_a_policy_may_allow_more_pixels_than_pillow_would():
    huge = encoded(Image.new("1", (20_000, 10_000)), "PNG")
    with pytest.raises(Image.DecompressionBombError):
        encoded_size(huge)
    assert decode(huge, limits=Limits(max_pixels=200_000_000)).image.size == (20_000, 10_000)


def encoded_size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


@pytest.mark.parametrize("frames", [0, 1, 2, 7])
def test_frames_are_counted_without_decoding_them_and_no_further_than_needed(frames):
    assert containers.gif_frames(gif(frames), 1000) == frames
    assert containers.gif_frames(gif(frames), 1) == min(frames, 1)
    real = metadata_table.animation("GIF")
    assert containers.gif_frames(real, 1000) == 3


def test_a_picture_that_takes_too_long_fails_and_the_others_go_on():
    class Slow(Thumbnails):
        def observe(self, images):
            time.sleep(0.2)
            return super().observe(images)

    known = registry(reader(factory=Slow))
    asked = rule(known, "jpeg")
    pictures = {name: decode(encoded(photo(seed=n), "JPEG", quality=97)) for n, name in enumerate("ab")}
    jobs = [
        Job(name, lambda name=name: pictures[name], lambda reference: decide(reference, asked, known), seconds)
        for name, seconds in (("a", 0.3), ("b", 60))
    ]
    done = {one.key: one for one in Runner(Workshop(known), threads=1).run(jobs)}
    assert isinstance(done["a"].error, ImageError)
    assert str(done["a"].error) == "took longer than 0.3 s of work: raise limits.max_seconds in the policy"
    assert done["b"].answer is not None


def test_waiting_for_others_does_not_count_as_work():
    known = registry()
    asked = rule(known, "jpeg")
    turn = threading.Lock()

    def slow():
        with turn:
            time.sleep(0.1)
        return decode(encoded(photo(), "JPEG", quality=97))

    jobs = [Job(n, slow, lambda reference: decide(reference, asked, known), 20.0) for n in range(8)]
    assert all(one.error is None for one in Runner(Workshop(known), threads=1).run(jobs))


@pytest.mark.parametrize("where", ["compressor", "reader"])
def test_memory_that_runs_out_while_a_picture_is_tried_out_costs_that_picture(repository, capsys, monkeypatch, where):
    kind, method = {"compressor": (JpegCompressor, "compress"), "reader": (MsssimEvaluator, "observe")}[where]
    really = getattr(kind, method)

    def hungry(self, *arguments):
        images = [arguments[0].image] if where == "compressor" else arguments[0]
        if any(image.size == (111, 77) for image in images):
            raise MemoryError
        return really(self, *arguments)

    monkeypatch.setattr(kind, method, hungry)
    (repository / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: all, files: ['*'], keep: {msssim: {score: {min: 0.1}}}}]\n"
    )
    for name, size in (("good", (96, 64)), ("huge", (111, 77)), ("sound", (80, 60))):
        (repository / f"{name}.jpg").write_bytes(encoded(photo(size), "JPEG", quality=98))
    assert main(["compress", "--format", "json", "--jobs", "1"]) == 1
    results = {result["path"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert results.pop("huge.jpg")["reason"] == "needs more memory than there is"
    assert {result["status"] for result in results.values()} == {"compressed"}, "not even those in the same batch"


def test_without_isolation_too_memory_that_is_not_there_costs_one_picture(repository, capsys, monkeypatch):
    really = PngImagePlugin.PngImageFile.load

    def load(self):
        if self.size == (333, 333):
            raise MemoryError
        return really(self)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    (repository / ".semcompress.yaml").write_text(
        "version: 1\nrules: [{name: all, files: ['*'], keep: {msssim: {score: {min: 0.1}}}}]\n"
    )
    (repository / "huge.png").write_bytes(encoded(photo((333, 333)), "PNG"))
    (repository / "good.png").write_bytes(encoded(photo((96, 64)), "PNG"))
    assert main(["compress", "--format", "json"]) == 1
    results = {result["path"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert results["huge.png"]["reason"] == "needs more memory than there is"
    assert results["good.png"]["status"] == "compressed"


MILLIONS = 2 << 20
BEGUN = struct.pack(">I4s", 16, b"ftyp") + b"avif\0\0\0\0"
BOXES = struct.pack(">I4s", 8, b"free") * MILLIONS
OF_MANY_PARTS = {
    "segments before a JPEG's frame": b"\xff\xd8" + b"\xff\xe0\0\2" * MILLIONS,
    "segments between a JPEG's scans": encoded(photo((48, 32)), "JPEG")[:-2] + b"\xff\xe0\0\2" * MILLIONS + b"\xff\xd9",
    "chunks of a WebP": b"RIFF\0\0\0\1WEBP" + b"junk\0\0\0\0" * MILLIONS,
    "boxes of an AVIF": BEGUN + BOXES,
    "boxes that describe an AVIF": BEGUN + struct.pack(">I4sI", 12 + len(BOXES), b"meta", 0) + BOXES,
}


@pytest.mark.parametrize("data", OF_MANY_PARTS.values(), ids=OF_MANY_PARTS)
def test_a_file_of_millions_of_parts_costs_no_time_before_it_is_refused(data):
    started = time.process_time()
    containers.pixels_at_a_glance(data)
    with pytest.raises(ImageError, match="metadata in more than 2,048 parts"):
        decode(data)
    assert time.process_time() - started < 0.5
