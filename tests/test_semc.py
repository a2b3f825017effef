"""The container .semc: what is written down in docs/semc.md, and what damaged and hostile files do."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from pictures import encoded, photo
from semcompress_plugin.hosts import _semc
from semcompress_plugin.hosts.pillow import SemcImageFile, register

JUDGED = {"semcompress": "0.1.0", "scores": {"classifier": {"js_divergence": 0.01}}}
STORED, CLAIMED = (32, 24), (64, 48)
PAYLOADS = {format: encoded(photo(STORED), format) for format in _semc.FORMATS.values()}


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def packed(format: str = "WEBP", payload: bytes | None = None, size: tuple[int, int] = CLAIMED, **more: Any) -> bytes:
    return _semc.pack(payload or PAYLOADS[format], format, size, JUDGED, **more)


def opened(data: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data))


def forged(data: bytes, at: int, what: bytes) -> bytes:
    """``data`` changed by somebody who can compute checksums."""
    data = data[:at] + what + data[at + len(what) :]
    judged = int.from_bytes(data[20:24])
    start = data[:28] + hashlib.sha256(data[64 + judged :]).digest()
    return start + zlib.crc32(start + data[64 : 64 + judged]).to_bytes(4) + data[64:]


def sound(data: bytes) -> bool:
    """Whether ``data`` opens and loads; if not, it must fail as Pillow's own plugins do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened(data).load()
    except (OSError, Image.DecompressionBombError):  # UnidentifiedImageError, "not mine", is an OSError
        return False
    return True


def test_a_container_made_by_hand_from_the_documentation_opens() -> None:
    payload, judgement = PAYLOADS["JPEG"], b'{"semcompress":"9","other":[1]}'
    start = bytes.fromhex("89534D430D0A1A0A 01 00 01 01 00000040 00000030")
    start += len(judgement).to_bytes(4) + len(payload).to_bytes(4) + hashlib.sha256(payload).digest()
    image = opened(start + zlib.crc32(start + judgement).to_bytes(4) + judgement + payload + b"ignored")
    assert (image.format, image.mode, image.size) == ("SEMCOMPRESS", "RGB", CLAIMED)
    assert image.info["semcompress"] == json.loads(judgement)
    whole = Image.open(io.BytesIO(payload)).resize(CLAIMED, Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(image), np.asarray(whole))


def test_the_documentation_has_the_fields_of_the_code() -> None:
    text = (Path(__file__).parent.parent / "docs/semc.md").read_text()
    rows = [row.split("|")[1:3] for row in text.splitlines() if row.startswith("| ") and row[2].isdigit()]
    offsets = [int(offset) for offset, length in rows if offset.strip().isdigit()]
    lengths = [int(length) for offset, length in rows if length.strip().isdigit()]
    assert lengths == [8, 1, 1, 1, 1, 4, 4, 4, 4, 32, 4]
    assert offsets == [sum(lengths[:index]) for index in range(len(lengths) + 1)]
    assert struct.calcsize(">8sBBBBIIII32sI") == offsets[-1] == _semc.FIXED
    assert "`89 53 4D 43 0D 0A 1A 0A`" in text
    assert bytes.fromhex("89534D430D0A1A0A") == _semc.MAGIC


@settings(max_examples=100)
@given(
    payload=st.binary(min_size=1, max_size=300),
    format=st.sampled_from([*_semc.FORMATS.values()]),
    size=st.tuples(*[st.integers(1, 2**32 - 1)] * 2),
    orientation=st.integers(1, 8),
    judgement=st.dictionaries(st.text(), st.recursive(st.integers() | st.text() | st.booleans(), st.lists)),
)
def test_what_is_packed_is_parsed(
    payload: bytes, format: str, size: tuple[int, int], orientation: int, judgement: dict[str, Any]
) -> None:
    data = _semc.pack(payload, format, size, judgement, orientation)
    length = _semc.header_length(data[:64])
    header = _semc.parse(data[:length])
    assert data[length:] == payload
    assert (header.size, header.format, header.orientation) == (size, format, orientation)
    assert header.judgement == judgement
    _semc.check(header, payload)


