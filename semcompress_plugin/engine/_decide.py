"""One picture: a Reference and a rule in, Decisions or a Measurement out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from semcompress_plugin.engine._hunt import Hunt
from semcompress_plugin.engine._losses import Losses
from semcompress_plugin.engine._reader import Reader
from semcompress_plugin.engine._reasons import why_ended, why_nothing
from semcompress_plugin.engine._spaces import by_search, spaces_for
from semcompress_plugin.engine._specs import Specs
from semcompress_plugin.engine._tasks import Candidate, Rounds
from semcompress_plugin.errors import PluginError
from semcompress_plugin.search import Problem
from semcompress_plugin.types import EffortName, Features, Proposal, Reference, Rule, Scores, Trial

if TYPE_CHECKING:
    from PIL import Image


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
    """Find the smallest file for each of the rule's outputs; one Decision per output, in the rule's order. ``keep`` and
    the name of the picture's own format are one output, and looked for once.

    ``known`` holds, by Pillow's format name, what was found for this very picture before: if it still holds, nothing
    else is searched. ``effort`` is what files are encoded with that may be kept. Raises PluginError where nothing was
    found and a stranger's compressor wrote nothing with any settings: that is its failure, and no verdict on a picture.
    """
    reader, losses = Reader(reference, rule, specs), Losses(reference, specs)
    decisions, doubts = [], []
    named = (reference.format or "").lower() in rule.outputs.formats
    for output in (one for one in rule.outputs.formats if not (one == "keep" and named)):
        hunt = Hunt(rule, specs, reader, losses, effort)
        decisions.append((yield from _decide_output(output, hunt, rule, specs, known or {})))
        doubts += [] if hunt.doubt is None else [hunt.doubt]
    if doubts and not any(decision.candidate for decision in decisions):
        raise PluginError(f"{doubts[0]}, with whatever settings: not settled (name another compressor, or skip: true)")
    return tuple(decisions)


def measure(reference: Reference, image: Image.Image | Features, rule: Rule, specs: Specs) -> Rounds[Measurement]:
    """Show an existing picture to the rule's evaluators, all of them, without a search."""
    if reason := Losses(reference, specs).of(image):
        return Measurement({}, holds=False, reason=reason)
    reader = Reader(reference, rule, specs)
    (seen,) = yield from reader.look([image], skip_failed=False)
    scores = seen.scores
    missed = reader.missed(scores)
    return Measurement(scores, holds=not missed, reason="; ".join(missed) or None)


def _decide_output(
    output: str, hunt: Hunt, rule: Rule, specs: Specs, known: Mapping[str, Proposal]
) -> Rounds[Decision]:
    reference, reader = hunt.reference, hunt.reader
    spaces, obstacle = spaces_for(output, reference, hunt.losses.transparent, rule, specs)
    if not spaces:
        return Decision(output, None, {}, 0, (), obstacle)
    familiar = [known[space.format] for space in spaces if space.format in known]
    searched = [space for space in spaces if not specs.compressor(space.compressor).lossless]
    if familiar and familiar[0].compressor in hunt.benches:
        yield from hunt.try_out(familiar[:1], draft=False)
    if hunt.best is None:
        for name, group in by_search(searched, rule, specs).items():
            looks = rule.search.looks or specs.searches[name].looks
            size = reference.image.size
            problem = Problem(group, rule.keep, hunt.limit, reference.bytes, size, looks, reader.parts, reader.cost)
            search = specs.make_search(name, problem, **rule.search.options)
            while proposals := search.ask(1):
                trials = yield from hunt.try_out(proposals)
                search.tell([replace(trial, proposal=replace(trial.proposal, draft=False)) for trial in trials])
        yield from hunt.finish(searched)
        # it reads the file itself once more, and here, in this process
        if hunt.saves_little and not rule.limits.isolate:
            yield from hunt.spare([space for space in spaces if space not in searched], alone=not searched)
    looks = sum(trial.looked for trial in hunt.trials)
    reason = why_ended(hunt) if hunt.best else why_nothing(hunt, rule)
    return Decision(output, hunt.best, hunt.scores, looks, tuple(hunt.trials), reason)
