"""torchvision's models as readers: the real loading code on state dicts that the test saves, and on real weights."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pictures import Thumbnails, encoded, photo, reader
from pictures import registry as known_with
from semcompress_plugin.engine import drive, measure
from semcompress_plugin.errors import ModelError, PluginError
from semcompress_plugin.evaluators._boxes import Boxes, compared, overlap
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.images import decode
from semcompress_plugin.plugins import Plugins
from semcompress_plugin.policy import load_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.workshop import Workshop

SITE = Path(__file__).parents[1] / "examples" / "site" / "img"
SMALL = "squeezenet1_1"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(Plugins(found=[]))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of torchvision's, and no way to the network."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    monkeypatch.setattr(torch.hub, "urlopen", _no_network)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def _no_network(*_, **__):
    raise AssertionError("went to the network")


def random_net(name: str, **options: object):
    import torch
    from torchvision import models

    torch.manual_seed(0)
    return models.get_model(name, weights=None, **options).eval()


def saved(name: str, path: Path, **options: object):
    import torch

    net = random_net(name, **options)
    torch.save(net.state_dict(), path)
    return net


def photos() -> list[Image.Image]:
    names = ("chelsea.jpg", "coffee.jpg", "rocket.jpg")
    return [Image.open(SITE / name).convert("RGB") for name in names]


def test_a_model_sees_exactly_what_it_sees_in_torchvision_itself(registry, hub, tmp_path):
    import torch
    from torchvision.models import SqueezeNet1_1_Weights

    net = saved(SMALL, tmp_path / "own.pth")
    reader = registry.make_evaluator(f"torchvision:{SMALL}", {"weights": str(tmp_path / "own.pth"), "device": "cpu"})
    transform = SqueezeNet1_1_Weights.DEFAULT.transforms()
    with torch.inference_mode():
        expected = net(torch.stack([transform(image) for image in photos()])).softmax(dim=1).numpy()
        pooled = net.features(torch.stack([transform(image) for image in photos()])).mean(dim=(2, 3)).numpy()
    seen = reader.observe(photos())
    assert np.stack([each.probabilities[0] for each in seen]) == pytest.approx(expected, abs=1e-6)
    assert np.stack([each.features[0] for each in seen]) == pytest.approx(pooled, abs=1e-4)
    values = reader.compare(seen[0], seen[:2])
    assert [set(row) for row in values] == [{m.name for m in registry.evaluator("classifier").metrics}] * 2
    assert (values[0]["top1_agreement"], values[0]["js_divergence"], values[0]["lca_height"]) == (1, 0, 0)
    assert " % (centre); " in reader.describe(seen[0])
    assert reader.observe([]) == []


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v3_small", "torchvision:resnet18"])
def test_on_the_cpu_a_picture_gives_the_same_numbers_whatever_else_is_in_the_batch(registry, hub, tmp_path, name):
    saved(name.partition(":")[2], tmp_path / "own.pth")
    reader = registry.make_evaluator(name, {"weights": str(tmp_path / "own.pth"), "device": "cpu"})
    pictures = photos()
    together = reader.observe(pictures * 3)[:3]
    for picture, among in zip(pictures, together, strict=True):
        (alone,) = reader.observe([picture])
        assert alone.probabilities.tobytes() == among.probabilities.tobytes()
        assert alone.features.tobytes() == among.features.tobytes()
    assert reader.observe([]) == []


def test_a_detector_finds_the_same_whatever_else_is_in_the_batch(registry, hub, tmp_path):
    """torchvision pads a batch to its largest picture."""
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    saved(name, tmp_path / "detector.pth", weights_backbone=None)
    options = {"weights": str(tmp_path / "detector.pth"), "score": 0.0, "device": "cpu"}
    reader = registry.make_evaluator(f"torchvision-detection:{name}", options)
    reader.net.roi_heads.score_thresh = 0.0  # an untrained one is sure of nothing
    wide, tall = photo((120, 60)), photo((60, 120), seed=1)
    (alone,), (among, _) = reader.observe([wide]), reader.observe([wide, tall])
    assert len(alone) > 0
    assert alone.corners.tobytes() == among.corners.tobytes()
    assert alone.scores.tobytes() == among.scores.tobytes()


def test_weights_come_from_torchvisions_cache_by_their_name(registry, hub, tmp_path):
    saved(SMALL, hub / "squeezenet1_1-b8a52dc0.pth")
    by_default, by_name, in_full = (
        registry.make_evaluator(f"torchvision:{SMALL}", options).observe(photos()[:1])[0].probabilities
        for options in ({}, {"weights": "IMAGENET1K_V1"}, {"weights": "SqueezeNet1_1_Weights.IMAGENET1K_V1"})
    )
    assert by_default.tolist() == by_name.tolist() == in_full.tolist()


def test_missing_weights_are_an_error_with_the_command_that_fetches_them_and_nothing_is_downloaded(registry, hub):
    with pytest.raises(ModelError, match=r"`semcompress weights fetch torchvision:resnet152`"):
        registry.make_evaluator("torchvision:resnet152")
    with pytest.raises(ModelError, match=r"`semcompress weights fetch torchvision:resnet152 --weights IMAGENET1K_V1`"):
        registry.make_evaluator("torchvision:resnet152", {"weights": "IMAGENET1K_V1"})
    with pytest.raises(ModelError, match=r"weights fetch torchvision-detection:ssd300_vgg16`"):
        registry.make_evaluator("torchvision-detection:ssd300_vgg16")
    with pytest.raises(ModelError, match=r"nothing\.pth does not exist"):
        registry.make_evaluator("torchvision:resnet152", {"weights": "nothing.pth"})


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("torchvision:resnet125", {}, r"no model 'resnet125' here; did you mean 'resnet152'\?"),
        ("torchvision:ssd300_vgg16", {}, r"no model 'ssd300_vgg16' here"),
        ("torchvision:alexnet", {"weights": "IMAGENET1K_V7"}, r"no weights 'IMAGENET1K_V7'; it has IMAGENET1K_V1"),
        ("torchvision", {}, r"which model\? Write torchvision:NAME"),
    ],
)
def test_what_torchvision_has_not_is_an_error_that_says_what_it_has(registry, hub, name, options, said):
    with pytest.raises(PluginError, match=said):
        registry.make_evaluator(name, options)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(registry, hub, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match=r"evil\.pth: is no file of weights"):
        registry.make_evaluator(f"torchvision:{SMALL}", {"weights": str(tmp_path / "evil.pth")})
    assert not (tmp_path / "ran").exists()


class Foreign(dict):
    """What a whole model is to those who load weights only: a class of somebody's."""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("junk.pth", b"x"),
        ("empty.pt", b""),
        ("whole.pth", Foreign()),
        ("cut.pth", None),
        ("junk.safetensors", b"x" * 99),
    ],
)
def test_what_is_no_file_of_weights_is_one_clean_line_without_bad_advice(registry, hub, tmp_path, recwarn, name, data):
    import torch

    pytest.importorskip("safetensors")
    path = tmp_path / name
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data is not None:
        torch.save(data, path)
    else:
        saved(SMALL, path)
        path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ModelError) as caught:
        registry.make_evaluator(f"torchvision:{SMALL}", {"weights": str(path)})
    said = str(caught.value)
    assert said.startswith(f"{path}: is no file of weights that can be read without running what is in it")
    assert said.isprintable()
    assert "weights_only" not in said
    assert "torch.save(model.state_dict(), FILE)" in said
    assert not recwarn.list