@pytest.mark.parametrize(
    "arguments",
    [
        (b"x", "GIF", (1, 1), {}),
        (b"", "PNG", (1, 1), {}),
        (b"x", "PNG", (0, 1), {}),
        (b"x", "PNG", (1, 2**32), {}),
        (b"x", "PNG", (1, 1), {}, 9),
        (b"x", "PNG", (1, 1), {"a": float("nan")}),
        (b"x", "PNG", (1, 1), {"a": "b" * 65_536}),
    ],
)
def test_what_it_cannot_hold_is_not_packed(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        _semc.pack(*arguments)


@pytest.mark.parametrize("format", PAYLOADS)
def test_every_single_changed_byte_is_noticed(format: str) -> None:
    data = packed(format)
    assert sound(data)
    # the judgement and the payload are each covered by one checksum: some of their bytes will do
    for at in [*range(_semc.FIXED), *range(_semc.FIXED, len(data), 29)]:
        for bit in (0, 3, 7):
            assert not sound(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]), f"byte {at}, bit {bit}"


@pytest.mark.parametrize("format", PAYLOADS)
def test_every_truncation_is_an_error(format: str) -> None:
    data = packed(format)
    for length in [*range(_semc.FIXED + 140), *range(_semc.FIXED + 140, len(data), 17), len(data) - 1]:
        assert not sound(data[:length]), f"{length} bytes"


@settings(max_examples=400)
@given(data=st.data(), format=st.sampled_from([*PAYLOADS]))
def test_mutations_with_right_checksums_open_or_fail_as_pillow_does(data: st.DataObject, format: str) -> None:
    whole = packed(format)
    at = data.draw(st.integers(8, len(whole) - 1))
    mutated = forged(whole, at, data.draw(st.binary(min_size=1, max_size=4)))
    if int.from_bytes(mutated[12:16]) * int.from_bytes(mutated[16:20]) < 2**22:
        sound(mutated)
    else:  # a claim that is allowed may well need much memory: the size alone is judged
        with pytest.raises((OSError, Image.DecompressionBombError)):
            opened(mutated)


@settings(max_examples=100)
@given(tail=st.binary(max_size=200))
def test_noise_after_the_signature_is_an_error(tail: bytes) -> None:
    assert not sound(_semc.MAGIC + tail)


