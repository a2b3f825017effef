"""How much of the machine is ours."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Cores this process may use, which in a container is often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
