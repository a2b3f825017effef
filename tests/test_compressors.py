"""What every built-in compressor must do, and what only one of them does."""

from __future__ import annotations

import gc
import io
import weakref

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import AvifImagePlugin, Image, ImageChops, ImageCms, ImageFilter

import icc
from pictures import photo, reference, registry
from semcompress_plugin.compressors import scaling
from semcompress_plugin.compressors._grain import CHROMA, available, chroma_deviation, texture
from semcompress_plugin.images import decode_candidate, has_transparency
from semcompress_plugin.types import Knob

KNOWN = registry()
NAMES = ["jpeg", "jpeg-444", "webp", "avif", "png"]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def settings_of(name: str, where: float = 0.5, **fixed: float) -> dict[str, float]:
    """Settings at ``where`` (0 small files, 1 large ones) of every knob's range."""

    def value(knob: Knob) -> float:
        number = knob.low * (knob.high / knob.low) ** where if knob.log else knob.low + where * (knob.high - knob.low)
        return round(number) if knob.integer else number

    return {knob.name: value(knob) for knob in KNOWN.compressor(name).knobs} | fixed


def compressed(name: str, picture, **fixed: float) -> bytes:
    spec = KNOWN.compressor(name)
    return KNOWN.make_compressor(name).compress(picture, settings_of(name, **fixed), spec.formats[0])


@pytest.mark.parametrize("name", NAMES)
class TestEveryCompressor:
    def test_writes_its_format_at_the_wanted_size(self, name):
        image = Image.open(io.BytesIO(compressed(name, reference(photo((160, 120))), scale=0.5)))
        assert image.format == KNOWN.compressor(name).formats[0]
        assert image.size == (80, 60)

    def test_is_deterministic_and_leaves_the_image_alone(self, name):
        picture = reference(photo())
        before = picture.image.tobytes()
        assert compressed(name, picture) == compressed(name, picture)
        assert picture.image.tobytes() == before

    def test_keeps_profile_and_exif(self, name):
        exif = Image.Exif()
        exif[0x013B] = "Ann"
        picture = reference(photo(), icc_profile=PROFILE, exif=exif)
        image = Image.open(io.BytesIO(compressed(name, picture)))
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[0x013B] == "Ann"

    def test_adds_no_metadata_that_was_not_there(self, name):
        picture = reference(photo(), "PNG")
        image = Image.open(io.BytesIO(compressed(name, picture)))
        assert not image.getexif()
        assert "icc_profile" not in image.info or not image.info["icc_profile"]

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
    def test_takes_every_opaque_mode(self, name, mode):
        picture = reference(photo().convert(mode), "PNG")
        assert decode_candidate(compressed(name, picture, scale=1.0)).size == picture.image.size

    @pytest.mark.parametrize("size", [(1, 1), (2, 3), (1000, 1)])
    def test_takes_any_size_at_any_scale(self, name, size):
        data = compressed(name, reference(Image.new("RGB", size), "PNG"), scale=0.05)
        assert min(decode_candidate(data).size) >= 1

    def test_more_of_everything_is_a_larger_file(self, name):
        sizes = [len(compressed(name, reference(photo()), **settings_of(name, where))) for where in (0.1, 0.5, 0.9)]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[2]


