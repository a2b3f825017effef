"""The models that we ship are what their provenance says, and nothing else is ever opened."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from semcompress_plugin.errors import ModelError
from semcompress_plugin.evaluators import _model
from semcompress_plugin.evaluators._session import load_session

NAMES = sorted(path.stem for path in _model.MODELS.glob("*.onnx"))
LARGEST = 10_000_000


def test_every_model_has_its_provenance_and_the_other_way_round() -> None:
    assert "efficientnet_lite0" in NAMES
    assert sorted(path.stem for path in _model.MODELS.glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_model_is_what_its_provenance_says(name: str) -> None:
    known = _model.provenance(name)
    model = (_model.MODELS / f"{name}.onnx").read_bytes()
    assert known["name"] == name
    assert known["bytes"] == len(model) <= LARGEST
    assert known["sha256"] == hashlib.sha256(model).hexdigest()
    for needed in ("version", "licence", "source"):
        assert known[needed], f"{name}.json lacks {needed}"


@pytest.mark.parametrize("name", NAMES)
def test_model_opens_with_the_number_of_threads_asked_for(name: str) -> None:
    session = load_session(name, threads=2)
    assert session.get_session_options().intra_op_num_threads == 2
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_classifier_takes_and_gives_what_its_provenance_says() -> None:
    known = _model.provenance("efficientnet_lite0")
    session = load_session("efficientnet_lite0")
    for values, described in ((session.get_inputs(), "inputs"), (session.get_outputs(), "outputs")):
        assert {value.name: value.shape for value in values} == {
            name: value["shape"] for name, value in known[described].items()
        }


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The classifier's files where a test may damage them."""
    for suffix in (".onnx", ".json"):
        shutil.copy(_model.MODELS / f"efficientnet_lite0{suffix}", tmp_path)
    monkeypatch.setattr(_model, "MODELS", tmp_path)
    return tmp_path / "efficientnet_lite0.onnx"


def test_a_model_whose_digest_does_not_match_is_refused(copied: Path) -> None:
    model = bytearray(copied.read_bytes())
    expected = hashlib.sha256(model).hexdigest()
    model[len(model) // 2] ^= 1  # a weight: the file would still open
    copied.write_bytes(model)
    with pytest.raises(ModelError) as caught:
        load_session("efficientnet_lite0")
    text = str(caught.value)
    assert "\n" not in text
    for part in (str(copied), expected, hashlib.sha256(model).hexdigest(), "reinstall"):
        assert part in text


def test_a_missing_model_is_named(copied: Path) -> None:
    copied.unlink()
    with pytest.raises(ModelError, match=r"efficientnet_lite0\.onnx.*reinstall"):
        load_session("efficientnet_lite0")


@pytest.mark.parametrize("damage", [None, "{", "[]", "{}", "\udcff"])
def test_a_missing_or_damaged_provenance_is_named(copied: Path, damage: str | None) -> None:
    path = copied.with_suffix(".json")
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ModelError, match=r"efficientnet_lite0\.json.*reinstall"):
        load_session("efficientnet_lite0")
