"""``semcompress baseline``."""

from __future__ import annotations

import argparse
from pathlib import Path

from semcompress_plugin import baseline, files
from semcompress_plugin.baseline import Old
from semcompress_plugin.budgeting import judged
from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.errors import BaselineError, ImageError
from semcompress_plugin.plan import Pending, assets, pending, shown_path
from semcompress_plugin.types import Result
from semcompress_plugin.walk import absolute, find_images, here, repository_root
from semcompress_plugin.words import counted, printable


def run(arguments: argparse.Namespace) -> int:
    """Write beside each policy which pictures may stay: those that ``check`` would look at now, which is not done here.

    A baseline that is there only loses lines, of pictures that have been shrunk, changed or deleted, unless it is to
    be renewed.
    """
    domains = Domains(load_registry(), arguments.policy)
    base = here()
    top = domains.of(base / baseline.NAME, named=True)
    assert top is not None  # a named file always has one
    # the whole of what the policy governs: a part would drop the lines of the rest
    found = find_images([top.policy.root], repository_root(base))
    results: list[Result] = []
    old: dict[Domain, set[Old]] = {}
    for asset in assets(found, domains, base):
        state = asset if isinstance(asset, Result) else pending(asset, harmless=True)
        if isinstance(state, Result):
            results.append(state)
        else:
            old.setdefault(state.asset.domain, set()).add(_line(state))
    for result in judged(results, domains, base, spare=False):
        # what is settled, or skipped, and still above its budget
        if result.over_budget and (domain := domains.of(base / result.path, named=True)):
            snapshot = files.read(base / result.path)
            path = domain.lock.relative(snapshot.path)
            old.setdefault(domain, set()).add(Old(path, snapshot.sha256, len(snapshot.data)))
    # those of policies without pictures, or with none left, are to be met as well
    suffix = Path(baseline.NAME).suffix
    for item in find_images([top.policy.root], repository_root(base), suffixes={suffix}):
        domains.of(absolute(item.path), named=True)
    for domain in domains.used():
        _write(domain, old.get(domain, set()), base, renew=arguments.renew)
    return 0


def _line(state: Pending) -> Old:
    return Old(state.asset.domain.lock.relative(state.asset.path), state.sha256, state.bytes)


def _write(domain: Domain, now: set[Old], base: Path, *, renew: bool) -> None:
    target = domain.policy.root / baseline.NAME
    before = baseline.load(target)
    allowed = {one.sha256 for one in before}
    lines = now if renew or not target.exists() else {one for one in now if one.sha256 in allowed}
    try:
        files.create(target, baseline.render(lines).encode(), overwrite=True)
    except ImageError as error:
        raise BaselineError(f"{target}: {error}") from error
    gone = len(allowed - {one.sha256 for one in lines})
    more = len(now) - len(lines)
    print(
        f"{printable(shown_path(target, base))}: "
        + counted(len(lines), "picture may stay as it is", "pictures may stay as they are")
        + (f"; {counted(gone, 'no longer needs', 'no longer need')} to" if gone else "")
        + (f"; {counted(more, 'other is', 'others are')} not in it (--renew adds what is missing)" if more else "")
    )
