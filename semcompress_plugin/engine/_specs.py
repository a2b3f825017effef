"""What the engine must know of plugins without making them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from semcompress_plugin.search import Problem, SearchSpec
from semcompress_plugin.types import CompressorSpec, EvaluatorSpec, Search


class Specs(Protocol):
    """Plugins by name, as data; the registry is one."""

    def compressor(self, name: str) -> CompressorSpec: ...

    def evaluator(self, name: str) -> EvaluatorSpec: ...

    @property
    def searches(self) -> Mapping[str, SearchSpec]: ...

    def make_search(self, name: str, problem: Problem, **options: object) -> Search: ...
