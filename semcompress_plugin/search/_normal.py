"""The normal distribution on arrays, without SciPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS = 4096
_REACH = 8.0
_X = np.linspace(-_REACH, _REACH, _STEPS + 1)
_CDF = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in _X.tolist()])


def cdf(x: Array) -> Array:
    """P(a standard normal value <= x), to about 1e-6 (interpolated)."""
    return np.asarray(np.interp(x, _X, _CDF))


def pdf(x: Array) -> Array:
    """The standard normal density."""
    return np.asarray(np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi))


def expected_shortfall(mean: Array, deviation: Array, threshold: float) -> Array:
    """E[max(0, threshold - value)] of normal values: what is saved against ``threshold``."""
    deviation = np.maximum(deviation, 1e-9)
    z = (threshold - mean) / deviation
    return np.asarray((threshold - mean) * cdf(z) + deviation * pdf(z))
