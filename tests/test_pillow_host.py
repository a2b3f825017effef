"""Pillow as host: image.save(…, format="SEMCOMPRESS") and what it opens."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import icc
from pictures import Thumbnails, encoded, photo, reader, registry, rule
from semcompress_plugin.engine import Candidate, Encode, EncodingFailed
from semcompress_plugin.errors import UnsupportedImageError
from semcompress_plugin.hosts import _encode
from semcompress_plugin.hosts.pillow import encode, recorded, register
from semcompress_plugin.images import MODES, decode
from semcompress_plugin.types import CompressorSpec, EvaluatorSpec, Metric, Reference, Settings
from semcompress_plugin.workshop import Workshop

SIZE = (160, 120)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
DOCUMENTATION = Path(__file__).parent.parent / "docs/hosts/pillow.md"


def keep(bound: float = 0.01) -> dict[str, Any]:
    return {"thumbnails": {"difference": {"max": bound}}}


def save(image: Image.Image, /, **options: Any) -> bytes:
    """Bytes saved with options that make a search short, unless ``options`` say otherwise."""
    if "rule" not in options:
        options = {"keep": keep(), "search": {"exhaustive": {"steps": 3, "looks": 100}}, **options}
    file = io.BytesIO()
    image.save(file, format="SEMCOMPRESS", **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    thumbnails = Thumbnails()
    seen = thumbnails.observe([one.convert("RGB"), other.convert("RGB")])
    return thumbnails.compare(seen[0], seen[1:])[0]["difference"]


def turned(orientation: int, **more: Any) -> Image.Image:
    """An image straight from a file whose EXIF says that it must be turned."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "a meadow"
    return Image.open(io.BytesIO(encoded(photo(SIZE), "JPEG", quality=95, exif=exif.tobytes(), **more)))


@pytest.fixture(autouse=True)
def _quick_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    monkeypatch.setattr(_encode, "_workshop", Workshop(registry()))


