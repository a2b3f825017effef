"""What the Python site generators' plugins do alike: the policy of a project, and its site shrunk in place."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from semcompress_plugin import bugs, git
from semcompress_plugin.derive import Report, build_tree
from semcompress_plugin.policy import POLICY_NAME, find_policy, load_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.report import totals
from semcompress_plugin.words import percent, printable, size

Say = Callable[..., None]
"""A logger's method: a format, and what goes into it."""


def project_policy(project: Path, given: str | Path | None) -> Path | None:
    """The policy of the project in the folder ``project``, or None where there is none: then preset ``web`` governs.

    ``given`` is relative to ``project`` and need not exist; without it the nearest ``.semcompress.yaml`` there or above
    it counts, up to the repository's root if it is in one.
    """
    if given is not None:
        return project / given
    repository = git.find(project)
    return find_policy(project, repository.root if repository else Path(project.anchor))


def check_policy(policy: Path | None) -> None:
    """Raises PolicyError where ``policy`` has mistakes: to be told before a long build, not after it."""
    if policy is not None:
        load_policy(policy, Registry())


def shrink_site(
    site: Path,
    policy: Path | None,
    *,
    site_url: str | None,
    jobs: int | None,
    info: Say,
    warning: Say,
    exclude: Collection[Path] = (),
) -> Report:
    """Shrink the pictures of the generated tree ``site`` in place, and log what came of it.

    The patterns of ``policy`` are relative to ``site``, wherever that lies: its place is often chosen at the command
    line. ``exclude`` are folders in it that are no part of the site. A picture that fails is a ``warning`` and stays as
    it is. Raises SemcompressError for what concerns the whole run.
    """
    report = build_tree(
        site, policy=policy, root=None if policy is None else site, site_url=site_url, jobs=jobs, exclude=exclude
    )
    for result in report.failed:
        warning("%s: %s", printable(result.path), printable(result.reason or ""))
    for text in report.warnings:
        warning("%s", printable(text))
    if report.bugs:
        warning("%s", bugs.kept("\n".join(report.bugs)))
    sums = totals(report.results, report.seconds)
    if report.results and all(result.rule is None for result in report.results):
        info("none of %d pictures matches a rule of %s (patterns are relative to %s)", sums.files, POLICY_NAME, site)
    else:
        info(
            "%d compressed, %d unchanged, %d skipped, %d failed: %s -> %s (%s); %d looks in %.1f s",
            *(sums.compressed, sums.unchanged, sums.skipped, sums.failed),
            *(size(sums.before), size(sums.after), percent(sums.before, sums.after), sums.looks, sums.seconds),
        )
    return report
