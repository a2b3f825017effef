"""``orientation: keep``: the file lies as it lay, and everybody looks at it upright."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from metadata_table import ALL
from pictures import encoded, photo, reader, registry, rule
from semcompress_plugin import CompressorSpec, Knob
from semcompress_plugin.cli import main
from semcompress_plugin.engine import Candidate, Encode, decide, drive
from semcompress_plugin.errors import PluginError
from semcompress_plugin.images import decode, orientation_of
from semcompress_plugin.types import CompressorUse, Proposal
from semcompress_plugin.workshop import Workshop

SETTINGS = {"scale": 1.0, "quality": 92, "colors": 257}
KNOBS = (Knob("quality", "quality", 1, 95, integer=True),)


def turned(orientation: int, format: str = "JPEG", **more: object) -> bytes:
    block = Image.Exif()
    block[0x0112], block[0x010F] = orientation, "Maker"
    return encoded(photo((90, 60)), format, exif=block, **{"quality": 97, **more})


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)).mean())


def written(data: bytes, format: str, metadata: str = "strip-private") -> Candidate:
    name = {"JPEG": "jpeg"}.get(format, format.lower())
    reference = decode(data, metadata=metadata, orientation="keep")
    use = CompressorUse(name, ())
    found = Workshop(registry()).perform(Encode(use, reference, Proposal(name, format, SETTINGS)))
    assert isinstance(found, Candidate)
    return found


@pytest.mark.parametrize("metadata", ["keep", "strip-private", "strip-all"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ALL)
def test_a_file_of_the_same_format_lies_as_the_source_and_is_looked_at_upright(format, orientation, metadata):
    source = turned(orientation, format)
    candidate = written(source, format, metadata)
    with Image.open(io.BytesIO(source)) as before, Image.open(io.BytesIO(candidate.data)) as after:
        assert (after.size, orientation_of(after)) == (before.size, orientation)
        assert difference(after, before) < 6, "the pixels lie as they lay"
        assert difference(candidate.image, ImageOps.exif_transpose(before)) < 6, "and are shown upright"


@pytest.mark.parametrize("target", ["WEBP", "AVIF", "PNG"])
def test_a_file_of_another_format_is_upright_for_not_all_viewers_heed_its_tag(target):
    candidate = written(turned(6), target)
    with Image.open(io.BytesIO(candidate.data)) as after:
        assert (after.size, orientation_of(after)) == ((60, 90), 1)
        assert after.getexif()[0x010F] == "Maker"
    assert difference(candidate.image, decode(turned(6)).image) < 6


def test_metadata_says_nothing_but_the_orientation_where_everything_is_stripped():
    with Image.open(io.BytesIO(written(turned(8), "JPEG", "strip-all").data)) as after:
        assert dict(after.getexif()) == {0x0112: 8}


def test_readers_and_reported_scores_are_of_upright_pictures():
    """The same bounds, scores and bytes (but for the tag) as if the pixels had been turned back: a mirror shows it."""
    seen = []

    class Corner:
        def observe(self, images):
            seen.extend(image.size for image in images)
            return [image.crop((0, 0, 8, 8)).convert("L").resize((1, 1), Image.Resampling.BOX) for image in images]

        def compare(self, reference, candidates):
            return [{"difference": abs(reference.getpixel((0, 0)) - c.getpixel((0, 0))) / 255} for c in candidates]

    known = registry(reader("corner", Corner))
    keep = rule(known, "jpeg", evaluators=("corner",), orientation="keep")
    picture = decode(turned(6), orientation="keep")
    (decision,) = drive(decide(picture, keep, known), Workshop(known).perform)
    assert decision.candidate is not None
    assert max(seen) == (60, 90)
    assert {width < height for width, height in seen} == {True}
    assert orientation_of(Image.open(io.BytesIO(decision.candidate.data))) == 6


def test_previews_are_looked_at_upright_too():
    known = registry()
    candidate = Workshop(known).perform(
        Encode(
            CompressorUse("seed-resize", ()),
            decode(turned(6), orientation="keep"),
            Proposal("seed-resize", "JPEG", {"steps": 1}, preview=True),
        )
    )
    assert candidate.image.size == (50, 75)


def test_features_are_those_of_the_upright_picture():
    pytest.importorskip("constriction")
    known = registry()
    upright, kept = (decode(turned(6), orientation=wish) for wish in ("apply", "keep"))
    use, proposal = CompressorUse("feature", ()), Proposal("feature", "SEMF", {"step": 12})
    one, other = (Workshop(known).perform(Encode(use, each, proposal)) for each in (upright, kept))
    assert one.data == other.data


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_a_compressor_that_loses_the_tag_is_refused(orientation):
    class Careless:
        def compress(self, reference, settings, format):
            out = io.BytesIO()
            reference.image.save(out, format, quality=int(settings["quality"]))
            return out.getvalue()

    known = registry(
        reader(), CompressorSpec("careless", "1", "keeps nothing", formats=("JPEG",), knobs=KNOBS, factory=Careless)
    )
    picture = decode(turned(orientation), orientation="keep")
    keep = rule(known, "careless", bound=1, orientation="keep")
    with pytest.raises(PluginError, match="'careless' of third-party failed: TypeError: compress lost the orientation"):
        drive(decide(picture, keep, known), Workshop(known).perform)


POLICY = """\
version: 1
rules:
  - name: all
    files: ["*"]
    compress: [jpeg, webp]
    keep: {{msssim: {{score: {{min: 0.9}}}}}}
    {more}
