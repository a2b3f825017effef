"""Learn the metric ``risk``: how likely it is that a reader that nobody asked turns, given what this one saw.

    python tools/make_readers.py READERS
    python benchmarks/risk.py FIT --readers READERS --cache CACHE

FIT is a folder of photographs that serve no other purpose. Prints the constants of
``semcompress_plugin/evaluators/_transfer.py``: logistic regression of EfficientNet-Lite1's verdicts in four views, on
every file of the benchmark's grid, by four numbers that the default reader gives of its usual crop. About half an hour
the first time; CACHE keeps what was recorded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _grid import Cache, photographs
from _readers import looks
from numpy.typing import NDArray

from semcompress_plugin.evaluators._transfer import change, leads
from semcompress_plugin.evaluators.classifier import js_divergence, softmax

Array = NDArray[np.float64]

JUDGED = "lite0.center"
OTHERS = ("lite1.center", "lite1.flip", "lite1.shift", "lite1.zoom")
NAMES = ("OF_CHANGE", "OF_LEAD", "OF_LEAD_BEFORE", "OF_DIVERGENCE")
RIDGE = 25.0  # against the sum of the losses, on standardised clues


def clues(logits: NDArray[np.float32]) -> Array:
    """(photographs, settings, 4) from (photographs, 1 + settings, classes), the photograph itself first."""
    before, after = softmax(logits[:, :1]), softmax(logits[:, 1:])
    was, now = leads(before, after)
    divergence = js_divergence(before, after)
    columns = np.log(change(before, after) + 1e-3), np.clip(now, -20, 20), was, np.log(divergence + 1e-6)
    return np.stack(columns, axis=-1)


def turned(logits: NDArray[np.float32]) -> Array:
    """(photographs, settings): 1 where the top class is not the photograph's."""
    top = logits.argmax(axis=-1)
    return np.asarray(top[:, 1:] != top[:, :1], np.float64)


def fitted(x: Array, share: Array, ridge: float = RIDGE) -> tuple[float, Array]:
    """Intercept and weights (clues,) of a logistic regression; ``share`` (rows,) of the others that turned, 0 to 1."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([(x - mean) / deviation, np.ones(len(x))])
    penalty = np.diag([ridge] * x.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(30):  # Newton's method
        chance = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (chance - share) + penalty @ weights
        weights -= np.linalg.solve((design.T * (chance * (1 - chance))) @ design + penalty, gradient)
    own = weights[:-1] / deviation
    return float(weights[-1] - own @ mean), own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fit", type=Path)
    parser.add_argument("--readers", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    cache, known = Cache(arguments.cache), looks((JUDGED, *OTHERS), arguments.readers)
    photos = photographs(arguments.fit)
    seen = {name: np.stack([cache.look(photo, name, look) for photo in photos]) for name, look in known.items()}
    x = clues(seen[JUDGED]).reshape(-1, len(NAMES))
    intercept, weights = fitted(x, np.mean([turned(seen[name]) for name in OTHERS], axis=0).ravel())
    print(f"INTERCEPT = {intercept:.3f}")
    for name, weight in zip(NAMES, weights.tolist(), strict=True):
        print(f"{name} = {weight:.4f}")


if __name__ == "__main__":
    main()