def test_nothing_is_registered_before_it_is_asked_for() -> None:
    script = """
import sys
from PIL import Image
import semcompress_plugin, semcompress_plugin.hosts, semcompress_plugin.hosts.pillow
Image.init()
assert "SEMCOMPRESS" not in {*Image.OPEN, *Image.SAVE, *Image.SAVE_ALL, *Image.MIME, *Image.ID}
assert ".semc" not in Image.registered_extensions()
import semcompress_plugin.SemcompressImagePlugin
semcompress_plugin.hosts.pillow.register()
assert Image.registered_extensions()[".semc"] == "SEMCOMPRESS"
assert Image.MIME["SEMCOMPRESS"] == "image/x-semcompress"
assert {"SEMCOMPRESS"} <= {*Image.OPEN} & {*Image.SAVE} and Image.ID.count("SEMCOMPRESS") == 1
assert "onnxruntime" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("target", FORMATS)
def test_save_writes_the_smallest_standard_file_that_holds(target: str) -> None:
    image = photo(SIZE)
    loose, strict = save(image, target=target, keep=keep(0.02)), save(image, target=target.lower(), keep=keep(0.004))
    for data, bound in ((loose, 0.02), (strict, 0.004)):
        assert opened(data).format == target
        assert opened(data).size == SIZE
        assert difference(image, opened(data)) <= bound
    assert len(loose) < len(strict) or target == "PNG"  # which has few sizes to choose from here


def test_it_writes_to_a_path_and_to_any_binary_file_object(tmp_path: Path) -> None:
    class Sink:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            self.data += data
            return len(data)

    image, options = photo(SIZE), {"keep": keep(), "target": "WEBP", "format": "SEMCOMPRESS"}
    sink = Sink()
    image.save(sink, **options)  # type: ignore[arg-type]  # less than Pillow asks for is enough
    expected = encode(image, target="WEBP", keep=keep())
    for path in (tmp_path / "a.webp", str(tmp_path / "b"), str(tmp_path / "c").encode()):
        image.save(path, **options)
    with (tmp_path / "d").open("wb") as file:
        image.save(file, **options)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {sink.data} == {expected}


@pytest.mark.parametrize(
    ("name", "options", "format"),
    [
        ("a.semc", {}, "SEMCOMPRESS"),
        ("a.SEMC", {"target": "WEBP"}, "SEMCOMPRESS"),
        ("a.webp", {}, "WEBP"),
        ("a.JPG", {}, "JPEG"),
        ("a.tmp", {}, "SEMCOMPRESS"),
        ("a.tmp", {"target": "JPEG"}, "JPEG"),
        ("a.jpg", {"target": "WEBP"}, "WEBP"),
        ("a.jpg", {"container": True}, "SEMCOMPRESS"),
        ("a.semc", {"container": False, "target": "WEBP"}, "WEBP"),
        ("", {}, "SEMCOMPRESS"),
        ("", {"container": True, "target": "AVIF"}, "SEMCOMPRESS"),
        ("", {"target": "smallest", "compress": ["jpeg", "webp"]}, "JPEG|WEBP"),
    ],
)
def test_name_target_and_container_decide_the_format(name: str, options: dict[str, Any], format: str) -> None:
    data = encode(photo(SIZE), name, keep=keep(), **options)
    assert opened(data).format in format.split("|")


def test_a_semc_holds_the_target() -> None:
    data = save(photo(SIZE), container=True, target="PNG")
    assert data[11] == 2
    assert b"\x89PNG" in data


def test_a_semc_opens_at_the_original_size(tmp_path: Path) -> None:
    image = photo(SIZE)
    image.save(tmp_path / "a.semc", keep=keep(0.03))
    again = Image.open(tmp_path / "a.semc")
    assert again.size == SIZE
    assert again.info["stored_size"] < SIZE  # the preset for machines may scale
    again.load()
    assert (again.size, again.mode, again.format) == (SIZE, "RGB", "SEMCOMPRESS")
    assert difference(image, again) < 0.04


def test_a_semc_says_what_it_was_judged_by() -> None:
    judged = recorded(opened(save(photo(SIZE))))
    assert judged is not None
    assert judged["keep"] == keep()
    assert judged["readers"] == {"thumbnails": {"evaluator": "thumbnails", "version": "1", "options": {}}}
    assert 0 < judged["scores"]["thumbnails"]["difference"] <= 0.01
    assert judged["compressor"] in ("jpeg", "webp")
    assert set(judged["settings"]) == {"scale", "quality"}
    assert re.fullmatch("[0-9a-f]{64}", judged["rule"])


class Psnr(Thumbnails):
    """Infinite where nothing changed."""

    def compare(self, reference, candidates):
        errors = [one["difference"] for one in super().compare(reference, candidates)]
        return [{"psnr": -20 * math.log10(error) if error else math.inf} for error in errors]


@pytest.mark.parametrize("options", [{"container": True, "target": "PNG"}, {"record": True, "target": "PNG"}])
def test_an_infinite_score_is_recorded_as_text_as_in_the_lock(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    psnr = Metric("psnr", "", higher_is_better=True, maximum=math.inf)
    spec = EvaluatorSpec("psnr", "1", "", metrics=(psnr,), factory=Psnr)
    monkeypatch.setattr(_encode, "_workshop", Workshop(registry(spec)))
    rule = {"compress": [{"png": {"scale": 1, "colors": 257}}], "keep": {"psnr": {"psnr": {"min": 60}}}}
    image = opened(save(photo(SIZE), **options, **rule))
    judged = recorded(image)
    assert judged is not None
    assert judged["scores"] == {"psnr": {"psnr": "inf"}}
    assert image.tobytes() == photo(SIZE).tobytes()


def test_a_semc_holds_jpeg_or_webp_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = set()

    class Watching(Workshop):
        def encode(self, task: Encode) -> Candidate | EncodingFailed:
            tried.add(task.proposal.format)
            return super().encode(task)

    monkeypatch.setattr(_encode, "_workshop", Watching(registry()))
    save(photo(SIZE), container=True)
    assert tried == {"JPEG", "WEBP"}
    save(photo(SIZE), container=True, compress=["jpeg", "avif"])
    assert tried == {"JPEG", "WEBP", "AVIF"}


class Gif:
    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        return encoded(reference.image.resize((1, 1)).resize(reference.image.size), format)


def test_a_semc_holds_only_what_its_readers_know(monkeypatch: pytest.MonkeyPatch) -> None:
    gif = CompressorSpec("gif", "1", "tiny", formats=("GIF",), knobs=(), factory=Gif)
    monkeypatch.setattr(_encode, "_workshop", Workshop(registry(reader(), gif)))
    assert opened(save(photo(SIZE), target="GIF", compress=["gif"], keep=keep(0.9))).format == "GIF"
    both = save(photo(SIZE), container=True, compress=["gif", "jpeg"], keep=keep(0.9))
    assert recorded(opened(both))["compressor"] == "jpeg"
    with pytest.raises(ValueError, match=r"none of the rule's compressors writes what a \.semc holds: AVIF, JPEG"):
        save(photo(SIZE), container=True, compress=["gif"])
    with pytest.raises(ValueError, match="unknown target 'GIF'; known: AVIF, JPEG, PNG, WEBP, smallest"):
        save(photo(SIZE), container=True, target="GIF", compress=["gif"])


def test_a_compressor_that_writes_other_pixels_each_time_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fickle:
        quality = 95

        def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
            self.quality -= 1
            exif = reference.metadata.exif or b""
            return encoded(reference.image, format, quality=self.quality, exif=exif)

    fickle = CompressorSpec("fickle", "1", "changes its mind", formats=("JPEG",), knobs=(), factory=Fickle)
    monkeypatch.setattr(_encode, "_workshop", Workshop(registry(reader(), fickle)))
    save(photo(SIZE), target="JPEG", compress=["fickle"])
    with pytest.raises(OSError, match="cannot record what was measured: fickle wrote other pixels"):
        save(photo(SIZE), target="JPEG", compress=["fickle"], record=True)


def test_presets_fix_the_scale_or_free_it() -> None:
    sizes = {
        preset: opened(save(photo(SIZE), target="WEBP", preset=preset, keep=keep(0.05))).size
        for preset in ("web", "machine")
    }
    assert sizes["web"] == SIZE > sizes["machine"]
    assert opened(save(photo(SIZE), target="WEBP", keep=keep(0.05))).size == SIZE


def test_a_rule_says_everything_but_the_target() -> None:
    known = registry()
    given = rule(known, "jpeg", "webp", bound=0.02, formats=("avif",))
    assert opened(save(photo(SIZE), rule=given, target="WEBP")).format == "WEBP"
    assert opened(save(photo(SIZE), rule=given)).format == "SEMCOMPRESS"
    with pytest.raises(OSError, match="no compressor of the rule writes AVIF"):
        save(photo(SIZE), rule=given, target="AVIF")
    with pytest.raises(ValueError, match="rule says everything; leave it out, or what is beside it: preset, keep"):
        save(photo(SIZE), rule=given, keep=keep(), preset="web", target="WEBP")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"keep": {"classifer": {"js_divergence": {"max": 0.1}}}},
            "^keep: unknown evaluator 'classifer'; did you mean",
        ),
        (
            {"keep": {"thumbnails": {"difference": {"max": "x"}}}},
            r"keep\.thumbnails\.difference\.max: expected a number",
        ),
        ({"keep": {"thumbnails": {"difference": {"max": float("nan")}}}}, "expected a number"),
        ({"keep": {}}, "keep: expected constraints"),
        ({"preset": "wb"}, "unknown preset 'wb'"),
        ({"compress": ["jpeg"]}, "no compressor of this rule .jpeg. writes webp"),
        ({"compress": {"webp": {"qualty": 1}}}, "unknown knob or option of webp 'qualty'"),
        ({"min_saving": 3}, "min_saving: expected a percentage"),
        ({"evaluators": {"mine": {"use": "nobody"}}}, r"evaluators\.mine\.use: unknown evaluator 'nobody'"),
        ({"target": "jpg"}, "unknown target 'jpg'; did you mean 'JPEG'[?] known: AVIF, JPEG, PNG, WEBP, smallest"),
        ({"target": "jxl"}, "unknown target 'jxl'; known: AVIF, JPEG, PNG, WEBP, smallest"),
        ({"target": "keep"}, "unknown target 'keep'"),
        ({"target": 3}, "unknown target 3"),
        ({"rule": {"keep": {}}}, "expected rule to be a semcompress_plugin.Rule, got dict"),
        ({"kep": {}}, "unknown option 'kep'; did you mean 'keep'"),
        ({"constraint": {}, "presets": "web"}, "unknown option 'presets'; did you mean 'preset'"),
        ({"quality": 3}, "unknown option 'quality'; known: compress, container, dpi, evaluators, exif, icc"),
        ({"compress": {"jpeg"}}, r"^compress: expected a mapping, a list, text or a number, got \{'jpeg'\}"),
        ({"compress": [{"webp": {"quality": np.array([5, 6])}}]}, r"^compress\[0\]\.webp\.quality: expected a mapping"),
        ({"keep": {("a", "b"): {}}}, r"^keep: expected names, got \('a', 'b'\)"),
        ({"preset": b"web"}, "^preset: expected a mapping, a list, text or a number, got b'web'"),
        ({"evaluators": {"mine": {"use": object()}}}, r"^evaluators\.mine\.use: expected a mapping"),
        ({"exif": b"garbage"}, "^exif: expected EXIF data as bytes or a PIL.Image.Exif, got b'garbage'"),
        ({"exif": 5}, "^exif: expected EXIF data as bytes or a PIL.Image.Exif, got 5"),
        ({"icc_profile": 5}, "^icc_profile: expected a profile as bytes, got 5"),
        ({"xmp": 5}, "^xmp: expected XMP as bytes or text, got 5"),
        ({"dpi": "a"}, "^dpi: expected two numbers, got 'a'"),
        ({"dpi": (72,)}, r"^dpi: expected two numbers, got \(72,\)"),
        ({"dpi": 72}, "^dpi: expected two numbers, got 72"),
    ],
)
def test_senseless_options_are_value_errors_in_the_policys_words(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        encode(photo(SIZE), **{"target": "WEBP", **options})
    assert not re.search(r"save:\d|rules\[0\]", str(caught.value))


def test_numbers_of_numpy_are_numbers() -> None:
    search = {"exhaustive": {"steps": np.int64(3), "looks": np.int32(100)}}
    compress = ({"webp": {"quality": [np.uint8(5), np.int64(90)]}},)
    bound = {"thumbnails": {"difference": {"max": np.float32(0.0625)}}}
    same = {"keep": keep(0.0625), "compress": [{"webp": {"quality": [5, 90]}}], "min_saving": 0.25}
    options = {"keep": bound, "search": search, "compress": compress, "min_saving": np.float32(0.25)}
    assert save(photo(SIZE), target="WEBP", **options) == save(photo(SIZE), target="WEBP", **same)


def test_options_of_other_formats_are_passed_over() -> None:
    more = {"quality": 3, "optimize": True, "compression": "x", "compress_level": 9, "image": 1, "filename": 2}
    assert save(photo(SIZE), target="WEBP", **more) == save(photo(SIZE), target="WEBP")


@pytest.mark.parametrize("what", ["photo.jpg", Path("photo.jpg"), b"", None])
def test_what_is_no_image_is_told_in_words(what: Any) -> None:
    with pytest.raises(TypeError, match=r"encode wants an image of Pillow's, such as Image\.open gives, got "):
        encode(what, target="JPEG")


@pytest.mark.parametrize("dpi", ["x", "72", 72, (72,), ("a", "b"), (float("nan"), 72), (1, 2, 3), (10**400, 1)])
def test_a_resolution_that_cannot_be_read_is_left_out(dpi: object) -> None:
    image = photo(SIZE)
    image.info["dpi"] = dpi
    assert "dpi" not in opened(save(image, target="PNG")).info


def test_named_evaluators_have_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def make(power: int = 1) -> Thumbnails:
        seen.append(power)
        return Thumbnails()

    options = {"power": {"type": "integer"}}
    monkeypatch.setattr(_encode, "_workshop", Workshop(registry(reader(factory=make, options=options))))
    name = "mine \N{CAMERA}"
    wanted = {name: {"difference": {"max": 0.01}}}
    data = save(photo(SIZE), keep=wanted, evaluators={name: {"use": "thumbnails", "power": 3}})
    assert seen == [3]
    assert recorded(opened(data))["readers"][name]["options"] == {"power": 3}


def test_unreachable_bounds_are_an_oserror_with_the_best_that_was_feasible() -> None:
    with pytest.raises(
        OSError, match=r"nothing holds; nearest of \d+ looks?: webp .*quality 100, [\d,]+ bytes"
    ) as said:
        save(photo(SIZE), target="WEBP", keep=keep(1e-9))
    best = float(str(said.value).rsplit(" ", 1)[1])
    assert best == pytest.approx(difference(photo(SIZE), opened(encoded(photo(SIZE), "WEBP", quality=100))), rel=1e-3)


def test_a_search_that_gives_up_at_once_still_says_how_near_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_encode, "_workshop", None)
    with pytest.raises(
        OSError, match=r"nothing holds; nearest of \d+ looks?: webp scale 1 quality 100, .* but got 0\.99"
    ):
        save(photo(SIZE), target="WEBP", keep={"msssim": {"score": {"min": 0.999999}}}, search=None)


def test_a_failed_save_leaves_what_pillows_own_plugins_leave(tmp_path: Path) -> None:
    """Pillow empties an existing file before any plugin is called; should it stop doing so, the page must follow."""
    old, new = tmp_path / "old.semc", tmp_path / "new.semc"
    old.write_bytes(b"old")
    theirs = tmp_path / "old.jpg"
    theirs.write_bytes(b"old")
    for path in (old, new):
        with pytest.raises(OSError, match="nothing holds"):
            photo(SIZE).save(path, keep=keep(1e-9))
    with pytest.raises(OSError, match="cannot write mode"):
        Image.new("RGBA", SIZE).save(theirs)
    assert not new.exists()
    assert old.read_bytes() == theirs.read_bytes() == b""
    old.write_bytes(b"old")
    with pytest.raises(OSError, match="nothing holds"):
        encode(photo(SIZE), str(old), keep=keep(1e-9))
    assert old.read_bytes() == b"old"


def test_saving_over_the_file_that_is_open(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photo(SIZE).save(path, quality=95)
    image = Image.open(path)
    image.save(path, format="SEMCOMPRESS", keep=keep())
    assert opened(path.read_bytes()).format == "JPEG"
    assert difference(photo(SIZE), opened(path.read_bytes())) < 0.02


@pytest.mark.parametrize("options", [{"target": "WEBP", "record": True}, {"container": True}])
def test_the_callers_image_is_not_modified(options: dict[str, Any]) -> None:
    for image in (turned(6, icc_profile=SRGB), photo(SIZE).quantize(16), photo(SIZE).convert("1")):
        exif = Image.Exif()
        exif[0x0112] = 3
        image.load()
        before = image.tobytes(), image.mode, image.size, dict(image.info), dict(image.getexif())
        save(image, exif=exif, **options)
        assert (image.tobytes(), image.mode, image.size, dict(image.info), dict(image.getexif())) == before
        assert not getattr(image, "encoderinfo", None)
        assert dict(exif) == {0x0112: 3}


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_modes_that_can_be_written(mode: str, container: bool) -> None:
    image = photo(SIZE).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    image = image.convert("RGB").quantize(64) if mode == "P" else image.convert(mode)
    again = opened(save(image, target="WEBP", container=container, keep=keep(0.03)))
    assert again.size == SIZE
    assert again.has_transparency_data == (mode in ("LA", "RGBA"))
    assert (
        difference(Image.alpha_composite(Image.new("RGBA", SIZE, "white"), image.convert("RGBA")), white(again)) < 0.05
    )


def white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "PA", "RGBX"])
def test_other_modes_are_refused_as_pillow_refuses_them(mode: str) -> None:
    with pytest.raises(OSError, match=f"cannot write mode {mode} as SEMCOMPRESS"):
        save(Image.new(mode, SIZE), target="WEBP")


def test_what_a_format_cannot_hold_is_an_oserror() -> None:
    clear = photo(SIZE)
    clear.putalpha(100)
    with pytest.raises(OSError, match="is transparent, which JPEG cannot be"):
        save(clear, target="JPEG")
    with pytest.raises(OSError, match="webp cannot write it"):
        save(Image.new("RGB", (17_000, 1)), target="WEBP")
    with pytest.raises(ValueError, match="cannot write empty image as SEMCOMPRESS"):
        save(Image.new("RGB", (0, 3)), target="WEBP")


def test_a_plugin_that_could_not_be_made_is_made_by_the_next_save(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([RuntimeError("no weights yet"), Thumbnails()])

    def later() -> object:
        if isinstance(one := next(made), Exception):
            raise one
        return one

    monkeypatch.setattr(_encode, "_workshop", Workshop(registry(reader(factory=later))))
    with pytest.raises(OSError, match="no weights yet"):
        encode(photo(), target="JPEG", keep=keep())
    assert encode(photo(), target="JPEG", keep=keep())


def test_a_broken_plugin_is_an_oserror_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise ImportError("no module named 'ears'")

    monkeypatch.setattr(_encode, "_workshop", Workshop(registry(reader(factory=broken))))
    with pytest.raises(OSError, match=r"'thumbnails' of third-party cannot be used: .*no module named 'ears'"):
        save(photo(SIZE), target="WEBP")


@pytest.mark.parametrize("target", [*FORMATS, None])
def test_the_colour_profile_is_kept(target: str | None) -> None:
    image = photo(SIZE)
    image.info["icc_profile"] = SRGB
    kept = opened(save(image, target=target)).info.get("icc_profile")
    assert kept == (SRGB if target else None)  # of a .semc, which preset machine makes: it says nothing
    assert opened(save(image, target=target, icc_profile=icc.rgb())).info["icc_profile"] == icc.rgb()
    for nothing in (None, b"", ""):
        assert not opened(save(image, target=target, icc_profile=nothing)).info.get("icc_profile")


def test_a_profile_of_other_pixels_is_left_out() -> None:
    image = photo(SIZE)
    for space in (b"CMYK", b"GRAY"):
        image.info["icc_profile"] = SRGB[:16] + space + SRGB[20:]
        assert "icc_profile" not in opened(save(image, target="JPEG")).info
    assert opened(save(image.convert("L"), target="JPEG")).info["icc_profile"] == image.info["icc_profile"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_straight_from_a_file_is_written_upright(orientation: int) -> None:
    image = turned(orientation)
    upright = ImageOps.exif_transpose(image)
    written = opened(save(image, target="WEBP"))
    assert written.size == upright.size
    assert 0x0112 not in written.getexif()
    assert difference(written, upright) < 0.02


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_semc_gives_back_an_image_as_it_lay_in_its_file(orientation: int) -> None:
    image = turned(orientation)
    again = opened(save(image, keep=keep(0.03)))
    assert again.info["stored_size"] < SIZE
    assert again.size == image.size == SIZE
    assert again.getexif().get(0x0112, 1) == orientation
    assert difference(again, image) < 0.04
    assert difference(ImageOps.exif_transpose(again), ImageOps.exif_transpose(image)) < 0.04


@pytest.mark.parametrize("options", [{"target": "WEBP"}, {"container": True}])
def test_an_image_that_was_turned_by_hand_is_not_turned_again(options: dict[str, Any]) -> None:
    image = turned(6).transpose(Image.Transpose.ROTATE_270)  # as many programs do, leaving EXIF as it was
    assert image.getexif()[0x0112] == 6
    written = opened(save(image, **options))
    assert written.size == image.size
    assert written.getexif().get(0x0112, 1) == 1
    assert difference(written, image) < 0.02


def test_exif_that_is_passed_is_written_and_its_orientation_applied() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "mine"
    exif.get_ifd(0x8825)[1] = "N"
    image = photo(SIZE)
    for passed in (exif, exif.tobytes()):
        written = opened(save(image, target="JPEG", exif=passed))
        assert written.getexif()[0x010E] == "mine"
        assert written.getexif().get_ifd(0x8825) == {1: "N"}
        assert 0x0112 not in written.getexif()
        assert difference(written, image.transpose(Image.Transpose.ROTATE_270)) < 0.02


def test_what_else_is_taken_from_the_image_the_rule_says() -> None:
    image = turned(3, xmp=b"<x/>", dpi=(300, 300))
    image.info["exif"] = image.info["exif"]
    public = opened(save(image, target="JPEG"))
    assert public.getexif()[0x010E] == "a meadow"
    assert public.info["dpi"] == (300, 300)
    assert "xmp" not in public.info
    assert opened(save(image, target="JPEG", metadata="keep")).info["xmp"] == b"<x/>"
    bare = opened(save(image, target="JPEG", metadata="strip-all"))
    assert not dict(bare.getexif())
    for nothing in (None, b""):
        without = opened(save(image, target="JPEG", metadata="keep", exif=nothing, xmp=None))
        assert not dict(without.getexif())
        assert "xmp" not in without.info
        assert difference(without, ImageOps.exif_transpose(image)) < 0.02


XMP = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" %s a="b"/>'


@pytest.mark.parametrize("orientation", [b'tiff:Orientation="6"', b"<tiff:Orientation>6</tiff:Orientation>"])
def test_orientation_in_xmp_is_applied_once(orientation: bytes) -> None:
    data = encoded(photo(SIZE), "JPEG", quality=95, xmp=XMP % orientation)
    image = Image.open(io.BytesIO(data))
    by_hand = image.transpose(Image.Transpose.ROTATE_270)
    for given in (image, by_hand):
        written = opened(save(given, target="JPEG", metadata="keep"))
        assert written.size == SIZE[::-1]
        assert written.getexif().get(0x0112, 1) == 1
        assert b'a="b"' in written.info["xmp"]
        assert difference(written, by_hand) < 0.02
    with pytest.raises(UnsupportedImageError, match="turned by XMP"):  # a file may be left alone, a save may not
        decode(data)


@pytest.mark.parametrize("target", FORMATS)
def test_what_was_measured_goes_into_the_file_if_asked(target: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "mine"
    plain, noted = (save(photo(SIZE), target=target, exif=exif, record=record) for record in (False, True))
    judged = recorded(opened(noted))
    assert judged is not None
    assert judged["compressor"] == target.lower()
    assert judged["scores"]["thumbnails"]["difference"] == pytest.approx(
        difference(photo(SIZE), opened(noted)), abs=1e-6
    )
    assert opened(noted).getexif()[0x010E] == "mine"
    assert opened(noted).tobytes() == opened(plain).tobytes()
    assert recorded(opened(plain)) is None


@pytest.mark.parametrize("comment", [b"ASCII\0\0\0{", b"ASCII\0\0\0[1]", b"ASCII\0\0\0{}", b"hello", "hello"])
def test_comments_of_others_are_no_record(comment: object) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    assert recorded(opened(encoded(photo(SIZE), "JPEG", exif=exif.tobytes()))) is None


def test_several_images_are_refused(tmp_path: Path) -> None:
    image = photo(SIZE)
    assert opened(save(image, target="WEBP", save_all=True)).format == "WEBP"
    for options in ({"save_all": True, "append_images": [image]}, {"append_images": [image]}):
        with pytest.raises(OSError, match="cannot write several images as SEMCOMPRESS"):
            save(image, target="WEBP", **options)
    animated = Image.open(io.BytesIO(encoded(image, "GIF", save_all=True, append_images=[photo(SIZE, seed=1)])))
    with pytest.raises(OSError, match="cannot write several images as SEMCOMPRESS"):
        save(animated, target="WEBP", save_all=True)


def test_threads_share_one_workshop(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Slow(Workshop):
        def __init__(self, *arguments: Any) -> None:
            made.append(self)
            threading.Event().wait(0.05)
            super().__init__(registry())

    monkeypatch.setattr(_encode, "_workshop", None)
    monkeypatch.setattr(_encode, "Workshop", Slow)
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(save(photo(SIZE), target="WEBP"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(results) == 4
    assert len(set(results)) == 1


def test_the_examples_of_the_documentation_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_encode, "_workshop", None)  # the real readers
    monkeypatch.chdir(tmp_path)
    with Image.open(DOCUMENTATION.parents[2] / "examples/site/img/coffee.jpg") as picture:
        picture.resize((320, 240)).save("photo.jpg", quality=95)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.S)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert Image.open("photo.webp").format == "WEBP"
    assert Path("photo.webp").stat().st_size < Path("photo.jpg").stat().st_size
    assert Image.open("photo-small.jpg").format == "JPEG"
    assert Image.open("photo.semc").size == (320, 240)
    assert "js_divergence" in capsys.readouterr().out
    assert json.dumps(recorded(Image.open("photo.semc")))


def test_a_save_converts_to_srgb_where_it_is_asked_to():
    image = photo((120, 90))
    image.info["icc_profile"] = icc.rgb(gamma=1.0)
    again = opened(save(image, target="JPEG", icc="srgb"))
    assert "icc_profile" not in again.info
    assert np.asarray(again, float).mean() > np.asarray(image, float).mean() + 30
