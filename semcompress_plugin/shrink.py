"""One pending picture on its way: from its file through the engine to what is to be written, recorded and reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.containers import pixels_at_a_glance
from semcompress_plugin.engine import Decision, Measurement, Rounds, decide, measure
from semcompress_plugin.entries import Content, Entry, Relation, ambiguous
from semcompress_plugin.errors import ImageError, OriginalsError, UnsupportedImageError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.images import SUFFIXES, as_stored
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.lock import name_of_original
from semcompress_plugin.metadata import carries
from semcompress_plugin.pixels import fingerprint
from semcompress_plugin.plan import Pending
from semcompress_plugin.registry import Registry
from semcompress_plugin.settle import Settlement
from semcompress_plugin.types import EffortName, Features, OutputFile, Proposal, Reference, Result, Status

_MARKS_OF_EXIF = (b"Exif", b"EXIF", b"eXIf")
"""One of them stands in every file that has any: in JPEG and AVIF, in WebP, in PNG."""
_EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"}


def output_name(name: str, format: str) -> str:
    """What the output of a picture called ``name`` is called in a format of Pillow's: as it was where that fits."""
    stem, dot, suffix = name.rpartition(".")
    if SUFFIXES.get(dot + suffix.lower()) == format:
        return name
    return (stem if dot else name) + _EXTENSIONS.get(format, f".{format.lower()}")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: ``still`` (an outdated picture holds as it is; decisions are then about what lies beside it),
    ``ours`` (an output of ours that was edited beside its pixels), or the engine's decisions per output.

    ``unstripped``: none of them takes the place of the picture, which has metadata that its rule would have removed.
    """

    still: Measurement | None = None
    decisions: tuple[Decision, ...] = ()
    ours: Entry | None = None
    unstripped: bool = False


@dataclass(slots=True)
class Work:
    """A picture in work. ``made_with`` are the versions of all that decides; ``decoders`` read what lies there."""

    pending: Pending
    registry: Registry
    made_with: Mapping[str, str]
    allow_generation_loss: bool = False
    decoders: Decoders = field(default_factory=Decoders)
    effort: EffortName = "fast"
    snapshot: Snapshot = field(init=False)
    original: Content = field(init=False)
    original_data: bytes = field(init=False)
    name: str = field(init=False)
    pixels: str = field(init=False)
    """The fingerprint of the picture to start from."""
    stored: str | None = None
    """That of what the file holds, where a tag says that it is to be turned."""
    generation: int = 0

    def glance(self) -> int:
        """Read the picture to start from: the original of an outdated one, else what lies in the file; its pixels."""
        asset, outdated = self.pending.asset, self.pending.outdated
        if asset.path.suffix.lower() not in SUFFIXES:  # what is written there would get another name
            raise ImageError(f"has none of the extensions that pictures have here ({' '.join(SUFFIXES)}): rename it")
        self.snapshot = files.read(asset.path)
        if self.snapshot.sha256 != self.pending.sha256:
            asset.domain.digests.clear()
            raise ImageError("has changed while it was waiting, so it was left alone: run again")
        self.original = Content(self.snapshot.sha256, len(self.snapshot.data))
        self.original_data, self.name = self.snapshot.data, asset.path.name
        if outdated is not None:
            try:
                self.original_data = asset.domain.originals.get(outdated)
                self.original, self.name = outdated.original, outdated.name
            except OriginalsError as error:
                if not self.allow_generation_loss:
                    lacks = outdated.policy == asset.rule.digest
                    why = "lacks what was written beside it" if lacks else "was shrunk under another policy"
                    raise UnsupportedImageError(f"{why}, and {error}: left alone") from error
                self.generation = outdated.generation
        return pixels_at_a_glance(self.original_data)

    def load(self) -> Reference:
        """Decode what :meth:`glance` read."""
        rule = self.pending.asset.rule
        reference = self.decoders.decode_for(rule, self.original_data, self.name)
        self.pixels = fingerprint(reference.image)
        if self.pending.outdated is None and any(mark in self.original_data for mark in _MARKS_OF_EXIF):
            tagged = self.decoders.decode(self.original_data, None, "keep", rule.limits, "keep")
            if tagged.orientation != 1 and tagged.format is not None:
                self.stored = fingerprint(as_stored(tagged, tagged.format).image)
        return reference

    def study(self, reference: Reference) -> Rounds[Found]:
        """An outdated picture is measured first and kept if it still holds; otherwise a search, from the original.

        What was edited beside its pixels is never searched for anew: from those the search would lose once more, and
        from the original it would lose the edit.
        """
        rule, outdated = self.pending.asset.rule, self.pending.outdated
        if self.pending.is_new and (ours := self._edited()):
            return Found(ours=ours)
        edited = outdated is not None and outdated.edited
        if edited or (self.original.sha256 != self.snapshot.sha256 and not self.pending.anew):
            # whatever the file holds, lest something stays that the policy now wants gone
            here = self.decoders.decode(self.snapshot.data, None, "keep", rule.limits, "keep")
            if edited or carries(here.metadata, reference.metadata):
                still = yield from measure(reference, here.image, rule, self.registry)
                if still.holds:
                    return Found(still=still, decisions=(yield from self._missing(reference)))
        if edited:
            raise UnsupportedImageError(
                "was shrunk under another policy, and what lies beside its pixels was edited since: left alone "
                "(`semcompress restore` brings the original back, without the edit)"
            )
        known = {} if self.pending.anew else self._known()
        decisions = yield from decide(reference, rule, self.registry, known, self.effort)
        stays = self.original.sha256 == self.snapshot.sha256 and not any(
            d.candidate and self._replaces(self._target(d.candidate.proposal.format)) for d in decisions
        )
        return Found(decisions=decisions, unstripped=stays and self._has_more(reference))

    def _missing(self, reference: Reference) -> Rounds[tuple[Decision, ...]]:
        """What is found for formats that the rule wants beside the picture, and of which nothing of ours is there."""
        rule, path = self.pending.asset.rule, self.pending.asset.path
        made = self.pending.asset.domain.lock.by_original(self.original.sha256)
        ours = {entry.output.sha256 for entry in made if entry.relation == "beside"}
        formats = tuple(
            format
            for format in rule.outputs.formats
            if rule.outputs.place == "beside" and format not in ("keep", "smallest")
            if (target := self._target(format.upper())) != path and not any(files.holds(target, one) for one in ours)
        )
        if not formats:
            return ()
        narrowed = replace(rule, outputs=replace(rule.outputs, formats=formats))
        return (yield from decide(reference, narrowed, self.registry, self._known(), self.effort))

    def _has_more(self, reference: Reference) -> bool:
        """Whether the file holds more beside its pixels than the rule wants."""
        rule = self.pending.asset.rule
        if rule.metadata == "keep":
            return False
        here = self.decoders.decode(self.snapshot.data, None, "keep", rule.limits, rule.orientation, rule.icc)
        return not carries(here.metadata, reference.metadata)

    def _edited(self) -> Entry | None:
        """The output of ours that has these very pixels, of which somebody edited what lies beside them.

        It is a file of the same format, wherever it lay: what was converted is another picture, and so is an original.
        """
        asset, original = self.pending.asset, self.original
        seen = asset.domain.with_pixels(self.pixels)
        if not seen and self.stored is not None:
            seen = asset.domain.with_pixels(self.stored)
        format = SUFFIXES[asset.path.suffix.lower()]
        alike = [e for e in seen if e.original != original and SUFFIXES.get(Path(e.path).suffix.lower()) == format]
        alike = [entry for entry in alike if entry.policy == asset.rule.digest] or alike
        ours = asset.domain.lock.origin(alike, asset.path)
        if alike and ours is None:
            raise UnsupportedImageError(f"has the pixels of an output of ours, and {ambiguous(alike)}: left alone")
        return ours

    def settle(self, found: Found) -> tuple[Result, Settlement]:
        """What to report, and what to write and record."""
        still = None if found.still is None else self._still(found.still)
        looks = int(still is not None) + sum(decision.looks for decision in found.decisions)
        if still is not None and not any(decision.candidate for decision in found.decisions):
            result = self._result("unchanged", looks=looks, reason="still holds under the changed policy")
            return result, Settlement(self.snapshot, (still,))
        if found.ours is not None:
            here = Content(self.snapshot.sha256, len(self.snapshot.data))
            path = self.pending.asset.path
            place, name = self.pending.asset.domain.lock.relative(path), name_of_original(found.ours, path)
            edited = replace(found.ours, output=here, path=place, name=name, edited=True, looks=0)
            why = "its pixels are those that we wrote: only what lies beside them was edited"
            return self._result("unchanged", reason=why), Settlement(self.snapshot, (edited,))
        made = [(d, d.candidate, self._target(d.candidate.proposal.format)) for d in found.decisions if d.candidate]
        if not made:
            return self._nothing(found, looks)
        writes = {target: candidate.data for _, candidate, target in made}
        entries = tuple(
            self._entry(
                Content(files.digest(candidate.data), len(candidate.data)),
                "replaced" if self._replaces(target) else "beside",
                target,
                decision,
            )
            for decision, candidate, target in made
        )
        entries += () if still is None else (still,)
        outputs = tuple(
            OutputFile(
                str(Path(self.pending.asset.shown).with_name(target.name).as_posix()),
                candidate.proposal.compressor,
                # in the lock's order, for what was found just now and what was remembered must read the same
                dict(sorted(candidate.proposal.settings.items())),
                len(candidate.data),
                decision.scores,
            )
            for decision, candidate, target in made
        )
        removed = self._replace and self.pending.asset.path not in writes
        after = min(output.bytes for output in outputs)
        reason = "; ".join(dict.fromkeys(decision.reason for decision, _, _ in made if decision.reason)) or None
        result = self._result("compressed", after=after, outputs=outputs, looks=looks, reason=reason)
        result = replace(result, unstripped=found.unstripped)
        source = None
        if self.original.sha256 != self.snapshot.sha256:
            source = Snapshot(self.pending.asset.path, self.original_data, self.original.sha256)
        return result, Settlement(self.snapshot, entries, writes, removed, source)

    @property
    def _replace(self) -> bool:
        return self.pending.asset.rule.outputs.place == "replace"

    def _replaces(self, target: Path) -> bool:
        return self._replace or target == self.pending.asset.path

    def _known(self) -> dict[str, Proposal]:
        """Output format -> the settings that were found for this very original before."""
        return {
            SUFFIXES[Path(entry.path).suffix.lower()]: Proposal(
                entry.compressor, SUFFIXES[Path(entry.path).suffix.lower()], entry.settings
            )
            for entry in self.pending.known
            if entry.compressor is not None and Path(entry.path).suffix.lower() in SUFFIXES
        }

    def _target(self, format: str) -> Path:
        path = self.pending.asset.path
        return path.with_name(output_name(path.name, format))

    def _nothing(self, found: Found, looks: int) -> tuple[Result, Settlement]:
        reason = "; ".join(dict.fromkeys(d.reason for d in found.decisions if d.reason))
        here = Content(self.snapshot.sha256, len(self.snapshot.data))
        if self.original == here:
            kept = self._entry(here, "kept", self.pending.asset.path, looks=looks)
            result = self._result("unchanged", looks=looks, reason=reason)
            return replace(result, unstripped=found.unstripped), Settlement(self.snapshot, (kept,))
        # our own output no longer holds, and nothing else does: the policy wants the original, under its own name
        path, outdated = self.pending.asset.path, self.pending.outdated
        assert outdated is not None
        place = path.with_name(name_of_original(outdated, path))
        kept = self._entry(self.original, "kept", place, looks=looks)
        settlement = Settlement(self.snapshot, (kept,), {place: self.original_data}, removed=place != path)
        back = f"the original is back, since under the changed policy {reason}"
        return self._result("compressed", after=self.original.bytes, looks=looks, reason=back), settlement

    def _still(self, measurement: Measurement) -> Entry:
        outdated = self.pending.outdated
        assert outdated is not None
        decision = Decision("keep", None, measurement.scores, 1, ())
        return self._entry(outdated.output, "replaced", self.pending.asset.path, decision, outdated)

    def _entry(
        self,
        output: Content,
        relation: Relation,
        target: Path,
        decision: Decision | None = None,
        settled: Entry | None = None,
        looks: int = 0,
    ) -> Entry:
        proposal = decision.candidate.proposal if decision and decision.candidate else None
        outdated = self.pending.outdated
        pristine = outdated if outdated and outdated.original == self.original else None
        return Entry(
            original=self.original,
            output=output,
            relation=relation,
            policy=self.pending.asset.rule.digest,
            path=self.pending.asset.domain.lock.relative(target),
            name=name_of_original(pristine, self.pending.asset.path) if pristine else self.pending.asset.path.name,
            mode=pristine.mode if pristine else self.snapshot.mode,
            blob=pristine.blob if pristine else None,
            compressor=settled.compressor if settled else proposal.compressor if proposal else None,
            settings=settled.settings if settled else proposal.settings if proposal else {},
            scores=decision.scores if decision else {},
            looks=decision.looks if decision else looks,
            generation=settled.generation if settled else 0 if relation == "kept" else self.generation + 1,
            made_with=settled.made_with if settled else self.made_with,
            pixels=settled.pixels if settled else self._known_by(decision),
            edited=settled.edited if settled else False,
        )

    def _known_by(self, decision: Decision | None) -> str | None:
        """The fingerprint of what was found, where it has pixels that its original has not.

        An edit of what lost nothing loses no more than one of the original, and cannot be told from that.
        """
        image = decision.candidate.image if decision and decision.candidate else None
        pixels = None if image is None or isinstance(image, Features) else fingerprint(image)
        return None if pixels == self.pixels else pixels

    def _result(
        self,
        status: Status,
        after: int | None = None,
        outputs: tuple[OutputFile, ...] = (),
        looks: int = 0,
        reason: str | None = None,
    ) -> Result:
        asset, before = self.pending.asset, self.pending.bytes
        after = before if after is None else after
        return Result(asset.shown, status, before, after, asset.rule.name, outputs, looks, reason)