def test_weights_of_another_model_do_not_fit(registry, hub, tmp_path):
    saved(SMALL, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="the weights do not fit alexnet"):
        registry.make_evaluator("torchvision:alexnet", {"weights": str(tmp_path / "other.pth")})


def test_safetensors_and_classes_of_ones_own(registry, hub, tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(random_net("mobilenet_v3_small", num_classes=7).state_dict(), tmp_path / "own.safetensors")
    reader = registry.make_evaluator(
        "torchvision:mobilenet_v3_small", {"weights": str(tmp_path / "own.safetensors"), "precision": "bfloat16"}
    )
    (seen,) = reader.observe(photos()[:1])
    assert seen.probabilities.shape == (1, 7)
    assert seen.features.shape == (1, 1024)
    assert reader.describe(seen).startswith("class ")


def test_a_detector_finds_the_same_boxes_in_a_scaled_copy(registry, hub, tmp_path):
    name = "ssdlite320_mobilenet_v3_large"
    saved(name, tmp_path / "detector.pth", weights_backbone=None)
    reader = registry.make_evaluator(
        f"torchvision-detection:{name}", {"weights": str(tmp_path / "detector.pth"), "score": 0.0}
    )
    image = photos()[0]
    here, again, half = reader.observe([image, image, image.resize((image.width // 2, image.height // 2))])
    assert len(here) > 0
    assert (here.corners.max(), half.corners.max()) <= (1.001, 1.001)
    same, scaled = reader.compare(here, [again, half])
    assert same == {"box_recall": 1, "box_precision": 1, "count_change": 0}
    assert set(scaled) == {metric.name for metric in registry.evaluator("torchvision-detection").metrics}
    assert " x " in reader.describe(here)


def test_a_policy_names_models_of_a_family(registry, hub, tmp_path, monkeypatch):
    saved(SMALL, hub / "squeezenet1_1-b8a52dc0.pth")
    (tmp_path / ".semcompress.yaml").write_text(
        f"""version: 1
evaluators:
  mine: {{use: "torchvision:{SMALL}", device: cpu}}
rules:
  - name: all
    files: ["*"]
    keep:
      mine: {{js_divergence: {{max: 0.5}}}}
      "torchvision:{SMALL}": {{lca_height: {{max: 1}}}}
"""
    )
    (rule,) = load_policy(tmp_path / ".semcompress.yaml", registry).rules
    assert [(use.plugin, use.options) for use in rule.evaluators] == [
        (f"torchvision:{SMALL}", {"device": "cpu"}),
        (f"torchvision:{SMALL}", {}),
    ]
    reference = decode(encoded(photo(), "PNG"))
    measured = drive(measure(reference, reference.image, rule, registry), Workshop(registry).perform)
    assert measured.holds
    assert measured.scores[f"torchvision:{SMALL}"]["lca_height"] == 0


def test_fetch_downloads_once_into_torchvisions_cache_and_checks_what_came(registry, hub, tmp_path, monkeypatch):
    import torch

    from semcompress_plugin.evaluators import _torchvision

    source = tmp_path / "source.pth"
    saved(SMALL, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    good = SimpleNamespace(name="V1", url=f"https://example.org/own-{digest}.pth")
    monkeypatch.setattr(_torchvision, "entry", lambda *_: good)
    monkeypatch.setattr(torch.hub, "urlopen", lambda *_: _Answer(source.read_bytes()))
    fetch = registry.fetcher(f"torchvision:{SMALL}")
    assert fetch(weights=None) == hub / f"own-{digest}.pth"
    assert (hub / f"own-{digest}.pth").read_bytes() == source.read_bytes()
    monkeypatch.setattr(torch.hub, "urlopen", _no_network)
    fetch(weights=None)
    (hub / f"own-{digest}.pth").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="not what torchvision offers"):
        fetch(weights=None)
    monkeypatch.setattr(_torchvision, "entry", lambda *_: SimpleNamespace(url="https://example.org/own-00000000.pth"))
    monkeypatch.setattr(torch.hub, "urlopen", lambda *_: _Answer(source.read_bytes()))
    with pytest.raises(ModelError, match="cannot be fetched: invalid hash"):
        fetch(weights=None)
    assert not (hub / "own-00000000.pth").exists()


class _Answer:
    """What urlopen gives."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def info(self):
        message = Message()
        message["Content-Length"] = str(len(self.data))
        return message

    def read(self, size: int) -> bytes:
        chunk, self.data = self.data[:size], self.data[size:]
        return chunk

    def close(self) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_efficientnet_lite0_in_pytorch_sees_what_the_shipped_model_sees(monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "benchmarks"), *sys.path])
    from torch_agreement import lite0

    images = [Image.open(path).convert("RGB") for path in sorted(SITE.glob("*.jpg"))][:8]
    theirs, ours = lite0().observe(images), ClassifierEvaluator("center").observe(images)
    for one, other in zip(theirs, ours, strict=True):
        (values,) = ClassifierEvaluator("center").compare(one, [other])
        assert values["js_divergence"] < 1e-4
        assert values["feature_cosine"] > 0.9999
    assert torch.is_inference_mode_enabled() is False


# without torch


def test_builds_that_do_not_fit_each_other_are_explained(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    code = (
        "from semcompress_plugin.registry import Registry\nfrom semcompress_plugin.errors import PluginError\n"
        "try: Registry().make_evaluator('torchvision:resnet152')\nexcept PluginError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert "builds that do not fit each other (operator torchvision::nms does not exist)" in done.stdout
    assert "pip install --force-reinstall torch torchvision" in done.stdout


def test_without_torch_the_extra_is_named(registry, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("semcompress_plugin.evaluators._torch")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("torch_classifier", "torchvision_detection"):
        monkeypatch.delitem(sys.modules, f"semcompress_plugin.evaluators.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("torchvision:resnet152", "torchvision-detection:ssd300_vgg16"):
        with pytest.raises(PluginError, match=r"pip install 'semcompress-plugin\[torch\]'"):
            registry.make_evaluator(name)
        with pytest.raises(PluginError, match=r"pip install 'semcompress-plugin\[torch\]'"):
            registry.fetcher(name)


def test_an_evaluator_that_comes_with_its_weights_has_nothing_to_fetch(registry, capsys):
    from semcompress_plugin.cli import main

    assert registry.fetcher("classifier") is None
    assert main(["weights", "fetch", "classifier"]) == 2
    assert "no weights to fetch" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["torchvision", "torchvision-detection"])
def test_a_family_without_a_model_has_nothing_to_fetch_and_says_how_to_name_one(hub, capsys, family):
    from semcompress_plugin.cli import main

    assert main(["weights", "fetch", family]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"semcompress: evaluator '{family}': which model? Write {family}:NAME, or give the option model"
    ]


def test_a_strangers_fetch_that_fails_is_named(capsys, monkeypatch):
    from semcompress_plugin.cli import main
    from semcompress_plugin.commands import weights

    class Theirs(Thumbnails):
        @staticmethod
        def fetch(weights):
            raise KeyError("no mirror")

    known = known_with(reader(factory=Theirs))
    monkeypatch.setattr(weights, "load_registry", lambda: known)
    assert main(["weights", "fetch", "thumbnails"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "semcompress: evaluator 'thumbnails' of third-party failed: KeyError: 'no mirror' (test_torch"
    )
    assert len(told.splitlines()) == 1


def test_only_families_take_an_argument(registry):
    assert registry.evaluator("torchvision:anything").name == "torchvision"
    for name in ("classifier:x", "torchvision:"):
        with pytest.raises(PluginError, match="unknown evaluator"):
            registry.evaluator(name)


def boxes(*rows: tuple[float, float, float, float, int, float]) -> Boxes:
    table = np.array(rows, float).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4].astype(int), table[:, 5])


HERE = (0.0, 0.0, 0.4, 0.4, 1, 0.9)
NEAR = (0.0, 0.0, 0.4, 0.3, 1, 0.8)
FAR = (0.6, 0.6, 0.9, 0.9, 1, 0.7)


def test_overlap_by_hand():
    one = boxes(HERE).corners
    assert overlap(one, boxes(HERE, NEAR, FAR, (0.2, 0.0, 0.6, 0.4, 1, 1)).corners) == pytest.approx(
        np.array([[1, 0.75, 0, 1 / 3]])
    )


@pytest.mark.parametrize(
    ("reference", "candidate", "recall", "precision", "change"),
    [
        ([HERE, FAR], [NEAR], 1 / 2, 1, 1),
        ([HERE], [NEAR, FAR], 1, 1 / 2, 1),
        ([HERE], [HERE, NEAR], 1, 1 / 2, 1),  # one thing is found once
        ([HERE], [(*HERE[:4], 2, 0.9)], 0, 0, 0),  # another class
        ([], [], 1, 1, 0),
        ([], [HERE], 1, 0, 1),
        ([HERE], [], 0, 1, 1),
    ],
)
def test_boxes_that_are_the_same_thing_are_counted_once(reference, candidate, recall, precision, change):
    values = compared(boxes(*reference), boxes(*candidate))
    assert values == {"box_recall": recall, "box_precision": precision, "count_change": change}


def test_the_option_in_the_name_wins_over_none_and_a_spec_says_which_it_fills(registry):
    spec = registry.evaluator("torchvision:resnet152")
    assert spec.argument == "model"
    assert replace(spec, argument=None).argument is None