"""


def test_a_changed_wish_about_orientation_starts_again_from_the_original(repository, capsys):
    path = repository / "a.jpg"
    path.write_bytes(turned(6))
    for more, size, orientation in (
        ("", (60, 90), 1),
        ("orientation: keep", (90, 60), 6),
        ("orientation: apply", (60, 90), 1),
    ):
        (repository / ".semcompress.yaml").write_text(POLICY.format(more=more))
        assert main(["compress"]) == 1
        with Image.open(path) as image:
            assert (image.size, orientation_of(image)) == (size, orientation)
        assert main(["compress"]) == 0
        assert main(["verify"]) == 0
        capsys.readouterr()


@pytest.mark.parametrize("after", ["strip-private", "strip-all"])
def test_what_a_changed_policy_wants_gone_does_not_stay_because_readers_still_agree(repository, capsys, after):
    block = Image.Exif()
    block[0x010F] = "Maker"
    block.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0)})
    path = repository / "a.jpg"
    original = encoded(photo((90, 60)), "JPEG", quality=97, exif=block)
    path.write_bytes(original)
    for metadata in ("keep", after):
        (repository / ".semcompress.yaml").write_text(POLICY.format(more=f"metadata: {metadata}"))
        assert main(["compress"]) == 1
    with Image.open(path) as image:
        assert not image.getexif().get_ifd(0x8825)
        assert ("Maker" in image.getexif().values()) == (after == "strip-private")
    assert main(["restore", "--all"]) == 0
    assert path.read_bytes() == original
    capsys.readouterr()


@pytest.mark.parametrize("metadata", ["keep", "strip-private", "strip-all"])
@pytest.mark.parametrize("format", ALL)
def test_what_carries_all_that_is_wanted_is_still_only_measured_under_another_bound(
    repository, capsys, format, metadata
):
    path = repository / f"a.{format.lower()}"
    path.write_bytes(turned(6, format))
    wish = f"orientation: keep\n    metadata: {metadata}"
    text = POLICY.replace("[jpeg, webp]", "[jpeg, webp, avif, {{png: {{colors: 200}}}}]").format(more=wish)
    (repository / ".semcompress.yaml").write_text(text)
    assert main(["compress"]) == 1
    was = path.read_bytes()
    (repository / ".semcompress.yaml").write_text(text.replace("0.9", "0.89"))
    assert main(["compress", "--format", "json"]) == 0
    assert "still holds under the changed policy" in capsys.readouterr().out
    assert path.read_bytes() == was
