"""Byte budgets: a guard beside the constraints. Nothing is shrunk below its constraints to fit one."""

from __future__ import annotations

import re
from dataclasses import replace

from semcompress_plugin.types import Result, Rule
from semcompress_plugin.words import size

_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20}
PATTERN = rf"^[0-9]{{1,9}}(\.[0-9]+)? ?({'|'.join(_UNITS)})$"


def in_bytes(written: str | int) -> int:
    """``200 kB`` as 200000; a number is bytes already."""
    if not isinstance(written, str):
        return int(written)
    number, unit = re.fullmatch(r"([0-9.]+) ?([A-Za-z]+)", written).groups()  # type: ignore[union-attr]  # the schema's
    return int(float(number) * _UNITS[unit])


def objection(largest: int, rule: Rule) -> str | None:
    """What a rule's budget has to say against a file of so many bytes."""
    if rule.budget is None or largest <= rule.budget:
        return None
    allowed = f"{size(largest)}, and rule {rule.name} allows {size(rule.budget)}"
    return f"above its budget: {allowed}: give it fewer pixels, or the rule a larger one"


def marked(result: Result, over: str) -> Result:
    """A result of a file of which ``over`` says that it is above its budget: failed, unless it was shrunk."""
    if result.status == "compressed":
        reason = f"{over}; {result.reason}" if result.reason else over
        return replace(result, reason=reason, over_budget=True)
    return replace(result, status="failed", reason=over, over_budget=True)
