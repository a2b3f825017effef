"""Policies: which files, which compressors, what a reader must still see. YAML in, rules out.

A policy is data: nothing in it is run, and reading it loads neither models nor numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from semcompress_plugin.errors import PolicyError
from semcompress_plugin.policy.find import POLICY_NAME, PolicyFinder, find_policy
from semcompress_plugin.policy.match import matcher
from semcompress_plugin.policy.resolve import originals, parse
from semcompress_plugin.policy.schema import Known, schema
from semcompress_plugin.types import Limits, Rule

__all__ = [
    "POLICY_NAME",
    "Known",
    "Policy",
    "PolicyFinder",
    "default_policy",
    "find_policy",
    "load_originals",
    "load_policy",
    "parse_policy",
    "schema",
]


@dataclass(frozen=True)
class Policy:
    """A policy without mistakes.

    ``path`` is its file (None for :func:`default_policy`) and ``root`` the folder to which its patterns are relative.
    ``originals`` is ``git``, ``none``, a folder relative to ``root``, or None when the policy does not say.
    """

    path: Path | None
    root: Path
    rules: tuple[Rule, ...]
    originals: str | None = None
    limits: Limits = field(default_factory=Limits)
    _matchers: tuple[Callable[[str], bool], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_matchers", tuple(matcher(rule.files) for rule in self.rules))

    def rule_for(self, path: str | PurePath) -> Rule | None:
        """The first rule that matches ``path``, relative to ``root``; None leaves the file alone.

        Text must have ``/`` between folders. The rule may say ``skip``.
        """
        name = path if isinstance(path, str) else path.as_posix()
        for rule, matches in zip(self.rules, self._matchers, strict=True):
            if matches(name):
                return rule
        return None


def load_policy(path: Path, registry: Known) -> Policy:
    """The policy in the file ``path``. Raises PolicyError with every mistake, each ``path:line:column: text``."""
    return _policy(_read(path), str(path), registry, path, path.parent)


def load_originals(path: Path) -> Policy:
    """The policy in the file ``path`` as far as it says where originals are kept: without rules.

    What was kept must be had when the policy has mistakes, or a reader that it names is not installed any more. Raises
    PolicyError where that much cannot be read.
    """
    return Policy(path, path.parent, (), originals(_read(path), str(path)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PolicyError([f"{path}: cannot be read: {error.strerror or error}"]) from error


def parse_policy(text: str, registry: Known, root: Path, source: str = "<policy>") -> Policy:
    """The policy in ``text`` for the folder ``root``; ``source`` is what errors call it. Raises PolicyError."""
    return _policy(text.encode(errors="surrogateescape"), source, registry, None, root)


def default_policy(registry: Known, root: Path, preset: str = "web") -> Policy:
    """The policy of a folder that has none: one rule, ``all``, with a preset. Raises PolicyError for unknown ones."""
    return parse_policy(f"version: 1\npreset: {preset}\n", registry, root)


def _policy(data: bytes, source: str, registry: Known, path: Path | None, root: Path) -> Policy:
    parsed = parse(data, source, registry)
    return Policy(path, root, parsed.rules, parsed.originals, parsed.limits)
