"""One pending picture on its way: from its file through the engine to what is to be written, recorded and reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.containers import pixels_at_a_glance
from semcompress_plugin.engine import Candidate, Decision, Rounds, decide, measure
from semcompress_plugin.entries import Content, Entry, Relation, ambiguous
from semcompress_plugin.errors import ImageError, OriginalsError, UnsupportedImageError
from semcompress_plugin.files import Snapshot
from semcompress_plugin.images import as_stored
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.metadata import carries
from semcompress_plugin.naming import name_of_original
from semcompress_plugin.pixels import fingerprint
from semcompress_plugin.plan import EDITED_SINCE, Pending, as_made_of, said_elsewhere
from semcompress_plugin.registry import Registry
from semcompress_plugin.settle import Settlement
from semcompress_plugin.surplus import has_surplus
from semcompress_plugin.types import (
    SUFFIXES,
    EffortName,
    Features,
    OutputFile,
    Proposal,
    Reference,
    Result,
    Scores,
    Status,
)

_MARKS_OF_EXIF = (b"Exif", b"EXIF", b"eXIf")
"""One of them stands in every file that has any: in JPEG and AVIF, in WebP, in PNG."""
_OF_OURS = "was made of an output of ours, for an earlier original is not here"
_THE_SAME_AGAIN = "what is found anew is what lies there"
_EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"}


def output_name(name: str, format: str) -> str:
    """What the output of a picture called ``name`` is called in a format of Pillow's: as it was where that fits."""
    stem, dot, suffix = name.rpartition(".")
    if SUFFIXES.get(dot + suffix.lower()) == format:
        return name
    return (stem if dot else name) + _EXTENSIONS.get(format, f".{format.lower()}")


@dataclass(frozen=True, slots=True)
class Searched:
    """What the engine decided per output.

    ``unstripped``: none takes the place of the picture, which has metadata that its rule would have removed.
    """

    decisions: tuple[Decision, ...]
    unstripped: bool = False


@dataclass(frozen=True, slots=True)
class Holds:
    """An output of ours holds under the rule as it is, with these scores; ``line`` is what was said of it before.

    ``decisions`` are about what the rule wants beside it, ``beside`` are the lines of what holds there, too.
    """

    line: Entry
    scores: Scores
    decisions: tuple[Decision, ...] = ()
    beside: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Edited:
    """An output of ours of which what lies beside its pixels was edited, as ``line`` says.

    It stays under the policy that it was made under; ``reason`` is there where the policy is another by now, and why it
    could not be settled under that, and ``looks`` what it cost to find out.
    """

    line: Entry
    reason: str | None = None
    looks: int = 0


