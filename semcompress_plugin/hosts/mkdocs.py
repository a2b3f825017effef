"""The MkDocs plugin ``semcompress``: shrinks the pictures of a site that MkDocs has just built.

Only MkDocs imports this module, through the entry point ``semcompress`` of the group ``mkdocs.plugins``.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config import config_options
from mkdocs.config.base import Config, ValidationError
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, event_priority, get_plugin_logger

from semcompress_plugin.errors import SemcompressError
from semcompress_plugin.hosts._site import check_policy, project_policy, shrink_site

log = get_plugin_logger("semcompress")


class _Jobs(config_options.Type[int]):
    """A number of threads: at least one."""

    def run_validation(self, value: object) -> int:
        number = super().run_validation(value)
        if isinstance(number, bool) or number < 1:
            raise ValidationError(f"Expected a number of at least 1, got {value!r}")
        return number


class Options(Config):  # type: ignore[no-untyped-call]  # MkDocs' own __init_subclass__ has no annotations
    """What stands below ``- semcompress:`` in ``mkdocs.yml``."""

    enabled = config_options.Type(bool, default=True)
    """Whether builds shrink pictures."""
    serve = config_options.Type(bool, default=False)
    """Whether ``mkdocs serve`` does so as well."""
    policy = config_options.Optional(config_options.Type(str))
    """The policy, relative to ``mkdocs.yml``; without it the nearest ``.semcompress.yaml`` there or above it."""
    jobs = config_options.Optional(_Jobs(int))
    """Worker threads; without it one per core."""


class SemcompressPlugin(BasePlugin[Options]):  # type: ignore[no-untyped-call]  # as above
    """Shrinks ``site_dir`` in place after everything else has been written there."""

    def __init__(self) -> None:
        self._wanted = True
        self._policy: Path | None = None

    def on_startup(self, *, command: str, dirty: bool) -> None:
        """Decides whether this invocation of MkDocs shrinks at all."""
        self._wanted = self.config.enabled and (command != "serve" or self.config.serve)
        if self._wanted and dirty:
            # it leaves what an earlier build wrote, ours too: those must not be taken for originals
            log.info("a dirty build is not shrunk")
            self._wanted = False

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Reads the policy, so that a mistake in it ends the build before it begins."""
        if self._wanted:
            # a configuration that was not read from a file belongs to the working folder
            project = Path(config.config_file_path).parent if config.config_file_path else Path()
            self._policy = project_policy(project.absolute(), self.config.policy)
            try:
                check_policy(self._policy)
            except SemcompressError as error:
                raise PluginError(f"semcompress: {error}") from error
        return config

    @event_priority(-100)  # after whatever other plugins write
    def on_post_build(self, *, config: MkDocsConfig) -> None:
        """Shrinks the site. A picture that fails is a warning, so that ``--strict`` fails over it."""
        if not self._wanted:
            return
        site = Path(config.site_dir).absolute()
        try:
            shrink_site(
                site,
                self._policy,
                site_url=config.site_url or None,
                jobs=self.config.jobs,
                info=log.info,
                warning=log.warning,
            )
        except SemcompressError as error:
            raise PluginError(f"semcompress: {error}") from error
