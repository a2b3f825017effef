"""Every cell of docs/metadata.md, on files that ``semcompress compress`` wrote, by readers that are not ours."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyexiv2
import pytest
from PIL import Image, ImageCms, ImageOps

import icc
import metadata_table
from hosts import missing
from metadata_table import POLICIES, TABLE, TO_SRGB, TURNED, Row, jpeg_with, picture, with_exif
from pictures import encoded, photo, registry, rule
from semcompress_plugin import exif
from semcompress_plugin.cli import main
from semcompress_plugin.engine import decide, drive
from semcompress_plugin.hosts._judgement import recorded, with_record
from semcompress_plugin.images import as_stored, decode, file_of, orientation_of
from semcompress_plugin.metadata import exif_block, lost_in, metadata_of, save_parameters, xmp_orientation
from semcompress_plugin.profiles import space_of
from semcompress_plugin.surplus import has_surplus
from semcompress_plugin.types import Metadata
from semcompress_plugin.workshop import Workshop

RULE = """\
  - name: "{option}"
    files: ["{files}"]
    compress: [{{jpeg: {{scale: 1, quality: 60}}}}, {{webp: {{scale: 1, quality: 60}}}},
               {{avif: {{scale: 1, quality: 60}}}}, {{png: {{scale: 1, colors: 40}}}}]
    keep: {{msssim: {{score: {{min: 0.1}}}}}}
    min_saving: 0
    metadata: {policy}
    {option}
"""


def policy_text(policy: str) -> str:
    rules = [
        RULE.format(option=option, files=f"{NAME[option]}*", policy=policy).rstrip() for option in (TURNED, TO_SRGB, "")
    ]
    return "\n".join(["version: 1", "originals: kept", "rules:", *rules]).replace('name: ""', "name: all") + "\n"


NAME = {TURNED: "turned-", TO_SRGB: "srgb-", "": ""}
CELLS = [
    pytest.param(row, format, policy, id=f"{row.name}, {format}, {policy}{', ' * bool(row.option)}{row.option}")
    for row in TABLE
    for format in row.formats
    for policy in POLICIES
]
EXIFTOOL = shutil.which("exiftool")


class Shrunk:
    """Every picture of the table, shrunk once under each policy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: dict[str, dict] = {}
        for policy in POLICIES:
            (folder / policy).mkdir()
            (folder / policy / ".semcompress.yaml").write_text(policy_text(policy))
        for row in TABLE:
            for format in row.formats:
                data = row.make(format)
                for policy in ("before", *POLICIES):
                    path = folder / policy / self.name(row, format)
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(data)
        home = Path.cwd()
        for policy in POLICIES:
            os.chdir(folder / policy)
            report = io.StringIO()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("sys.stdout", report)
                assert main(["compress", "--format", "json"]) in (0, 1)
            self.results |= {f"{policy}/{r['path']}": r for r in json.loads(report.getvalue())["results"]}
        os.chdir(home)
        self.tags = self._exiftool() if EXIFTOOL else {}

    def name(self, row: Row, format: str) -> str:
        suffix = {"JPEG": "jpg"}.get(format, format.lower())
        return f"{NAME[row.option]}{TABLE.index(row)}.{suffix}"

    def _exiftool(self) -> dict[str, dict]:
        done = subprocess.run(
            [EXIFTOOL, "-j", "-G1", "-n", "-r", "-U", *("before", *POLICIES)],
            cwd=self.folder, capture_output=True, check=False,
        )  # fmt: skip
        return {tags["SourceFile"]: tags for tags in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory: pytest.TempPathFactory) -> Shrunk:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMCOMPRESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Shrunk(tmp_path_factory.mktemp("metadata"))


def exiv2(path: Path) -> dict[str, str]:
    image = pyexiv2.Image(str(path))
    try:
        return {**image.read_exif(), **image.read_iptc(), **image.read_xmp()}
    finally:
        image.close()


