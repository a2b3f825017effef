"""The compressor that changes no pixel: what it writes, what it refuses, and when the engine asks it."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from dataclasses import replace

import pyexiv2
import pytest
from PIL import Image

import icc
import metadata_table
from hosts import missing
from metadata_table import POLICIES, TABLE, TURNED, Row
from pictures import encoded, photo, reader, registry, rule
from semcompress_plugin.compressors import _mozjpeg
from semcompress_plugin.compressors.repack import RepackCompressor
from semcompress_plugin.containers import metadata_parts, segment
from semcompress_plugin.engine import Decision, Encode, decide, drive
from semcompress_plugin.errors import ImageError
from semcompress_plugin.images import decode
from semcompress_plugin.types import CompressorSpec, Knob, Limits, Reference
from semcompress_plugin.workshop import Workshop


def repacked(data: bytes, format: str = "JPEG", **how: object) -> bytes:
    return RepackCompressor().compress(decode(data, **how), {}, format)


def transparent(size: tuple[int, int] = (60, 40)) -> Image.Image:
    picture = photo(size).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(size))
    return picture


def apart_from_profiles(data: bytes) -> dict[str, str]:
    image = pyexiv2.ImageData(data)
    try:
        return {**image.read_exif(), **image.read_iptc(), **image.read_xmp()}
    finally:
        image.close()


PICTURES = {
    "plain": (photo(), "JPEG", {"quality": 40}),
    "progressive": (photo(), "JPEG", {"quality": 40, "progressive": True}),
    "odd size, subsampled": (photo((61, 43)), "JPEG", {"quality": 70, "subsampling": "4:2:0"}),
    "restart intervals": (photo(), "JPEG", {"quality": 70, "restart_marker_rows": 1}),
    "grey": (photo().convert("L"), "JPEG", {"quality": 40}),
    "stored as RGB": (photo(), "JPEG", {"quality": 60, "keep_rgb": True}),
    "WebP": (photo(), "WEBP", {"quality": 40}),
    "odd WebP": (photo((61, 43)), "WEBP", {"quality": 40}),
    "transparent": (transparent(), "WEBP", {"quality": 60}),
    "lossless WebP": (photo(), "WEBP", {"lossless": True}),
    "lossless and transparent": (transparent(), "WEBP", {"lossless": True}),
}


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("name", PICTURES)
def test_no_pixel_changes_and_only_what_is_wanted_lies_beside_them(name: str, private: bool) -> None:
    image, format, how = PICTURES[name]
    profile = metadata_table.WIDE if image.mode != "L" else None
    exif = Image.Exif()
    exif[0x010F], exif[0xA431] = "Maker", "serial number"
    beside = {"exif": exif, "icc_profile": profile, "xmp": metadata_table.XMP % b""} if private else {}
    source = encoded(image, format, **how, **beside)
    data = repacked(source, format, metadata="strip-private")
    with Image.open(io.BytesIO(source)) as before, Image.open(io.BytesIO(data)) as after:
        assert after.format == format
        assert (after.mode, after.size) == (before.mode, before.size)
        assert after.tobytes() == before.tobytes()
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        assert "xmp" not in after.info
        assert dict(after.getexif()) == ({0x010F: "Maker"} if private else {})
    assert len(data) <= len(source)
    assert len(data) < len(source) or (format == "WEBP" and not private)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("row", "format"),
    [
        pytest.param(row, format, id=f"{row.name}, {format}")
        for row in TABLE
        for format in row.formats
        if format in ("JPEG", "WEBP") and not row.option and set(row.cells) <= {"kept", "dropped"}
    ],
)
def test_the_table_of_metadata_holds_for_it_as_for_others(row: Row, format: str, policy: str) -> None:
    source = row.make(format)
    reference = decode(source, metadata=policy)
    data = RepackCompressor().compress(reference, {}, format)
    again = decode(data).metadata
    wanted = reference.metadata
    assert (again.icc_profile, again.xmp, again.comment) == (wanted.icc_profile, wanted.xmp, wanted.comment)
    assert again.jpeg_segments == wanted.jpeg_segments
    verdict, had, has = row.cells[POLICIES.index(policy)], apart_from_profiles(source), apart_from_profiles(data)
    for tag in row.exiv2:
        assert has.get(tag) == (had[tag] if verdict == "kept" else None)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_picture_that_is_to_be_turned_or_converted_is_refused_and_one_that_keeps_its_tag_is_not(format: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0xA431] = 6, "serial number" * 50
    turned = encoded(photo(), format, exif=exif, quality=60)
    refused = (ValueError, "turned or converted") if format == "JPEG" else (ImageError, "readers disagree")
    with pytest.raises(refused[0], match=refused[1]):
        repacked(turned, format)
    (kept,) = (row for row in TABLE if row.option == TURNED and row.name.startswith("EXIF orientation"))
    assert kept.cells == ("kept",) * 3
    known, reference = registry(), decode(turned, metadata="strip-private", orientation="keep")
    decision = decided(reference, known, rule(known, "repack"))
    assert decision.candidate is not None
    assert decode(decision.candidate.data, orientation="keep").orientation == 6
    assert decision.candidate.image.tobytes() == reference.image.tobytes()
    wide = encoded(photo(), format, icc_profile=icc.rgb(), quality=60)
    with pytest.raises(ValueError, match="turned or converted"):
        repacked(wide, format, icc="srgb")


def test_what_stands_behind_the_picture_and_between_its_parts_is_gone() -> None:
    source = encoded(photo(), "JPEG", comment=b"a secret") + b"another secret"
    data = repacked(source, metadata="strip-all")
    assert b"secret" not in data
    assert sum(metadata_parts(data)) == 0
    webp = encoded(photo(), "WEBP")
    odd = b"abcd" + (5).to_bytes(4, "little") + b"secret"
    assert b"secret" not in repacked(_riff(webp[12:] + odd), "WEBP")


@pytest.mark.parametrize("packs", [True, False])
def test_what_stands_between_scans_and_in_places_of_no_use_is_gone(
    packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Telephones and editors put comments, EXIF and XMP anywhere; JPEGs of many scans have room between them."""
    if not packs:
        monkeypatch.setattr(_mozjpeg, "optimize", None)
    source = encoded(photo(), "JPEG", progressive=True, quality=60)
    secrets = b"".join(segment(marker, b"a secret" * 9) for marker in (0xFE, 0xE1, 0xEE))
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01a secret")
    between = source.rindex(b"\xff\xda")
    told = source[:2] + adobe + secrets + source[2:between] + secrets + source[between:] + secrets
    data = repacked(told, metadata="strip-all")
    assert b"secret" not in data
    assert decode(data).image.tobytes() == decode(source).image.tobytes()
    assert data.endswith(b"\xff\xd9")


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks


def test_without_mozjpeg_metadata_goes_and_the_scans_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mozjpeg, "optimize", None)
    source = encoded(photo(), "JPEG", comment=b"a secret" * 100)
    data = repacked(source, metadata="strip-all")
    assert source[-1000:] == data[-1000:]
    assert len(source) - len(data) == 100 * 8 + 4


OUT_OF_RANGE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsK"
    "DAkKCgr/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABwQAAICAwEBAAAAAAAAAAAAAAMEAgUBBgcI3v/aAAgBAQAAPwBqXUey"
    "eqMMJ9K8O60nkV5VNrW+pdSJRtjE4ymqnmyIaygz9DA2YukXE3ERxrrtsMSIZrEVf//Z"
)


def test_a_coefficient_out_of_range_ends_mozjpeg_and_not_us() -> None:
    """Found by tests/fuzz.py's mutations: libjpeg decodes this, and mozjpeg calls exit()."""
    if not _mozjpeg.installed():
        missing("mozjpeg-lossless-optimization is not installed: nothing to end")
    command = [sys.executable, "-P", "-m", _mozjpeg.__name__]
    alone = subprocess.run(command, input=OUT_OF_RANGE, capture_output=True, check=False)
    assert alone.returncode != 0
    assert b"Traceback" not in alone.stderr, "a test of what no longer happens"
    data = repacked(OUT_OF_RANGE, metadata="strip-all")
    assert decode(data).image.tobytes() == decode(OUT_OF_RANGE).image.tobytes()


def test_a_packer_that_hangs_or_cannot_be_started_costs_a_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoded(photo(), "JPEG", quality=40)
    packed = repacked(source)
    monkeypatch.setattr(_mozjpeg, "_SECONDS", 0)
    assert len(packed) < len(repacked(source)) <= len(source)
    monkeypatch.setattr(_mozjpeg, "_SECONDS", 60)
    assert repacked(source) == packed
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert len(packed) < len(repacked(source)) <= len(source)


