"""Where the engine's tasks are carried out: compressors and evaluators are made here, once each, when first needed."""

from __future__ import annotations

import contextlib
import json
import math
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from PIL import Image

from semcompress_plugin.engine import Candidate, Compare, Encode, EncodingFailed, Observe, Task
from semcompress_plugin.errors import ImageError, PluginError, SemcompressError
from semcompress_plugin.images import as_stored, decode_candidate, renditions, upright
from semcompress_plugin.plugins import DISTRIBUTION, Provider
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import (
    Compressor,
    CompressorSpec,
    CompressorUse,
    Decoder,
    Evaluator,
    EvaluatorSpec,
    EvaluatorUse,
    Features,
    Observation,
    Previewer,
    Reference,
)


class Workshop:
    """Carries out tasks, from several threads at once. Evaluators that do not allow that are asked one at a time."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._made: dict[tuple[str, str], Any] = {}
        self._making = threading.Lock()
        self._turns: dict[tuple[str, str], threading.Lock] = {}
        self._stored: WeakKeyDictionary[Reference, dict[bool, Reference]] = WeakKeyDictionary()
        """Pictures whose orientation is kept, as files of their own format and of others store them."""

    def perform(self, task: Task) -> object:
        """The result of one task, as its class says."""
        if isinstance(task, Encode):
            return self.encode(task)
        if isinstance(task, Observe):
            return self.observe([task])[0]
        return self.compare(task)

    def encode(self, task: Encode) -> Candidate | EncodingFailed:
        proposal = task.proposal
        spec = self.registry.compressor(task.use.name)
        compressor = self._compressor(task.use)
        try:
            if proposal.preview:
                stored = self._as_stored(task.reference, proposal.format)
                pixels = cast(Previewer, compressor).preview(stored, proposal.settings)
                if task.reference.orientation != 1 and proposal.format == task.reference.format:
                    pixels = upright(pixels, task.reference.orientation)
                return Candidate(proposal, b"", pixels)
            if spec.writes is not None:
                data = compressor.compress(task.reference, proposal.settings, proposal.format)
                return Candidate(proposal, data, cast(Decoder, compressor).decode(data))
            stored = self._as_stored(task.reference, proposal.format)
            data = compressor.compress(stored, proposal.settings, proposal.format)
            return Candidate(proposal, data, decode_candidate(data))
        except (OSError, ValueError) as error:  # what Pillow raises for sizes and modes that a format cannot hold
            doing = "cannot go on" if proposal.preview else "cannot write it"
            return EncodingFailed(proposal, f"{task.use.name} {doing}: {error}")
        except ImageError as error:
            return EncodingFailed(proposal, f"{task.use.name} wrote a file that cannot be read: {error}")
        except (SemcompressError, MemoryError):
            raise
        except Exception as error:
            raise _strangers_fault("compressor", spec.name, self.registry.provider(spec), error) from error

    def observe(self, tasks: Sequence[Observe]) -> list[list[Observation]]:
        """One batch for one evaluator; the tasks must share their ``use``'s plugin and options."""
        prepared = [_prepared(task) for task in tasks]
        flat = [image for images in prepared for image in images]
        seen = iter(self._ask(tasks[0].use, "observe", flat))
        return [[next(seen) for _ in images] for images in prepared]

    def compare(self, task: Compare) -> list[Mapping[str, float]]:
        return [
            self._ask(task.use, "compare", reference, [candidate])[0]
            for reference, candidate in zip(task.reference, task.candidate, strict=True)
        ]

    def batch(self, use: EvaluatorUse) -> int:
        """How many pictures the evaluator wants at once."""
        return self.registry.evaluator(use.plugin).batch

    def concurrent(self, use: EvaluatorUse) -> bool:
        """Whether the evaluator may be asked by several threads at once."""
        return self.registry.evaluator(use.plugin).concurrent

    def _ask(self, use: EvaluatorUse, method: str, *arguments: Any) -> Sequence[Any]:
        spec = self.registry.evaluator(use.plugin)
        evaluator = self._evaluator(use)
        with self._blamed("evaluator", spec):
            if spec.concurrent:
                answers: Sequence[Any] = getattr(evaluator, method)(*arguments)
            else:
                with self._turns.setdefault(identity(use), threading.Lock()):
                    answers = getattr(evaluator, method)(*arguments)
            if not hasattr(answers, "__len__") or isinstance(answers, (str, Mapping)):
                raise TypeError(f"{method} must give a list with an answer for each picture, got {answers!r:.80}")
            if len(answers) != len(arguments[-1]):
                raise ValueError(f"{method} gave {len(answers)} answers for {len(arguments[-1])} pictures")
            if method == "compare":
                _check_values(answers, spec)
        return answers

    def _as_stored(self, reference: Reference, format: str) -> Reference:
        """The same one each time, for compressors remember what they made of one."""
        if reference.orientation == 1:
            return reference
        own = format == reference.format
        with self._making:
            known = self._stored.setdefault(reference, {})
            if own not in known:
                known[own] = as_stored(reference, format)
            return known[own]

    def _compressor(self, use: CompressorUse) -> Compressor:
        key = (f"compressor {use.name}", _canonical(use.options))
        with self._making:
            if key not in self._made:
                with self._blamed("compressor", self.registry.compressor(use.name)):
                    self._made[key] = self.registry.make_compressor(use.name, use.options)
            return self._made[key]  # type: ignore[no-any-return]  # one dict holds both kinds

    def _evaluator(self, use: EvaluatorUse) -> Evaluator:
        key = identity(use)
        with self._making:
            if key not in self._made:
                with self._blamed("evaluator", self.registry.evaluator(use.plugin)):
                    self._made[key] = self.registry.make_evaluator(use.plugin, use.options)
            return self._made[key]  # type: ignore[no-any-return]  # one dict holds both kinds

    @contextlib.contextmanager
    def _blamed(self, kind: str, spec: CompressorSpec | EvaluatorSpec) -> Iterator[None]:
        """What a third party's code raises is an error that names it."""
        try:
            yield
        except (SemcompressError, MemoryError):
            raise
        except Exception as error:
            raise _strangers_fault(kind, spec.name, self.registry.provider(spec), error) from error