Found = Searched | Holds | Edited


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
    told: Entry | None = None
    """What tells of the original, where that is not what lies in the file."""

    def glance(self) -> int:
        """Read the picture to start from: the original of an outdated one, else what lies in the file; its pixels."""
        asset = self.pending.asset
        if asset.path.suffix.lower() not in SUFFIXES:  # what is written there would get another name
            raise ImageError(f"has none of the extensions that pictures have here ({' '.join(SUFFIXES)}): rename it")
        self.snapshot = files.read(asset.path)
        if self.snapshot.sha256 != self.pending.sha256:
            asset.domain.digests.clear()
            raise ImageError("has changed while it was waiting, so it was left alone: run again")
        self.original = self._here
        self.original_data, self.name = self.snapshot.data, asset.path.name
        if self.pending.outdated is not None:
            self._start_from(self.pending.outdated, self.pending.earlier)
        return pixels_at_a_glance(self.original_data)

    def _start_from(self, line: Entry, earlier: Sequence[Entry]) -> None:
        """Have the first original of an output of ours, or whichever is nearest to that and can be had.

        Raises UnsupportedImageError where one is to be had and none can be.
        """
        asset, lines = self.pending.asset, (line, *earlier)
        for number, one in reversed(list(enumerate(lines))):
            try:
                self.original_data = asset.domain.originals.get(one)
            except OriginalsError as error:
                why = error
                continue
            self.original, self.name, self.told = one.original, one.name, one
            # older versions took what was made of an output for a first generation
            self.generation = max(0, one.generation - 1, *(before.generation for before in lines[number + 1 :]))
            return
        if not self.allow_generation_loss:
            lacks = line.policy == asset.rule.digest
            what = "lacks what was written beside it" if lacks else "was shrunk under another policy"
            raise UnsupportedImageError(f"{what}, and {why}: left alone") from why
        self.generation = line.generation

    def load(self) -> Reference:
        """Decode what :meth:`glance` read."""
        rule, reference = self.pending.asset.rule, self._decoded()
        if self.pending.outdated is None and any(mark in self.original_data for mark in _MARKS_OF_EXIF):
            tagged = self.decoders.decode(self.original_data, None, "keep", rule.limits, "keep")
            if tagged.orientation != 1 and tagged.format is not None:
                self.stored = fingerprint(as_stored(tagged, tagged.format).image)
        return reference

    def _decoded(self) -> Reference:
        reference = self.decoders.decode_for(self.pending.asset.rule, self.original_data, self.name)
        self.pixels = fingerprint(reference.image)
        return reference

    def study(self, reference: Reference) -> Rounds[Found]:
        """An outdated picture is measured first and kept if it still holds; otherwise a search, from the original.

        What was edited beside its pixels is never searched for anew: from those the search would lose once more, and
        from the original it would lose the edit.
        """
        rule, outdated = self.pending.asset.rule, self.pending.outdated
        if self.pending.is_new and (ours := self._edited()):
            return (yield from self._judge_edit(ours))
        edited = outdated is not None and outdated.edited
        if outdated is not None and (edited or (self.original != self._here and not self.pending.anew)):
            here = self._as_it_lies()
            if (edited or carries(here.metadata, reference.metadata)) and (
                held := (yield from self._measure(reference, here, outdated))
            ):
                return held
        if outdated is not None and edited:
            return self._refused(outdated)
        known = {} if self.pending.anew else self._known()
        decisions = yield from decide(reference, rule, self.registry, known, self.effort)
        stays = self.original.sha256 == self.snapshot.sha256 and not any(
            d.candidate and self._replaces(self._target(d.candidate.proposal.format)) for d in decisions
        )
        return Searched(decisions, unstripped=stays and self._has_more(reference))

    def _judge_edit(self, ours: Entry) -> Rounds[Found]:
        """What lies beside the pixels of ``ours`` was edited. Where the policy is another as well, it is measured."""
        self.pending = replace(self.pending, asset=as_made_of(self.pending.asset, (ours,)))
        path = self.pending.asset.path
        place, name = self.pending.asset.domain.lock.relative(path), name_of_original(ours, path)
        line = replace(ours, output=self._here, path=place, name=name, edited=True, looks=0, refused=None)
        if ours.policy == self.pending.asset.rule.digest or ours.relation == "beside":
            return Edited(line)
        try:
            self._start_from(line, self.pending.asset.domain.lineage(line, path))
        except UnsupportedImageError as error:
            return Edited(line, str(error))
        held = yield from self._measure(self._decoded(), self._as_it_lies(), line)
        return held or self._refused(line)

    def _refused(self, line: Entry) -> Edited:
        """An edited output that was just measured, and does not hold under the rule."""
        return Edited(replace(line, refused=self.pending.asset.rule.digest), EDITED_SINCE, looks=1)

    def _measure(self, reference: Reference, here: Reference, line: Entry) -> Rounds[Holds | None]:
        """How what lies ``here``, an output of ours, fares under the rule; None where it does not hold."""
        still = yield from measure(reference, here.image, self.pending.asset.rule, self.registry)
        if not still.holds:
            return None
        beside, missing = yield from self._beside(reference)
        return Holds(line, still.scores, (yield from self._found_for(missing, reference)), beside)

    def _as_it_lies(self) -> Reference:
        """The file with whatever it holds, lest something stays that the policy now wants gone."""
        return self.decoders.decode(self.snapshot.data, None, "keep", self.pending.asset.rule.limits, "keep")

    def _beside(self, reference: Reference) -> Rounds[tuple[tuple[Entry, ...], tuple[str, ...]]]:
        """Lines of what another policy has made beside the picture, and holds under the rule; and the formats that the
        rule wants there, and of which nothing of ours is there that does.
        """
        rule, lock = self.pending.asset.rule, self.pending.asset.domain.lock
        made = [entry for entry in lock.by_original(self.original.sha256) if entry.relation == "beside"]
        lines, missing = [], []
        for format in rule.outputs.formats if rule.outputs.place == "beside" else ():
            target = self._target(format.upper())
            if format in ("keep", "smallest") or target == self.pending.asset.path:
                continue
            there = [entry for entry in made if files.holds(target, entry.output.sha256)]
            if not there:
                missing.append(format)
            elif target.suffix in SUFFIXES and all(entry.policy != rule.digest for entry in there):
                here = self.decoders.decode(files.read(target).data, None, "keep", rule.limits, "keep")
                still = yield from measure(reference, here.image, rule, self.registry)
                if still.holds and carries(here.metadata, reference.metadata):
                    lines.append(self._again(there[0], target, still.scores, self.pending.asset.path.name))
                else:
                    missing.append(format)
        return tuple(lines), tuple(missing)

    def _found_for(self, formats: tuple[str, ...], reference: Reference) -> Rounds[tuple[Decision, ...]]:
        """What is found for these formats alone."""
        rule = self.pending.asset.rule
        if not formats:
            return ()
        narrowed = replace(rule, outputs=replace(rule.outputs, formats=formats))
        return (yield from decide(reference, narrowed, self.registry, self._known(), self.effort))

    def _has_more(self, reference: Reference) -> bool:
        """Whether the file holds more beside its pixels than the rule wants."""
        rule = self.pending.asset.rule
        if rule.metadata == "keep" or all(self.registry.compressor(use.name).writes for use in rule.compress):
            return False  # nor does a rule that writes no pictures say what is to lie in them
        here = self.decoders.decode(self.snapshot.data, None, "keep", rule.limits, rule.orientation, rule.icc)
        return has_surplus(self.snapshot.data) or not carries(here.metadata, reference.metadata)

    def _edited(self) -> Entry | None:
        """The output of ours that has these very pixels, of which somebody edited what lies beside them.

        It is a file of the same format, wherever it lay: what was converted is another picture, and so is an original.
        """
        asset = self.pending.asset
        seen = asset.domain.with_pixels(self.pixels, asset.path)
        if not seen and self.stored is not None:
            seen = asset.domain.with_pixels(self.stored, asset.path)
        alike = [entry for entry in seen or self._seen_before() if self._may_be(entry)]
        alike = [entry for entry in alike if entry.policy == asset.rule.digest] or alike
        ours = asset.domain.lock.origin(alike, asset.path)
        if alike and ours is None:
            raise UnsupportedImageError(f"has the pixels of an output of ours, and {ambiguous(alike)}: left alone")
        return ours

    def _may_be(self, entry: Entry) -> bool:
        """Whether the file may be an edit of an output that has its pixels."""
        formats = (SUFFIXES.get(path.suffix.lower()) for path in (self.pending.asset.path, Path(entry.path)))
        return entry.original != self.original and len(set(formats)) == 1

    def _seen_before(self) -> tuple[Entry, ...]:
        """What earlier commits say, and no lock says by now, of outputs of ours that have these pixels."""
        asset = self.pending.asset
        for pixels in dict.fromkeys(filter(None, (self.pixels, self.stored))):
            told = [one for one in asset.domain.said_of_pixels(pixels, asset.path) if self._may_be(one[1])]
            if made := tuple(entry for commit, entry in told if commit is None):
                return made
            if reason := said_elsewhere(told, pixels):
                raise UnsupportedImageError(reason)
        return ()

    def settle(self, found: Found) -> tuple[Result, Settlement]:
        """What to report, and what to write and record."""
        if isinstance(found, Edited):
            why = "its pixels are those that we wrote: only what lies beside them was edited"
            status: Status = "unchanged" if found.reason is None else "skipped"
            result = self._result(status, looks=found.looks, reason=found.reason or why)
            return result, Settlement(self.snapshot, (found.line,))
        still = self._still(found) if isinstance(found, Holds) else ()
        looks = len(still) + sum(decision.looks for decision in found.decisions)
        made = [(d, d.candidate, self._target(d.candidate.proposal.format)) for d in found.decisions if d.candidate]
        if not made and isinstance(found, Searched):
            return self._nothing(found, looks)
        if not made:
            result = self._result("unchanged", looks=looks, reason="still holds under the changed policy")
            return result, Settlement(self.snapshot, still)
        writes = {target: candidate.data for _, candidate, target in made}
        entries = tuple(self._made(decision, candidate, target) for decision, candidate, target in made) + still
        entries += self._kept_this_time(entries)
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
        reasons = [*(decision.reason for decision, _, _ in made), _OF_OURS if self.generation else None]
        reason = "; ".join(dict.fromkeys(filter(None, reasons))) or None
        after = min(output.bytes for output in outputs)
        result = self._result("compressed", after=after, outputs=outputs, looks=looks, reason=reason)
        if self.pending.anew and not removed and all(files.holds(p, files.digest(data)) for p, data in writes.items()):
            result = self._result("unchanged", looks=looks, reason=_THE_SAME_AGAIN)
        result = replace(result, unstripped=isinstance(found, Searched) and found.unstripped)
        source = None
        if self.original.sha256 != self.snapshot.sha256:
            source = Snapshot(self.pending.asset.path, self.original_data, self.original.sha256)
        return result, Settlement(self.snapshot, entries, writes, removed, source)

    @property
    def _here(self) -> Content:
        """What lies in the file."""
        return Content(self.snapshot.sha256, len(self.snapshot.data))

    @property
    def _replace(self) -> bool:
        return self.pending.asset.rule.outputs.place == "replace"

    def _replaces(self, target: Path) -> bool:
        return self._replace or target == self.pending.asset.path

    @property
    def _known_here(self) -> list[Entry]:
        """What is known of the original that this starts from."""
        return [entry for entry in self.pending.known if entry.original == self.original]

    def _known(self) -> dict[str, Proposal]:
        """Output format -> the settings that were found for this very original before."""
        return {
            SUFFIXES[Path(entry.path).suffix.lower()]: Proposal(
                entry.compressor, SUFFIXES[Path(entry.path).suffix.lower()], entry.settings
            )
            for entry in self._known_here
            if entry.compressor is not None and Path(entry.path).suffix.lower() in SUFFIXES
        }

    def _target(self, format: str) -> Path:
        path = self.pending.asset.path
        return path.with_name(output_name(path.name, format))

    def _nothing(self, found: Searched, looks: int) -> tuple[Result, Settlement]:
        reason = "; ".join(dict.fromkeys(d.reason for d in found.decisions if d.reason))
        path = self.pending.asset.path
        if self.original == self._here:
            result = self._result("unchanged", looks=looks, reason=reason)
            kept = self._line(self.original, "kept", path, looks, generation=0)
            return replace(result, unstripped=found.unstripped), Settlement(self.snapshot, (kept,))
        # our own output no longer holds, and nothing else does: the policy wants the original, under its own name
        assert self.told is not None
        place = path.with_name(name_of_original(self.told, path))
        kept = self._line(self.original, "kept", place, looks, generation=0)
        settlement = Settlement(self.snapshot, (kept,), {place: self.original_data}, removed=place != path)
        back = f"the original is back, since under the changed policy {reason}"
        return self._result("compressed", after=self.original.bytes, looks=looks, reason=back), settlement

    def _kept_this_time(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """The line that settles an original whose place an output once took, and no output takes now."""
        was_shrunk = any(entry.relation == "replaced" for entry in self._known_here)
        if not was_shrunk or self.original != self._here or any(entry.relation == "replaced" for entry in entries):
            return ()
        return (self._line(self.original, "kept", self.pending.asset.path, 0, generation=0),)

    def _still(self, found: Holds) -> tuple[Entry, ...]:
        """What was said of outputs of ours, said under this rule and of where they lie."""
        path = self.pending.asset.path
        return self._again(found.line, path, found.scores, name_of_original(found.line, path)), *found.beside

    def _again(self, line: Entry, path: Path, scores: Scores, name: str) -> Entry:
        asset = self.pending.asset
        place = asset.domain.lock.relative(path)
        return replace(line, policy=asset.rule.digest, path=place, name=name, scores=scores, looks=1, refused=None)

    def _made(self, decision: Decision, candidate: Candidate, target: Path) -> Entry:
        output = Content(files.digest(candidate.data), len(candidate.data))
        relation: Relation = "replaced" if self._replaces(target) else "beside"
        return replace(
            self._line(output, relation, target, decision.looks, self.generation + 1),
            compressor=candidate.proposal.compressor,
            settings=candidate.proposal.settings,
            scores=decision.scores,
            pixels=self._known_by(candidate),
        )

    def _line(self, output: Content, relation: Relation, target: Path, looks: int, generation: int) -> Entry:
        """What every line says of the original and of this run."""
        path, told = self.pending.asset.path, self.told
        return Entry(
            original=self.original,
            output=output,
            relation=relation,
            policy=self.pending.asset.rule.digest,
            path=self.pending.asset.domain.lock.relative(target),
            name=name_of_original(told, path) if told else path.name,
            mode=told.mode if told else self.snapshot.mode,
            blob=told.blob if told else None,
            looks=looks,
            generation=generation,
            made_with=self.made_with,
        )

    def _known_by(self, candidate: Candidate) -> str | None:
        """The fingerprint of what was found, where it has pixels that its original has not.

        An edit of what lost nothing loses no more than one of the original, and cannot be told from that.
        """
        image = candidate.image
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
