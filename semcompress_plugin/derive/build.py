"""A tree derived from another, with shrunk pictures; or a tree that was just generated, shrunk in place.

Sources are never touched. What was found out is cached, so that a second build looks at nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from semcompress_plugin.backlog import Backlog
from semcompress_plugin.budgeting import judged
from semcompress_plugin.derive.tree import Tree
from semcompress_plugin.domains import Domains
from semcompress_plugin.errors import UsageError
from semcompress_plugin.looking import look
from semcompress_plugin.originals import FolderOriginals, belongings, open_originals
from semcompress_plugin.pages import PagesReport, Site
from semcompress_plugin.plan import Pending, assets
from semcompress_plugin.registry import Registry
from semcompress_plugin.report.ledger import Ledger
from semcompress_plugin.report.text import bounds_of
from semcompress_plugin.types import Constraint, EffortName, Result
from semcompress_plugin.walk import absolute, find_images, place_below


@dataclass(frozen=True, slots=True)
class Report:
    """What a build did. ``pages`` is None where pages were not to be touched, or pictures gave no reason to.

    ``bounds`` are the constraints of rules by their name; ``bugs`` are tracebacks of bugs of ours, each of which
    is a failed picture too. ``warnings`` are one line each, such as of a plugin that failed to take a result.
    """

    results: Collection[Result]
    seconds: float
    pages: PagesReport | None = None
    bounds: Mapping[str, Sequence[Constraint]] | None = None
    bugs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Result, ...]:
        """Pictures that failed, and such as were written and are above their budget all the same."""
        return tuple(result for result in self.results if result.status == "failed" or result.over_budget)

    def text(self) -> str:
        """A table of what was written, reasons, and a summary, for people."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The text line by line."""
        from semcompress_plugin.report import text

        return text.lines(self.results, self.seconds, self.bounds or {}, pages=self.pages)

    def json(self) -> str:
        """One JSON object; docs/report.md says what its keys mean."""
        return "".join(self.pieces())

    def pieces(self) -> Iterator[str]:
        """The JSON piece by piece."""
        from semcompress_plugin.report import json

        return json.pieces(self.results, self.seconds, self.pages)


def build_tree(
    source: Path,
    out: Path | None = None,
    *,
    policy: Path | None = None,
    root: Path | None = None,
    pages: bool = True,
    site_url: str | None = None,
    jobs: int | None = None,
    progress: bool = False,
    exclude: Collection[Path] = (),
    effort: EffortName = "fast",
    registry: Registry | None = None,
) -> Report:
    """Derive the tree ``out`` with shrunk pictures from ``source``; without ``out`` shrink inside ``source``.

    ``policy`` is a file that governs everything, with patterns relative to ``root`` (default: its own folder);
    without it the nearest policy governs, for a derived tree no higher than ``source``. Where a rule writes files
    beside a picture and ``pages`` is true, HTML and CSS offer them to browsers that can read them. ``site_url`` is
    where the tree will be published, as far as its pages name it (``https://example.org/repo/``, or ``/repo/``).
    ``jobs`` is the number of worker threads. ``progress`` shows a bar on a terminal.
    ``exclude`` are folders below ``source`` that are no part of the tree. ``effort`` is the command line's.
    ``registry`` is what is plugged in (default: whatever is installed; what cannot be loaded is among the warnings).

    Raises SemcompressError for what concerns the whole run. A picture that fails does not: see ``Report.failed``.
    """
    started = time.monotonic()
    source, target = _folders(source, out)
    site = Site(site_url or "")
    warnings: list[str] = []
    if registry is None:
        registry = Registry()
        warnings += map(str, registry.broken)
    # a generated tree has no policy of its own: there, the nearest above it governs
    top = None if out is None else source
    domains = Domains(registry, policy, top=top, default=source, in_place=False)
    if domains.only is not None and root is not None:
        domains.only = replace(domains.only, policy=replace(domains.only.policy, root=absolute(root)))
    tree = Tree(registry, source, target, effort)
    found = find_images([source], skip_ignored=False, skip_nested=False)
    apart = [*exclude, *([] if out is None else [target])]
    passed_by = {place for folder in apart if (place := place_below(folder, source)) is not None}
    if passed_by:
        found = [item for item in found if not any(item.path.is_relative_to(folder) for folder in passed_by)]
    governed = deque(assets(found, domains, source))
    others = tree.others({item.place for item in found}, passed_by | _private(domains, source))
    tree.refuse_one_file_for_two(chain((item.path for item in found), others))
    del found  # of what is known of each picture, as little as possible is held until all are done
    results = Ledger()
    work = Backlog()
    for done in tree.without_looking(governed):
        work.append(done) if isinstance(done, Pending) else results.append(done)
    for domain in domains.used() if work else ():
        domain.lock.forget()
    bugs: list[str] = []
    if work:
        for item, result, settlement in look(work, registry, bugs, jobs=jobs, effort=effort, progress=progress):
            writes = {} if settlement is None else settlement.writes
            results.append(tree.finish(item, result, {path.name: data for path, data in writes.items()}))
    rewritten = tree.write_others(others, site if pages else None)
    for failed in tree.failures:
        results.append(failed)
    results.revise(judged(results, domains, source))
    warnings += registry.plugins.tell_all(results)
    bounds = bounds_of(rule for domain in domains.used() for rule in domain.policy.rules)
    return Report(results, time.monotonic() - started, rewritten, bounds, tuple(bugs), tuple(warnings))


def _private(domains: Domains, source: Path) -> set[Path]:
    """Folders and files below ``source`` that hold originals of its policies, or of former ones of its repository.

    A folder that its policy names is passed by as a whole, unless that holds content too, as under ``originals: .``.
    """
    stores = [domain.originals for domain in domains.used()]
    named = {store.folder for store in stores if isinstance(store, FolderOriginals)}
    former = open_originals(source, None, needed=False).elsewhere
    content = {source, *(domain.policy.root for domain in domains.used())}
    private: set[Path] = set()
    for folder in named.union(store.folder for store in former if isinstance(store, FolderOriginals)):
        place = place_below(folder, source)
        if place is None:
            continue
        if folder in named and not any(one.is_relative_to(place) for one in content):
            private.add(place)
        else:
            private.update(belongings(place, named=True))
    return private


def _folders(source: Path, out: Path | None) -> tuple[Path, Path]:
    source = absolute(source)
    if not source.is_dir():
        raise UsageError(f"{source}: is not a folder")
    if out is None:
        return source, source
    target = absolute(out)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{out}: is not a folder")
    if place_below(source, target) is not None:
        raise UsageError(f"{out}: would be written over its own sources; use --in-place DIR to want that")
    return source, target
