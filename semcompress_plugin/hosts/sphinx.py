"""The Sphinx extension: shrinks the pictures of HTML that Sphinx has just built.

Only Sphinx imports this module, for ``extensions = ["semcompress_plugin.hosts.sphinx"]`` in ``conf.py``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from sphinx.errors import ConfigError, ExtensionError
from sphinx.util import logging

from semcompress_plugin import files
from semcompress_plugin.cache import Cache, made_key
from semcompress_plugin.errors import ImageError, SemcompressError
from semcompress_plugin.hosts._site import check_policy, project_policy, shrink_site

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.util.typing import ExtensionMetadata

    from semcompress_plugin.derive import Report

BUILDERS = frozenset({"html", "dirhtml", "singlehtml"})
"""Those whose output folder is what gets published; an ePub, say, has been packed before we are called."""

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Sphinx's door."""
    app.add_config_value("semcompress_enabled", True, "", types=frozenset({bool}))
    app.add_config_value("semcompress_policy", None, "", types=frozenset({str, NoneType}))
    app.add_config_value("semcompress_jobs", None, "", types=frozenset({int, NoneType}))
    # not for users: a page and its pictures are written anew when the policy has become another
    app.add_config_value("semcompress_asked", "", "html", types=frozenset({str}))
    app.connect("config-inited", _remember_what_is_asked)
    app.connect("builder-inited", _check)
    app.connect("build-finished", _shrink, priority=1000)  # after whatever other extensions write
    return {"version": version("semcompress-plugin"), "parallel_read_safe": True, "parallel_write_safe": True}


def _policy(app: Sphinx) -> Path | None:
    given = app.config.semcompress_policy
    if not isinstance(given, str | Path | NoneType):
        raise ConfigError(f"semcompress_policy: expected a path, got {given!r}")
    return project_policy(Path(app.confdir), given)


def _remember_what_is_asked(app: Sphinx, config: Config) -> None:
    policy = _policy(app) if config.semcompress_enabled else None
    # one that cannot be read is an error in _check, for the builders that need it
    text = policy.read_bytes() if policy is not None and policy.is_file() else b""
    config.semcompress_asked = f"{config.semcompress_enabled} {hashlib.sha256(text).hexdigest()}"


def _check(app: Sphinx) -> None:
    jobs = app.config.semcompress_jobs
    # Sphinx only warns of a wrong type
    if jobs is not None and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1):
        raise ConfigError(f"semcompress_jobs: expected a number of at least 1, got {jobs!r}")
    if _is_wanted(app):
        try:
            check_policy(_policy(app))
        except SemcompressError as error:
            raise ConfigError(f"semcompress: {error}") from error


def _is_wanted(app: Sphinx) -> bool:
    return bool(app.config.semcompress_enabled) and app.builder.name in BUILDERS


def _shrink(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or not _is_wanted(app):
        return
    made = _Made(Path(app.doctreedir) / "semcompress.json")
    made.tell(Cache())
    try:
        report = shrink_site(
            Path(app.outdir),
            _policy(app),
            site_url=app.config.html_baseurl or None,
            jobs=app.config.semcompress_jobs,
            info=_info,
            warning=partial(_warning, type="semcompress"),
            exclude=[Path(app.doctreedir)],  # lies in the output folder, unless Sphinx is told otherwise
        )
        made.remember(Path(app.outdir), report)
    except SemcompressError as error:
        raise ExtensionError(f"semcompress: {error}") from error


def _info(message: str, *values: object) -> None:
    logger.info(f"semcompress: {message}", *values)


def _warning(message: str, *values: object, type: str) -> None:
    logger.warning(f"semcompress: {message}", *values, type=type)


class _Made:
    """Which contents in the output folder are ours.

    Sphinx copies only the pictures of pages that it writes; the others lie there as we left them, for as long as the
    folder lives. The cache that says so may be deleted at any time, and our own outputs must not pass for originals
    then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hashes: frozenset[str] = frozenset()
        with contextlib.suppress(OSError, ValueError, TypeError):
            self.hashes = frozenset(map(str, json.loads(path.read_text(encoding="utf-8"))))

    def tell(self, cache: Cache) -> None:
        for digest in self.hashes:
            cache.put(made_key(digest), {})

    def remember(self, folder: Path, report: Report) -> None:
        """Add what ``report`` says was written below ``folder``, and forget what no longer lies there."""
        written = {output.path for result in report.results for output in result.outputs}
        here: dict[str, str] = {}
        for path in {*written, *(result.path for result in report.results)}:
            with contextlib.suppress(ImageError):  # gone by now, or replaced under another name
                here[path] = files.read(folder / path).sha256
        ours = {digest for path, digest in here.items() if path in written or digest in self.hashes}
        if ours != self.hashes:
            files.create(self.path, json.dumps(sorted(ours)).encode(), overwrite=True)