def identity(use: EvaluatorUse) -> tuple[str, str]:
    """Uses with equal identity are served by one evaluator, whatever policies call it."""
    return (f"evaluator {use.plugin}", _canonical(use.options))


def _canonical(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)


def _prepared(task: Observe) -> tuple[Image.Image | Features, ...]:
    image = task.image
    if isinstance(image, Features):
        return (image,)
    if task.size is not None and image.size != task.size:
        image = image.resize(task.size, Image.Resampling.LANCZOS)
    return renditions(image)


def _check_values(answers: Sequence[Mapping[str, float]], spec: EvaluatorSpec) -> None:
    """Every metric of the spec must have a number; what cannot be judged must not pass for a verdict."""
    for metric in spec.metrics:
        for answer in answers:
            if not isinstance(answer, Mapping):
                raise TypeError(f"compare must give a mapping of metrics for each candidate, got {answer!r:.80}")
            if metric.name not in answer:
                raise ValueError(f"compare gave no {metric.name!r}, only {', '.join(answer) or 'nothing'}")
            try:
                value = float(answer[metric.name])
            except (TypeError, ValueError):
                said = f"compare gave {answer[metric.name]!r:.80} for {metric.name!r}: expected a number"
                raise TypeError(said) from None
            if math.isnan(value):
                raise ValueError(f"compare gave NaN for {metric.name!r}")


def _strangers_fault(kind: str, name: str, provider: Provider, error: Exception) -> Exception:
    """A third party's exception as an error that names it; our own stays what it is: a bug."""
    if provider.distribution == DISTRIBUTION:
        return error
    *_, last = traceback.extract_tb(error.__traceback__)
    place = Path(last.filename)
    where = "" if place.parent == Path(__file__).parent else f" ({place.name}, line {last.lineno})"
    return PluginError(f"{kind} {name!r} of {provider} failed: {type(error).__name__}: {error}{where}")
