"""Keeps a pool busy with shards, however many there are, and hands on what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass

from semcompress_plugin.errors import ImageError, SemcompressError, UsageError
from semcompress_plugin.scale.account import Account
from semcompress_plugin.scale.desk import Order
from semcompress_plugin.scale.executors import Pool
from semcompress_plugin.scale.job import work
from semcompress_plugin.scale.shards import Shard

SECONDS_OF_SILENCE = 5.0
"""Nothing finished for so long, and it is asked what the pool lacks."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a shard: its sums, or why it was given up (``lost``)."""

    shard: Shard
    account: Account | None = None
    lost: str | None = None


def run(
    order: Order, shards: Iterable[Shard], pool: Pool, tell: Callable[[str], object] = lambda text: None
) -> Iterator[Done]:
    """Do every shard, in the order in which they finish. A shard that is lost costs that shard.

    While the pool lacks something, ``tell`` hears of it every few seconds. Raises SemcompressError for what concerns
    the whole build.
    """
    under_way: dict[Future[Account], Shard] = {}
    for shard in shards:
        while len(under_way) >= pool.window():
            yield from _finished(under_way, pool, tell)
        under_way[_submit(pool, order, shard)] = shard
    while under_way:
        yield from _finished(under_way, pool, tell)


def _submit(pool: Pool, order: Order, shard: Shard) -> Future[Account]:
    try:
        if pool.stop is None:
            return pool.executor.submit(work, order, shard)
        return pool.executor.submit(work, order, shard, pool.stop)
    except RuntimeError as error:
        raise UsageError(f"the scheduler was lost ({error}): run again to go on from here") from error


def _finished(under_way: dict[Future[Account], Shard], pool: Pool, tell: Callable[[str], object]) -> Iterator[Done]:
    finished, _ = wait(under_way, SECONDS_OF_SILENCE, FIRST_COMPLETED)
    if not finished and (lacking := pool.lacks()):
        tell(lacking)
    for future in finished:
        yield _outcome(future, under_way.pop(future))


def _outcome(future: Future[Account], shard: Shard) -> Done:
    try:
        return Done(shard, future.result())
    except ImageError as error:  # of the shard's own records: the storage failed
        return Done(shard, lost=str(error))
    except SemcompressError:
        raise
    except ImportError as error:
        raise UsageError(f"a worker cannot load semcompress ({error}): install the same version there") from error
    except CancelledError as error:
        raise UsageError("the scheduler was lost, or cancelled a shard: run again to go on from here") from error
    except Exception as error:  # Dask's KilledWorker, and whatever a worker's system may do
        return Done(
            shard, lost=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        )
