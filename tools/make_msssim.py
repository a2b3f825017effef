"""Make what the evaluator ``msssim`` ships: the arithmetic of MS-SSIM as three small ONNX graphs, and their provenance.

    pip install onnx
    python tools/make_msssim.py

The graphs hold no trained weights, only the Gaussian window and constants of the published formula, and the same
version of onnx writes the same bytes.

A plane comes cut into blocks that overlap by the window's reach, and a blur is two matrix products with the window
as a band matrix: one down the columns of a block, one along its rows. As grouped convolutions the blurs alone take
longer than everything does this way (``benchmarks/msssim.py`` compares them), because matrix products are what every
model runtime does best, and a block stays in the cache while it is worked on.

With x the reference, y the candidate and d = y - x, everything is said in terms of d: the structure term is

    cs = (2 cov(x, y) + C2) / (var(x) + var(y) + C2) = 1 - var(d) / (var(x) + var(y) + C2)
    var(x) + var(y) = 2 var(x) + 2 cov(x, d) + var(d)

so that equal pictures give exactly 1, and three blurs do per candidate (d, d d, x d), two per reference (x, x x).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from semcompress_plugin.evaluators.msssim import BLOCK, CENTRE, MODELS_USED, WINDOW

VERSION = "1"
SIGMA = 1.5
RANGE = 255.0
C1, C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
SIDE = BLOCK + WINDOW - 1
OPSET, IR = 13, 8  # the oldest that say all we need: a model should open in any ONNX Runtime about
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
MODELS = Path(__file__).parents[1] / "semcompress_plugin" / "evaluators" / "models"
SOURCE = {
    "paper": "Wang, Simoncelli, Bovik: Multi-scale structural similarity for image quality assessment, Asilomar 2003",
    "checked_against": "pytorch-msssim",
    "constants": {"window": WINDOW, "sigma": SIGMA, "K1": 0.01, "K2": 0.03, "range": RANGE, "block": BLOCK},
}

Shape = list[str | int]
PIECES: Shape = ["bands", SIDE, "width"]  # width: blocks x SIDE
MAP: Shape = ["cells", BLOCK]  # cells: bands x BLOCK rows of `blocks` runs of BLOCK pixels each
POOLED: Shape = ["tile_rows", "tile_columns"]
VALUES = {
    "x": f"float32 reference plane, 0 to 255, minus {CENTRE:g}, cut into blocks that overlap by the window's reach",
    "d": "float32 candidate minus reference, cut likewise",
    "mean": "float16 twice the local mean of x",
    "spread": "float16 twice the local variance of x, plus C2",
    "rows": "float32 weights that average map rows over tiles",
    "columns": "float32 weights that average map columns over tiles",
    "loss": "float32 mean over each tile of 1 - cs, in the graph msssim_similarity of 1 - l cs",
    "shift": "float32 mean over each tile of the local mean of d",
}


def window() -> NDArray[np.float64]:
    """The Gaussian of the paper, summing to 1: shape (11,)."""
    at = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    return np.asarray(weights / weights.sum())


def band(scale: float) -> NDArray[np.float32]:
    """The window as a matrix (BLOCK, SIDE): row i holds it, times ``scale``, from column i on."""
    matrix = np.zeros((BLOCK, SIDE))
    for row in range(BLOCK):
        matrix[row, row : row + WINDOW] = scale * window()
    return matrix.astype(np.float32)


class Graph:
    """Nodes and initialisers as they are appended; methods take and return names of values."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Any, kind: Any = np.float32) -> str:
        self.initialisers[name] = numpy_helper.from_array(np.asarray(value, kind), name)
        return name

    def blur(self, pieces: str, scale: float = 1.0) -> str:
        """PIECES -> MAP: the local Gaussian mean, times ``scale``."""
        down = self.node("MatMul", self.constant(f"down{scale:g}", band(scale)), pieces)
        runs = self.node("Reshape", down, self.constant("runs", [-1, SIDE], np.int64))
        return self.node("MatMul", runs, self.constant("along", band(1.0).T))

    def local_variance(self, pieces: str, mean: str, scale: float = 1.0) -> str:
        """``scale`` times the local variance: E[x x] - E[x] E[x]."""
        squares = self.blur(self.node("Mul", pieces, pieces), scale)
        return self.node("Sub", squares, self.node("Mul", self.times(mean, scale), mean))

    def times(self, value: str, scale: float) -> str:
        return value if scale == 1 else self.node("Mul", value, self.constant(f"c{scale:g}", scale))

    def pool(self, values: str, output: str) -> None:
        """MAP -> POOLED; rows first, which leaves next to nothing to do for the columns."""
        zero, one, two = (self.constant(f"i{i}", [i], np.int64) for i in range(3))
        height = self.node("Slice", self.node("Shape", "rows"), one, two)
        width = self.node("Slice", self.node("Shape", "columns"), zero, one)
        plane = self.node("Reshape", values, self.node("Concat", height, width, axis=0))
        self.node("MatMul", self.node("MatMul", "rows", plane), "columns", output=output)

    def model(self, name: str, inputs: dict[str, tuple[int, Shape]], outputs: dict[str, tuple[int, Shape]]) -> Any:
        infos = (
            [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in side.items()]
            for side in (inputs, outputs)
        )
        model = helper.make_model(
            helper.make_graph(self.nodes, name, *infos, initializer=list(self.initialisers.values())),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="semcompress",
            producer_version=VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def reference(name: str) -> onnx.ModelProto:
    """``x`` -> ``mean``, ``spread``: what every comparison with this reference needs of it.

    Half precision halves what a reference holds in memory; the error it brings to a score is below 1e-5.
    """
    graph = Graph()
    mean = graph.blur("x")
    spread = graph.node("Add", graph.local_variance("x", mean, 2.0), graph.constant("C2", C2))
    graph.node("Cast", graph.times(mean, 2.0), output="mean", to=HALF)
    graph.node("Cast", spread, output="spread", to=HALF)
    return graph.model(name, {"x": (FLOAT, PIECES)}, {"mean": (HALF, MAP), "spread": (HALF, MAP)})


def candidate(name: str, luminance: bool) -> onnx.ModelProto:
    """``x``, ``d`` and the reference's side -> ``loss``, ``shift``, averaged over tiles.

    ``luminance`` multiplies by the luminance term l = (2 mean(x) mean(y) + C1) / (mean(x)^2 + mean(y)^2 + C1), which
    the formula wants at the coarsest scale only.
    """
    graph = Graph()
    mean = graph.node("Cast", "mean", to=FLOAT)
    shift = graph.blur("d")
    variance = graph.local_variance("d", shift)
    covariance = graph.node("Sub", graph.blur(graph.node("Mul", "d", "x"), 2.0), graph.node("Mul", mean, shift))
    total = graph.node("Add", graph.node("Add", graph.node("Cast", "spread", to=FLOAT), covariance), variance)
    loss = graph.node("Div", variance, total)
    if luminance:
        # mean(x)^2 + mean(y)^2 = 2 mean(x)^2 + 2 mean(x) mean(d) + mean(d)^2, here with the centre put back on x
        mean = graph.node("Add", mean, graph.constant("centre", 2 * CENTRE))
        square = graph.node("Mul", shift, shift)
        cross = graph.node("Mul", mean, graph.node("Add", graph.times(mean, 0.5), shift))
        means = graph.node("Add", graph.node("Add", cross, square), graph.constant("C1", C1))
        dim = graph.node("Div", square, means)
        loss = graph.node("Sub", graph.node("Add", loss, dim), graph.node("Mul", loss, dim))
    graph.pool(loss, "loss")
    graph.pool(shift, "shift")
    return graph.model(
        name,
        {
            "x": (FLOAT, PIECES),
            "d": (FLOAT, PIECES),
            "mean": (HALF, MAP),
            "spread": (HALF, MAP),
            "rows": (FLOAT, ["tile_rows", "map_rows"]),
            "columns": (FLOAT, ["map_columns", "tile_columns"]),
        },
        {"loss": (FLOAT, POOLED), "shift": (FLOAT, POOLED)},
    )


def write(folder: Path, name: str, summary: str, model: onnx.ModelProto) -> None:
    content = model.SerializeToString(deterministic=True)
    (folder / f"{name}.onnx").write_bytes(content)
    known = {
        "name": name,
        "version": VERSION,
        "summary": summary,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "licence": "Apache-2.0",
        "made_by": "tools/make_msssim.py",
        "source": SOURCE,
        "inputs": {value.name: VALUES[value.name] for value in model.graph.input},
        "outputs": {value.name: VALUES[value.name] for value in model.graph.output},
    }
    (folder / f"{name}.json").write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=MODELS, help="folder to write to (default: where they are shipped)")
    folder: Path = parser.parse_args().out
    first, second, third = MODELS_USED
    write(folder, first, "MS-SSIM: the reference's local means and variances at one scale", reference(first))
    write(folder, second, "MS-SSIM: contrast and structure at one scale", candidate(second, luminance=False))
    write(folder, third, "MS-SSIM: luminance, contrast and structure at the coarsest scale", candidate(third, True))
    for name in MODELS_USED:
        print(f"{folder / name}.onnx: {(folder / name).with_suffix('.onnx').stat().st_size} bytes")


if __name__ == "__main__":
    main()
