"""The candidates tried for one output, as drafts and with the final effort, and the smallest that holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from semcompress_plugin.engine._benches import bench
from semcompress_plugin.engine._losses import Losses
from semcompress_plugin.engine._reader import Reader
from semcompress_plugin.engine._specs import Specs
from semcompress_plugin.engine._tasks import Candidate, Encode, EncodingFailed, Rounds
from semcompress_plugin.types import EffortName, Features, Knob, Proposal, Reference, Rule, Scores, Space, Trial

FINALS = 4
"""At most so many files are written with the final effort before the draft is kept."""

LITTLE = 0.65
"""A file of more than this share of the source's bytes has saved so little that lossless compressors may save more."""

STEP = 1.02
"""What one step of a quality knob adds to a file, about."""


def ceiling(reference: Reference, rule: Rule) -> float:
    """The most bytes a result may have: so much smaller than the source that replacing it is worth while."""
    if reference.source is None:
        return math.inf
    whole = len(reference.source)
    return min(math.floor(whole * (1 - rule.min_saving)), whole - 1)


class Hunt:
    """What has been tried for one output so far, and the best of it."""

    def __init__(self, rule: Rule, specs: Specs, reader: Reader, losses: Losses, effort: EffortName = "fast") -> None:
        self.reference, self.reader, self.losses = reader.reference, reader, losses
        self.benches = {use.name: bench(use, specs.compressor(use.name), effort) for use in rule.compress}
        self.limit = ceiling(self.reference, rule)
        self.best: Candidate | None = None
        self.scores: Scores = {}
        self.trials: list[Trial] = []
        self.obstacle: str | None = None
        self._doubts: dict[str, str] = {}
        """Compressor -> why it did not write what it was last asked for, where its word is not taken for ever."""

    def try_out(self, proposals: Sequence[Proposal], *, draft: bool = True) -> Rounds[list[Trial]]:
        """Encode the proposals, as drafts where there are any, and look at those that would be an improvement."""
        encoded = yield from self._encoded(proposals, draft)
        enough = self.limit if self.best is None else min(self.limit, self._expected(self.best) - 1)
        worthy: list[Candidate] = []
        trials: list[Trial] = []
        for result in encoded:
            if isinstance(result, EncodingFailed):
                self.obstacle = result.reason
                if result.doubtful:
                    self._doubts[result.proposal.compressor] = result.reason
                trials.append(Trial(result.proposal, 0, {}, holds=False, looked=False))
            elif result.proposal.preview:
                worthy.append(result)
            elif self._expected(result) > enough:
                trials.append(Trial(result.proposal, self._expected(result), {}, holds=False, looked=False))
            elif lost := self.losses.of(result.image, result.proposal):
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

    @property
    def saves_little(self) -> bool:
        """Whether nothing was found, or nothing much smaller than the source."""
        whole = self.reference.bytes
        return whole is not None and (self.best is None or len(self.best.data) > LITTLE * whole)

    def spare(self, spaces: Sequence[Space], *, alone: bool) -> Rounds[None]:
        """Try the lossless out; what hinders one is no reason to give of a picture unless they are ``alone``."""
        obstacle, doubts = self.obstacle, {**self._doubts}
        if spaces:
            proposals = [Proposal(space.compressor, space.format, {}) for space in spaces]
            yield from self.try_out(proposals, draft=False)
        if not alone:
            self.obstacle, self._doubts = obstacle, doubts

    @property
    def doubt(self) -> str | None:
        """Why nothing was looked at, if a compressor wrote nothing at all that may well do so another time."""
        if any(trial.looked for trial in self.trials):
            return None
        wrote = {trial.proposal.compressor for trial in self.trials if trial.bytes}
        return next((reason for name, reason in self._doubts.items() if name not in wrote), None)

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
        if self.losses.of(result.image, result.proposal):
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
            way = self.benches[proposal.compressor]
            if draft and way.draft is not None and not proposal.preview:
                tasks.append(Encode(way.draft, self.reference, replace(proposal, draft=True)))
            else:
                tasks.append(Encode(way.final, self.reference, proposal))
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