class TestScaledPictures:
    """A search tries several qualities at one scale: the picture is scaled once."""

    @staticmethod
    def scaled(picture, scale: float):
        return scaling.scaled(picture, {"scale": scale})

    @pytest.mark.parametrize("name", NAMES)
    def test_a_second_quality_scales_nothing_and_writes_what_it_would_have_written(self, name, monkeypatch):
        resize, sizes = Image.Image.resize, []
        monkeypatch.setattr(Image.Image, "resize", lambda *a, **k: sizes.append(a[1]) or resize(*a, **k))
        picture = reference(photo())
        for where in (0.7, 0.9, 0.7):
            made = settings_of(name, where, scale=0.5)
            assert compressed(name, picture, **made) == compressed(name, reference(photo()), **made)
        assert sizes.count((80, 60)) == 1 + 3  # every fresh reference scales its own

    def test_another_scale_is_another_picture(self):
        picture = reference(photo())
        assert [self.scaled(picture, scale).size for scale in (0.5, 0.4, 0.5)] == [(80, 60), (64, 48), (80, 60)]

    def test_no_more_is_kept_than_the_picture_has_itself_and_what_was_used_last_stays(self):
        picture = reference(photo())
        first, second = self.scaled(picture, 0.6), self.scaled(picture, 0.7)
        assert self.scaled(picture, 0.6) is first
        self.scaled(picture, 0.3)  # of 0.36 + 0.49 + 0.09 of the pixels
        assert self.scaled(picture, 0.6) is first
        self.scaled(picture, 0.5)  # now 0.7, the one not asked for since, must go
        assert self.scaled(picture, 0.6) is first
        assert self.scaled(picture, 0.7) is not second

    def test_of_a_large_picture_little_is_kept(self, monkeypatch):
        monkeypatch.setattr(scaling, "KEPT", 80 * 60)
        picture = reference(photo())
        small = self.scaled(picture, 0.5)
        assert self.scaled(picture, 0.9) is not self.scaled(picture, 0.9)
        assert self.scaled(picture, 0.5) is small

    def test_nothing_is_kept_longer_than_its_picture(self):
        picture = reference(photo())
        small = weakref.ref(self.scaled(picture, 0.5))
        assert small() is not None
        del picture
        gc.collect()
        assert small() is None


@pytest.mark.parametrize("name", ["webp", "avif", "png"])
def test_transparency_is_kept(name):
    image = photo().convert("RGBA")
    alpha = Image.linear_gradient("L").resize(image.size)
    image.putalpha(alpha)
    most = {"colors": 256.0} if name == "png" else {}
    after = decode_candidate(compressed(name, reference(image, "PNG"), scale=1.0, **most))
    after = after.convert("RGBA").getchannel("A")
    difference = max(ImageChops.difference(alpha, after).getextrema())
    # the palette of png is allowed to merge alpha levels; the others are exact
    assert difference <= {"webp": 0, "avif": 0, "png": 64}[name]


@pytest.mark.parametrize(("mode", "grain"), [("RGBA", True), ("LA", False)])
@pytest.mark.parametrize("speed", [0, 5, 6, 8, 10])
def test_transparency_of_an_avif_is_exact_at_every_quality_and_speed(mode, speed, grain):
    generator = np.random.default_rng(3)
    alpha = generator.integers(0, 256, (60, 80), np.uint8)
    alpha[:30] = 255 * (generator.random((30, 80)) > 0.5)  # ragged edges, and what lies between
    image = photo((80, 60)).convert(mode)
    image.putalpha(Image.fromarray(alpha))
    avif, picture = KNOWN.make_compressor("avif", {"speed": speed, "grain": grain}), reference(image, "PNG")
    for quality in (1, 29, 90):
        after = decode_candidate(avif.compress(picture, {"scale": 1.0, "quality": quality}, "AVIF"))
        assert np.array_equal(np.asarray(after.getchannel("A")), alpha)


def test_no_transparent_avif_is_written_where_pillow_has_another_encoder(monkeypatch):
    image = photo((80, 60)).convert("RGBA")
    opaque = reference(image, "PNG")
    image.putpixel((3, 3), (0, 0, 0, 7))
    monkeypatch.setattr(AvifImagePlugin, "get_codec_version", lambda name: None)
    available.cache_clear()
    try:
        with pytest.raises(ValueError, match="only libaom writes transparency exactly"):
            compressed("avif", reference(image, "PNG"), scale=1.0)
        assert not decode_candidate(compressed("avif", opaque, scale=1.0)).has_transparency_data
    finally:
        available.cache_clear()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_with_every_colour_is_lossless(mode):
    image = photo().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    picture = reference(image.convert(mode), "PNG")
    after = decode_candidate(compressed("png", picture, scale=1.0, colors=257))
    assert after.convert("RGBA").tobytes() == picture.image.convert("RGBA").tobytes()


