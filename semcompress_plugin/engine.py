"""One picture: a Reference and a rule in, Decisions out. Never prints, never reads or writes a file.

The engine is a generator: it yields rounds of tasks (encode this, observe that, compare those) and is sent their
results, in the same order. Whoever drives it chooses where tasks run: the runner spreads the tasks of many pictures
over threads and batches; :func:`drive` runs them one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from semcompress_plugin.images import has_transparency, orientation_of
from semcompress_plugin.search import DEFAULT, Problem, SearchSpec
from semcompress_plugin.types import (
    CompressorSpec,
    CompressorUse,
    Constraint,
    Effort,
    EffortName,
    EvaluatorSpec,
    EvaluatorUse,
    Features,
    Knob,
    Observation,
    Proposal,
    Reference,
    Rule,
    Scores,
    Search,
    Space,
    Trial,
)

if TYPE_CHECKING:
    from PIL import Image

Answer = TypeVar("Answer")

FINALS = 4
"""So many files are written with the final effort, at most, before a draft is kept."""

STEP = 1.02
"""What one step of a quality knob adds to a file, about."""


class Specs(Protocol):
    """What the engine must know of plugins without making them; the registry is one."""

    def compressor(self, name: str) -> CompressorSpec: ...

    def evaluator(self, name: str) -> EvaluatorSpec: ...

    @property
    def searches(self) -> Mapping[str, SearchSpec]: ...

    def make_search(self, name: str, problem: Problem, **options: object) -> Search: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoded file and what was decoded back from it: an upright image, or features where it holds no pixels.

    For a preview no bytes, and the pixels themselves.
    """

    proposal: Proposal
    data: bytes
    image: Image.Image | Features


@dataclass(frozen=True, slots=True)
class EncodingFailed:
    """The compressor cannot write this picture with these settings (too large for the format, …)."""

    proposal: Proposal
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """Task: -> Candidate, decoded again from its bytes, or EncodingFailed."""

    use: CompressorUse
    reference: Reference
    proposal: Proposal


@dataclass(frozen=True, slots=True, eq=False)
class Observe:
    """Task: -> what the evaluator sees, one observation per rendition of ``image``; of features, one.

    ``size`` is the reference's, given when the evaluator needs equal sizes.
    """

    use: EvaluatorUse
    image: Image.Image | Features
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Compare:
    """Task: -> metric -> value for one candidate, one mapping per rendition."""

    use: EvaluatorUse
    reference: Sequence[Observation]
    candidate: Sequence[Observation]