def pillow(path: Path, row: Row) -> object:
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert row.seen is not None
        return row.seen(image, data)


def absent(value: object) -> bool:
    return not value or (isinstance(value, tuple) and not any(value))


@pytest.mark.parametrize(("row", "format", "policy"), CELLS)
def test_cell(shrunk: Shrunk, row: Row, format: str, policy: str):
    name, verdict = shrunk.name(row, format), row.cells[POLICIES.index(policy)]
    before, after, result = (
        shrunk.folder / "before" / name,
        shrunk.folder / policy / name,
        shrunk.results[f"{policy}/{name}"],
    )
    if verdict == "left alone":
        assert (result["status"], after.read_bytes()) == ("skipped", before.read_bytes())
        assert row.why in result["reason"]
        return
    assert result["status"] == "compressed", result["reason"]
    assert after.read_bytes() != before.read_bytes()
    _alike(before, after, managed=row.option == TO_SRGB)
    readers = [
        (names, read)
        for names, read in (
            (row.exiv2, exiv2),
            (row.exiftool if EXIFTOOL else (), lambda path: shrunk.tags[f"{path.parent.name}/{path.name}"]),
            (("seen",) if row.seen else (), lambda path: {"seen": pillow(path, row)}),
        )
        if names
    ]
    assert readers or not EXIFTOOL, "nobody looks at this cell"
    for names, read in readers:
        had, has = read(before), read(after)
        for tag in names:
            assert not absent(had.get(tag)), f"the test's own picture lacks {tag}: {sorted(had)}"
            if verdict == "kept":
                assert has.get(tag) == had[tag]
            else:
                assert absent(has.get(tag))


def _alike(before: Path, after: Path, managed: bool = False) -> None:
    """Upright and, with ``managed``, in the colours that their profiles say, both show the same."""
    shown = []
    for path in (before, after):
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            upright = _managed(upright) if managed else upright.convert("RGBA")
            ground = Image.new("RGBA", upright.size, "grey")
            shown.append(np.asarray(Image.alpha_composite(ground, upright).convert("RGB"), float))
    assert shown[0].shape == shown[1].shape
    assert np.abs(shown[0] - shown[1]).mean() < 12


