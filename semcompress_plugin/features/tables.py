"""What was learned once from many pictures: the transform of a network's features and the statistics of its output.

``NETWORK.npz`` beside this file is made by ``tools/make_feature_tables.py``; its arrays are those of :class:`Tables`.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semcompress_plugin.errors import ModelError
from semcompress_plugin.evaluators._model import REINSTALL, model_bytes

NETWORK = "efficientnet_lite0"
ID_BYTES = 4
"""So many bytes of a SHA-256 name a network or a table in a file."""

BINS = 64
"""Coefficients are coded by how large they usually are beside the step, in quarter octaves: bin 24 is equal."""

EQUAL = 24
LARGEST = 63
"""Quantised coefficients lie within plus and minus this."""

FIDELITY = 0.05
"""What the squared error of the features counts beside that of the logits they give, both over all of them."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tables:
    """The transform and the statistics for one network.

    ``model`` (32,) uint8: SHA-256 of the network's file. ``head`` (4,) int64: where in that file the classifier's
    weights (float16, classes x features) and biases (float32) begin, and how many classes and features there are.
    ``mean`` (features,) float32. ``basis`` (K, features) int8 times ``scale`` (K, 1) float32: what one unit of each
    coefficient adds to the features. ``octaves`` (K,) int8: how large each usually is, in quarter octaves.
    ``counts`` (BINS, 2 LARGEST + 1) float32: how probable each symbol is, from -LARGEST on, in each bin; rows sum to 1.
    """

    model: NDArray[np.uint8]
    head: NDArray[np.int64]
    mean: NDArray[np.float32]
    basis: NDArray[np.int8]
    scale: NDArray[np.float32]
    octaves: NDArray[np.int8]
    counts: NDArray[np.float32]

    @cached_property
    def id(self) -> bytes:
        """Names these tables in a file: the first bytes of the SHA-256 over all of them."""
        return _digest(*(vars(self)[name] for name in self.__dataclass_fields__))

    @property
    def model_id(self) -> bytes:
        """Names the network in a file."""
        return self.model.tobytes()[:ID_BYTES]

    @cached_property
    def synthesis(self) -> Matrix:
        """(K, features): coefficients @ synthesis + mean = features."""
        return self.basis.astype(np.float64) * self.scale

    @cached_property
    def analysis(self) -> Matrix:
        """(features, K): (features - mean) @ analysis = coefficients, in the metric in which the basis is orthonormal.

        Only an encoder needs it.
        """
        centred = centred_weights(self.weights)
        return spread(centred) * (centred.T @ self.effect.T) + FIDELITY * self.synthesis.T

    @cached_property
    def effect(self) -> Matrix:
        """(K, classes): what one unit of each coefficient adds to the logits, less what it adds to all of them."""
        return self.synthesis @ centred_weights(self.weights).T

    @cached_property
    def weights(self) -> Matrix:
        """(classes, features) of the network's own classifier, out of its file."""
        at, _, classes, features = self.head.tolist()
        return np.frombuffer(self._file, "<f2", classes * features, at).reshape(classes, features).astype(np.float64)

    @cached_property
    def biases(self) -> Matrix:
        """(classes,)."""
        _, at, classes, _ = self.head.tolist()
        return np.frombuffer(self._file, "<f4", classes, at).astype(np.float64)

    def logits(self, features: NDArray[np.floating]) -> Matrix:
        """What the network's own classifier says of features: (..., features) -> (..., classes)."""
        return features.astype(np.float64) @ self.weights.T + self.biases

    @cached_property
    def _file(self) -> bytes:
        data = model_bytes(NETWORK)
        if hashlib.sha256(data).digest() != self.model.tobytes():
            raise ModelError(f"the feature tables were made for another {NETWORK}: {REINSTALL}")
        return data


@cache
def load() -> Tables:
    """The tables that are shipped. Raises :class:`ModelError` where they cannot be read."""
    path = Path(__file__).with_name(f"{NETWORK}.npz")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return Tables(**arrays)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: cannot read the feature tables ({error}): {REINSTALL}") from error


def centred_weights(weights: Matrix) -> Matrix:
    """Weights whose logits sum to 0: the same answer, since a softmax sees only differences."""
    return np.asarray(weights - weights.mean(axis=0))


def spread(centred: Matrix) -> float:
    """What makes ``spread * centred.T @ centred`` as large, on average over the features, as the identity."""
    return float(centred.shape[1] / (centred * centred).sum())


def _digest(*arrays: NDArray[np.generic]) -> bytes:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.digest()[:ID_BYTES]
