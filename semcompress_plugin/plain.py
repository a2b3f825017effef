"""Values as JSON has them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """``value`` with mappings as dicts, tuples as lists, and the numbers that JSON lacks as text, as in the lock.

    A metric may be infinite (PSNR of a picture and itself is): ``"inf"`` and ``"-inf"``, which Python's ``float`` takes
    for numbers, as other languages' do.
    """
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value
