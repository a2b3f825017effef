"""How much of the machine is ours."""

from __future__ import annotations

import os


def keep_blas_to_one_thread() -> None:
    """Have OpenBLAS start no threads of its own, unless the user says how many; before numpy is imported.

    The searches' matrices are small, and looked into by as many threads as there are cores: OpenBLAS would start as
    many again in this process, which mostly spin while they wait for work.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def available_cores() -> int:
    """Cores this process may use, which in a container is often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
