"""Names of compressors, evaluators and searches: who offers them, and how to make one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, TypeVar, cast

from semcompress_plugin.errors import PluginError
from semcompress_plugin.plugins import Broken, Plugins, Provider
from semcompress_plugin.search import STRATEGIES, Problem, SearchSpec
from semcompress_plugin.types import Compressor, CompressorSpec, Evaluator, EvaluatorSpec, Search

Spec = TypeVar("Spec", CompressorSpec, EvaluatorSpec)


class Registry:
    """Every known name with its spec. Two providers of one name are an error that names both."""

    def __init__(self, plugins: Plugins | None = None) -> None:
        self.plugins = plugins or Plugins()
        self._providers: dict[tuple[str, str], Provider] = {}
        self.compressors = self._collect("compressor", "semcompress_compressors", CompressorSpec)
        self.evaluators = self._collect("evaluator", "semcompress_evaluators", EvaluatorSpec)
        self.searches: Mapping[str, SearchSpec] = STRATEGIES

    @property
    def broken(self) -> tuple[Broken, ...]:
        """Third-party plugins that could not be loaded: a warning, unless a policy asks for what they bring."""
        return tuple(self.plugins.broken)

    def provider(self, spec: CompressorSpec | EvaluatorSpec) -> Provider:
        return self._providers["compressor" if isinstance(spec, CompressorSpec) else "evaluator", spec.name]

    def compressor(self, name: str) -> CompressorSpec:
        return self._find("compressor", name, self.compressors)

    def evaluator(self, name: str) -> EvaluatorSpec:
        return self._find("evaluator", name, self.evaluators)

    def make_compressor(self, name: str, options: Mapping[str, Any] = MappingProxyType({})) -> Compressor:
        return cast(Compressor, self._make("compressor", self.compressor(name), options))

    def make_evaluator(self, name: str, options: Mapping[str, Any] = MappingProxyType({})) -> Evaluator:
        return cast(Evaluator, self._make("evaluator", self.evaluator(name), options))

    def make_search(self, name: str, problem: Problem, **options: object) -> Search:
        if name not in self.searches:
            raise PluginError(f"unknown search {name!r}; known: {', '.join(self.searches)}")
        return cast(Search, resolve(self.searches[name].factory)(problem, **options))

    def _collect(self, kind: str, hook: str, wanted: type[Spec]) -> Mapping[str, Spec]:
        found: dict[str, Spec] = {}
        for provider, spec in self.plugins.offers(hook):
            if not isinstance(spec, wanted):
                raise PluginError(f"{hook} of {provider} must yield {wanted.__name__}, got {spec!r}")
            if spec.name in found:
                other = self._providers[kind, spec.name]
                raise PluginError(
                    f"two {kind}s are called {spec.name!r}: one from {other}, one from {provider}; "
                    "uninstall one, or name the plugins to load in SEMCOMPRESS_PLUGINS"
                )
            found[spec.name] = spec
            self._providers[kind, spec.name] = provider
        return MappingProxyType(dict(sorted(found.items())))

    def _find(self, kind: str, name: str, known: Mapping[str, Spec]) -> Spec:
        if name in known:
            return known[name]
        near = difflib.get_close_matches(name, known, 1)
        text = f"unknown {kind} {name!r}; " + (f"did you mean {near[0]!r}? " if near else "") + "known: "
        text += ", ".join(known)
        if self.broken:
            text += "; or it belongs to a plugin that cannot be loaded: " + "; ".join(map(str, self.broken))
        raise PluginError(text)

    def _make(self, kind: str, spec: CompressorSpec | EvaluatorSpec, options: Mapping[str, Any]) -> object:
        try:
            return resolve(spec.factory)(**options)
        except ImportError as error:
            extra = f"; install it with: pip install 'semcompress-plugin[{spec.extra}]'" if spec.extra else ""
            provider = self._providers[kind, spec.name]
            raise PluginError(f"{kind} {spec.name!r} of {provider} cannot be used: {error}{extra}") from error


def resolve(factory: str | Callable[..., Any]) -> Callable[..., Any]:
    """``"package.module:attribute"`` as the object it names; a callable as itself."""
    if not isinstance(factory, str):
        return factory
    module, _, attribute = factory.partition(":")
    return cast(Callable[..., Any], getattr(import_module(module), attribute))