def test_png_recompression_beats_a_careless_encoder():
    picture = reference(photo(), "PNG", compress_level=1)
    assert len(compressed("png", picture, scale=1.0, colors=257)) < picture.bytes


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("colors", [12, 256, 257])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "one transparent grey"])
def test_grey_pixels_with_a_profile_for_grey_stay_grey(mode, colors, scale):
    """Chromium 156 passes over that profile beside a palette: the mean of a photo's greys goes from 187 to 127."""
    image, more = photo().convert("L"), {}
    if mode == "LA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    elif mode == "1":
        image = image.convert("1")
    elif mode != "L":
        more = {"transparency": 3}
    picture = reference(image, "PNG", icc_profile=icc.grey(), **more)
    data = compressed("png", picture, scale=scale, colors=colors)
    assert data[25] in (0, 4)  # IHDR's colour type: grey, or grey and alpha
    after = Image.open(io.BytesIO(data))
    assert after.info["icc_profile"] == icc.grey()
    assert len(after.convert("LA").getcolors(70_000)) <= colors or colors == 257
    if scale == 1 and mode != "LA":
        difference = ImageChops.difference(after.convert("LA"), picture.image.convert("LA"))
        assert np.asarray(difference).mean() < (8 if colors == 12 else 2)


@pytest.mark.parametrize("colors", [16, 90, 256])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_areas_of_one_colour_stay_exactly_that_in_few_colours(mode, colors):
    """White that turns off-white, or is dithered, is seen at once."""
    image = Image.new("RGB", (200, 200), (255, 255, 255))
    image.paste((238, 240, 239), (0, 150, 200, 200))
    nearly = np.random.default_rng(0).integers(235, 256, (110, 110, 3)).astype(np.uint8)
    image.paste(Image.fromarray(nearly))
    image.paste(photo((90, 90)), (10, 10))
    image = image.quantize(200) if mode == "P" else image.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize((200, 200)).point(lambda a: 0 if a < 20 else 255))
    before, after = (
        np.asarray(one.convert("RGBA"))
        for one in (image, decode_candidate(compressed("png", reference(image, "PNG"), scale=1.0, colors=colors)))
    )
    assert (before[130:] == after[130:]).all()
    assert (before[:, 120:] == after[:, 120:]).all()
    assert len(np.unique(after.reshape(-1, 4), axis=0)) <= colors


def test_an_alpha_that_is_opaque_throughout_changes_nothing_of_few_colours():
    """Many programs write screenshots and plots so."""
    pale = np.random.default_rng(0).integers(224, 256, (500, 500, 3)).astype(np.uint8)
    for image in (photo((160, 120)), Image.fromarray(pale)):
        opaque = reference(image.convert("RGBA"), "PNG")
        data = compressed("png", opaque, scale=1.0, colors=128)
        assert data == compressed("png", reference(image, "PNG"), scale=1.0, colors=128)
        assert not has_transparency(decode_candidate(data))


def few(image, colors):
    return decode_candidate(compressed("png", reference(image, "PNG"), scale=1.0, colors=colors)).convert(image.mode)


def test_a_small_thing_keeps_its_colour_in_few_colours():
    """A palette by population has none left for an icon: the red ones of screenshots turned brown."""
    image = photo((400, 300))
    at = np.indices((14, 14)).sum(axis=0)[..., None] * np.array([-4, 2, 2])
    image.paste(Image.fromarray((np.array([220, 20, 30]) + at).astype(np.uint8)), (193, 141))
    after = few(image, 16)
    box = (193, 141, 207, 155)
    before, after = (np.asarray(one.crop(box), float).mean(axis=(0, 1)) for one in (image, after))
    assert np.abs(before - after).max() < 6


def test_a_gradient_is_dithered_lest_there_are_bands():
    image = Image.linear_gradient("L").rotate(90).resize((320, 200)).convert("RGB")
    image.paste(photo((100, 200)), (220, 0))
    before, after = (np.asarray(one, float)[:, :220, 0].reshape(20, 10, 22, 10) for one in (image, few(image, 24)))
    assert np.abs(before.mean(axis=(1, 3)) - after.mean(axis=(1, 3))).mean() < 1.9  # 2.5 without


def test_what_has_texture_of_its_own_is_not_dithered():
    """Noise costs bytes, and blurs: each pixel becomes the next entry."""
    noise = np.random.default_rng(4).normal(128, 12, (120, 160, 3))
    image = Image.fromarray(noise.astype(np.uint8))
    before, after = (np.asarray(one, float).reshape(-1, 3) for one in (image, few(image, 48)))
    entries = np.unique(after, axis=0)
    nearest = np.sqrt(((before[:, None] - entries) ** 2).sum(axis=2)).min(axis=1)
    taken = np.sqrt(((before - after) ** 2).sum(axis=1))
    assert (taken <= nearest + 1).mean() > 0.9


