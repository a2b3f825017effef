"""The plugin manager: built-ins and installed distributions come in through the same door.

Entry points of the group ``semcompress`` name modules or objects with hook implementations. The environment variable
``SEMCOMPRESS_PLUGINS`` restricts them: empty loads the built-ins only, a comma-separated list loads the entry points
of those names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

from semcompress_plugin import hookspecs
from semcompress_plugin.errors import NOT_THEIRS, PluginError
from semcompress_plugin.streams import aside
from semcompress_plugin.words import shortened

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from semcompress_plugin.types import Result

BUILT_INS = ("semcompress_plugin.compressors", "semcompress_plugin.evaluators")
DISTRIBUTION = "semcompress-plugin"


@dataclass(frozen=True)
class Provider:
    """Who brought a plugin: a distribution and its version, as errors name it. Ours is looked up when it is asked."""

    distribution: str
    known_version: str | None = None

    @property
    def version(self) -> str:
        if self.known_version is not None:
            return self.known_version
        from importlib.metadata import version  # takes a while to import, as below

        return version(self.distribution)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class Broken:
    """A third-party plugin, or one thing that it offers, that cannot be used, and why."""

    entry_point: str
    provider: Provider
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.entry_point!r} of {self.provider} cannot be used: {self.reason}"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a plugin, called ``plugin``, offers: a spec if it knows what it does."""

    plugin: str
    provider: Provider
    spec: Any


