"""Where the engine's tasks are carried out: compressors and evaluators are made here, once each, when first needed."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast
from weakref import WeakKeyDictionary

from PIL import Image

from semcompress_plugin import strangers
from semcompress_plugin.engine import Candidate, Compare, Encode, EncodingFailed, Losses, Observe, Task
from semcompress_plugin.errors import NOT_THEIRS, ImageError, SemcompressError
from semcompress_plugin.images import as_stored, decode_candidate, renditions, upright
from semcompress_plugin.pixels import fingerprint
from semcompress_plugin.plugins import DISTRIBUTION
from semcompress_plugin.registry import Registry
from semcompress_plugin.streams import aside
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
    Proposal,
    Reference,
)
from semcompress_plugin.words import counted, shortened


class Workshop:
    """Carries out tasks, from several threads at once. Evaluators that do not allow that are asked one at a time."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._made: dict[tuple[str, str], Any] = {}
        self._failed: dict[tuple[str, str], SemcompressError] = {}
        """What came of it where they could not be made."""
        self._making = threading.Lock()
        self._turns: dict[tuple[str, str], threading.Lock] = {}
        self._stored: WeakKeyDictionary[Reference, dict[bool, Reference]] = WeakKeyDictionary()
        """Pictures whose orientation is kept, as files of their own format and of others store them."""
        self._lendings: WeakKeyDictionary[Reference, dict[str, Reference]] = WeakKeyDictionary()

    def forgive(self) -> None:
        """Try once more to make what could not be made: it may have been installed since."""
        with self._making:
            self._failed.clear()

    def perform(self, task: Task) -> object:
        """The result of one task, as its class says."""
        if isinstance(task, Encode):
            return self.encode(task)
        if isinstance(task, Observe):
            return self.observe([task])[0]
        return self.compare(task)

    def encode(self, task: Encode) -> Candidate | EncodingFailed:
        proposal, spec = task.proposal, self.registry.compressor(task.use.name)
        with self._blamed("compressor", spec):
            return self._encoded(task, proposal, spec, self._compressor(task.use))

    def _encoded(
        self, task: Encode, proposal: Proposal, spec: CompressorSpec, compressor: Compressor
    ) -> Candidate | EncodingFailed:
        turned = task.reference.orientation if proposal.format == task.reference.format else 1
        stored = task.reference if spec.writes is not None else self._as_stored(task.reference, proposal.format)
        if not self._is_ours(spec):
            stored = self._lent(stored, spec.name)
        try:
            if proposal.preview:
                pixels = cast(Previewer, compressor).preview(stored, proposal.settings)
                return Candidate(proposal, b"", pixels if turned == 1 else upright(pixels, turned))
            data = compressor.compress(stored, proposal.settings, proposal.format)
            if spec.writes is not None:
                return Candidate(proposal, data, cast(Decoder, compressor).decode(data))
            if self._is_ours(spec):
                return Candidate(proposal, data, decode_candidate(data))
            image = strangers.check_file(data, proposal, stored.metadata, turned)
            if breach := Losses(task.reference, self.registry).breach(image, proposal):
                raise TypeError(f"compress {breach}")
            if spec.lossless and fingerprint(image) != fingerprint(task.reference.image):
                raise TypeError("compress changed pixels, and its spec says lossless: raise ValueError where it has to")
            return Candidate(proposal, data, image)
        except (OSError, ValueError) as error:  # what Pillow raises for sizes and modes that a format cannot hold
            if isinstance(error, OSError) and error.errno is not None:  # a disk that is full, a program that is missing
                if not self._is_ours(spec):
                    raise
                raise ImageError(f"{task.use.name} cannot write it: {error.strerror or error}") from error
            doing = "cannot go on" if proposal.preview else "cannot write it"
            return EncodingFailed(proposal, f"{task.use.name} {doing}: {error}", doubtful=not self._is_ours(spec))
        except ImageError as error:
            return EncodingFailed(proposal, f"{task.use.name} wrote a file that cannot be read: {error}")

    def decode(self, name: str, data: bytes) -> Features:
        """What the compressor ``name``, one that writes files without pixels, finds in such a file.

        Raises ImageError where it is none.
        """
        with self._blamed("compressor", self.registry.compressor(name)):
            return cast(Decoder, self._compressor(CompressorUse(name, ()))).decode(data)

    def observe(self, tasks: Sequence[Observe]) -> list[list[Observation]]:
        """One batch for one evaluator; the tasks must share their ``use``'s plugin and options."""
        prepared = [_prepared(task) for task in tasks]
        flat = [image for images in prepared for image in images]
        if not self._is_ours(self.registry.evaluator(tasks[0].use.plugin)):
            flat = [image.copy() if isinstance(image, Image.Image) else image for image in flat]  # it may draw on them
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
                raise TypeError(
                    f"{method} must give a list with an answer for each picture, got {shortened(repr(answers))}"
                )
            if len(answers) != len(arguments[-1]):
                gave, shown = (
                    counted(len(answers), "answer", "answers"),
                    counted(len(arguments[-1]), "picture", "pictures"),
                )
                raise ValueError(f"{method} gave {gave} for {shown}")
            if method == "compare" and not self._is_ours(spec):
                strangers.check_values(answers, spec)
        return answers

    def describe(self, use: EvaluatorUse, image: Image.Image) -> list[str]:
        """What an evaluator says of each rendition of a picture, if it can say so."""
        describe = getattr(self._evaluator(use), "describe", None)
        if describe is None:
            return []
        (seen,) = self.observe([Observe(use, image)])
        with self._blamed("evaluator", self.registry.evaluator(use.plugin)):
            return [str(describe(observation)) for observation in seen]

    def _is_ours(self, spec: CompressorSpec | EvaluatorSpec) -> bool:
        return self.registry.provider(spec).distribution == DISTRIBUTION

    def _lent(self, reference: Reference, name: str) -> Reference:
        """A copy for one compressor, which may change it; the same each time, for it may remember things of it."""
        with self._making:
            known = self._lendings.setdefault(reference, {})
            if name not in known:
                known[name] = replace(reference, image=reference.image.copy())
            return known[name]

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
        key, spec = (f"compressor {use.name}", _canonical(use.options)), self.registry.compressor(use.name)

        def make() -> Compressor:
            made = self.registry.make_compressor(use.name, use.options)
            strangers.check_promises(made, spec)
            return made

        return cast(Compressor, self._made_once(key, "compressor", spec, make))

    def _evaluator(self, use: EvaluatorUse) -> Evaluator:
        spec, make = self.registry.evaluator(use.plugin), self.registry.make_evaluator
        once = self._made_once(identity(use), "evaluator", spec, lambda: make(use.plugin, use.options))
        return cast(Evaluator, once)

    def _made_once(
        self, key: tuple[str, str], kind: str, spec: CompressorSpec | EvaluatorSpec, make: Callable[[], object]
    ) -> object:
        """What ``make`` makes; where it fails it is not asked again, and everybody hears what came of it."""
        with self._making:
            if key in self._failed:
                raise self._failed[key].with_traceback(None)  # which would grow with every picture
            if key not in self._made:
                try:
                    with self._blamed(kind, spec):
                        self._made[key] = make()
                except SemcompressError as error:
                    self._failed[key] = error
                    raise
            return self._made[key]

    @contextlib.contextmanager
    def _blamed(self, kind: str, spec: CompressorSpec | EvaluatorSpec) -> Iterator[None]:
        """What a third party's code raises is an error that names it; our own stays what it is: a bug."""
        try:
            with aside():
                yield
        except (SemcompressError, *NOT_THEIRS):
            raise
        except BaseException as error:
            if self._is_ours(spec):
                raise
            raise strangers.fault(kind, spec.name, self.registry.provider(spec), error) from error


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