Task = Encode | Observe | Compare
Rounds = Generator[Sequence[Task], Sequence[object], Answer]
"""Yields rounds of tasks, is sent their results, returns an answer."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was found for one output: the smallest candidate that holds, or None and the reason.

    With a candidate, ``reason`` says why a loop over previews ended, where it did not end at a constraint.
    """

    output: str
    candidate: Candidate | None
    scores: Scores
    looks: int
    trials: tuple[Trial, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """How one existing picture fares against a reference under a rule."""

    scores: Scores
    holds: bool
    reason: str | None = None


def decide(
    reference: Reference,
    rule: Rule,
    specs: Specs,
    known: Mapping[str, Proposal] | None = None,
    effort: EffortName = "fast",
) -> Rounds[tuple[Decision, ...]]:
    """Find the smallest file for each of the rule's outputs; one Decision per output, in the rule's order.

    ``known`` holds, by Pillow's format name, what was found for this very picture before: if it still holds, nothing
    else is searched. ``effort`` is what files are encoded with that may be kept.
    """
    reader = _Reader(reference, rule, specs)
    decisions = []
    for output in rule.outputs.formats:
        decisions.append((yield from _decide_output(output, reference, rule, specs, reader, known or {}, effort)))
    return tuple(decisions)


def measure(reference: Reference, image: Image.Image | Features, rule: Rule, specs: Specs) -> Rounds[Measurement]:
    """Show an existing picture to the rule's evaluators, all of them, without a search."""
    reader = _Reader(reference, rule, specs)
    if reason := reader.lost(image):
        return Measurement({}, holds=False, reason=reason)
    (seen,) = yield from reader.look([image], skip_failed=False)
    scores = seen.scores
    missed = reader.missed(scores)
    return Measurement(scores, holds=not missed, reason="; ".join(missed) or None)


def drive(rounds: Rounds[Answer], perform: Callable[[Task], object]) -> Answer:
    """Run the tasks one after the other, here."""
    try:
        tasks = next(rounds)
        while True:
            tasks = rounds.send([perform(task) for task in tasks])
    except StopIteration as stop:
        return cast(Answer, stop.value)


def ceiling(reference: Reference, rule: Rule) -> float:
    """The most bytes a result may have: so much smaller than the source that replacing it is worth while."""
    return math.inf if reference.source is None else math.floor(len(reference.source) * (1 - rule.min_saving))


def _decide_output(
    output: str,
    reference: Reference,
    rule: Rule,
    specs: Specs,
    reader: _Reader,
    known: Mapping[str, Proposal],
    effort: EffortName,
) -> Rounds[Decision]:
    spaces, obstacle = _spaces(output, reference, reader.transparent, rule, specs)
    if not spaces:
        return Decision(output, None, {}, 0, (), obstacle)
    hunt = _Hunt(reference, rule, reader, specs, effort)
    familiar = [known[space.format] for space in spaces if space.format in known]
    if familiar and familiar[0].compressor in hunt.benches:
        yield from hunt.try_out(familiar[:1], draft=False)
    if hunt.best is None:
        size = (reference.image.width, reference.image.height)
        for name, group in _by_search(spaces, rule, specs).items():
            looks = rule.search.looks or specs.searches[name].looks
            problem = Problem(group, rule.keep, hunt.limit, reference.bytes, size, looks, 0, reader.parts, reader.cost)
            search = specs.make_search(name, problem, **rule.search.options)
            while proposals := search.ask(1):
                trials = yield from hunt.try_out(proposals)
                search.tell([replace(trial, proposal=replace(trial.proposal, draft=False)) for trial in trials])
        yield from hunt.finish(spaces)
    looks = sum(trial.looked for trial in hunt.trials)
    reason = hunt.end if hunt.best else _why_nothing(hunt, rule)
    return Decision(output, hunt.best, hunt.scores, looks, tuple(hunt.trials), reason)


@dataclass(frozen=True, slots=True)
class _Bench:
    """A compressor as a search tries it out, as kept files are written, and the bytes of these as a share of those."""

    draft: CompressorUse | None
    final: CompressorUse
    share: float

    def expected(self, candidate: Candidate) -> int:
        """The bytes that the kept file will have, as far as can be told."""
        return round(len(candidate.data) * self.share) if candidate.proposal.draft else len(candidate.data)


def _bench(use: CompressorUse, spec: CompressorSpec, effort: EffortName) -> _Bench:
    """What a rule says of options is said of drafts as well; where it gives one that drafts change there are none."""
    final = spec.efforts.get(effort, _PLAIN)
    draft = spec.efforts.get("draft") or spec.efforts.get("fast", _PLAIN)
    whole = replace(use, options={**final.options, **use.options})
    if draft.options == final.options or draft.options.keys() & use.options.keys():
        return _Bench(None, whole, 1.0)
    return _Bench(replace(use, options={**whole.options, **draft.options}), whole, final.bytes / draft.bytes)


_PLAIN = Effort({})


class _Hunt:
    """What has been tried for one output so far, and the best of it."""

    def __init__(
        self, reference: Reference, rule: Rule, reader: _Reader, specs: Specs, effort: EffortName = "fast"
    ) -> None:
        self.reference, self.reader = reference, reader
        self.benches = {use.name: _bench(use, specs.compressor(use.name), effort) for use in rule.compress}
        self.limit = ceiling(reference, rule)
        self.best: Candidate | None = None
        self.scores: Scores = {}
        self.trials: list[Trial] = []
        self.obstacle: str | None = None

    @property
    def end(self) -> str | None:
        """Why the walk over previews that led to the best ended, where nothing failed a constraint."""
        assert self.best is not None
        name = self.best.proposal.compressor
        walk = [trial for trial in self.trials if trial.proposal.preview and trial.proposal.compressor == name]
        if not walk or any(trial.looked and not trial.holds for trial in walk):
            return None
        if not walk[-1].looked:
            return self.obstacle
        settings = " ".join(f"{knob} {value:g}" for knob, value in walk[-1].proposal.settings.items())
        return f"{name}: everything still holds at {settings}, where the search ends"

    def try_out(self, proposals: Sequence[Proposal], *, draft: bool = True) -> Rounds[list[Trial]]:
        """Encode the proposals, as drafts where there are any, and look at those that would be an improvement."""
        encoded = yield from self._encoded(proposals, draft)
        enough = self.limit if self.best is None else min(self.limit, self._expected(self.best) - 1)
        worthy: list[Candidate] = []
        trials: list[Trial] = []
        for result in encoded:
            if isinstance(result, EncodingFailed):
                self.obstacle = result.reason
                trials.append(Trial(result.proposal, 0, {}, holds=False, looked=False))
            elif result.proposal.preview:
                worthy.append(result)
            elif self._expected(result) > enough:
                trials.append(Trial(result.proposal, self._expected(result), {}, holds=False, looked=False))
            elif lost := self.reader.lost(result.image, result.proposal):
                self.obstacle = lost
                trials.append(Trial(result.proposal, self._expected(result), {}, holds=False, looked=False))
            else:
                worthy.append(result)
        seen = (yield from self.reader.look([candidate.image for candidate in worthy])) if worthy else []
        for candidate, looked in zip(worthy, seen, strict=True):
            scores, holds = looked.scores, not self.reader.missed(looked.scores)
            trials.append(Trial(candidate.proposal, self._expected(candidate), scores, holds, parts=looked.parts))
            wanted = holds and not candidate.proposal.preview
            if wanted and (self.best is None or self._expected(candidate) < self._expected(self.best)):
                self.best, self.scores = candidate, scores
        self.trials += trials
        return trials

    def finish(self, spaces: Iterable[Space]) -> Rounds[None]:
        """Write with the final effort what held as a draft, the smallest first.

        A file whose pixels are the draft's holds as that did. Others are looked at; where one fails, the next step up
        of its finest knob is tried as well. Where none holds, or none is smaller than the draft, that is kept.
        """
        draft, scores = self.best, self.scores
        if draft is None or not draft.proposal.draft:
            return
        drafts = [trial for trial in self.trials if trial.holds and trial.proposal.draft]
        queue = [(trial.bytes, replace(trial.proposal, draft=False)) for trial in drafts]
        knobs = {(space.compressor, space.format): space.knobs for space in spaces}
        self.best = None
        for _ in range(FINALS):
            expected, proposal = min(queue, key=lambda entry: entry[0])
            if self.best is not None and expected >= len(self.best.data):
                break
            queue.remove((expected, proposal))
            known = (draft, scores) if replace(proposal, draft=True) == draft.proposal else None
            failed = yield from self._finished(proposal, known)
            gentler = _gentler(proposal, knobs[proposal.compressor, proposal.format])
            if failed and gentler is not None and all(gentler != other for _, other in queue):
                queue.append((round(failed * STEP), gentler))
            if not queue:
                break
        if len(draft.data) <= self.limit and (self.best is None or len(draft.data) < len(self.best.data)):
            self.best, self.scores = draft, scores

    def _finished(self, proposal: Proposal, known: tuple[Candidate, Scores] | None) -> Rounds[int | None]:
        """Try a final file out; its bytes if it was too little. ``known``: its draft, and what readers saw there."""
        if known is None:
            (trial,) = yield from self.try_out([proposal], draft=False)
            return trial.bytes if trial.looked and not trial.holds else None
        (result,) = yield from self._encoded([proposal], draft=False)
        if isinstance(result, EncodingFailed) or len(result.data) > self.limit:
            return None
        if _same_pixels(result, known[0]):
            self.trials.append(Trial(proposal, len(result.data), known[1], holds=True, looked=False))
            self.best, self.scores = result, known[1]
            return None
        if self.reader.lost(result.image, result.proposal):
            return None
        (looked,) = yield from self.reader.look([result.image])
        scores, holds = looked.scores, not self.reader.missed(looked.scores)
        self.trials.append(Trial(proposal, len(result.data), scores, holds, parts=looked.parts))
        if holds:
            self.best, self.scores = result, scores
        return None if holds else len(result.data)

    def _encoded(self, proposals: Sequence[Proposal], draft: bool) -> Rounds[Sequence[Candidate | EncodingFailed]]:
        tasks = []
        for proposal in proposals:
            bench = self.benches[proposal.compressor]
            if draft and bench.draft is not None:
                tasks.append(Encode(bench.draft, self.reference, replace(proposal, draft=True)))
            else:
                tasks.append(Encode(bench.final, self.reference, proposal))
        return cast("Sequence[Candidate | EncodingFailed]", (yield tasks))

    def _expected(self, candidate: Candidate) -> int:
        return self.benches[candidate.proposal.compressor].expected(candidate)


def _same_pixels(one: Candidate, other: Candidate) -> bool:
    if isinstance(one.image, Features) or isinstance(other.image, Features):
        return False
    return one.image.mode == other.image.mode and one.image.tobytes() == other.image.tobytes()


def _gentler(proposal: Proposal, knobs: Iterable[Knob]) -> Proposal | None:
    """One step further from the smallest files, by the first knob that has steps; None at its end."""
    for knob in knobs:
        if knob.integer and not knob.fixed:
            value = proposal.settings[knob.name] + (1 if knob.smaller == "low" else -1)
            if knob.low <= value <= knob.high:
                return replace(proposal, settings={**proposal.settings, knob.name: value})
            return None
    return None


def _spaces(
    output: str, reference: Reference, transparent: bool, rule: Rule, specs: Specs
) -> tuple[tuple[Space, ...], str]:
    """The spaces to search for ``output``, or none and why."""
    wanted = reference.format if output == "keep" else output.upper()
    able = [
        (use, spec, format)
        for use in rule.compress
        for spec in (specs.compressor(use.name),)
        for format in spec.formats
        if output == "smallest" or format == wanted
    ]
    spaces = tuple(
        Space(use.name, format, use.knobs, spec.previews, spec.cost, use.options)
        for use, spec, format in able
        if spec.alpha or not transparent
    )
    if not able:
        names = ", ".join(use.name for use in rule.compress)
        return (), f"no compressor of the rule writes {wanted} (it has {names})"
    return spaces, f"is transparent, which {wanted} cannot be"


def _by_search(spaces: Iterable[Space], rule: Rule, specs: Specs) -> dict[str, tuple[Space, ...]]:
    """The spaces by the search that goes through them: the rule's, or else what suits each compressor."""
    groups: dict[str, tuple[Space, ...]] = {}
    for space in spaces:
        name = rule.search.name or specs.compressor(space.compressor).search or DEFAULT
        groups[name] = (*groups.get(name, ()), space)
    return groups


class _Reader:
    """The rule's evaluators looking at candidates for one reference, cheap ones first, and part by part."""

    def __init__(self, reference: Reference, rule: Rule, specs: Specs) -> None:
        self.reference, self.specs = reference, specs
        self.transparent = has_transparency(reference.image)
        self.constraints = rule.keep
        asked = {constraint.evaluator for constraint in rule.keep}
        self.steps = [step for use in rule.evaluators if use.name in asked for step in _steps(use, rule.keep, specs)]
        self.steps.sort(key=lambda step: step.spec.cost)
        self.observed: dict[tuple[str, str], Sequence[Observation]] = {}

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """By evaluator, for those that are asked so: the names of its parts."""
        return {
            name: tuple(step.part for step in self.steps if step.name == name)
            for name in {step.name for step in self.steps if step.part}
        }

    @property
    def cost(self) -> float:
        """Milliseconds per megapixel of a whole look, roughly."""
        return sum({step.name: step.spec.cost for step in self.steps}.values())

    def look(self, images: Sequence[Image.Image | Features], skip_failed: bool = True) -> Rounds[list[_Seen]]:
        """What is seen in each image; dear evaluators are not asked about those that failed a cheaper one.

        Of steps that cost the same the one comes first at which the last image failed: the next will probably, too.
        """
        seen = [_Seen({}, {}) for _ in images]
        live = list(range(len(images)))
        for step in list(self.steps):
            values = yield from self._values(step, [images[index] for index in live])
            for index, value in zip(live, values, strict=True):
                seen[index].learn(step, value)
                if self.missed({step.name: value}):
                    self.steps.sort(key=lambda other: (other.spec.cost, other is not step))
            if skip_failed:
                live = [index for index in live if not self.missed(seen[index].scores)]
            if not live:
                break
        return seen

    def _values(self, step: _Step, images: Sequence[Image.Image | Features]) -> Rounds[list[dict[str, float]]]:
        """What a step makes of each image: of every metric the worst over its renditions."""
        size = self.reference.image.size if step.spec.equal_sizes else None
        known = self.observed.get((step.name, step.part))
        tasks: list[Task] = [Observe(step.use, image, size) for image in images]
        if known is None:
            tasks.append(Observe(step.use, self.reference.image))
        seen = cast("list[Sequence[Observation]]", list((yield tasks)))
        if known is None:
            known = self.observed[step.name, step.part] = seen.pop()
        comparisons = [Compare(step.use, known, candidate) for candidate in seen]
        values = cast("Sequence[Sequence[dict[str, float]]]", (yield comparisons))
        return [_worst(renditions, step.spec) for renditions in values]

    def lost(self, image: Image.Image | Features, proposal: Proposal | None = None) -> str | None:
        """What a candidate lost that no evaluator need notice: profile, orientation, alpha, shape, size in pixels."""
        width, height = self.reference.image.size
        if isinstance(image, Features):
            if image.size == (width, height):
                return None
            return f"these are features of another picture: of {' x '.join(map(str, image.size))} pixels"
        if self.reference.metadata.icc_profile != (image.info.get("icc_profile") or None):
            return "the compressor lost the colour profile (icc: srgb converts and drops it)"
        if (
            proposal
            and proposal.format == self.reference.format
            and self.reference.orientation not in (1, orientation_of(image))
        ):
            return "the compressor lost the orientation, which is to be kept as a tag"
        if self.transparent and not has_transparency(image):
            return "the compressor lost the transparency"
        if proposal and not self._has_size(image.size, proposal):
            scale = proposal.settings.get("scale", 1.0)
            changed = f"{image.width} x {image.height} pixels instead of {width} x {height}"
            if scale != 1.0:
                return f"the compressor was told scale {scale:.4g} and wrote {changed} times that"
            return f"the compressor changed the picture's size, which only a knob 'scale' may: {changed}"
        # rounding to whole pixels may bend the shape a little; a lost orientation bends it a lot
        if abs(image.width * height - image.height * width) > max(width, height) + 0.02 * width * image.height:
            return (
                f"the picture's shape changed: {image.width} x {image.height} instead of {width} x {height} or scaled"
            )
        return None

    def _has_size(self, size: tuple[int, int], proposal: Proposal) -> bool:
        """Whether a file has the pixels that the knob ``scale`` says; loops over previews are free.

        Exactly at scale 1. Below, others may round otherwise than we do: by a pixel, or by 2 %.
        """
        if self.specs.compressor(proposal.compressor).previews:
            return True
        scale = proposal.settings.get("scale", 1.0)
        if scale == 1.0:
            return size == self.reference.image.size
        wanted = (max(1.0, scale * length) for length in self.reference.image.size)
        return all(abs(got - want) <= max(1.0, 0.02 * want) for got, want in zip(size, wanted, strict=True))

    def missed(self, scores: Scores) -> list[str]:
        """The constraints that do not hold, in words, among the evaluators that were asked."""
        return [
            f"{constraint} not held: {scores[constraint.evaluator][constraint.metric.name]:.4g}"
            for constraint in self.constraints
            if constraint.evaluator in scores
            and not constraint.holds(scores[constraint.evaluator][constraint.metric.name])
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """An evaluator to ask, or one of its parts; ``name`` is what the rule calls the evaluator."""

    name: str
    part: str
    use: EvaluatorUse
    spec: EvaluatorSpec


@dataclass(slots=True)
class _Seen:
    """What evaluators saw in one image: ``scores`` so far, and by ``parts`` (``metric/part``).

    The score of an evaluator of which not all parts were asked is the worst of those that were.
    """

    scores: dict[str, dict[str, float]]
    parts: dict[str, dict[str, float]]

    def learn(self, step: _Step, values: dict[str, float]) -> None:
        known = self.scores.get(step.name)
        self.scores[step.name] = values if known is None else _worst([known, values], step.spec)
        if step.part:
            told = {f"{metric}/{step.part}": value for metric, value in values.items()}
            self.parts.setdefault(step.name, {}).update(told)


def _steps(use: EvaluatorUse, constraints: Iterable[Constraint], specs: Specs) -> list[_Step]:
    """How an evaluator is asked: in parts only where a single part that breaks a bound settles the matter.

    Whether the worst of the parts lies too far on the good side one alone does not tell.
    """
    spec = specs.evaluator(use.plugin)
    bounds = [constraint for constraint in constraints if constraint.evaluator == use.name]
    if spec.parts is None or any((c.max if c.metric.higher_is_better else c.min) is not None for c in bounds):
        return [_Step(use.name, "", use, spec)]
    option = spec.parts.option
    names = spec.parts.names(use.options)
    return [_Step(use.name, name, replace(use, options={**use.options, option: name}), spec) for name in names]


def _worst(renditions: Iterable[Mapping[str, float]], spec: EvaluatorSpec) -> dict[str, float]:
    """Of each metric the worst value over all renditions."""
    rows = list(renditions)
    return {
        metric.name: (min if metric.higher_is_better else max)(float(row[metric.name]) for row in rows)
        for metric in spec.metrics
    }


def _why_nothing(hunt: _Hunt, rule: Rule) -> str:
    # pixels that came without a file have nothing to be smaller than
    nothing = "nothing" if math.isinf(hunt.limit) else f"nothing at least {rule.min_saving:.0%} smaller"
    # a preview may hold, and its file not
    looked = [trial for trial in hunt.trials if trial.looked and not trial.holds]
    if not looked:
        return hunt.obstacle or f"{nothing} was found to look at"
    nearest = max(looked, key=lambda trial: _slack(trial, rule.keep))
    settings = " ".join(f"{name} {value:g}" for name, value in nearest.proposal.settings.items())
    missed = min(
        (constraint for constraint in rule.keep if constraint.evaluator in nearest.scores),
        key=lambda constraint: constraint.slack(nearest.scores[constraint.evaluator][constraint.metric.name]),
    )
    value = nearest.scores[missed.evaluator][missed.metric.name]
    size = "before encoding" if nearest.proposal.preview else f"{nearest.bytes:,} bytes"
    seen = nearest.parts.get(missed.evaluator, {})
    spared = any(f"{missed.metric.name}/{part}" not in seen for part in hunt.reader.parts.get(missed.evaluator, ()))
    return (
        f"{nothing} holds; nearest of {len(looked)} looks: "
        f"{nearest.proposal.compressor} {settings}, {size}, {missed} but got {value:.4g}{' or worse' if spared else ''}"
    )


def _slack(trial: Trial, constraints: Iterable[Constraint]) -> float:
    """The smallest slack over all constraints; one whose evaluator was not asked counts as missed by far."""
    slacks = [
        constraint.slack(trial.scores[constraint.evaluator][constraint.metric.name])
        if constraint.evaluator in trial.scores
        else -100.0
        for constraint in constraints
    ]
    return sum(slack for slack in slacks if slack < 0)
