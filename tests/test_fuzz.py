"""The short form of ``just fuzz``: damaged pictures of every format, and the promises that must hold for each."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fuzz
from disk import entry
from mutations import MUTATIONS, mutated, seeds
from semcompress_plugin import exif, files, images
from semcompress_plugin.containers import (
    after_jpeg,
    avif_boxes,
    behind,
    between_scans,
    gif_frames,
    jpeg_coding,
    jpeg_scans,
    jpeg_segments,
    metadata_parts,
    pixels_at_a_glance,
    png_chunks,
    riff_chunks,
)
from semcompress_plugin.entries import HEADER, Index, encode
from semcompress_plugin.errors import ImageError, LockError
from semcompress_plugin.images import decode
from semcompress_plugin.metadata import save_parameters

SEED = 2026


def test_300_damaged_pictures_and_no_promise_broken():
    counts = fuzz.hunt(300, SEED)
    assert sum(counts.values()) == 300
    # a hunt in which everything fails, or nothing does, has tried nothing
    assert min(counts["compressed"], counts["failed"], counts["skipped"]) > 10


@pytest.mark.long
def test_10_000_damaged_pictures_and_no_promise_broken():
    assert sum(fuzz.hunt(10_000, SEED).values()) == 10_000


def test_every_mutation_damages_and_is_repeatable():
    assert list(mutated(50, 1)) == list(mutated(50, 1)) != list(mutated(50, 2))
    originals = {data for _, data in seeds()}
    assert sum(data not in originals for _, data in mutated(200, 3)) > 180
    assert len(set(MUTATIONS)) >= 9


def test_a_broken_promise_is_noticed(monkeypatch):
    """The hunt itself: it must fail when a file is damaged behind its back."""
    really = files.Staged.fill

    def torn(self, data, *arguments):
        return really(self, data[: len(data) // 2] if data[:2] == b"\xff\xd8" else data, *arguments)

    monkeypatch.setattr(files.Staged, "fill", torn)
    with pytest.raises((fuzz.BrokenPromiseError, ImageError)):
        fuzz.hunt(40, SEED)


def test_a_bug_of_ours_is_noticed(monkeypatch):
    monkeypatch.setattr(images, "_deep", lambda *_: 1 / 0)
    with pytest.raises(fuzz.BrokenPromiseError, match="ZeroDivisionError"):
        fuzz.hunt(20, SEED)


def test_a_file_that_appears_elsewhere_is_noticed(monkeypatch):
    really = fuzz._run

    def stray(arguments, folder: Path, where):
        (folder / "pictures" / "stray.jpg").write_bytes(b"")
        return really(arguments, folder, where)

    monkeypatch.setattr(fuzz, "_run", stray)
    with pytest.raises(fuzz.BrokenPromiseError, match="appeared"):
        fuzz.hunt(3, SEED)


sound = st.sampled_from([data for _, data in seeds()])
heads = st.sampled_from(
    [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"\0\0\0\x18ftypavif"]
)
anything = st.one_of(
    st.builds(lambda head, rest: head + rest, heads, st.binary(max_size=400)),
    st.builds(
        lambda data, at, piece: data[:at] + piece + data[at:], sound, st.integers(0, 3000), st.binary(max_size=9)
    ),
)


@given(anything)
@settings(max_examples=int(os.environ.get("SEMCOMPRESS_EXAMPLES", "150")))
def test_any_bytes_are_walked_without_an_error_and_within_their_length(data):
    for walk in (png_chunks, jpeg_segments, riff_chunks, avif_boxes):
        for _, payload in walk(data):
            assert len(payload) <= len(data)
    assert 0 <= sum(metadata_parts(data)) <= len(data)
    assert len(after_jpeg(data)) <= len(data)
    assert 0 <= jpeg_scans(data, 9) <= 9
    assert len(behind(data)) + between_scans(data) <= len(data)
    assert 0 <= gif_frames(data, 1000) <= 1000
    assert pixels_at_a_glance(data) >= 0
    assert len(jpeg_coding(data)) <= len(data) + len(b"\xff\xd9")


blocks = st.builds(
    lambda head, rest: head + rest,
    st.sampled_from([b"", b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0"]),
    st.binary(max_size=300),
)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@given(blocks)
@settings(max_examples=int(os.environ.get("SEMCOMPRESS_EXAMPLES", "150")))
def test_any_exif_is_read_or_refused_and_never_grows(block):
    assert exif.orientation(block) in (None, *range(1, 9))
    whole = exif.whole(block)
    if whole is not None:
        assert exif.orientation(whole) is None
        assert len(whole) <= len(block) + len(exif.PREFIX)
        assert exif.whole(whole) == whole
    exif.public(block)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(anything, st.sampled_from(["keep", "strip-private", "strip-all"]))
@settings(max_examples=int(os.environ.get("SEMCOMPRESS_EXAMPLES", "150")))
def test_any_bytes_are_a_picture_whose_metadata_can_be_written_or_one_line(data, policy):
    try:
        reference = decode(data, metadata=policy)
    except ImageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  # either outcome is right
        return
    for format in images.FORMATS[:4]:
        try:
            parameters = save_parameters(reference.metadata, format)
        except ValueError:
            continue
        # ValueError and OSError: what a compressor may raise where a block does not fit
        with contextlib.suppress(ValueError, OSError):
            reference.image.convert("RGB").save(io.BytesIO(), format, **parameters)


LINE = encode(entry(1))


@pytest.mark.parametrize(
    "value", ["{}", "[]", "null", '"x"', "1e999", "-1e999", "NaN", "1" + "0" * 400, '"nan"', '"inf"', "true", "[[[]]]"]
)
@pytest.mark.parametrize("key", [*json.loads(LINE), "settings.quality", "scores.a.b", "original.bytes"])
def test_a_lock_with_any_value_anywhere_is_read_or_refused(key, value):
    """Found by fuzzing: a setting that was no number was taken for a bug of ours."""
    line = _with(key.split("."), value)
    for spelling in (line, line.replace(": ", ":")):  # as we write it, and as others might
        text = f"{HEADER}\n{spelling}\n"
        Index.salvage(text)
        try:
            index = Index.load(text, "lock")
        except LockError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017  # either outcome is right
            continue
        assert Index.load(index.text(), "lock").text() == index.text()


def _with(path: list[str], value: str) -> str:
    """The line with a value, which need not be JSON that Python writes, at one place."""
    record = here = json.loads(LINE)
    for name in path[:-1]:
        here = here.setdefault(name, {})
    here[path[-1]] = "@"
    return json.dumps(record).replace('"@"', value)
