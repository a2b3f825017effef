"""Names of compressors, evaluators and searches: who offers them, and how to make one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, TypeVar, cast

from semcompress_plugin.errors import PluginError
from semcompress_plugin.plugins import DISTRIBUTION, Broken, Plugins, Provider
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
        """The spec of an evaluator or, for a name such as ``torchvision:resnet152``, of its family."""
        family, colon, argument = name.partition(":")
        if colon and argument and family in self.evaluators and self.evaluators[family].argument:
            name = family
        return self._find("evaluator", name, self.evaluators)

    def decoder(self, path: PurePath) -> str | None:
        """The compressor that decodes files of ``path``'s extension where it writes them without pixels; else None."""
        format = path.suffix.removeprefix(".").upper()
        return next((spec.name for spec in self.compressors.values() if spec.writes and format in spec.formats), None)

    def make_compressor(self, name: str, options: Mapping[str, Any] = MappingProxyType({})) -> Compressor:
        return cast(Compressor, self._make("compressor", self.compressor(name), options))

    def make_evaluator(self, name: str, options: Mapping[str, Any] = MappingProxyType({})) -> Evaluator:
        spec = self.evaluator(name)
        return cast(Evaluator, self._make("evaluator", spec, {**options, **_argument(spec, name)}))

    def fetcher(self, name: str) -> Callable[..., object] | None:
        """What downloads an evaluator's weights, ``fetch(weights=…)`` of its factory, or None where it has none."""
        spec = self.evaluator(name)
        fetch = getattr(self._factory("evaluator", spec), "fetch", None)
        return None if fetch is None else partial(fetch, **_argument(spec, name))

    def make_search(self, name: str, problem: Problem, **options: object) -> Search:
        if name not in self.searches:
            raise PluginError(f"unknown search {name!r}; known: {', '.join(self.searches)}")
        return cast(Search, resolve(self.searches[name].factory)(problem, **options))

    def _collect(self, kind: str, hook: str, wanted: type[Spec]) -> Mapping[str, Spec]:
        found: dict[str, Spec] = {}
        for provider, spec in self.plugins.offers(hook):
            if not isinstance(spec, wanted):
                raise PluginError(f"{hook} of {provider} must yield {wanted.__name__}, got {spec!r:.80}")
            if provider.distribution != DISTRIBUTION and not self._sound(kind, spec, provider):
                continue
            if spec.name in found:
                other = self._providers[kind, spec.name]
                raise PluginError(
                    f"two {kind}s are called {spec.name!r}: one from {other}, one from {provider}; "
                    "uninstall one, or name the plugins to load in SEMCOMPRESS_PLUGINS"
                )
            found[spec.name] = spec
            self._providers[kind, spec.name] = provider
        return MappingProxyType(dict(sorted(found.items())))

    def _sound(self, kind: str, spec: Spec, provider: Provider) -> bool:
        """Whether a stranger's spec can be worked with; if not, it is left out, and told of."""
        from semcompress_plugin.strangers import mistakes

        found = list(mistakes(spec))
        self.plugins.broken += [Broken(str(spec.name), provider, f"its {kind}'s {mistake}") for mistake in found]
        return not found

    def _find(self, kind: str, name: str, known: Mapping[str, Spec]) -> Spec:
        if name in known:
            return known[name]
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        text = f"unknown {kind} {name!r}; " + (f"did you mean {near[0]!r}? " if near else "") + "known: "
        text += ", ".join(known)
        if self.broken:
            text += "; or it belongs to a plugin that cannot be used: " + "; ".join(map(str, self.broken))
        raise PluginError(text)

    def _make(self, kind: str, spec: CompressorSpec | EvaluatorSpec, options: Mapping[str, Any]) -> object:
        try:
            return self._factory(kind, spec)(**options)
        except ImportError as error:  # also what a factory imports only when it is called
            raise self._unusable(kind, spec, error) from error

    def _factory(self, kind: str, spec: CompressorSpec | EvaluatorSpec) -> Callable[..., Any]:
        try:
            return resolve(spec.factory)
        except ImportError as error:
            raise self._unusable(kind, spec, error) from error

    def _unusable(self, kind: str, spec: CompressorSpec | EvaluatorSpec, error: ImportError) -> PluginError:
        provider = self._providers[kind, spec.name]
        extra = f"; install it with: pip install '{provider.distribution}[{spec.extra}]'" if spec.extra else ""
        return PluginError(f"{kind} {spec.name!r} of {provider} cannot be used: {error}{extra}")


def _argument(spec: EvaluatorSpec, name: str) -> dict[str, str]:
    """The option that a name such as ``torchvision:resnet152`` gives."""
    _, colon, value = name.partition(":")
    return {spec.argument: value} if colon and spec.argument else {}


def resolve(factory: str | Callable[..., Any]) -> Callable[..., Any]:
    """``"package.module:attribute"`` as the object it names; a callable as itself."""
    if not isinstance(factory, str):
        return factory
    module, _, attribute = factory.partition(":")
    return cast(Callable[..., Any], getattr(import_module(module), attribute))