@pytest.mark.parametrize(
    ("judgement", "said"),
    [
        (b"[" * 60_000, "not JSON"),
        (b"1" * 60_000, "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b"\xff", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b" " * 65_537, "more than 65,536"),
    ],
)
def test_a_hostile_judgement_is_an_error(judgement: bytes, said: str) -> None:
    data = packed()
    start = data[:20] + len(judgement).to_bytes(4) + data[24:60]
    payload = data[64 + int.from_bytes(data[20:24]) :]
    with pytest.raises(OSError, match=said):
        opened(start + zlib.crc32(start + judgement).to_bytes(4) + judgement + payload)


def test_something_else_is_left_to_other_plugins() -> None:
    for data in (b"", b"\x89SM", PAYLOADS["PNG"], b"\x89SMC\r\r\n\x1a\n" + bytes(80)):
        with pytest.raises(SyntaxError, match=r"not a \.semc file"):
            SemcImageFile(io.BytesIO(data))
    with pytest.raises(Image.UnidentifiedImageError):
        opened(b"\x89SMC\n\x1a\n" + bytes(80))


def test_a_newer_version_says_so() -> None:
    with pytest.raises(OSError, match="has version 2, which this semcompress does not know; it knows 1"):
        opened(forged(packed(), 8, b"\x02"))


@pytest.mark.parametrize(("at", "value"), [(9, 1), (10, 0), (10, 9), (11, 0), (11, 5)])
def test_values_that_version_1_does_not_know_are_errors(at: int, value: int) -> None:
    with pytest.raises(OSError, match="a value that version 1 does not know"):
        opened(forged(packed(), at, bytes([value])))


def test_a_claimed_size_is_judged_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = encoded(Image.new("RGB", (1, 1)), "PNG")
    with pytest.raises(Image.DecompressionBombError):
        opened(packed("PNG", payload, (100_000, 100_000)))
    with pytest.warns(Image.DecompressionBombWarning):
        opened(packed("PNG", payload, (10_000, 10_000)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert opened(packed("PNG", payload, (100_000, 100_000))).size == (100_000, 100_000)


def test_a_payload_that_is_a_decompression_bomb_is_called_one() -> None:
    bomb = bytearray(encoded(Image.new("RGB", (1, 1)), "PNG"))
    bomb[16:24] = struct.pack(">II", 100_000, 100_000)
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4)
    with pytest.raises(Image.DecompressionBombError):
        opened(packed("PNG", bytes(bomb), (100_000, 100_000)))
    with pytest.raises(Image.DecompressionBombError):
        opened(packed("PNG", bytes(bomb)))


@pytest.mark.parametrize(
    ("size", "orientation", "fits"),
    [
        ((64, 48), 1, True),
        ((65, 48), 1, True),
        ((32, 24), 1, True),
        ((48, 64), 6, True),
        ((64, 64), 1, False),
        ((48, 64), 1, False),
        ((64, 48), 6, False),
        ((16, 12), 1, False),
        ((640, 24), 1, False),
    ],
)
def test_the_payload_must_have_the_claimed_shape(size: tuple[int, int], orientation: int, fits: bool) -> None:
    data = packed(size=size, orientation=orientation)
    if fits:
        assert opened(data).size == size
        opened(data).load()
    else:
        with pytest.raises(OSError, match="scaled down"):
            opened(data)


def animation(format: str) -> bytes:
    return encoded(photo(STORED), format, save_all=True, append_images=[photo(STORED, seed=1)], duration=100)


@pytest.mark.parametrize(
    ("format", "payload"),
    [
        ("PNG", packed()),
        ("PNG", PAYLOADS["JPEG"]),
        ("JPEG", encoded(photo(STORED), "BMP")),
        ("PNG", encoded(photo(STORED), "GIF")),
        ("JPEG", encoded(photo(STORED).convert("CMYK"), "JPEG")),
        ("PNG", encoded(Image.new("I;16", STORED), "PNG")),
        ("WEBP", animation("WEBP")),
        ("PNG", animation("PNG")),
        ("AVIF", animation("AVIF")),
        ("JPEG", encoded(photo(STORED), "MPO", save_all=True, append_images=[photo(STORED, seed=1)])),
        ("JPEG", b"\xff\xd8\xff"),
    ],
)
def test_a_payload_of_another_kind_is_refused(format: str, payload: bytes) -> None:
    with pytest.raises(OSError, match="damaged"):
        opened(packed(format, payload))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes(mode: str) -> None:
    picture = photo(STORED).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(STORED))
    payload = encoded(picture.convert(mode) if mode != "P" else picture.convert("RGB").quantize(16), "PNG")
    image = opened(packed("PNG", payload))
    before = image.mode
    image.load()
    assert before == image.mode == {"1": "L", "P": "RGB"}.get(mode, mode)
    assert image.size == image.im.size == CLAIMED


def test_a_palette_with_transparency_opens_as_rgba() -> None:
    picture = photo(STORED).quantize(16)
    payload = encoded(picture, "PNG", transparency=3)
    image = opened(packed("PNG", payload))
    assert image.mode == "RGBA"
    assert image.getchannel("A").getextrema()[0] == 0


class Counting(io.BytesIO):
    """Knows how far it has been read."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.most = max(self.most, self.tell())
        return data


def test_opening_reads_the_header_and_no_more_than_the_payloads_plugin_needs() -> None:
    noise = Image.effect_noise((600, 400), 100)
    file = Counting(packed("JPEG", encoded(noise, "JPEG", quality=95), (1200, 800)))
    image = Image.open(file)
    assert (image.size, image.info["stored_size"]) == ((1200, 800), (600, 400))
    assert file.most < 20_000 < len(file.getvalue()) - 20_000
    image.load()
    assert file.most == len(file.getvalue())


@pytest.mark.parametrize("format", PAYLOADS)
def test_what_follows_the_payload_is_not_read(format: str) -> None:
    data = packed(format)
    file = Counting(data + bytes(100_000))
    SemcImageFile(file).load()  # by Image.open other plugins might have had a look before
    assert file.most == len(data)


def test_draft_gives_the_stored_pixels_unless_more_are_asked_for() -> None:
    image = opened(packed())
    assert image.draft("L", (33, 24)) is None
    assert image.draft("L", None) is None
    assert image.size == CLAIMED
    assert image.draft("L", (32, 24)) == ("RGB", (0, 0, 32, 24))
    assert image.size == STORED
    assert np.array_equal(np.asarray(image), np.asarray(opened(PAYLOADS["WEBP"])))
    assert image.draft(None, (1, 1)) is None
    image = opened(packed(size=(48, 64), orientation=6))
    image.draft(None, (1, 1))
    assert image.size == np.asarray(image).shape[1::-1] == (24, 32)


def test_thumbnail_uses_draft() -> None:
    image = opened(packed())
    image.thumbnail((16, 16))
    assert image.size == (16, 12)
    image = opened(packed())
    image.thumbnail((60, 60))
    assert image.size == (60, 45)


@pytest.mark.parametrize("format", PAYLOADS)
def test_info_is_there_when_it_is_opened(format: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a meadow"
    payload = encoded(photo(STORED), format, icc_profile=b"profile", exif=exif.tobytes())
    image = opened(packed(format, payload))
    assert image.info["icc_profile"] == b"profile"
    assert image.getexif()[0x010E] == "a meadow"
    assert image.info["semcompress"] == JUDGED
    assert image.info["stored_size"] == STORED
    assert image.get_format_mimetype() == "image/x-semcompress"


def test_the_headers_orientation_is_the_images() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    payload = encoded(photo(STORED), "JPEG", exif=exif.tobytes())
    assert opened(packed("JPEG", payload)).getexif()[0x0112] == 1
    assert opened(packed("JPEG", orientation=2)).getexif()[0x0112] == 2
    assert 0x0112 not in opened(packed("JPEG")).getexif()


def test_verify_finds_damage_without_decoding() -> None:
    data = packed("JPEG")
    opened(data).verify()
    with pytest.raises(OSError, match="SHA-256"):
        opened(data[:-1] + bytes([data[-1] ^ 1])).verify()
    with pytest.raises(OSError, match="truncated"):
        opened(data[:-1]).verify()


def test_a_truncated_payload_is_shown_as_far_as_it_goes_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed("JPEG", encoded(photo((320, 240)), "JPEG"), (640, 480))[:-2000]
    with pytest.raises(OSError, match="truncated"):
        opened(data).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    image = opened(data)
    image.load()
    assert image.size == (640, 480)


def test_it_behaves_as_any_image_file(tmp_path: Path) -> None:
    path = tmp_path / "a.semc"
    path.write_bytes(packed())
    with Image.open(path) as image:
        pixels = np.asarray(image)
        assert np.array_equal(np.asarray(image), pixels)
    assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(image))), pixels)
    with Image.open(path) as image:
        pass
    with pytest.raises((OSError, ValueError)):
        image.load()
    image = Image.open(path)
    file = image.fp
    assert file is not None
    copy = image.copy()
    assert file.closed
    assert np.array_equal(np.asarray(copy), pixels)
    assert copy.info["semcompress"] == JUDGED


def test_it_opens_from_a_pipe() -> None:
    class Pipe(io.RawIOBase):
        data = io.BytesIO(packed())

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return self.data.readinto(buffer)

    assert Image.open(io.BufferedReader(Pipe())).size == CLAIMED