def test_shadows_and_edges_are_near_on_black_and_on_white_and_what_is_opaque_stays_so():
    image = photo((300, 200)).convert("RGBA")
    alpha = Image.new("L", image.size)
    alpha.paste(255, (40, 40, 260, 160))
    alpha = alpha.filter(ImageFilter.GaussianBlur(12))
    alpha.paste(255, (50, 50, 250, 150))
    image.putalpha(alpha)
    after = few(image, 128)
    for back in ("black", "white"):
        shown = [
            Image.alpha_composite(Image.new("RGBA", image.size, back), one).convert("RGB") for one in (image, after)
        ]
        off = np.abs(np.subtract(*(np.asarray(one, float) for one in shown)))
        assert off.mean() < 2.5
        assert off.max() < 60
    before, after = (np.asarray(one)[..., 3] for one in (image, after))
    assert ((before == 255) == (after == 255)).all()
    assert ((before == 0) == (after == 0)).all()


def test_what_is_not_seen_keeps_one_colour_of_those_that_lie_there():
    """Programs that scale without a thought for alpha blend it in: black would draw dark lines around white shapes."""
    image = Image.new("RGBA", (80, 60), (255, 255, 255, 0))
    image.putpixel((3, 3), (9, 9, 9, 0))
    image.paste(photo((40, 30)).convert("RGBA"), (20, 15))
    empty = np.asarray(few(image, 16))[:10]
    assert (empty == (255, 255, 255, 0)).all()