class Plugins:
    """The loaded plugins, in the order: built-ins, then entry points by distribution and name."""

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.broken: list[Broken] = []
        self._known: dict[int, tuple[str, Provider]] = {}
        """By a plugin's identity what it is called, which others may be too, and who brought it."""
        ours = Provider(DISTRIBUTION)
        for name in BUILT_INS:
            self._register(__import__(name, fromlist=["_"]), name, ours)
        for entry_point in sorted(_wanted(found), key=lambda e: (_provider(e).distribution, e.name)):
            self._load(entry_point)

    def register(self, plugin: object, name: str, provider: Provider | None = None) -> None:
        """Add a plugin object by hand, as tests and notebooks do. Raises PluginError for one that does not fit."""
        self._register(plugin, name, provider or Provider(name, ""))

    def offers(self, hook: str) -> Iterator[Offer]:
        """Every spec that implementations of ``hook`` offer, with who offers it.

        Implementations are called one by one, since pluggy's merged result forgets whose is whose. One that raises
        is recorded as broken.
        """
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            name, provider = self._known[id(implementation.plugin)]
            try:
                with aside():
                    offered = implementation.function()
                    if not isinstance(offered, Iterable):
                        raise TypeError(f"{hook} must yield specs, got {shortened(repr(offered))}")
                    offered = list(offered)
            except NOT_THEIRS:
                raise
            except BaseException as error:  # a stranger's code must not take the others down
                if provider.distribution == DISTRIBUTION:
                    raise
                self._refuse(name, provider, error)
                continue
            for spec in offered:
                yield Offer(name, provider, spec)

    def tell(self, result: Result) -> Iterator[str]:
        """Tell every plugin that wants to hear of a finished picture; yields in words what went wrong."""
        for implementation in self.manager.hook.semcompress_result.get_hookimpls():
            known = {"result": result}
            try:
                with aside():
                    implementation.function(**{name: known[name] for name in implementation.argnames})
            except NOT_THEIRS:
                raise
            except BaseException as error:
                from semcompress_plugin.strangers import reason

                name, provider = self._known[id(implementation.plugin)]
                yield f"plugin {name!r} of {provider} failed to take a result: {reason(error)}"

    def tell_all(self, results: Iterable[Result]) -> list[str]:
        """Tell of all ``results``; what went wrong, each thing once."""
        return list(dict.fromkeys(text for result in results for text in self.tell(result)))

    def _refuse(self, name: str, provider: Provider, error: BaseException) -> None:
        from semcompress_plugin.strangers import reason

        self.broken.append(Broken(name, provider, reason(error)))

    def _load(self, entry_point: EntryPoint) -> None:
        provider = _provider(entry_point)
        try:
            with aside():
                plugin = entry_point.load()
        except NOT_THEIRS:
            raise
        except BaseException as error:  # import time of a stranger's module: anything can happen there
            self._refuse(entry_point.name, provider, error)
            return
        if reason := self._misfit(plugin, entry_point.name, provider):
            self.broken.append(Broken(entry_point.name, provider, reason))
        elif not self.manager.get_hookcallers(plugin):
            reason = f"{entry_point.value} implements no hook (is a @hookimpl missing?)"
            self.broken.append(Broken(entry_point.name, provider, reason))

    def _register(self, plugin: object, name: str, provider: Provider) -> None:
        if reason := self._misfit(plugin, name, provider):
            raise PluginError(str(Broken(name, provider, reason)))

    def _misfit(self, plugin: object, name: str, provider: Provider) -> str | None:
        """Add a plugin. Where it does not fit it is left out as a whole: why, in words."""
        try:
            self.manager.register(plugin, f"{name} of {provider.distribution}")
            self.manager.check_pending()
        except ValueError:
            return "another of its entry points has this name, or one names the same module: give each its own"
        except pluggy.PluginValidationError as error:
            if self.manager.is_registered(plugin):  # older managers begin before they have seen all of it
                self.manager.unregister(plugin)
            return self._misspelt() or f"it does not fit its hook: {' '.join(str(error).split())}"
        self._known[id(plugin)] = name, provider
        return None

    def _misspelt(self) -> str | None:
        """What is wrong with a name that no hook has, which the manager then forgets; None where there is none."""
        import difflib

        known = [hook for hook in dir(hookspecs) if hook.startswith("semcompress_")]
        unknown = [name for name, hook in vars(self.manager.hook).items() if name[0] != "_" and not hook.has_spec()]
        for hook in unknown:
            delattr(self.manager.hook, hook)  # else it would be found again beside the next plugin's
        if not unknown:
            return None
        near = difflib.get_close_matches(unknown[0], known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known hooks: {', '.join(known)}"
        return f"it implements the unknown hook {unknown[0]!r}; {hint}"


def _wanted(found: Iterable[EntryPoint] | None) -> list[EntryPoint]:
    names = os.environ.get("SEMCOMPRESS_PLUGINS")
    if names is not None and not names.strip():
        return []
    every = list(_installed() if found is None else found)
    if names is None:
        return every
    chosen = {name.strip() for name in names.split(",") if name.strip()}
    if missing := chosen - {entry_point.name for entry_point in every}:
        known = ", ".join(sorted(entry_point.name for entry_point in every)) or "none"
        raise PluginError(f"SEMCOMPRESS_PLUGINS names {', '.join(sorted(missing))}; installed plugins: {known}")
    return [entry_point for entry_point in every if entry_point.name in chosen]


def _installed() -> Iterable[EntryPoint]:
    """Entry points of our group.

    importlib.metadata takes as long to import as the rest of a run with nothing to do takes, so it is asked only if
    some distribution may have any.
    """
    if not any(map(_may_name_us, sys.path or [""])) and not any(map(_finds_more, sys.meta_path)):
        return ()
    from importlib.metadata import entry_points

    return entry_points(group=hookspecs.PROJECT)


def _may_name_us(folder: str) -> bool:
    """Whether a distribution in a folder of ``sys.path`` names our group. True for what is no folder, as an archive."""
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208  # as importlib.metadata reads it
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return any(_names_us(os.path.join(folder, name)) for name in names if name.lower().endswith(_METADATA))  # noqa: PTH118


def _names_us(distribution: str) -> bool:
    for inner in ("entry_points.txt", "EGG-INFO/entry_points.txt"):
        try:
            with open(os.path.join(distribution, inner), "rb") as file:  # noqa: PTH118, PTH123
                if b"[%b]" % hookspecs.PROJECT.encode() in file.read():
                    return True
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return True
    return False


def _finds_more(finder: object) -> bool:
    """Whether a finder that is not Python's own knows distributions."""
    return hasattr(finder, "find_distributions") and getattr(finder, "__module__", "") != "_frozen_importlib_external"


_METADATA = (".dist-info", ".egg-info", ".egg")


def _provider(entry_point: EntryPoint) -> Provider:
    if entry_point.dist is None:
        return Provider(entry_point.value, "")
    return Provider(entry_point.dist.name, entry_point.dist.version)
