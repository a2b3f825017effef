"""How a compressor encodes while a search tries it out, and how it writes what may be kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

from semcompress_plugin.engine._tasks import Candidate
from semcompress_plugin.types import CompressorSpec, CompressorUse, Effort, EffortName


@dataclass(frozen=True, slots=True)
class Bench:
    """A compressor with the options of its drafts (None: there are none) and of the files that are kept.

    ``share``: the bytes of a kept file for each byte of its draft.
    """

    draft: CompressorUse | None
    final: CompressorUse
    share: float

    def expected(self, candidate: Candidate) -> int:
        """The bytes that the kept file will have, as far as can be told."""
        return round(len(candidate.data) * self.share) if candidate.proposal.draft else len(candidate.data)


def bench(use: CompressorUse, spec: CompressorSpec, effort: EffortName) -> Bench:
    """What a rule says of options is said of drafts as well; where it gives one that drafts change there are none."""
    final = spec.efforts.get(effort, _PLAIN)
    draft = spec.efforts.get("draft") or spec.efforts.get("fast", _PLAIN)
    whole = replace(use, options={**final.options, **use.options})
    if draft.options == final.options or draft.options.keys() & use.options.keys():
        return Bench(None, whole, 1.0)
    return Bench(replace(use, options={**whole.options, **draft.options}), whole, final.bytes / draft.bytes)


_PLAIN = Effort({})
