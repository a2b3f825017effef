"""``semcompress compress``, and what ``check`` shares with it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semcompress_plugin.budgeting import judged
from semcompress_plugin.claims import Claims
from semcompress_plugin.commands._planning import planned
from semcompress_plugin.commands._shared import finish, load_registry, print_report, put_off, tell, warn_of_ignored
from semcompress_plugin.commands._shrinking import Shrinking
from semcompress_plugin.commands._tidying import (
    catch_up,
    mend_locks,
    only_originals_here,
    tell_of_strays,
    warn_of_refusals,
)
from semcompress_plugin.domains import Domains
from semcompress_plugin.errors import SemcompressError, UsageError
from semcompress_plugin.looking import look
from semcompress_plugin.originals import FolderOriginals
from semcompress_plugin.plan import assets, shown_path
from semcompress_plugin.types import Result
from semcompress_plugin.walk import MISSING, Found, absolute, find_images, here, repository_root
from semcompress_plugin.words import printable

if TYPE_CHECKING:
    from semcompress_plugin.commands._hook import Hook

USAGE = 2


def run(arguments: argparse.Namespace, write: bool = True) -> int:
    """Shrink in place; with ``write`` false only say what would be done."""
    started = time.monotonic()
    registry = load_registry()
    domains = Domains(registry, arguments.policy, in_place=write)
    base = here()
    hook = _hook(base, arguments.paths) if arguments.hook else None
    found = find_images(hook.paths if hook else arguments.paths or [Path()], repository_root(base))
    if domains.only is not None:
        _refuse_to_govern_nothing(found, domains.only.policy.root, arguments.policy)
    mistyped = any(item.named and item.error == MISSING for item in found)
    governed = deque(assets(found, domains, base))
    folders = {os.path.dirname(item.place) for item in found}  # noqa: PTH120  # by text, for there may be thousands
    del found  # of what is known of each picture, as little as possible is held until all are done
    verb = "compressed" if write else "would be compressed"
    if hook:
        admitted, objections = hook.review(governed, domains)
        if objections:
            if arguments.format == "json":  # of a run that has not begun
                print_report((), time.monotonic() - started, arguments, (), verb)
            return hook.object(objections)
        governed = deque(admitted)
    claims = Claims()
    results, work = planned(governed, registry, arguments, claims)
    for domain in domains.used():
        domain.digests.save()
        if work:
            domain.forget()
    if work and not write:
        warn_of_refusals(domains.used())
    bugs: list[str] = []
    errors: list[SemcompressError] = []
    shrinking = Shrinking(write, claims)
    pictures = len(work)
    if work:
        try:
            with put_off(errors):
                seen = look(
                    work,
                    registry,
                    bugs,
                    jobs=arguments.jobs,
                    effort=arguments.effort,
                    allow_generation_loss=arguments.allow_generation_loss,
                    progress=not arguments.quiet,
                    refuses=shrinking.refuses,
                )
                results.extend(shrinking.settle(seen))
        except KeyboardInterrupt:
            if write:
                tell(results, registry)
            raise
    if errors and not shrinking.locks:
        raise errors[0]
    if write and not hook:  # which says itself how the lock is to be staged
        mended = mend_locks(domains.used(), arguments.quiet, errors)
        warn_of_ignored(sorted(shrinking.locks | mended), base)
    if write:
        catch_up(domains.used())
        with put_off(errors):
            tell_of_strays(domains, folders)
    if hook and not pictures:
        arguments.quiet = True  # a commit with nothing to do for us is not to be talked about
    results.revise(judged(results, domains, base))
    only_here = None
    if write and arguments.format == "json":
        with put_off(errors):
            only_here = only_originals_here(domains.used())
    if write:
        tell(results, registry)
    try:
        code = finish(results, started, domains, arguments, bugs, verb, only_here)
        _tell(results, shrinking, arguments)
        sys.stdout.flush()  # what to stage is the last line, in a pipe too
    finally:  # the report may have found no room
        if hook:
            hook.conclude(results, shrinking.locks)
    if errors:
        raise errors[0]
    if hook:
        return code or int(bool(shrinking.locks))
    # a name that was mistyped is a mistake of the command line, though the other files have been seen to
    return USAGE if code < USAGE and mistyped else code


def _refuse_to_govern_nothing(found: Sequence[Found], root: Path, policy: Path) -> None:
    """Raise UsageError where none of the pictures lies below ``root``, where those of the ``policy`` are.

    Of pictures that were named, as hooks and CI name what has changed, all may lie elsewhere, unless there are none
    below ``root``.
    """
    if not found or any(absolute(item.path).is_relative_to(root) for item in found):
        return
    if all(item.named for item in found) and find_images([root], repository_root(root)):
        return
    raise UsageError(
        f"{policy}: its patterns are relative to {root}, where none of the pictures lies: put it into a folder above "
        "them, such as the repository's"
    )


def _hook(base: Path, paths: list[Path]) -> Hook:
    from semcompress_plugin.commands._hook import Hook

    return Hook(base, paths)


def _tell(results: Iterable[Result], shrinking: Shrinking, arguments: argparse.Namespace) -> None:
    """What the report's table has no room for."""
    for result in results:
        if result.status == "compressed" and result.over_budget:  # those that failed have been told of
            print(f"semcompress: {printable(result.path)}: {printable(result.reason or '')}", file=sys.stderr)
    if arguments.quiet or arguments.format != "text":
        return
    if shrinking.renamed:
        old, new = (printable(path.name) for path in min(shrinking.renamed))
        rest = f", and {len(shrinking.renamed) - 1} more" if len(shrinking.renamed) > 1 else ""
        print(
            f"{old} is {new} now{rest}: what names a picture that has another name is not rewritten "
            "(`semcompress build` does that for pages)"
        )
    if alone := only_originals_here(shrinking.replaced):
        amount = "1 original exists" if alone == 1 else f"{alone} originals exist"
        print(f"{amount} only in this clone (`semcompress originals push` hands on, `semcompress restore` brings back)")
    for folder in sorted({d.originals.folder for d in shrinking.replaced if isinstance(d.originals, FolderOriginals)}):
        print(f"originals are kept in {printable(shown_path(folder, here()))} (`semcompress restore` brings them back)")