def test_without_a_file_of_the_format_there_is_nothing_to_repack() -> None:
    with pytest.raises(ValueError, match="no JPEG file to repack"):
        RepackCompressor().compress(Reference(photo()), {}, "JPEG")
    with pytest.raises(ValueError, match="no WEBP file to repack"):
        RepackCompressor().compress(decode(encoded(photo(), "JPEG")), {}, "WEBP")


def decided(reference: Reference, known, how, seen: list[str] | None = None) -> Decision:
    tools = Workshop(known)

    def perform(task):
        if seen is not None and isinstance(task, Encode):
            seen.append(task.use.name)
        return tools.perform(task)

    (decision,) = drive(decide(reference, how, known), perform)
    return decision


def test_it_is_asked_where_nothing_else_holds() -> None:
    known, seen = registry(), []
    reference = decode(encoded(photo(), "JPEG", quality=30))
    decision = decided(reference, known, rule(known, "jpeg", "repack", bound=1e-9), seen)
    assert decision.candidate is not None
    assert decision.candidate.proposal.compressor == "repack"
    assert decision.scores == {"thumbnails": {"difference": 0}}
    assert seen[-1] == "repack"
    assert seen.count("repack") == 1


def test_it_is_not_asked_where_much_was_saved() -> None:
    known, seen = registry(), []
    decision = decided(decode(encoded(photo(), "JPEG", quality=95)), known, rule(known, "jpeg", "repack"), seen)
    assert decision.candidate is not None
    assert decision.candidate.proposal.compressor == "jpeg"
    assert "repack" not in seen


@pytest.mark.parametrize(("more", "taken"), [(-1, "little"), (1, "repack")])
def test_of_little_and_lossless_the_smaller_is_taken(more: int, taken: str) -> None:
    """The other's file is as large as wanted: what lies behind a JPEG's end is none of its pixels."""
    source = encoded(photo(), "JPEG", quality=75)
    wanted = len(repacked(source)) + more

    class Little:
        def compress(self, reference, settings, format):
            return encoded(reference.image, "JPEG", quality=20).ljust(wanted, b"\0")

    known = registry(CompressorSpec("little", "1", "", ("JPEG",), (Knob("x", "", 1, 1),), Little), reader())
    decision = decided(decode(source), known, rule(known, "little", "repack", bound=0.5, min_saving=0.0))
    assert decision.candidate is not None
    assert decision.candidate.proposal.compressor == taken
    assert len(decision.candidate.data) == wanted - max(more, 0)


def test_a_stranger_s_file_is_not_repacked_in_this_process_where_it_is_not_decoded_here() -> None:
    known, seen = registry(), []
    reference = decode(encoded(photo(), "JPEG", quality=30))
    how = replace(rule(known, "jpeg", "repack", bound=1e-9), limits=Limits(isolate=True))
    assert decided(reference, known, how, seen).candidate is None
    assert "repack" not in seen


def test_what_hinders_it_is_no_reason_unless_it_is_all_there_is() -> None:
    known = registry()
    exif = Image.Exif()
    exif[0x0112] = 6
    reference = decode(encoded(photo(), "JPEG", exif=exif, quality=30))
    both = decided(reference, known, rule(known, "jpeg", "repack", bound=1e-9))
    alone = decided(reference, known, rule(known, "repack", bound=1e-9))
    assert "jpeg" in both.reason
    assert "turned" in alone.reason
    assert "turned" not in both.reason


@pytest.mark.parametrize("formats", [("smallest",), ("webp",)])
def test_it_writes_no_format_but_the_source_s(formats: tuple[str, ...]) -> None:
    known, seen = registry(), []
    reference = decode(encoded(photo(), "JPEG", quality=30))
    decision = decided(reference, known, rule(known, "webp", "repack", bound=1e-9, formats=formats), seen)
    assert ("repack" in seen) == (formats == ("smallest",))
    assert decision.candidate is None or decision.candidate.proposal.format == "JPEG"


def test_a_file_of_the_same_size_is_no_smaller_one() -> None:
    known = registry()
    once = repacked(encoded(photo(), "JPEG", quality=30))
    assert repacked(once) == once
    decision = decided(decode(once), known, rule(known, "repack", min_saving=0.0))
    assert decision.candidate is None
    assert "smaller" in decision.reason
