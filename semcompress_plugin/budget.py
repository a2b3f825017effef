"""Byte budgets: a guard beside the constraints. Nothing is shrunk below its constraints to fit one."""

from __future__ import annotations

import re

_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20}
PATTERN = rf"^[0-9]{{1,9}}(\.[0-9]+)? ?({'|'.join(_UNITS)})$"


def in_bytes(written: str | int) -> int:
    """``200 kB`` as 200000; a number is bytes already."""
    if not isinstance(written, str):
        return int(written)
    number, unit = re.fullmatch(r"([0-9.]+) ?([A-Za-z]+)", written).groups()  # type: ignore[union-attr]  # the schema's
    return int(float(number) * _UNITS[unit])
