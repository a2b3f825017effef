"""Learn how likely it is that a reader that nobody asked turns, given what the default reader saw of its usual crop.

    python tools/make_readers.py READERS
    python benchmarks/risk.py FIT --readers READERS --cache CACHE

FIT is a folder of photographs that serve no other purpose. Prints what ``_criteria.py`` has as ``RISK``: logistic
regression of EfficientNet-Lite1's verdicts in four views, on every file of the benchmark's grid. About half an hour the
first time; CACHE keeps what was recorded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _criteria import CENTER, clues, turned
from _grid import Cache, photographs
from _readers import looks
from numpy.typing import NDArray

Array = NDArray[np.float64]

OTHERS = ("lite1.center", "lite1.flip", "lite1.shift", "lite1.zoom")
RIDGE = 25.0  # against the sum of the losses, on standardised clues


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
    cache, known = Cache(arguments.cache), looks((CENTER, *OTHERS), arguments.readers)
    photos = photographs(arguments.fit)
    seen = {name: np.stack([cache.look(photo, name, look) for photo in photos]) for name, look in known.items()}
    x = clues(seen[CENTER])[:, 1:]
    share = np.mean([turned(seen[name])[:, 1:] for name in OTHERS], axis=0)
    intercept, weights = fitted(x.reshape(-1, x.shape[-1]), share.ravel())
    print(f"RISK = ({intercept:.3f}, np.array({[round(weight, 4) for weight in weights.tolist()]}))")


if __name__ == "__main__":
    main()
