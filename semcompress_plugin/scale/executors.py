"""Where shards are worked on: threads of this process, or Dask; one interface, that of concurrent.futures."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from semcompress_plugin.cores import available_cores
from semcompress_plugin.errors import UsageError

_CONNECT_SECONDS = 15
_AHEAD = 4
"""Shards that wait at the scheduler for each thread of a worker."""


@dataclass(frozen=True, slots=True)
class Pool:
    """An executor of shards.

    ``threads`` are what each shard uses. ``window`` says how many shards should be on their way at once: enough that
    no worker waits, few enough that a listing of any length fits. ``here``: it is this very process, where shards under
    way begin nothing more once ``stop`` is set. ``lacks`` says what has to come before any shard is done, if anything.
    """

    executor: Executor
    threads: int
    window: Callable[[], int]
    here: bool = True
    stop: threading.Event | None = None
    lacks: Callable[[], str | None] = lambda: None


@contextlib.contextmanager
def open_pool(name: str, jobs: int | None = None) -> Iterator[Pool]:
    """The pool called ``threads``, ``dask`` (workers on this machine, one per core), or ``dask:ADDRESS``.

    ``jobs`` are threads or, with ``dask``, workers; with an address, the threads that each shard uses there (default:
    one, and Dask's ``--nthreads`` says how many shards a worker does at once). On leaving, what has not begun is
    cancelled. Raises UsageError for an unknown name, a missing package and a scheduler that does not answer.
    """
    kind, _, address = name.partition(":")
    if name == "threads":
        stop = threading.Event()
        with ThreadPoolExecutor(1, thread_name_prefix="shard") as executor:
            try:
                yield Pool(executor, jobs or available_cores(), lambda: 2, stop=stop)
            finally:
                stop.set()
                executor.shutdown(wait=False, cancel_futures=True)
    elif kind == "dask" and (address or name == "dask"):
        with _client(address, jobs) as client:
            executor = client.get_executor()
            try:
                threads = jobs or 1 if address else 1
                yield Pool(executor, threads, lambda: _window(client), here=False, lacks=lambda: _lacks(client))
            finally:
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    executor.shutdown(wait=False)
    else:
        raise UsageError(f"--executor {name}: expected threads, dask, or dask:ADDRESS (dask:tcp://scheduler:8786)")


@contextlib.contextmanager
def _client(address: str, jobs: int | None) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError(
            f"--executor dask needs a package: pip install 'semcompress-plugin[dask]' ({error})"
        ) from error
    for name in ("distributed.client", "distributed.batched", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a lost connection is told in one line, by us
    with contextlib.ExitStack() as stack:
        if address:
            try:
                client = stack.enter_context(Client(address, timeout=_CONNECT_SECONDS))
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                said = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UsageError(f"--executor dask:{address}: no scheduler answers there ({said})") from error
        else:
            # TLS with keys made for this run: whoever reaches a scheduler may run code as its user
            cluster = LocalCluster(
                n_workers=jobs or available_cores(),
                threads_per_worker=1,
                dashboard_address=None,
                worker_dashboard_address=None,
                memory_limit=None,
                security=True,
                silence_logs=logging.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(cluster)))
        yield client


def _lacks(client: Any) -> str | None:
    with contextlib.suppress(Exception):  # a scheduler that is gone is told of by what it was given
        if not client.nthreads():
            return f"waits for workers: the scheduler at {client.scheduler.address} has none"
    return None


def _window(client: Any) -> int:
    threads: Iterable[int] = client.nthreads().values()
    return max(16, _AHEAD * sum(threads))