def _managed(image: Image.Image) -> Image.Image:
    """As a program shows it that heeds profiles."""
    profile = image.info.get("icc_profile")
    if profile is None:
        return image.convert("RGBA")
    plain = image if image.mode in ("L", "CMYK") else image.convert("RGB")
    shown = ImageCms.profileToProfile(plain, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB")
    if image.has_transparency_data:
        shown.putalpha(image.convert("RGBA").getchannel("A"))
    return shown.convert("RGBA")


@pytest.mark.parametrize("option", ["", TURNED, TO_SRGB])
def test_the_tables_in_the_documentation_are_these(option):
    page = Path(__file__).parent.parent.joinpath("docs/metadata.md").read_text()
    assert metadata_table.markdown(option) in page


def test_exiftool_is_among_the_readers():
    """A second opinion: exiv2 reads every cell in any case, exiftool where it is installed."""
    if EXIFTOOL is None:
        missing("exiftool is not installed (Debian: libimage-exiftool-perl): exiv2 and Pillow alone have read")
    assert subprocess.run([EXIFTOOL, "-ver"], capture_output=True, check=True).stdout


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "AVIF"])
def test_all_eight_orientations_show_the_same_picture_afterwards(format, orientation):
    stored = encoded(photo((60, 40)), format, exif=_turned(orientation), quality=95)
    with Image.open(io.BytesIO(stored)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    reference = decode(stored)
    assert reference.image.convert("RGB").tobytes() == expected.tobytes()
    again = encoded(reference.image, format, **save_parameters(reference.metadata, format))
    with pyexiv2.ImageData(again) as image:
        assert "Exif.Image.Orientation" not in image.read_exif()


def _turned(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112], block[0x010F] = orientation, "Maker"
    return block


def test_a_damaged_block_behind_a_sound_orientation_does_not_cost_the_orientation():
    """Pillow's exif_transpose reads and writes the whole block, and fails on one bad tag."""
    block = bytearray(_turned(6).tobytes())
    at = block.index(b"\x01\x0f")  # Make: claim values beyond the end
    block[at + 2 : at + 8] = b"\0\x02\x7f\xff\xff\xff"
    assert decode(picture("JPEG", exif=bytes(block))).image.size == (64, 96)


def test_whole_blocks_keep_every_offset_and_lose_only_orientation_and_thumbnail():
    def fill(block: Image.Exif) -> None:
        block[0x0112], block[0x010F] = 6, "A maker with a long name"
        block.get_ifd(0x8769)[0x927C] = b"Nobody\0" + bytes(range(200))

    with pyexiv2.ImageData(with_exif(fill)("JPEG")) as image:
        image.modify_thumbnail(encoded(photo((64, 48)), "JPEG"))
        data = image.get_bytes()
    with Image.open(io.BytesIO(data)) as image:
        block = image.info["exif"]
    kept = exif.whole(block)
    assert kept is not None
    note = b"Nobody\0" + bytes(range(200))
    assert kept.index(note) == block.index(note)
    assert b"\xff\xd8" in block
    assert b"\xff\xd8" not in kept
    assert len(kept) < len(block) - 500
    assert exif.orientation(block) == 6
    assert exif.orientation(kept) is None


def _directory(*entries: tuple[int, int, int, int], next: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", next)


def _block(length: int, **parts: bytes) -> bytes:
    """A block of so many bytes with ``parts`` at the offsets that they are named for."""
    block = bytearray(exif.PREFIX + b"II*\0\x08".ljust(length, b"\0"))
    for name, part in parts.items():
        at = len(exif.PREFIX) + int(name.removeprefix("at"))
        block[at : at + len(part)] = part
    return bytes(block)


MAKER = (0x010F, 2, 4, int.from_bytes(b"Abc\0", "little"))


def test_what_a_maker_has_behind_the_thumbnail_stays():
    """A larger preview, to which nothing but the maker's note leads."""
    preview = b"\xff\xd8" + b"large" * 20
    block = _block(
        600,
        at8=_directory(MAKER, (0x8769, 4, 1, 40), next=100),
        at40=_directory((0x927C, 7, 20, 70)),
        at70=b"Nobody\0" + struct.pack("<I", 300),
        at100=_directory((0x0201, 4, 1, 150), (0x0202, 4, 1, 50), (0x011A, 5, 1, 210)),
        at150=b"small" * 10,
        at210=b"density!",
    )
    without = exif.whole(block)
    assert not exif.has_thumbnail(without)
    assert b"small" not in without
    assert exif.whole(block[:300]) == without[: len(exif.PREFIX) + 100]
    with_preview = block[: len(exif.PREFIX) + 300] + preview + bytes(9)
    kept = exif.whole(with_preview)
    assert b"small" not in kept
    assert kept.index(preview) == with_preview.index(preview)


@pytest.mark.parametrize("type", [4, 13])
def test_a_directory_is_found_by_a_pointer_of_either_type_that_tiff_has_for_it(type):
    """13 is IFD, of Adobe's TIFF Technical Note 1; libtiff writes it."""
    block = _block(
        400,
        at8=_directory(MAKER, (0x8769, type, 1, 200), next=60),
        at60=_directory((0x0201, 4, 1, 100), (0x0202, 4, 1, 50)),
        at100=b"small" * 10,
        at200=_directory((0x9286, 7, 16, 260)),
        at260=b"ASCII\0\0\0comment!",
    )
    kept = exif.whole(block)
    assert b"comment!" in kept
    read = Image.Exif()
    read.load(exif.with_user_comment(kept, b"ASCII\0\0\0another one"))
    assert read.get_ifd(0x8769) == {0x9286: b"ASCII\0\0\0another one"}


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*" * 9])
def test_blocks_that_cannot_be_read_are_neither_trusted_nor_written_back(block):
    assert exif.orientation(block) is None
    assert exif.whole(block) is None
    assert exif.public(block) is None


@pytest.mark.parametrize(("target", "kept"), [("PNG", True), ("WEBP", False), ("AVIF", False)])
def test_what_only_jpeg_has_a_place_for_goes_when_the_format_changes_and_the_rest_stays(target, kept):
    source = picture("JPEG", comment=b"a comment", xmp=metadata_table.XMP % b"", exif=_turned(1))
    with pyexiv2.ImageData(source) as image:
        image.modify_iptc({"Iptc.Application2.City": "Berlin"})
        source = image.get_bytes()
    reference = decode(source, metadata="keep")
    data = encoded(reference.image, target, **save_parameters(reference.metadata, target))
    with pyexiv2.ImageData(data) as image:
        assert image.read_exif()["Exif.Image.Make"] == "Maker"
        assert image.read_xmp()["Xmp.photoshop.City"] == "Berlin"
        assert image.read_iptc() == {}
    assert (b"a comment" in data) is kept


@pytest.mark.parametrize(
    ("chunks", "sayable"),
    [
        ([(b"gAMA", (45455).to_bytes(4, "big"))], True),
        ([(b"sRGB", b"\0"), (b"gAMA", (45455).to_bytes(4, "big"))], True),
        ([(b"cICP", b"\x01\x0d\0\x01")], True),
        ([(b"gAMA", (100_000).to_bytes(4, "big"))], False),
        ([(b"cHRM", bytes(32))], False),
        ([(b"cICP", b"\x0c\x0d\0\x01")], False),
    ],
)
@pytest.mark.parametrize("target", ["JPEG", "WEBP", "AVIF"])
def test_colours_that_another_format_cannot_say_are_not_lost_in_it(chunks, sayable, target):
    metadata = decode(metadata_table.png_with(*chunks)("PNG")).metadata
    if sayable:
        save_parameters(metadata, target)
    else:
        with pytest.raises(ValueError, match="gAMA, cHRM or cICP"):
            save_parameters(metadata, target)
    assert [chunk[:2] for chunk in save_parameters(metadata, "PNG")["pnginfo"].chunks] == chunks


CICP = (b"cICP", b"\x0c\x0d\0\x01")
SRGB_CICP = (b"cICP", b"\x01\x0d\0\x01")
CUT_CURVE = (b"curv\0\0\0\0\0\0\0\x01", b"curv\0\0\0\0\0\0\0\x09")  # of so many numbers
LINEAR = (b"gAMA", (100_000).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("profile", "chunks", "unsayable"),
    [
        (icc.rgb(), (), ()),
        (icc.rgb(), (LINEAR,), ()),  # which the profile overrules
        (icc.rgb(), (CICP,), ("JPEG", "WEBP", "AVIF")),  # which overrules the profile
        (icc.rgb(), (SRGB_CICP,), ("JPEG", "WEBP", "AVIF")),
        (icc.rgb()[:200], (LINEAR,), ("JPEG", "WEBP", "AVIF")),
        (icc.rgb()[:200], (), ("WEBP", "AVIF")),
        (icc.rgb().replace(b"RGB XYZ", b"R\nB XYZ", 1), (), ("WEBP", "AVIF")),
        (icc.rgb().replace(*CUT_CURVE), (), ("WEBP", "AVIF")),
        (icc.rgb().replace(b"gXYZ", b"xXYZ"), (), ("WEBP", "AVIF")),
        (icc.rgb().replace(b"acsp", b"acsq"), (), ("WEBP", "AVIF")),
        (icc.grey(), (), ("WEBP", "AVIF")),
        (icc.cmyk(), (), ("WEBP", "AVIF")),
        (metadata_table.PROFILE, (), ("WEBP", "AVIF")),
        (b"no profile", (), ("WEBP", "AVIF")),
    ],
)
def test_a_profile_goes_along_where_the_format_makes_the_same_of_it(profile, chunks, unsayable):
    metadata = Metadata(icc_profile=profile, png_chunks=chunks)
    for target in ("JPEG", "PNG", "WEBP", "AVIF"):
        if target in unsayable:
            with pytest.raises(
                ValueError, match=r"gAMA, cHRM or cICP|its colour profile is (damaged|for \w+, not RGB)"
            ):
                save_parameters(metadata, target)
        else:
            assert save_parameters(metadata, target)["icc_profile"] == profile


@pytest.mark.parametrize("space", ["sRGB", "LAB", "XYZ"])
def test_what_a_profile_is_for_is_read_as_littlecms_reads_it(space):
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile(space))
    for profile in (made.tobytes(), icc.rgb(), icc.grey(), icc.cmyk()):
        read = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
        assert space_of(profile) == read
    assert {space_of(icc.rgb()[:end]) for end in range(len(icc.rgb()))} == {None}


def test_a_profile_that_repeats_itself_costs_no_more_than_its_bytes():
    entries = 100_000
    head = icc.rgb()[:128] + entries.to_bytes(4, "big")
    size = len(head) + 12 * entries
    entry = b"rTRC" + (0).to_bytes(4, "big") + size.to_bytes(4, "big")
    started = time.process_time()
    assert space_of(size.to_bytes(4, "big") + head[4:] + entry * entries) is None
    assert time.process_time() - started < 2


@pytest.mark.parametrize("policy", POLICIES)
def test_the_size_that_a_dense_screenshot_is_shown_at_is_turned_with_it_and_said_in_jpeg_only(policy):
    """Chromium 156 shows 96 x 64 pixels as 48 x 32 where EXIF says so and that they are 144 an inch."""

    def fill(block: Image.Exif) -> None:
        metadata_table._dense(block)
        block[0x0112] = 6

    data = with_exif(fill)("JPEG")
    upright, lying = (decode(data, metadata=policy, orientation=wish) for wish in ("apply", "keep"))
    assert (b"Maker" in upright.metadata.exif) == (policy != "strip-all")
    assert exif.shown_size(upright.metadata.exif, (64, 96)) == (32, 48)
    assert exif.shown_size(lying.metadata.exif, (96, 64)) == (48, 32)
    for reference in (upright, lying):
        assert lost_in("JPEG", reference, replaces=True) is None
        for format in ("PNG", "WEBP", "AVIF"):
            assert "is shown as" in (lost_in(format, reference, replaces=False) or "")
    known = registry()
    (decision,) = drive(decide(upright, rule(known, "webp", formats=("webp",)), known), Workshop(known).perform)
    assert decision.candidate is None
    assert "says in EXIF that it is shown as 32 x 48" in decision.reason
    assert lost_in("WEBP", decode(picture("JPEG", dpi=(144, 144))), replaces=True) is None


@pytest.mark.parametrize(("policy", "kept"), [("keep", True), ("strip-private", True), ("strip-all", False)])
def test_no_other_format_takes_the_place_of_a_png_with_its_drawing(policy, kept):
    reference = decode(metadata_table._drawing("PNG"), metadata=policy)
    assert (lost_in("WEBP", reference, replaces=True) is not None) == kept
    assert lost_in("WEBP", reference, replaces=False) is None
    known = registry()
    how = rule(known, "webp", "png", bound=1.0, formats=("smallest",))
    for place, format in (("replace", "PNG" if kept else "WEBP"), ("beside", "WEBP")):
        there = replace(how, outputs=replace(how.outputs, place=place))
        (decision,) = drive(decide(reference, there, known), Workshop(known).perform)
        assert decision.candidate.proposal.format == format


@pytest.mark.parametrize("signature", [b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa"])
def test_photoshops_thumbnail_goes_and_its_other_resources_stay(signature):
    resource = metadata_table.resource
    thumbnail, iptc = resource(b"8BIM", 0x0409, b"thumb"), resource(b"8BIM", 0x0404, b"\x1c\x02\x5a\0\x03abc")
    head = b"Photoshop 3.0\0"
    for rest in (
        resource(b"8BIM", 0x0BB7, b"x"),
        b"8BIM",
        b"8BIM\4",
        b"rubbish",
        resource(b"8BIM", 0x0404, b"abc")[:-2],
    ):
        blocks = resource(signature, 1, b"abc") + iptc + thumbnail + iptc + rest
        for cut in (len(blocks), 5, len(resource(signature, 1, b"abc") + iptc) + 15):
            parts = [(0xED, head + part) for part in (blocks[:cut], blocks[cut:])]
            reference = decode(metadata_table.jpeg_with(*parts)("JPEG"), metadata="keep")
            assert reference.metadata.jpeg_segments == ((0xED, head + blocks.replace(thumbnail, b"")),)


@pytest.mark.parametrize(
    ("packet", "number", "left"),
    [
        (b"<a x='1'\n\t tiff:Orientation='6' y='2'/>", 6, b"<a x='1' y='2'/>"),
        (b'<a tiff:Orientation = " 8 "/>', 8, b"<a/>"),
        (b"<a> <tiff:Orientation> 3 </tiff:Orientation> </a>", 3, b"<a>  </a>"),
        (b"<a tiff:Orientation='6' tiff:Orientation='6'/>", 6, b"<a/>"),
        (b"<a tiff:Orientation='6\"/>", None, b"<a tiff:Orientation='6\"/>"),
        (b"<a tiff:Orientation='66'/>", None, b"<a tiff:Orientation='66'/>"),
        (b"<a tiff:Orientation tiff:Orientation='2'/>", 2, b"<a tiff:Orientation/>"),
        (b" ", None, b" "),
    ],
)
def test_orientation_in_xmp_is_found_and_taken_out_with_the_space_before_it(packet, number, left):
    image = Image.new("RGB", (4, 4))
    image.info["xmp"] = packet
    assert xmp_orientation(image) == number
    assert metadata_of(image, "keep").xmp == left


@pytest.mark.parametrize(
    "piece",
    [
        b" ",
        b"tiff:Orientation =",
        b'tiff:Orientation="',
        b"tiff:Orientation='6",
        b" tiff:Orientation='6'",
        b"<tiff:Orientation> ",
        b"<tiff:Orientation>6 ",
        b"tiff:Orientation=" + b" " * 1000,
        b"tiff:Orientation='6" + b" " * 1000,
        b" " * 1000 + b"tiff:Orientation",
    ],
    ids=lambda piece: piece.decode()[:25],
)
def test_xmp_is_read_once_whatever_a_stranger_wrote(piece):
    image = Image.new("RGB", (4, 4))
    for size in (1 << 17, 1 << 24):  # what took half a minute, and then what WebP allows
        image.info["xmp"] = piece * (size // len(piece))
        started = time.process_time()
        xmp_orientation(image)
        metadata_of(image, "keep")
        assert time.process_time() - started < 10


@pytest.mark.parametrize("policy", ["strip-private", "strip-all"])
def test_a_picture_of_which_nothing_smaller_holds_keeps_its_place_as_is_said(repository, capsys, policy):
    (repository / ".semcompress.yaml").write_text(
        f"version: 1\nrules: [{{name: all, files: ['*'], min_saving: 99%, metadata: {policy}}}]\n"
    )
    data = with_exif(metadata_table._gps)("JPEG")
    (repository / "a.jpg").write_bytes(data)
    assert main(["compress", "--format", "json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["status"], (repository / "a.jpg").read_bytes()) == ("unchanged", data)
    told = (Path(__file__).parent.parent / "docs/metadata.md").read_text()
    assert "under `strip-private` and\n`strip-all` too" in told
    assert (command := 'grep \'"relation": "kept"\' semcompress.lock') in told
    assert b"a.jpg" in subprocess.run(command, shell=True, cwd=repository, check=True, capture_output=True).stdout


WORDS = {
    "UTF-8": "Jürgen Müller, © 東京".encode(),
    "Latin-1": "Jürgen Müller ©".encode("latin-1"),
    "neither, and two in one": b"\x82\xa0\xff\0editor",
}


def _with_words(words: bytes) -> bytes:
    """Big-endian, as the block that Pillow writes anew; the maker's note says where it stands."""
    block = Image.Exif()
    block.update({0x010E: words, 0x010F: words, 0x013B: words, 0x8298: words})
    block.get_ifd(0x8769).update({0x9003: "2024:05:01 10:00:00", 0x927C: b"Nobody\0" + bytes(range(64))})
    block.get_ifd(0x8769)[0xA434] = "x" * len(words)  # as text; Pillow writes bytes as another type
    block.get_ifd(0x8769)[0xA005] = {1: "R03"}
    block.get_ifd(0x8825)[0x1B] = words
    return block.tobytes().replace(b"x" * len(words), words)


def _words_in(data: bytes, words: bytes) -> int:
    block = exif_block(file_of(data))
    assert block is not None
    return block.count(words + b"\0")


@pytest.mark.parametrize("orientation", ["apply", "keep"])
@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_names_in_every_script_are_kept_to_the_byte(words, format, turn, orientation):
    block = exif.with_orientation(_with_words(words), turn)
    data = encoded(photo((60, 40)), format, exif=exif.for_avif(block) if format == "AVIF" else block)
    if format == "WEBP" and turn != 1 and orientation == "apply":
        return  # left alone
    for policy, kept in (("strip-private", 5), ("keep", 6)):
        reference = as_stored(decode(data, metadata=policy, orientation=orientation), format)
        again = encoded(reference.image, format, **save_parameters(reference.metadata, format))
        assert _words_in(again, words) == kept
        assert orientation_of(file_of(again)) == (turn if orientation == "keep" else 1)
        if policy == "keep":
            places = {
                one.removeprefix(exif.PREFIX).index(b"Nobody\0")
                for one in (block, *map(exif_block, map(file_of, (data, again))))
            }
            assert len(places) == 1
        else:
            read = Image.Exif()  # text still, not bytes
            read.load(exif_block(file_of(again)))
            assert read.get_ifd(0x8769)[0xA434] == words.decode("latin-1")


def test_a_thumbnail_does_not_outlive_an_entry_that_is_put_in():
    """Behind a directory that moved it could not be told from what that refers to."""
    with pyexiv2.ImageData(with_exif(metadata_table._credits)("JPEG")) as image:
        image.modify_thumbnail(encoded(photo((64, 48)), "JPEG"))
        block = exif_block(file_of(image.get_bytes()))
    assert b"\xff\xd8" in block
    for noted in (exif.with_orientation(block, 6), with_record(block, {})):
        assert b"\xff\xd8" not in noted
        assert b"Ann" in exif.whole(noted)


def test_a_judgement_in_exif_moves_nothing_else_there():
    block = _with_words(WORDS["UTF-8"])
    for given in (block, exif.public(block), with_record(block, {"semcompress": "0"}), None):
        noted = with_record(given, {"semcompress": "1", "more": "x" * 40})
        image = Image.open(io.BytesIO(encoded(photo((60, 40)), "JPEG", exif=noted)))
        assert recorded(image) == {"semcompress": "1", "more": "x" * 40}
        if given is None:
            continue
        details = dict(image.getexif().get_ifd(0x8769))
        had = Image.Exif()
        had.load(given)
        theirs = dict(had.get_ifd(0x8769))
        assert {**details, 0x9286: 0} == {**theirs, 0x9286: 0}
        assert dict(image.getexif()) == {**dict(had), 0x8769: image.getexif()[0x8769]}
        assert noted.find(b"Nobody\0") == given.find(b"Nobody\0")
        assert noted.count(WORDS["UTF-8"] + b"\0") == given.count(WORDS["UTF-8"] + b"\0")
    with pytest.raises(ValueError, match="EXIF that is cut off"):
        with_record(b"Exif\0\0II*\0\xff\xff\xff\xff", {})


def _with_thumbnail(format: str) -> bytes:
    block = Image.Exif()
    block[0x013B] = "Ann"
    whole = bytearray(block.tobytes())
    at = 6 + 8 + 2 + 12  # the link behind the only entry
    whole[at : at + 4] = struct.pack(">I" if whole[6:8] == b"MM" else "<I", len(whole) - 6)
    return picture(format, exif=bytes(whole) + bytes(6))


def _webp_with(kind: bytes) -> bytes:
    data = picture("WEBP") + kind + struct.pack("<I", 4) + b"abcd"
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


SURPLUS = {
    "C2PA": jpeg_with((0xEB, b"JP\0\1jumb")),
    "JFXX": jpeg_with((0xE0, b"JFXX\0\x10" + bytes(40))),
    "thumbnail of JFIF": lambda _: picture("JPEG").replace(
        b"\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", b"\0\x13JFIF\0\1\1\0\0\1\0\1\1\1abc", 1
    ),
    "behind a JPEG": jpeg_with(behind=b"taken at home" * 10),
    "behind a PNG": lambda _: picture("PNG") + b"taken at home" * 10,
    "between scans": metadata_table._between_scans,
    "thumbnail of EXIF": _with_thumbnail,
    "thumbnail of EXIF in an AVIF": lambda _: _with_thumbnail("AVIF"),
    "EXIF that cannot be read": jpeg_with((0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x40 N 48 8 0")),
    "C2PA in a PNG": metadata_table.png_with((b"caBX", b"jumb")),
    "an unknown chunk of a WebP": lambda _: _webp_with(b"ABCD"),
    "a box of an AVIF": lambda _: picture("AVIF") + struct.pack(">I4s", 24, b"uuid") + b"0123456789abcdef",
}


@pytest.mark.parametrize("make", SURPLUS.values(), ids=SURPLUS)
@pytest.mark.parametrize("policy", POLICIES)
def test_what_no_policy_hands_on_is_told_of_where_a_picture_stays_as_it_is(make, policy, tmp_path, monkeypatch, capsys):
    data = make("JPEG")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMCOMPRESS_CACHE", str(tmp_path / "cache"))
    with Image.open(io.BytesIO(data)) as image:
        name = f"a.{image.format.lower()}"
    text = RULE.format(option="", files=name, policy=policy).replace("min_saving: 0", "min_saving: 0.99")
    Path(".semcompress.yaml").write_text(
        f"version: 1\noriginals: kept\nrules:\n{text}".replace('name: ""', "name: all")
    )
    Path(name).write_bytes(data)
    assert main(["compress", "--format", "json"]) in (0, 1)
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["status"] == "unchanged" or policy == "keep"
    assert result["unstripped"] == (policy != "keep")
    assert Path(name).read_bytes() == data


@pytest.mark.parametrize("kind", [b"vpAg", b"caNv"])
def test_the_canvas_that_imagemagick_writes_is_no_surplus(kind):
    assert not has_surplus(metadata_table.png_with((kind, bytes(17)))("PNG"))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_what_we_write_has_no_surplus(format):
    reference = decode(with_exif(metadata_table._credits)(format), metadata="strip-private")
    data = encoded(reference.image, format, **save_parameters(reference.metadata, format))
    for rubbish in (b"", bytes(1000), b"\xff\xd9"):
        assert not has_surplus(data + rubbish)