@settings(max_examples=60, deadline=None)
@given(
    colours=st.lists(
        st.tuples(*[st.integers(0, 255)] * 3, st.sampled_from([0, 1, 90, 254, 255])), min_size=1, max_size=40
    ),
    width=st.integers(1, 9),
    colors=st.integers(2, 48),
)
def test_few_colours_of_any_pixels(colours, width, colors):
    pixels = np.resize(np.array(colours, np.uint8), (-(-len(colours) // width), width, 4))
    image = Image.fromarray(pixels)
    before, after = pixels, np.asarray(few(image, colors))
    assert len(np.unique(after.reshape(-1, 4), axis=0)) <= colors
    assert ((before[..., 3] == 255) == (after[..., 3] == 255)).all() or colors < 3
    seen = before.astype(int) * (before[..., 3:] > 0)
    if len(np.unique(seen.reshape(-1, 4), axis=0)) <= colors - colors // 4:
        assert (seen == after.astype(int) * (after[..., 3:] > 0)).all()


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(colors=st.integers(2, 256))
def test_png_has_at_most_the_wanted_colours(colors):
    data = compressed("png", reference(photo((48, 36)), "PNG"), scale=1.0, colors=colors)
    assert len(decode_candidate(data).convert("RGB").getcolors(100_000)) <= colors


def test_a_grey_jpeg_stays_grey():
    picture = reference(photo().convert("L"))
    assert Image.open(io.BytesIO(compressed("jpeg", picture))).mode == "L"


def test_jpeg_is_progressive_and_subsampling_is_an_option():
    from PIL import JpegImagePlugin

    picture = reference(photo())
    image = Image.open(io.BytesIO(compressed("jpeg", picture)))
    assert image.info["progressive"]
    assert JpegImagePlugin.get_sampling(image) == 2
    full = KNOWN.make_compressor("jpeg", {"subsampling": "4:4:4"})
    image = Image.open(io.BytesIO(full.compress(picture, settings_of("jpeg"), "JPEG")))
    assert JpegImagePlugin.get_sampling(image) == 0


def test_jpeg_444_writes_what_jpeg_does_but_for_its_colours():
    from PIL import JpegImagePlugin

    picture = reference(photo())
    full, half = (Image.open(io.BytesIO(compressed(name, picture))) for name in ("jpeg-444", "jpeg"))
    assert (JpegImagePlugin.get_sampling(full), JpegImagePlugin.get_sampling(half)) == (0, 2)
    assert full.quantization == half.quantization
    brightness = (np.asarray(image.convert("YCbCr"), float)[..., 0] for image in (full, half))
    assert np.abs(np.subtract(*brightness)).max() <= 4, "its brightness is the same, but for rounding"


@pytest.mark.parametrize(("name", "option", "cheap", "dear"), [("webp", "method", 0, 6), ("avif", "speed", 10, 2)])
def test_effort_is_an_option(name, option, cheap, dear):
    picture, format = reference(photo((320, 240))), name.upper()
    quick, slow = (
        KNOWN.make_compressor(name, {option: effort}).compress(picture, settings_of(name, scale=1.0), format)
        for effort in (cheap, dear)
    )
    assert len(slow) < len(quick)


def coloured_noise(amount: float, size=(320, 240)) -> Image.Image:
    """Even grey with noise of a standard deviation in its colours."""
    noise = np.random.default_rng(3).normal(0, amount, (*size[::-1], 2))
    planes = np.concatenate([np.full((*size[::-1], 1), 128.0), 128 + noise], axis=2)
    return Image.fromarray(planes.round().clip(0, 255).astype(np.uint8), "YCbCr").convert("RGB")


class TestGrain:
    """AVIF with film grain: noise that decoders add."""

    def pair(self, image, format="JPEG", quality=40):
        """The picture decoded again without and with grain, and how many bytes that took."""
        picture, fixed = reference(image, format), {"scale": 1.0, "quality": quality}
        plain, grained = (
            KNOWN.make_compressor("avif", options).compress(picture, fixed, "AVIF") for options in ({}, {"grain": True})
        )
        decoded = [np.asarray(decode_candidate(data), float) for data in (plain, grained)]
        return decoded, len(grained) - len(plain)

    @pytest.mark.parametrize(("quality", "luma"), [(20, 3.0), (51, 2.0)])
    def test_adds_noise_of_the_wanted_strength_for_a_few_bytes(self, quality, luma):
        (plain, grained), more = self.pair(photo((320, 240)), quality=quality)
        noise = (grained - plain) @ [0.299, 0.587, 0.114]
        assert noise.std() == pytest.approx(luma, rel=0.15)
        assert abs(noise.mean()) < 0.3
        assert 0 < more < 60

    def test_is_the_same_every_time(self):
        picture, grain = reference(photo()), KNOWN.make_compressor("avif", {"grain": True})
        assert len({grain.compress(picture, settings_of("avif"), "AVIF") for _ in range(3)}) == 1

    @pytest.mark.parametrize("mode", ["L", "RGB"])  # a grey photograph is often stored in colour
    def test_of_a_grey_picture_has_no_colour(self, mode):
        (_, grained), _ = self.pair(photo((160, 120)).convert("L").convert(mode))
        assert np.ptp(grained, axis=2).max() <= 1

    def test_has_colour_where_the_colours_have_detail(self):
        (plain, grained), _ = self.pair(coloured_noise(8))
        noise = grained - plain
        assert (noise[..., 2] - noise.mean(axis=2)).std() > 1.5

    @pytest.mark.parametrize(("amount", "share"), [(0, 0), (0.4, 0), (0.8, 0.5), (4, 1)])
    def test_of_the_colours_grows_with_their_detail(self, amount, share):
        assert chroma_deviation(1.5, coloured_noise(amount)) == pytest.approx(1.5 * share, abs=0.25)
        assert chroma_deviation(3.0, coloured_noise(8)) == CHROMA

    def test_asks_a_large_picture_in_part_and_a_tiny_one_not_at_all(self):
        assert texture(coloured_noise(3, (2400, 1800))) == pytest.approx(texture(coloured_noise(3)), rel=0.05)
        assert texture(coloured_noise(3, (7, 300))) == 0

    def test_leaves_transparency_alone(self):
        image = photo((160, 120)).convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        (plain, grained), _ = self.pair(image, "PNG")
        assert np.array_equal(plain[..., 3], grained[..., 3])
        assert not np.array_equal(plain[..., :3], grained[..., :3])

    def test_is_left_out_where_pillow_has_another_encoder(self, monkeypatch):
        monkeypatch.setattr(AvifImagePlugin, "get_codec_version", lambda name: None)
        available.cache_clear()
        try:
            (plain, grained), more = self.pair(photo((160, 120)))
        finally:
            available.cache_clear()
        assert more == 0
        assert np.array_equal(plain, grained)

    @pytest.mark.parametrize("quality", [75, 100])
    def test_is_nothing_where_the_encoder_keeps_the_texture(self, quality):
        (plain, grained), more = self.pair(photo((160, 120)), quality=quality)
        assert np.array_equal(plain, grained)
        assert more == 0
