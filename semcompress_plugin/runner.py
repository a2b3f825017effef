"""Many pictures at once: interleaves their searches over threads, so that evaluators see batches.

Encoders, decoders and model sessions release Python's lock, so one process with threads uses every core and needs
one copy of each model. Memory is bounded by the pixels in flight, whatever the number of pictures: what a picture
will have is known before it is decoded.
"""

from __future__ import annotations

import math
import queue
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar, cast

from semcompress_plugin.cores import available_cores
from semcompress_plugin.engine import Observe, Rounds
from semcompress_plugin.errors import ImageError
from semcompress_plugin.types import Reference
from semcompress_plugin.workshop import Workshop, identity

Key = TypeVar("Key")
Answer = TypeVar("Answer")

PIXELS_IN_FLIGHT = 24_000_000
"""No further picture is decoded while those in work have more pixels; one is always allowed."""

_MATRIX = 200
"""Rows of a product that OpenBLAS does not do without its buffer."""

PIXELS_PER_THREAD = 6_000_000
"""With many threads more are allowed, lest most of them wait."""


@dataclass(frozen=True, slots=True)
class Job(Generic[Key, Answer]):
    """One picture: how to load it (in a worker thread) and what to find out about it.

    ``glance``, called before ``load`` and in a worker thread too, tells how many pixels it will have, 0 if that cannot
    be told. One that has taken more than ``max_seconds`` of threads' time ends with an ImageError.
    """

    key: Key
    load: Callable[[], Reference]
    study: Callable[[Reference], Rounds[Answer]]
    max_seconds: float = math.inf
    glance: Callable[[], int] = lambda: 0


@dataclass(frozen=True, slots=True)
class Done(Generic[Key, Answer]):
    """What became of a job: an answer, or the exception that ended it."""

    key: Key
    answer: Answer | None = None
    error: Exception | None = None


@dataclass(slots=True, eq=False)
class _Active:
    """A job in work: its generator, and the results of the current round as they come in."""

    job: Job[Any, Any]
    pixels: int = 0
    loading: bool = False
    rounds: Rounds[Any] | None = None
    results: list[object] = field(default_factory=list)
    missing: int = 0
    seconds: float = 0.0
    error: BaseException | None = None


_Slot = tuple[_Active, int]
"""Where a result belongs: the job, and the place in its current round."""


class Runner:
    """Runs jobs on ``threads`` worker threads; results come in the order in which they finish."""

    def __init__(self, workshop: Workshop, threads: int | None = None) -> None:
        self.workshop = workshop
        self.threads = threads or available_cores()

    def run(self, jobs: Iterable[Job[Key, Answer]]) -> Iterator[Done[Key, Answer]]:
        """Yield a Done for every job. A job's exception ends that job only."""
        _have_blas_allocate()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="semcompress")
        try:
            yield from _Run(self.workshop, pool, self.threads, iter(jobs)).finish()
        finally:  # also when the caller stops listening or ^C interrupts
            pool.shutdown(wait=True, cancel_futures=True)


def _have_blas_allocate() -> None:
    """Give the searches' linear algebra its buffer while there is memory.

    OpenBLAS takes it at the first product of matrices and keeps it; where it cannot have it, it ends the process, and
    all pictures with it, when a huge one that is being decoded has left nothing.
    """
    import numpy as np

    matrix = np.ones((_MATRIX, _MATRIX))
    np.linalg.cholesky(matrix @ matrix + np.eye(_MATRIX))


