"""Every picture that is to be looked at is shown to its readers: many at once, copies of one picture once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from semcompress_plugin.backlog import Backlog
from semcompress_plugin.copies import Copies
from semcompress_plugin.errors import ImageError, failure
from semcompress_plugin.made_with import versions
from semcompress_plugin.plan import Pending
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import EffortName, Result

if TYPE_CHECKING:
    from semcompress_plugin.settle import Settlement

Seen = tuple[Pending, Result, "Settlement | None"]


def look(
    work: Backlog,
    registry: Registry,
    bugs: list[str],
    *,
    jobs: int | None = None,
    effort: EffortName = "fast",
    allow_generation_loss: bool = False,
    progress: bool = False,
    refuses: Callable[[Pending], str | None] = lambda item: None,
) -> Iterator[Seen]:
    """Show every pending picture to its readers, with ``progress`` on a terminal.

    Pictures are taken out of ``work`` when their turn comes, lest what is still to be done and what is done add up.
    Yields the picture, its result and, if it came that far, what is to be written and recorded. Tracebacks of our
    own bugs are added to ``bugs``. ``jobs`` is the number of worker threads. ``refuses`` says, when a picture's turn
    comes, why it has failed already (None: it has not).
    """
    # only now: these bring Pillow, numpy and in the end ONNX Runtime along
    from tqdm import tqdm

    from semcompress_plugin.isolation import Decoders
    from semcompress_plugin.runner import Job, Runner
    from semcompress_plugin.shrink import Work
    from semcompress_plugin.workshop import Workshop

    rules = {id(rule): rule for rule in work.rules()}
    made_with = {key: versions(rule, registry) for key, rule in rules.items()}
    runner = Runner(Workshop(registry), jobs)

    copies = Copies(work)
    # disable=None: silent unless standard error is a terminal
    bar = tqdm(total=len(work), unit="picture", disable=None if progress else True)
    with bar, Decoders() as decoders:

        def glance(piece: Work) -> int:
            if (reason := refuses(piece.pending)) is not None:
                raise ImageError(reason)
            return piece.glance()

        def looked_at(items: Iterable[Pending]) -> Iterator[Seen]:
            pieces = (
                Work(item, registry, made_with[id(item.asset.rule)], allow_generation_loss, decoders, effort)
                for item in items
            )
            tasks = (
                Job(it, it.load, it.study, it.pending.asset.rule.limits.max_seconds, partial(glance, it))
                for it in pieces
            )
            for done in runner.run(tasks):
                item = done.key.pending
                if done.error is not None:
                    status, reason, bug = failure(done.error)
                    if bug:
                        bugs.append(f"{item.asset.shown}\n{bug}")
                    yield item, item.left(status, reason), None
                else:
                    assert done.answer is not None
                    result, settlement = done.key.settle(done.answer)
                    copies.learn(item, result, settlement.entries)
                    yield item, result, settlement

        kept = ((item, result, None) for item, result in copies.kept())
        for seen in chain(looked_at(copies.first()), kept, looked_at(copies.others())):
            bar.update()
            yield seen
