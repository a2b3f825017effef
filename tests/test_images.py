"""What is decoded, what is refused and with which words, and what travels beside the pixels."""

from __future__ import annotations

import io
import struct
import time
import zlib

import pyexiv2
import pytest
from PIL import Image, ImageCms

import icc
import metadata_table
from pictures import photo
from semcompress_plugin import containers
from semcompress_plugin.av1 import stream_colours
from semcompress_plugin.errors import ImageError, UnsupportedImageError
from semcompress_plugin.images import (
    decode,
    decode_candidate,
    has_transparency,
    renditions,
    same_shape,
    save_parameters,
    turned_back,
    upright,
)
from semcompress_plugin.metadata import lost_in
from semcompress_plugin.types import Limits


def encoded(image: Image.Image, format: str, **parameters: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **parameters)
    return out.getvalue()


def gradient(size: tuple[int, int] = (40, 20), mode: str = "RGB") -> Image.Image:
    across = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (across, across.transpose(Image.Transpose.ROTATE_180), across)).convert(mode)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def sixteen_bit_png() -> bytes:
    rows = b"".join(b"\0" + bytes(6 * 4) for _ in range(4))
    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    return png((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def animation(format: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


JPEG = encoded(gradient((400, 300)), "JPEG")

REFUSED = [
    ("empty", b"", "a.jpg", ImageError, "is empty"),
    ("text", b"not a picture", "a.jpg", ImageError, "is not a picture"),
    ("header only", JPEG[:30], "a.jpg", ImageError, "is not a picture"),
    ("cut off", JPEG[: len(JPEG) * 3 // 4], "a.jpg", ImageError, "damaged or cut off"),
    ("cut-off PNG", encoded(gradient((300, 300)), "PNG")[:-40], "a.png", ImageError, "damaged or cut off"),
    ("wrong extension", encoded(gradient(), "PNG"), "a.jpg", ImageError, "holds PNG, not JPEG.*rename"),
    ("LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a.png", ImageError, "git lfs pull"),
    ("animated GIF", animation("GIF"), "a.gif", UnsupportedImageError, "animated"),
    ("still GIF", encoded(gradient(), "GIF"), "a.gif", UnsupportedImageError, "GIF"),
    ("APNG", animation("PNG"), "a.png", UnsupportedImageError, "animated"),
    ("animated WebP", animation("WEBP"), "a.webp", UnsupportedImageError, "animated"),
    ("animated AVIF", animation("AVIF"), "a.avif", UnsupportedImageError, "animated"),
    ("MPO", animation("MPO"), "a.jpg", UnsupportedImageError, "several pictures"),
    ("CMYK", encoded(gradient(mode="CMYK"), "JPEG"), "a.jpg", UnsupportedImageError, "mode CMYK"),
    ("16-bit RGB PNG", sixteen_bit_png(), "a.png", UnsupportedImageError, "more than 8 bits"),
    ("16-bit grey PNG", encoded(Image.new("I;16", (4, 4)), "PNG"), "a.png", UnsupportedImageError, "I;16"),
    ("TIFF", encoded(gradient(), "TIFF"), "a.jpg", ImageError, "is not a picture"),
]


@pytest.mark.parametrize(("data", "name", "kind", "words"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_what_we_could_damage_is_refused_in_one_clear_line(data, name, kind, words):
    with pytest.raises(kind, match=words) as caught:
        decode(data, name)
    assert type(caught.value) is kind or kind is ImageError
    assert "\n" not in str(caught.value)


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded():
    bomb = encoded(Image.new("1", (3000, 3000)), "PNG")
    with pytest.raises(ImageError, match=r"9,000,000 pixels, more than 1,000,000: raise limits.max_pixels"):
        decode(bomb, "a.png", limits=Limits(max_pixels=1_000_000))
    assert decode(bomb, "a.png", limits=Limits(max_pixels=9_000_000)).image.size == (3000, 3000)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 10), (3, 7)])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_odd_sizes_are_decoded(size, format):
    assert decode(encoded(gradient(size), format)).image.size == size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "AVIF"])
def test_orientation_is_applied_to_the_pixels_and_the_tag_is_gone(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    stored = gradient((40, 20))
    reference = decode(encoded(stored, format, exif=exif, quality=95))
    assert reference.image.size == ((40, 20) if orientation < 5 else (20, 40))
    kept = Image.Exif()
    kept.load(reference.metadata.exif)
    assert 0x0112 not in kept
    assert kept[0x010F] == "Maker"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_webp_that_exif_turns_is_left_alone_or_left_lying_for_browsers_do_not_turn_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(gradient((40, 20)), "WEBP", exif=exif, quality=95)
    lying = decode(data, orientation="keep")
    assert lying.orientation == orientation
    for format in ("JPEG", "PNG", "AVIF"):
        assert (lost_in(format, lying, replaces=False) is None) == (orientation == 1)
    assert lost_in("WEBP", lying, replaces=True) is None
    if orientation == 1:
        assert decode(data).image.size == (40, 20)
    else:
        with pytest.raises(UnsupportedImageError, match="on which readers disagree in a WebP"):
            decode(data)


def test_strip_private_removes_place_and_serial_numbers_and_keeps_who_and_when():
    exif = Image.Exif()
    exif[0x013B], exif[0x8298], exif[0x013C] = "Ann", "(c) Ann", "anns-laptop"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 10:00:00", 0xA431: "SERIAL", 0xA430: "Owner", 0x927C: b"maker"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0)})
    data = encoded(gradient(), "JPEG", exif=exif, xmp=b"<x:xmpmeta>gps</x:xmpmeta>")

    private = decode(data, metadata="strip-private").metadata
    kept = Image.Exif()
    kept.load(private.exif)
    assert kept[0x013B] == "Ann"
    assert kept[0x8298] == "(c) Ann"
    assert kept.get_ifd(0x8769) == {0x9003: "2024:05:01 10:00:00"}
    assert not kept.get_ifd(0x8825)
    assert 0x013C not in kept
    assert b"SERIAL" not in private.exif
    assert private.xmp is None

    everything = decode(data, metadata="keep").metadata
    assert b"SERIAL" in everything.exif
    assert everything.xmp == b"<x:xmpmeta>gps</x:xmpmeta>"
    nothing = decode(data, metadata="strip-all").metadata
    assert nothing.exif is None
    assert nothing.xmp is None


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("policy", ["keep", "strip-private", "strip-all"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_the_colour_profile_travels_whatever_the_policy(format, policy):
    reference = decode(encoded(gradient(), "PNG", icc_profile=PROFILE), metadata=policy)
    again = decode_candidate(encoded(reference.image, format, **save_parameters(reference.metadata, format)))
    assert again.info["icc_profile"] == PROFILE


def test_png_gamma_and_chromaticities_and_density_travel():
    chunk = [(b"gAMA", (45455).to_bytes(4, "big")), (b"cHRM", b"".join(n.to_bytes(4, "big") for n in range(8)))]
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for kind, payload in chunk:
        info.add(kind, payload)
    reference = decode(encoded(gradient(), "PNG", pnginfo=info, dpi=(300, 300)))
    assert list(reference.metadata.png_chunks) == chunk
    again = encoded(reference.image, "PNG", **save_parameters(reference.metadata, "PNG"))
    with Image.open(io.BytesIO(again)) as image:
        assert image.info["gamma"] == pytest.approx(0.45455)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_opaque_alpha_is_no_transparency_and_palette_transparency_is():
    assert not has_transparency(Image.new("RGBA", (2, 2), (1, 2, 3, 255)))
    assert has_transparency(Image.new("RGBA", (2, 2), (1, 2, 3, 254)))
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([9, 9, 9] * 256)
    assert not has_transparency(palette)
    transparent = decode(encoded(palette, "PNG", transparency=0))
    assert has_transparency(transparent.image)


def test_a_transparent_picture_is_shown_on_white_and_on_black():
    white, black = renditions(Image.new("RGBA", (1, 1), (255, 255, 255, 0)))
    assert (white.getpixel((0, 0)), black.getpixel((0, 0))) == ((255, 255, 255), (0, 0, 0))
    (only,) = renditions(Image.new("L", (1, 1), 7))
    assert only.mode == "RGB"


FILM = struct.pack(">I", 24) + b"ftypmp42" + bytes(12) + b"\xff\xd9" + bytes(20)


def with_thumbnail(**more: object) -> bytes:
    """A JPEG whose EXIF holds a whole small one."""
    with pyexiv2.ImageData(encoded(gradient((96, 64)), "JPEG", quality=97, **more)) as image:
        image.modify_exif({"Exif.Image.Make": "Maker"})
        image.modify_thumbnail(encoded(gradient((32, 24)), "JPEG"))
        return image.get_bytes()


@pytest.mark.parametrize("more", [{}, {"progressive": True}, {"restart_marker_blocks": 1}], ids=str)
def test_a_film_behind_a_jpeg_is_seen_whatever_thumbnail_and_scans_come_before(more):
    data = with_thumbnail(**more)
    assert data.count(b"\xff\xd9") == 2
    assert containers.after_jpeg(data) == b""
    assert containers.after_jpeg(data + FILM) == FILM
    assert decode(data).image.size == (96, 64)
    with pytest.raises(UnsupportedImageError, match="film behind it"):
        decode(data + FILM)


def test_a_film_is_seen_behind_padding_and_where_xmp_tells_of_it():
    plain = encoded(gradient((96, 64)), "JPEG", quality=97)
    told = encoded(gradient((96, 64)), "JPEG", quality=97, xmp=b"<x GCamera:MicroVideoOffset='2000'/>")
    for data in (plain + bytes(16) + FILM, plain + bytes(4096) + FILM, told + b"anything"):
        with pytest.raises(UnsupportedImageError, match="film behind it"):
            decode(data)
    for data in (plain + bytes(20), told, told + bytes(20), plain + b"anything"):
        decode(data)


def test_the_end_of_a_jpeg_is_the_one_behind_its_scans():
    scan = b"\xff\xda\0\4\xff\xd9" + b"a\xff\0\xd9\xff\xd0b\xff\xff"  # FF D9 in a header, stuffed and filled
    comment = b"\xff\xfe\0\4\xff\xd9"
    head = b"\xff\xd8" + comment + b"rubbish\xff\xff" + comment
    assert list(containers.jpeg_segments(head + scan)) == [(0xFE, b"\xff\xd9")] * 2
    for before in (scan, scan + comment + scan, b"\xff\xd9" + scan):
        assert containers.after_jpeg(head + before + b"\xff\xd9behind") == b"behind"
    for cut in (b"", head, head + b"\xff\xd9", head + scan, head + scan + b"\xff", head + scan + b"\xff\xfe\0"):
        assert containers.after_jpeg(cut) == b""


@pytest.mark.parametrize(("version", "width"), [(2, 2), (3, 4)])
@pytest.mark.parametrize("kind", [b"tmap", b"av01"])
def test_a_gain_map_of_an_avif_is_seen_however_long_its_number_is(version, width, kind):
    def box(name: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I", len(body) + 8) + name + body

    item = box(b"infe", bytes([version, 0, 0, 0]), bytes(width), b"\0\0", kind, b"\0")
    data = box(b"ftyp", b"avif") + box(b"meta", bytes(4), box(b"iinf", bytes(4), b"\0\1", item))
    assert containers.has_gain_map(data) is (kind == b"tmap")


@pytest.mark.parametrize("size", [(1, 1), (61, 43), (300, 200)])
@pytest.mark.parametrize(
    ("format", "how"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "comment": b"c" * 70, "icc_profile": b"i" * 70_000}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}),
        ("AVIF", {}),
        ("GIF", {}),
    ],
)
def test_pixels_are_known_at_a_glance(format, how, size):
    data = encoded(photo(size), format, **how)
    assert containers.pixels_at_a_glance(data) == size[0] * size[1]
    assert containers.pixels_at_a_glance(data[:10]) == (size[0] * size[1] if format == "GIF" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_turned_back_is_made_upright_by_its_orientation(orientation):
    image = gradient((40, 20))
    stored = turned_back(image, orientation)
    assert stored.size == ((20, 40) if orientation >= 5 else (40, 20))
    assert upright(stored, orientation).tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("size", "same"), [((400, 300), True), ((200, 150), True), ((133, 100), True), ((300, 400), False), ((1, 1), True)]
)
def test_a_shape_stays_the_same_but_for_rounding(size, same):
    assert same_shape(size, (400, 300)) == same


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("key", [1, 0])
def test_the_grey_that_a_png_calls_transparent_is_the_transparent_one_at_every_depth(depth, key):
    samples = [*range(1 << min(depth, 4)), key, 1 - key]
    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    row = b"\0" + int(bits.ljust(-len(bits) % 8 + len(bits), "0"), 2).to_bytes((len(bits) + 7) // 8, "big")
    head = struct.pack(">IIBBBBB", len(samples), 1, depth, 0, 0, 0, 0)
    higher_bits = 0x100  # which readers pass over
    data = png(
        (b"IHDR", head),
        (b"tRNS", struct.pack(">H", key | higher_bits)),
        (b"IDAT", zlib.compress(row)),
        (b"IEND", b""),
    )
    picture = decode(data)
    greys = [sample * 255 // ((1 << depth) - 1) for sample in samples]
    wanted = [(grey, 0 if sample == key else 255) for grey, sample in zip(greys, samples, strict=True)]
    assert picture.image.convert("LA").tobytes() == bytes(value for pixel in wanted for value in pixel)
    again = encoded(picture.image, "PNG", **save_parameters(picture.metadata, "PNG"))
    written = dict(containers.png_chunks(again))[b"tRNS"]
    most = (1 << again[24]) - 1
    assert (written[-1] & most) * 255 // most == key * 255 // ((1 << depth) - 1)


TURNED_EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
UPRIGHT_EXIF = TURNED_EXIF.replace(b"\0\x06\0", b"\0\x01\0")
GAMMA = struct.pack(">I", 100_000)
ZIPPED = b"icc\0\0" + zlib.compress(PROFILE)
TURNED_TEXT = b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (
    len(TURNED_EXIF) + 6,
    (b"Exif\0\0" + TURNED_EXIF).hex().encode(),
)


@pytest.mark.parametrize(
    ("early", "late", "words"),
    [
        ([], [(b"eXIf", TURNED_EXIF)], "turned by an eXIf"),
        ([(b"eXIf", TURNED_EXIF)], [(b"eXIf", UPRIGHT_EXIF)], "turned by an eXIf"),
        ([(b"eXIf", UPRIGHT_EXIF), (b"eXIf", TURNED_EXIF)], [], "turned by an eXIf"),
        ([(b"tEXt", TURNED_TEXT)], [], "turned by an eXIf that .* or by a text"),
        ([(b"eXIf", TURNED_EXIF)], [], None),
        ([(b"eXIf", UPRIGHT_EXIF)], [(b"eXIf", UPRIGHT_EXIF)], None),
        ([], [(b"gAMA", GAMMA)], "has gAMA twice, or too late"),
        ([], [(b"iCCP", ZIPPED)], "has iCCP twice, or too late"),
        ([(b"PLTE", bytes(6)), (b"iCCP", ZIPPED)], [], "has iCCP twice, or too late"),
        ([(b"gAMA", GAMMA), (b"gAMA", GAMMA)], [], "has gAMA twice, or too late"),
        ([], [(b"tRNS", bytes(6))], "has tRNS twice, or too late"),
        ([(b"gAMA", GAMMA), (b"iCCP", ZIPPED), (b"PLTE", bytes(6)), (b"tRNS", bytes(6))], [], None),
    ],
)
def test_a_png_whose_chunks_count_for_some_readers_only_is_left_alone(early, late, words):
    head = struct.pack(">IIBBBBB", 4, 2, 8, 2, 0, 0, 0)
    pixels = (b"IDAT", zlib.compress((b"\0" + bytes(range(12))) * 2))
    data = png((b"IHDR", head), *early, pixels, *late, (b"IEND", b""))
    if words is None:
        assert decode(data).image.size == ((2, 4) if (b"eXIf", TURNED_EXIF) in early else (4, 2))
    else:
        with pytest.raises(UnsupportedImageError, match=words + r".* on which readers disagree: left alone"):
            decode(data)


def _says(type: int, layout: str, turn: int, *, values: int = 1, order: str = ">") -> bytes:
    """A block with one entry, its orientation."""
    head = b"MM\0*\0\0\0\x08" if order == ">" else b"II*\0\x08\0\0\0"
    value = struct.pack(order + layout, turn).ljust(4, b"\0")
    return head + struct.pack(order + "HHHI", 1, 0x0112, type, values) + value + bytes(4)


SHORT = _says(3, "H", 6)
TWO = b"MM\0*\0\0\0\x08\0\2" + SHORT[10:22] * 2 + bytes(4)


@pytest.mark.parametrize(
    ("block", "doubtful"),
    [
        (SHORT, False), (_says(3, "H", 6, order="<"), False), (_says(3, "H", 0), False), (_says(4, "I", 1), False),
        (_says(4, "I", 6), True), (_says(4, "I", 6, order="<"), True), (_says(1, "B", 6), True),
        (_says(8, "h", 6), True),
        (_says(3, "H", 6, values=2), True), (TWO, True), (TWO.replace(b"\0\6", b"\0\1"), False),
        (SHORT[:-2], True), (SHORT[:-4], True), (SHORT[:-6], True), (_says(3, "H", 1)[:-4], False),
        (SHORT.replace(b"\0\1\1\x12", b"\0\2\1\x12"), True), (b"", False), (b"MM\0*", False),
    ],
)  # fmt: skip
def test_an_orientation_that_some_readers_alone_heed_leaves_the_picture_alone(block, doubtful):
    """Chromium 156 does not heed LONG and BYTE, nor a directory that ends within the entry; Pillow does."""
    files = {format: encoded(gradient(), format, exif=b"Exif\0\0" + block) for format in ("JPEG", "PNG")}
    files["WEBP"] = encoded(gradient(), "WEBP", exif=block)
    for data in files.values():
        if doubtful:
            with pytest.raises(
                UnsupportedImageError, match=r"is turned by EXIF that .*, on which readers disagree: left"
            ):
                decode(data, orientation="keep")
        else:
            decode(data, orientation="keep")


def test_exif_whose_mark_only_some_readers_know_leaves_a_jpeg_alone():
    """Chromium 156 heeds it."""
    data = encoded(gradient(), "JPEG")
    for mark in (b"Exif\0\xff", b"Exif\0"):
        turned = data[:2] + containers.segment(0xE1, mark + SHORT) + data[2:]
        with pytest.raises(
            UnsupportedImageError, match="has EXIF that begins as none should, on which readers disagree"
        ):
            decode(turned)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([(1, 1)], True), ([(1, 2), (2, 2)], True), ([(2, 2), (1, 2)], True),
        ([(1, 1), (1, 1)], False), ([(0, 1)], False), ([(1, 2)], False), ([(1, 1), (2, 2)], False), ([(0, 0)], False),
    ],
)  # fmt: skip
def test_a_jpeg_whose_profile_is_not_there_once_and_whole_is_left_alone(parts, whole):
    size = -(-len(PROFILE) // max(number for number, _ in parts or [(1, 1)])) if whole else len(PROFILE)
    data = encoded(gradient(), "JPEG")
    segments = b""
    for number, count in parts:
        piece = PROFILE[(number - 1) * size :][:size] if whole else PROFILE
        body = b"ICC_PROFILE\0" + bytes([number, count]) + piece
        segments += b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
    data = data[:2] + segments + data[2:]
    if whole:
        assert decode(data).metadata.icc_profile == PROFILE
    else:
        with pytest.raises(UnsupportedImageError, match="profile of which parts are missing or come twice, on which"):
            decode(data)


@pytest.mark.parametrize(
    ("primaries", "transfer", "plain"), [(1, 13, True), (2, 2, True), (9, 16, False), (12, 13, False)]
)
def test_colours_that_the_stream_of_an_avif_names_alone_count(primaries, transfer, plain):
    data = metadata_table.stream_says(primaries, transfer)
    assert containers.avif_colours(data) is None
    assert set(stream_colours(data)) >= {(primaries, transfer)}
    if plain:
        decode(data)
    else:
        with pytest.raises(UnsupportedImageError, match=rf"colours by number \(AV1 {primaries}/{transfer}\)"):
            decode(data)


def test_where_colours_stand_in_an_avif_is_read_from_any_bytes():
    whole = metadata_table.stream_says(12, 13)
    start = whole.index(b"mdat") + 4
    in_box = whole[:start].replace(b"av1C", b"av1C" + whole[start : start + 4])  # sizes are wrong then, too
    for data in (whole, in_box, metadata_table.TEN_BITS):
        for end in range(0, len(data), 3):
            list(stream_colours(data[:end]))
        for at in range(0, 400):
            list(stream_colours(data[:at] + b"\xff" + data[at + 1 :]))
    extents = b"iloc\1\0\0\0\0\0" + struct.pack(">H", 65535) + struct.pack(">HHHH", 1, 0, 0, 65535) * 65535
    meta = b"meta" + bytes(4) + struct.pack(">I", len(extents) + 4) + extents
    many = struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I", len(meta) + 4) + meta
    started = time.process_time()
    assert len(list(containers.avif_items(many, 99))) == 1024
    assert list(stream_colours(many)) == []
    endless = b""
    for kind in (b"av1C", b"ipco", b"iprp", b"meta"):  # a length that goes on through half a megabyte
        body = b"\x81\0\0\0\x0a" + b"\xff" * 500_000 if kind == b"av1C" else bytes(4 * (kind == b"meta")) + endless
        endless = struct.pack(">I4s", len(body) + 8, kind) + body
    assert list(stream_colours(many[:8] + endless)) == []
    assert time.process_time() - started < 1


@pytest.mark.parametrize("transfer", [16, 18])
def test_pictures_for_hdr_screens_are_left_alone(transfer):
    """There errors are brighter than readers see them."""
    made = [png_with_numbers(9, transfer)]
    made += [
        encoded(gradient(), format, icc_profile=icc.rgb(numbers=(9, transfer))) for format in ("JPEG", "PNG", "AVIF")
    ]
    for data in made:
        with pytest.raises(UnsupportedImageError, match="made for HDR screens"):
            decode(data)
    decode(png_with_numbers(12, 13))
    decode(encoded(gradient(), "JPEG", icc_profile=icc.rgb(numbers=(12, 13))))


def png_with_numbers(primaries, transfer):
    data = encoded(gradient(), "PNG")
    numbers = png((b"cICP", bytes((primaries, transfer, 0, 1))))[8:]
    return data[:33] + numbers + data[33:]