class _Run:
    def __init__(self, workshop: Workshop, pool: ThreadPoolExecutor, threads: int, jobs: Iterator[Any]) -> None:
        self.workshop, self.pool, self.threads, self.jobs = workshop, pool, threads, jobs
        self.active: set[_Active] = set()
        self.running = 0
        self.finished: queue.SimpleQueue[tuple[list[_Slot], Future[tuple[list[Any], float]]]] = queue.SimpleQueue()
        self.unseen: dict[tuple[str, str], deque[tuple[_Slot, Observe]]] = defaultdict(deque)
        self.asked: dict[Future[Any], tuple[str, str]] = {}
        """Evaluators that are asked one batch at a time, and are being asked."""
        self.together: dict[Future[Any], list[tuple[_Slot, Observe]]] = {}
        """Batches that are being looked at, of several pictures."""
        # enough pictures in work that a batch fills while the encoders of others are busy
        self.most = 4 * threads + 4
        self.pixels = max(PIXELS_IN_FLIGHT, PIXELS_PER_THREAD * threads)
        self.glanced: deque[_Active] = deque()
        """Pictures whose size is known, and that wait until there is room for it."""

    def finish(self) -> Iterator[Done[Any, Any]]:
        while True:
            self._begin()
            if not self.active:
                return
            self._hand_over_batches()
            slots, future = self.finished.get()
            self.running -= 1
            self.asked.pop(future, None)
            error = future.exception()
            if (batch := self.together.pop(future, None)) and isinstance(error, Exception):
                for slot, task in batch:  # one by one: what it fails at may be one of them
                    self._submit([slot], partial(self.workshop.observe, [task]))
                continue
            results, seconds = ([None] * len(slots), 0.0) if error else future.result()
            for (active, index), result in zip(slots, results, strict=True):
                active.missing -= 1
                active.seconds += seconds / len(slots)
                active.results[index] = result
                active.error = active.error or error
                if active.missing == 0 and (done := self._advance(active)):
                    self.active.discard(active)
                    yield done

    def _begin(self) -> None:
        """Start glancing at further pictures, and loading them, while there is room."""
        while (
            len(self.active) < self.most
            and sum(active.rounds is None for active in self.active) < self.threads
            and (job := next(self.jobs, None)) is not None
        ):
            active = _Active(job, results=[None], missing=1)
            self.active.add(active)
            self._submit([(active, 0)], _single(job.glance))
        while self.glanced and sum(a.pixels for a in self.active if a.loading) < self.pixels:
            active = self.glanced.popleft()
            active.results, active.missing, active.loading = [None], 1, True
            self._submit([(active, 0)], _single(active.job.load))

    def _advance(self, active: _Active) -> Done[Any, Any] | None:
        """Send a finished round's results on; a Done when that was the last."""
        try:
            if active.error is not None:
                raise active.error
            if active.seconds > active.job.max_seconds:
                raise ImageError(
                    f"took longer than {active.job.max_seconds:g} s of work: raise limits.max_seconds in the policy"
                )
            if not active.loading:
                active.pixels = cast(int, active.results[0])
                self.glanced.append(active)
                return None
            if active.rounds is None:
                (reference,) = active.results
                assert isinstance(reference, Reference)
                active.pixels = reference.image.width * reference.image.height
                active.rounds = active.job.study(reference)
                tasks = next(active.rounds)
            else:
                tasks = active.rounds.send(active.results)
        except StopIteration as stop:
            return Done(active.job.key, answer=stop.value)
        except Exception as error:  # of whatever kind: it ends this picture, and the caller sorts it
            return Done(active.job.key, error=error)
        active.results, active.missing = [None] * len(tasks), len(tasks)
        for index, task in enumerate(tasks):
            if isinstance(task, Observe):
                self.most = max(self.most, self.workshop.batch(task.use) + self.threads)
                self.unseen[identity(task.use)].append(((active, index), task))
            else:
                self._submit([(active, index)], _single(self.workshop.perform, task))
        return None

    def _hand_over_batches(self) -> None:
        """Hand over what waits to be seen: full batches at once, others while a thread would otherwise be idle.

        An evaluator that looks at one batch at a time gets the next when it is done: what has come together meanwhile
        fills it, and no thread waits for its turn.
        """
        for key, waiting in self.unseen.items():
            while waiting and key not in self.asked.values():
                full = self.workshop.batch(waiting[0][1].use)
                if len(waiting) < full and self.running >= self.threads:
                    break
                batch = [waiting.popleft() for _ in range(min(full, len(waiting)))]
                look = partial(self.workshop.observe, [task for _, task in batch])
                future = self._submit([slot for slot, _ in batch], look)
                if len(batch) > 1:
                    self.together[future] = batch
                if not self.workshop.concurrent(batch[0][1].use):
                    self.asked[future] = key

    def _submit(self, slots: list[_Slot], call: Callable[[], list[Any]]) -> Future[Any]:
        self.running += 1
        future = self.pool.submit(_timed, call)
        future.add_done_callback(lambda finished: self.finished.put((slots, finished)))
        return future


def _timed(call: Callable[[], list[Any]]) -> tuple[list[Any], float]:
    started = time.monotonic()
    return call(), time.monotonic() - started


def _single(call: Callable[..., Any], *arguments: Any) -> Callable[[], list[Any]]:
    return lambda: [call(*arguments)]
