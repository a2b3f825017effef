"""``icc: srgb``: what a program shows that knows no profiles is what one that heeds them showed before."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyexiv2
import pytest
from PIL import Image

import icc
import metadata_table
from pictures import encoded, photo, reader, registry, rule
from semcompress_plugin.cli import main
from semcompress_plugin.colours import with_colours
from semcompress_plugin.engine import decide, drive
from semcompress_plugin.errors import UnsupportedImageError
from semcompress_plugin.images import decode
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.policy import parse_policy, presets
from semcompress_plugin.policy.nodes import read
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Limits
from semcompress_plugin.workshop import Workshop

ADOBE, GAMMA = icc.rgb(), 563 / 256


def by_hand(pixels: np.ndarray, primaries=icc.ADOBE_RGB, gamma: float = GAMMA) -> np.ndarray:
    """8-bit pixels under a profile of ``icc.rgb`` as 8-bit sRGB (IEC 61966-2-1), without LittleCMS."""
    linear = (pixels / 255) ** gamma @ icc.to_d50(primaries).T @ np.linalg.inv(icc.to_d50(icc.SRGB)).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def noise(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """All colours, most of them beyond what a photograph has."""
    generator = np.random.default_rng(7)
    shape = (size[1], size[0], *((len(mode),) if mode in ("RGB", "RGBA") else ()))
    return Image.fromarray(generator.integers(0, 256, shape, np.uint8))


def converted(image: Image.Image, profile: bytes, format: str = "PNG", **more: object) -> Image.Image:
    reference = decode(encoded(image, format, icc_profile=profile, **more), icc="srgb")
    assert reference.metadata.icc_profile is None
    assert "icc_profile" not in reference.image.info
    return reference.image


def test_a_wide_gamut_is_converted_as_the_profile_says():
    picture = noise()
    given = np.asarray(picture, float)
    found, expected = np.asarray(converted(picture, ADOBE), float), by_hand(given)
    assert np.abs(found - expected).max() <= 2
    assert np.abs(given - expected).max() > 40, "a conversion that changes nothing would be none"


def test_a_profile_that_says_srgb_goes_without_touching_a_pixel():
    picture = noise()
    for profile in (metadata_table.SRGB, icc.rgb(icc.SRGB, 1.0)):
        same = converted(picture, profile).tobytes() == picture.tobytes()
        assert same == (profile == metadata_table.SRGB)


SRGB, BROKEN = metadata_table.SRGB, b"no profile at all" * 9


@pytest.mark.parametrize(
    ("profile", "stays"), [(SRGB, False), (ADOBE, True), (icc.rgb(icc.SRGB, 1.0), True), (BROKEN, True)]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_profile_may_go_only_where_it_says_srgb_and_no_pixel_changes(mode, profile, stays):
    picture = noise(mode)
    stored = decode(encoded(picture, "PNG", icc_profile=profile))
    found = with_colours(stored, "drop-srgb")
    assert stored.image.info["icc_profile"] == profile  # what was lent stays as it was
    assert found.metadata.icc_profile == found.image.info.get("icc_profile") == (profile if stays else None)
    assert found.image.tobytes() == picture.tobytes()

    numbers = metadata_table.chunk(b"cICP", b"\x0c\x0d\0\x01")
    stored = encoded(noise(), "PNG", icc_profile=SRGB)
    assert decode(stored[:33] + numbers + stored[33:], icc="drop-srgb").metadata.icc_profile == SRGB


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "P with transparency", "RGB with a transparent colour"])
def test_every_way_to_store_colours_is_converted_alike_and_transparency_stays(mode):
    more: dict[str, object] = {}
    if mode == "RGBA":
        picture = noise("RGBA")
    elif mode.startswith("P"):
        picture = noise().quantize(64)
        more = {"transparency": bytes(range(0, 256, 4))} if "transparency" in mode else {}
    else:
        picture = noise()
        more = {"transparency": picture.getpixel((3, 3))} if "transparent" in mode else {}
    stored = encoded(picture, "PNG", icc_profile=ADOBE, **more)
    with Image.open(io.BytesIO(stored)) as before:
        shown = np.asarray(before.convert("RGBA"), float)
    image = converted(picture, ADOBE, **more)
    assert image.mode == ("RGBA" if "transparent" in mode else picture.mode)
    found = np.asarray(image.convert("RGBA"), float)
    visible = shown[..., 3] > 0
    assert np.abs(found[..., :3] - by_hand(shown[..., :3]))[visible].max() <= 2
    assert (found[..., 3] == shown[..., 3]).all()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greys_stay_grey(mode):
    grey = noise("L")
    picture = grey.convert("LA") if mode == "LA" else grey
    if mode == "LA":
        picture.putalpha(noise("L").transpose(Image.Transpose.ROTATE_180))
    image = converted(picture, icc.grey())
    assert image.mode == mode
    linear = np.asarray(grey, float) / 255
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(np.asarray(image.getchannel("L"), float) - expected).max() <= 2
    if mode == "LA":
        assert image.getchannel("A").tobytes() == picture.getchannel("A").tobytes()


def test_cmyk_becomes_rgb_by_its_profile_and_is_left_alone_without():
    picture = Image.new("CMYK", (40, 30))
    picture.paste((255, 255, 0, 0), (20, 0, 40, 30))  # cyan and magenta make blue
    stored = encoded(picture, "JPEG", quality=100, icc_profile=icc.cmyk())
    image = decode(stored, icc="srgb").image
    assert image.mode == "RGB"
    assert np.abs(np.array(image.getpixel((5, 15))) - (255, 255, 255)).max() <= 3
    assert np.abs(np.array(image.getpixel((35, 15))) - (0, 0, 255)).max() <= 6
    for data, icc_policy in ((stored, "keep"), (encoded(picture, "JPEG"), "srgb")):
        with pytest.raises(UnsupportedImageError, match="mode CMYK"):
            decode(data, icc=icc_policy)


@pytest.mark.parametrize(
    ("image", "profile", "words"),
    [
        (photo((40, 30)), b"no profile", "cannot be converted"),
        (photo((40, 30)), ADOBE[:200], "cannot be converted"),
        (photo((40, 30)), ADOBE.replace(b"RGB XYZ", b"RGB\xffXYZ", 1), "cannot be converted"),
        (photo((40, 30)), ADOBE.replace(b"RGB XYZ", b"R\nB XYZ", 1), "cannot be converted"),
        (photo((40, 30)), icc.cmyk(), "profile for CMYK and pixels of mode RGB"),
        (photo((40, 30)), metadata_table.PROFILE, "profile for Lab"),
        (photo((40, 30)), icc.grey(), "profile for GRAY and pixels of mode RGB"),
        (photo((40, 30)).convert("L"), ADOBE, "profile for RGB and pixels of mode L"),
    ],
)
def test_a_profile_that_cannot_be_used_leaves_the_picture_alone(image, profile, words):
    data = encoded(image, "PNG", icc_profile=profile)
    with pytest.raises(UnsupportedImageError, match=words) as caught:
        decode(data, icc="srgb")
    assert len(str(caught.value).splitlines()) == 1
    assert decode(data).metadata.icc_profile == profile, "under icc: keep it stays as it is"


def test_grey_pixels_under_a_profile_of_srgb_are_what_they_are():
    """Many programs leave the profile where they take the colours away."""
    grey = noise("L")
    assert converted(grey, metadata_table.SRGB).tobytes() == grey.tobytes()


def test_exif_no_longer_names_adobe_rgb_and_chunks_no_longer_describe_other_colours():
    data = metadata_table.with_exif(metadata_table._adobe_rgb, icc_profile=ADOBE)("JPEG")
    reference = decode(data, icc="srgb")
    again = encoded(reference.image, "JPEG", exif=reference.metadata.exif)
    with pyexiv2.ImageData(again) as image:
        tags = image.read_exif()
    assert (tags["Exif.Photo.ColorSpace"], tags["Exif.Iop.InteroperabilityIndex"]) == ("1", "R98")
    png = metadata_table.chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    stored = encoded(photo((40, 30)), "PNG", icc_profile=ADOBE)
    assert decode(stored[:33] + png + stored[33:], icc="srgb").metadata.png_chunks == ()
    numbers = metadata_table.chunk(b"cICP", b"\x0c\x0d\0\x01")
    with pytest.raises(UnsupportedImageError, match="cICP"):
        decode(stored[:33] + numbers + stored[33:], icc="srgb")


def test_readers_compare_what_is_shown_and_what_is_written_has_no_profile():
    known = registry(reader())
    keep = rule(known, "jpeg", "webp", formats=("keep", "webp"), icc="srgb")
    source = encoded(photo((160, 120)), "JPEG", quality=98, icc_profile=icc.rgb(gamma=1.0))
    picture = decode(source, icc="srgb")
    found = drive(decide(picture, keep, known), Workshop(known).perform)
    assert len(found) == 2
    for decision in found:
        assert decision.candidate is not None, decision.reason
        with Image.open(io.BytesIO(decision.candidate.data)) as image:
            assert "icc_profile" not in image.info
            naive = np.asarray(photo((160, 120)), float).mean()
            assert np.asarray(image.convert("RGB"), float).mean() > naive + 30


@pytest.mark.parametrize("isolate", [False, True])
def test_isolated_or_not_the_wishes_about_orientation_and_colours_are_heard(isolate):
    block = Image.Exif()
    block[0x0112] = 6
    data = encoded(noise(), "PNG", icc_profile=ADOBE, exif=block)
    with Decoders() as decoders:
        there = decoders.decode(data, None, "strip-all", Limits(isolate=isolate), "keep", "srgb")
    here = decode(data, None, "strip-all", None, "keep", "srgb")
    assert (there.orientation, there.metadata, there.image.size) == (6, here.metadata, (48, 64))
    assert there.image.tobytes() == here.image.tobytes()


def test_from_the_policy_to_the_file_and_a_changed_wish_starts_from_the_original(repository, capsys):
    text = "version: 1\nrules:\n  - {{name: all, files: ['*'], keep: {{msssim: {{score: {{min: 0.9}}}}}}{more}}}\n"
    path = repository / "a.jpg"
    path.write_bytes(encoded(photo((120, 90)), "JPEG", quality=97, icc_profile=ADOBE))
    original = path.read_bytes()
    for more, profile in (("", ADOBE), (", icc: srgb", None), (", icc: keep", ADOBE)):
        (repository / ".semcompress.yaml").write_text(text.format(more=more))
        assert main(["compress"]) == 1
        with Image.open(path) as image:
            assert image.info.get("icc_profile") == profile
        assert main(["compress"]) == 0
        assert main(["verify"]) == 0
        assert main(["evaluate", "a.jpg", "a.jpg"]) == 0
    assert main(["restore", "--all"]) == 0
    assert path.read_bytes() == original
    capsys.readouterr()


def test_a_preset_may_want_it_and_a_rule_overrule_that(monkeypatch):
    path, _ = presets.load("web")
    node, findings = read(path.read_bytes() + b"icc: srgb\norientation: keep\n")
    assert findings == []
    monkeypatch.setattr(presets, "load", lambda name: (path, node))
    text = "version: 1\nrules:\n  - {name: a, files: [a]}\n  - {name: b, files: [b], icc: keep, orientation: apply}\n"
    wanted, overruled = parse_policy(text, Registry(), Path()).rules
    assert (wanted.icc, wanted.orientation) == ("srgb", "keep")
    assert (overruled.icc, overruled.orientation) == ("keep", "apply")
