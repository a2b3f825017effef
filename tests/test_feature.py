"""The compressor `feature`: features instead of pixels, small, faithful, and never a crash."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictures import encoded, photo
from semcompress_plugin import types
from semcompress_plugin.cli import main
from semcompress_plugin.compressors.feature import FeatureCompressor
from semcompress_plugin.errors import ImageError, PolicyError
from semcompress_plugin.evaluators._model import model_bytes
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.features import coder, quantise, semf, tables
from semcompress_plugin.images import decode
from semcompress_plugin.policy import load_policy
from semcompress_plugin.registry import Registry

SITE = Path(__file__).parent.parent / "examples" / "site" / "img"
POLICY = """\
version: 1
rules:
  - name: machines
    files: ["*.jpg"]
    compress: [feature]
    keep: {classifier: {top1_agreement: {min: 1}, js_divergence: {max: 0.02}}}
    outputs: {formats: [semf], place: beside}
"""

sizes = st.integers(1, semf.LARGEST_SIDE)
steps = st.integers(*semf.STEPS)


@pytest.fixture(scope="module")
def cat() -> types.Reference:
    return decode((SITE / "chelsea.jpg").read_bytes(), "chelsea.jpg")


@pytest.fixture(scope="module")
def file(cat) -> bytes:
    return FeatureCompressor().compress(cat, {"step": 12}, "SEMF")


def rows(most: int = 40) -> st.SearchStrategy[np.ndarray]:
    symbols = st.integers(-tables.LARGEST, tables.LARGEST)
    return st.lists(symbols, max_size=most).map(lambda values: np.array(values, np.int64))


@given(st.binary(min_size=4, max_size=4), steps, st.tuples(sizes, sizes), st.integers(1, 3), st.binary(max_size=300))
def test_every_file_that_is_written_is_read_again(ids, step, size, flags, payload):
    views = tuple(view for bit, view in enumerate(semf.VIEWS) if flags & 1 << bit)
    parts = semf.Semf(ids, ids[::-1], step, views, size, tuple(range(100, 100 + len(views))), payload)
    assert semf.read(semf.write(parts)) == parts


@settings(max_examples=40)
@given(st.lists(rows(), min_size=1, max_size=2), steps)
def test_every_symbol_comes_back_from_the_coder(symbols, step):
    known = tables.load()
    data = coder.packed(symbols, step, known)
    back = coder.unpacked(data, [len(row) for row in symbols], step, known)
    assert all(map(np.array_equal, back, symbols))


def test_usual_symbols_are_cheap_and_trailing_zeros_are_not_written():
    known = tables.load()
    nothing = [np.zeros(len(known.octaves), np.int64)]
    assert len(coder.packed(nothing, 14, known)) < 15
    assert not len(quantise.symbols_of(known.mean, 14, known)[200:])


def test_a_file_of_this_version_means_the_same_everywhere():
    """Written once on one machine: another one, another Python or constriction must read the same in it."""
    cat = bytes.fromhex(
        "53454d46013c44433825f139a60d03c303ac02fe02b205401ad2f03e620d0266db0973d9faa5a969e1add01c3ee0cd185ab505a79120ea70"
        "0c436606fd60da4ad2e7955c8ecfc63c368d5a07882856a8582cef029e8e55552ffd"
    )
    decoded = FeatureCompressor().decode(cat)
    assert (decoded.views, decoded.size) == (("center", "full"), (451, 300))
    (seen,) = ClassifierEvaluator().observe([decoded])
    assert ClassifierEvaluator().describe(seen).startswith("tiger cat 37 % (centre), Egyptian cat ")
    known = tables.load()
    rows = coder.unpacked(semf.read(cat).payload, semf.read(cat).lengths, 13, known)
    assert [int(np.abs(row).sum()) for row in rows] == [57, 56]


def test_a_file_is_laid_out_as_documented(cat, file):
    known = tables.load()
    assert file[:5] == b"SEMF\x01"
    assert file[5:9] == known.model_id
    assert file[9:13] == known.id
    assert file[13:15] == bytes([12, 3])
    assert file[15:19] == b"\xc3\x03\xac\x02"  # 451 and 300
    parts = semf.read(file)
    assert file.endswith(parts.payload + file[-2:])
    assert (
        len(file)
        == 19 + sum(1 + (n > 127) for n in parts.lengths) + 1 + (len(parts.payload) > 127) + len(parts.payload) + 2
    )


def test_a_file_that_is_cut_off_anywhere_is_one_clear_error(file):
    for length in range(len(file)):
        with pytest.raises(ImageError, match=r"^is a? ?.*\.semf file[^\n]*$"):
            FeatureCompressor().decode(file[:length])


@given(st.data())
@settings(max_examples=60)
def test_a_file_that_was_tampered_with_is_refused_or_decoded_but_never_crashes(file, data):
    """With the checksum made good again, as only somebody who means harm does."""
    hostile = bytearray(file[:-2])
    for _ in range(data.draw(st.integers(1, 6))):
        hostile[data.draw(st.integers(4, len(hostile) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(4, len(hostile)))
    for body in (bytes(hostile), bytes(hostile[:cut])):
        try:
            features = FeatureCompressor().decode(body + semf._check(body))
        except ImageError:
            continue
        assert np.isfinite(features.values).all()
        assert features.values.shape == (len(features.views), len(tables.load().mean))


@given(st.binary(max_size=100))
def test_anything_else_is_one_clear_error(data):
    for hostile in (data, semf.MAGIC + data):
        with pytest.raises(ImageError):
            FeatureCompressor().decode(hostile)


def test_more_coefficients_than_there_are_is_an_error(file):
    parts = semf.read(file)
    with pytest.raises(ImageError, match="more than 960 coefficients"):
        FeatureCompressor().decode(semf.write(parts._replace(lengths=(961, 0))))


def test_a_file_of_another_network_or_other_tables_names_both(file):
    with pytest.raises(ImageError, match=r"made with network and tables 00000000 and .*, this semcompress has"):
        FeatureCompressor().decode(semf.write(semf.read(file)._replace(model=bytes(4))))


def test_bytes_behind_the_payload_are_an_error(file):
    longer = file[:-2] + b"more"
    with pytest.raises(ImageError, match=r"expected \d+ bytes of payload, got \d+"):
        FeatureCompressor().decode(longer + semf._check(longer))


def test_a_newer_version_says_so(file):
    with pytest.raises(ImageError, match=r"version 2; this semcompress reads version 1"):
        FeatureCompressor().decode(file[:4] + b"\x02" + file[5:])


def test_the_head_is_the_networks_own(cat):
    """Its logits on the network's own features are the network's own answer."""
    (seen,) = ClassifierEvaluator().observe([cat.image])
    logits = tables.load().logits(seen.features)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=-1, keepdims=True), seen.probabilities, atol=1e-5)


def test_tables_are_small_and_belong_to_the_shipped_network():
    path = Path(tables.__file__).with_name("efficientnet_lite0.npz")
    assert path.stat().st_size < 1_500_000
    assert tables.load().weights.shape == (1000, 1280)
    assert len(model_bytes(tables.NETWORK)) > 9_000_000
    np.testing.assert_allclose(tables.load().counts.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee.jpg", "rocket.jpg"])
def test_decoded_features_mean_nearly_the_same_at_few_bytes(name):
    picture = decode((SITE / name).read_bytes(), name)
    reader, compressor = ClassifierEvaluator(), FeatureCompressor()
    (reference,) = reader.observe([picture.image])
    found = {step: compressor.compress(picture, {"step": step}, "SEMF") for step in (4, 12)}
    fine, coarse = reader.compare(reference, reader.observe([compressor.decode(found[step]) for step in (4, 12)]))
    assert len(found[12]) < len(found[4]) < 600
    assert len(found[12]) < 230
    assert fine["top1_agreement"] == 1
    assert fine["js_divergence"] < 0.005
    assert fine["js_divergence"] < coarse["js_divergence"] < 0.2
    assert fine["feature_cosine"] > max(coarse["feature_cosine"], 0.6)


def test_the_quantiser_asks_what_matters_to_the_head(cat, monkeypatch):
    reader = ClassifierEvaluator("center")
    (reference,) = reader.observe([cat.image])

    def divergence() -> float:
        decoded = FeatureCompressor("center").decode(FeatureCompressor("center").compress(cat, {"step": 12}, "SEMF"))
        return reader.compare(reference, reader.observe([decoded]))[0]["js_divergence"]

    asked = divergence()
    monkeypatch.setattr(quantise, "SENSE", 0.0)
    assert divergence() > 3 * asked


def test_a_file_has_the_views_that_were_asked_for(cat):
    decoded = FeatureCompressor("center").decode(FeatureCompressor("center").compress(cat, {"step": 12}, "SEMF"))
    assert decoded.views == ("center",)
    assert len(ClassifierEvaluator("center").observe([decoded])[0].features) == 1
    with pytest.raises(ImageError, match=r"view center, not of full, which classifier looks at: give both the same"):
        ClassifierEvaluator("both").observe([decoded])


# in a policy, and on the command line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("beside", "replace"), r"writes no pixels.*outputs: \{formats: \[semf\], place: beside\}"),
        (("[semf]", "[smallest]"), r"writes no pixels.*only where asked for by name"),
        (("keep: {", "keep: {msssim: {score: {min: 0.9}}, "), r"msssim needs pixels; compressor feature writes none"),
        (
            ("    keep: {classifier: {top1_agreement: {min: 1}, js_divergence: {max: 0.02}}}\n", ""),
            r"msssim needs pixels",
        ),
    ],
)
def test_what_does_not_go_with_features_is_found_when_the_policy_is_read(tmp_path, change, said):
    path = tmp_path / ".semcompress.yaml"
    path.write_text(POLICY)
    assert load_policy(path, Registry()).rules[0].outputs.place == "beside"
    path.write_text(POLICY.replace(*change))
    with pytest.raises(PolicyError, match=said) as caught:
        load_policy(path, Registry())
    assert len(caught.value.findings) == 1


@pytest.mark.parametrize("preset", ["web", "machine", "text"])
def test_no_preset_writes_features(tmp_path, preset):
    path = tmp_path / ".semcompress.yaml"
    path.write_text(f"version: 1\npreset: {preset}\n")
    assert "feature" not in {use.name for rule in load_policy(path, Registry()).rules for use in rule.compress}


def test_features_lie_beside_the_picture_and_twice_changes_nothing(repository, capsys):
    (repository / ".semcompress.yaml").write_text(POLICY)
    source = (SITE / "coffee.jpg").read_bytes()
    (repository / "coffee.jpg").write_bytes(source)
    assert main(["compress", "--format", "json"]) == 1
    (result,) = json.loads(capsys.readouterr().out)["results"]
    written = (repository / "coffee.semf").read_bytes()
    assert result["outputs"][0]["path"] == "coffee.semf"
    assert result["outputs"][0]["bytes"] == len(written) < 230
    assert result["outputs"][0]["scores"]["classifier"]["js_divergence"] <= 0.02
    assert (repository / "coffee.jpg").read_bytes() == source
    assert '"relation": "beside"' in (repository / "semcompress.lock").read_text()

    lock = (repository / "semcompress.lock").read_bytes()
    assert main(["compress"]) == 0
    assert main(["compress", "coffee.semf"]) == 0
    assert (repository / "coffee.semf").read_bytes() == written
    assert (repository / "semcompress.lock").read_bytes() == lock
    capsys.readouterr()

    assert main(["evaluate", "coffee.jpg", "coffee.semf"]) == 0
    assert "holds" in capsys.readouterr().out
    assert main(["verify"]) == 0
    assert main(["explain", "coffee.jpg"]) == 0
    assert "by feature step" in capsys.readouterr().out
    assert main(["explain", "coffee.semf"]) == 0
    assert main(["restore", "coffee.semf", "coffee.jpg"]) == 0
    assert (repository / "coffee.jpg").read_bytes() == source

    (repository / "coffee.semf").write_bytes(written[:-9])
    assert main(["evaluate", "coffee.jpg", "coffee.semf"]) == 2
    assert "coffee.semf: is a .semf file that is damaged or cut off" in capsys.readouterr().err


def test_a_rule_that_writes_features_alone_says_nothing_of_metadata(repository, capsys):
    (repository / ".semcompress.yaml").write_text(f"{POLICY}    metadata: strip-all\n")
    exif = Image.Exif()
    exif[0x013B] = "somebody"
    (repository / "a.jpg").write_bytes(encoded(photo(), "JPEG", exif=exif))
    main(["check"])
    out = capsys.readouterr().out
    assert "looks in" in out
    assert "with all metadata" not in out


def test_evaluate_says_which_readers_need_pixels(repository, capsys, file):
    (repository / "cat.jpg").write_bytes((SITE / "chelsea.jpg").read_bytes())
    (repository / "cat.semf").write_bytes(file)
    assert main(["evaluate", "cat.jpg", "cat.semf"]) == 2
    assert "cat.semf: holds no pixels, and rule" in capsys.readouterr().err


def test_evaluate_tells_features_of_another_picture_by_its_size(repository, capsys, file):
    (repository / ".semcompress.yaml").write_text(POLICY)
    (repository / "other.jpg").write_bytes(encoded(photo(), "JPEG"))
    (repository / "cat.semf").write_bytes(file)
    assert main(["evaluate", "other.jpg", "cat.semf"]) == 1
    assert "features of another picture: of 451 x 300 pixels" in capsys.readouterr().out


def test_a_transparent_picture_is_left_alone(repository, capsys):
    (repository / ".semcompress.yaml").write_text(POLICY.replace("*.jpg", "*.png"))
    image = photo().convert("RGBA")
    image.putalpha(99)
    (repository / "clear.png").write_bytes(encoded(image, "PNG"))
    assert main(["compress", "--format", "json"]) == 0
    assert not (repository / "clear.semf").exists()
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["reason"] == "is transparent, which SEMF cannot be"
