"""Names of compressors, evaluators and searches: who offers them, and how to make one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, TypeVar, cast

from semcompress_plugin.errors import NOT_THEIRS, PluginError, UnusablePluginError
from semcompress_plugin.plugins import DISTRIBUTION, Broken, Offer, Plugins, Provider
from semcompress_plugin.search import STRATEGIES, Problem, SearchSpec
from semcompress_plugin.streams import aside
from semcompress_plugin.types import Compressor, CompressorSpec, Evaluator, EvaluatorSpec, Search
from semcompress_plugin.words import shortened

Spec = TypeVar("Spec", CompressorSpec, EvaluatorSpec)


class Registry:
    """Every known name with its spec.

    A name of ours stays ours, and one that two strangers give is nobody's: asking for it is an error that names both.
    """

    def __init__(self, plugins: Plugins | None = None) -> None:
        self.plugins = plugins or Plugins()
        self._providers: dict[tuple[str, str], Provider] = {}
        self._contested: dict[tuple[str, str], list[Provider]] = {}
        self.compressors = self._collect("compressor", "semcompress_compressors", CompressorSpec)
        self.evaluators = self._collect("evaluator", "semcompress_evaluators", EvaluatorSpec)
        self.searches: Mapping[str, SearchSpec] = STRATEGIES

    @property
    def broken(self) -> tuple[Broken, ...]:
        """What of third-party plugins cannot be used: a warning, unless a policy asks for what they bring."""
        return tuple(self.plugins.broken)

    def provider(self, spec: CompressorSpec | EvaluatorSpec) -> Provider:
        return self._providers["compressor" if isinstance(spec, CompressorSpec) else "evaluator", spec.name]

    def compressor(self, name: str) -> CompressorSpec:
        return self._find("compressor", name, self.compressors)

    def evaluator(self, name: str) -> EvaluatorSpec:
        """The spec of an evaluator or, for a name such as ``torchvision:resnet152``, of its family."""
        family, colon, argument = name.partition(":")
        known = family in self.evaluators and self.evaluators[family].argument
        if colon and argument and (known or ("evaluator", family) in self._contested):
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
        # ours first, whatever order strangers ask for: a name of ours is taken then
        for offer in sorted(self.plugins.offers(hook), key=lambda offer: not _is_ours(offer.provider)):
            if not _is_ours(offer.provider) and not self._sound(kind, hook, wanted, offer):
                continue
            spec, key = offer.spec, (kind, offer.spec.name)
            if key in self._providers:
                self._contest(kind, offer, self._providers[key])
                continue
            found[spec.name] = spec
            self._providers[key] = offer.provider
        named = ((name, spec) for name, spec in found.items() if (kind, name) not in self._contested)
        return MappingProxyType(dict(sorted(named)))

    def _sound(self, kind: str, hook: str, wanted: type[Spec], offer: Offer) -> bool:
        """Whether what a stranger offers can be worked with; if not, it is left out, and told of."""
        if not isinstance(offer.spec, wanted):
            said = f"{hook} must yield {wanted.__name__}, got {shortened(repr(offer.spec))}"
            self.plugins.broken.append(Broken(offer.plugin, offer.provider, said))
            return False
        from semcompress_plugin.strangers import mistakes

        found = [f"its {kind}'s {mistake}" for mistake in mistakes(offer.spec)]
        self.plugins.broken += [Broken(str(offer.spec.name), offer.provider, mistake) for mistake in found]
        return not found

    def _contest(self, kind: str, offer: Offer, other: Provider) -> None:
        """Two things have one name: one of ours keeps it; of two strangers' neither can be asked for."""
        name = offer.spec.name
        said = f"{other} has {_a(kind)} called {name!r} as well"
        if other == offer.provider:
            self._contested.setdefault((kind, name), [other]).append(other)
            said = _twice(other, name)
        elif _is_ours(other):
            said += ", which keeps the name: give this one another"
        else:
            self._contested.setdefault((kind, name), [other]).append(offer.provider)
            said += f", and neither can be asked for: {_EITHER}"
        self.plugins.broken.append(Broken(offer.plugin, offer.provider, said))

    def _find(self, kind: str, name: str, known: Mapping[str, Spec]) -> Spec:
        if name in known:
            return known[name]
        if providers := self._contested.get((kind, name)):
            if len(dict.fromkeys(providers)) == 1:
                raise PluginError(_twice(providers[0], name))
            said = ", ".join(f"one from {provider}" for provider in providers)
            raise PluginError(f"{len(providers)} {kind}s are called {name!r}: {said}; {_EITHER}")
        if own := [str(broken) for broken in self.broken if broken.entry_point == name]:
            raise PluginError(f"unknown {kind} {name!r}: {'; '.join(own)}")
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        text = f"unknown {kind} {name!r}; " + (f"did you mean {near[0]!r}? " if near else "") + "known: "
        text += ", ".join(known)
        if self.broken:
            of = ", ".join(dict.fromkeys(str(broken.provider) for broken in self.broken))
            text += f"; or it belongs to a plugin of {of} that cannot be used (`semcompress plugins` says why)"
        raise PluginError(text)

    def _make(self, kind: str, spec: CompressorSpec | EvaluatorSpec, options: Mapping[str, Any]) -> object:
        try:
            made = self._factory(kind, spec)(**options)
        except ImportError as error:  # also what a factory imports only when it is called
            raise self._unusable(kind, spec, error) from error
        if not _is_ours(provider := self.provider(spec)) and (lacking := _lacking(made, spec)):
            why = f"its factory made {shortened(repr(made))}, which has no method {' or '.join(lacking)}"
            raise UnusablePluginError(f"{kind} {spec.name!r} of {provider} cannot be used: {why}")
        return made

    def _factory(self, kind: str, spec: CompressorSpec | EvaluatorSpec) -> Callable[..., Any]:
        try:
            with aside():
                return resolve(spec.factory)
        except NOT_THEIRS:
            raise
        except BaseException as error:
            if _is_ours(self.provider(spec)) and not isinstance(error, ImportError):
                raise
            raise self._unusable(kind, spec, error) from error

    def _unusable(self, kind: str, spec: CompressorSpec | EvaluatorSpec, error: BaseException) -> UnusablePluginError:
        from semcompress_plugin.strangers import reason

        provider = self.provider(spec)
        wanted = spec.extra and isinstance(error, ImportError)
        extra = f"; install it with: pip install '{provider.distribution}[{spec.extra}]'" if wanted else ""
        return UnusablePluginError(f"{kind} {spec.name!r} of {provider} cannot be used: {reason(error)}{extra}")


def _lacking(made: object, spec: CompressorSpec | EvaluatorSpec) -> list[str]:
    """The methods that it must have and has not, for whatever picture."""
    methods = ("compress",) if isinstance(spec, CompressorSpec) else ("observe", "compare")
    return [method for method in methods if not callable(getattr(made, method, None))]


_EITHER = "uninstall one, or name the plugins to load in SEMCOMPRESS_PLUGINS"


def _twice(provider: Provider, name: str) -> str:
    return f"{provider} offers {name!r} twice, and neither can be asked for: its author has to rename one"


def _is_ours(provider: Provider) -> bool:
    return provider.distribution == DISTRIBUTION


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


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
