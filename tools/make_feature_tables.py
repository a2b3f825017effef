"""Make the tables of the compressor ``feature``: what is learned of a network's features from photos.

    python tools/make_feature_tables.py FIT_FOLDER [--seen SEEN.npy]

Each photo of FIT_FOLDER is seen as it is and in 40 variations (crops, mirror images, other colours, blur, JPEG). From
these come the mean and covariance of the features; half of the covariance is replaced by a prior, equal parts of what
the classifier's weights say and of no direction at all, since a few photos cannot show a thousand classes. The
transform is the Karhunen-Loève transform in the metric of the logits. How often each symbol comes up is counted on
photos that the transform was not fitted to (three folds), with the quantiser that is shipped, twice: the first counts
change what the quantiser chooses.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from semcompress_plugin.evaluators._model import MODELS
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.features import quantise
from semcompress_plugin.features.tables import BINS, EQUAL, FIDELITY, LARGEST, NETWORK, Tables, centred_weights, spread

TARGET = Path(__file__).parents[1] / "semcompress_plugin" / "features" / f"{NETWORK}.npz"
VARIATIONS = 40
COEFFICIENTS = 960
PRIOR = 0.5
FOLDS = 3
PASSES = 2
STEPS = (6, 9, 12)
"""The knob's values for which symbols are counted."""

Array = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fit", type=Path, metavar="FIT_FOLDER")
    parser.add_argument("--seen", type=Path, metavar="SEEN.npy", help="the features, kept from run to run")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.fit.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    with ThreadPoolExecutor(arguments.threads) as pool:
        if arguments.seen and arguments.seen.exists():
            seen = np.load(arguments.seen, allow_pickle=False)
        else:
            seen = np.stack(list(pool.map(features_of_photo, photos)))  # photos x (1 + VARIATIONS) x features
            if arguments.seen:
                np.save(arguments.seen, seen)
        tables = fitted(seen)
        fold = np.arange(len(seen)) % FOLDS
        fitted_without = [fitted(seen[fold != number]) for number in range(FOLDS)]
        for _ in range(PASSES):
            without = [replace(transform, counts=tables.counts) for transform in fitted_without]
            jobs = [(without[fold[index]], photo[0]) for index, photo in enumerate(seen)]
            counted = sum(pool.map(lambda job: counts(*job), jobs), start=np.zeros_like(usual()))
            tables = replace(tables, counts=smoothed(counted).astype(np.float32))
    arrays = {name: getattr(tables, name) for name in Tables.__dataclass_fields__}
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, id {tables.id.hex()}, from {len(photos)} photos")


def features_of_photo(path: Path) -> Array:
    """(1 + VARIATIONS, features): of the centre of the photo and of its variations, the same for the same path."""
    image = Image.open(path).convert("RGB")
    rng = random.Random(int(hashlib.md5(str(path).encode()).hexdigest()[:8], 16))
    reader = ClassifierEvaluator("center")
    every = [image, *(varied(image, rng) for _ in range(VARIATIONS))]
    return np.concatenate([seen.features for seen in reader.observe(every)]).astype(np.float64)


def varied(image: Image.Image, rng: random.Random) -> Image.Image:
    width, height = image.size
    if rng.random() < 0.9:
        side, aspect = rng.uniform(0.15, 1) ** 0.5, rng.uniform(0.8, 1.25)
        crop = min(width, int(width * side * aspect)), min(height, int(height * side / aspect))
        left, top = rng.randint(0, width - crop[0]), rng.randint(0, height - crop[1])
        image = image.crop((left, top, left + crop[0], top + crop[1]))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(10, 90))
        image = Image.open(buffer).convert("RGB")
    if rng.random() < 0.3:
        image = ImageEnhance.Color(image).enhance(rng.uniform(0, 1.8))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3)))
    return image


def fitted(seen: Array) -> Tables:
    """The transform for these features (photos x variations x features), with the usual statistics."""
    data = (MODELS / f"{NETWORK}.onnx").read_bytes()
    head = located_head(data)
    rows = seen.reshape(-1, seen.shape[-1])
    mean = rows.mean(axis=0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    at, _, classes, width = head
    weights = centred_weights(np.frombuffer(data, "<f2", classes * width, at).reshape(classes, width).astype(float))
    logits = spread(weights) * weights.T @ weights
    identity = np.eye(width)
    power = np.trace(covariance) / width
    covariance = (1 - PRIOR) * covariance + PRIOR * power * (logits + identity) / 2
    values, vectors = np.linalg.eigh(logits + FIDELITY * identity)
    to, back = (vectors * values**0.5) @ vectors.T, (vectors * values**-0.5) @ vectors.T
    variances, directions = np.linalg.eigh(to @ covariance @ to)
    synthesis = directions[:, ::-1][:, :COEFFICIENTS].T @ back
    scale = np.abs(synthesis).max(axis=1, keepdims=True) / 127
    octaves = np.round(4 * np.log2(variances[::-1][:COEFFICIENTS] ** 0.5))
    return Tables(
        model=np.frombuffer(hashlib.sha256(data).digest(), np.uint8),
        head=np.array(head, np.int64),
        mean=mean.astype(np.float32),
        basis=np.round(synthesis / scale).astype(np.int8),
        scale=scale.astype(np.float32),
        octaves=octaves.astype(np.int8),
        counts=smoothed(np.zeros_like(usual())).astype(np.float32),
    )


def located_head(data: bytes) -> tuple[int, int, int, int]:
    """Where in the network's file the classifier's weights and biases lie, and the shape of the weights."""
    import onnx

    graph = onnx.load_from_string(data).graph
    (gemm,) = (node for node in graph.node if "logits" in node.output)
    made_by = {name: node for node in graph.node for name in node.output}
    arrays = {array.name: array for array in graph.initializer}
    weights, biases = arrays[made_by[gemm.input[1]].input[0]], arrays[gemm.input[2]]
    assert weights.data_type == onnx.TensorProto.FLOAT16
    assert biases.data_type == onnx.TensorProto.FLOAT
    classes, width = weights.dims
    return data.index(weights.raw_data), data.index(biases.raw_data), classes, width


def usual() -> Array:
    """How probable each symbol is in each bin where coefficients follow a Laplace distribution."""
    scale = 2.0 ** ((np.arange(BINS)[:, None] - EQUAL) / 4) / 2**0.5
    edges = np.arange(-LARGEST, LARGEST + 2) - 0.5
    below = np.where(edges < 0, 0.5 * np.exp(-np.abs(edges) / scale), 1 - 0.5 * np.exp(-np.abs(edges) / scale))
    return np.diff(below, axis=1)


def counts(tables: Tables, features: Array) -> Array:
    """How often each symbol comes up in each bin, over STEPS, when these features are coded."""
    counted = np.zeros((BINS, 2 * LARGEST + 1))
    for step in STEPS:
        symbols = quantise.symbols_of(features, step, tables)
        np.add.at(counted, (quantise.bins(tables, step)[: len(symbols)], symbols + LARGEST), 1)
    return counted


def smoothed(counted: Array) -> Array:
    """Counts as probabilities: symmetric, with some of the neighbouring bins', and two of the usual ones."""
    counted = (counted + counted[:, ::-1]) / 2
    beside = np.pad(counted, ((1, 1), (0, 0)))
    counted = counted + 0.3 * (beside[:-2] + beside[2:]) + 2 * (usual() + 1e-5)
    return counted / counted.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
