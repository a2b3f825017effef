"""Measures what was shrunk against its original again: what to compare, and one comparison on its way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.containers import pixels_at_a_glance
from semcompress_plugin.engine import Measurement, Rounds, measure
from semcompress_plugin.entries import Entry
from semcompress_plugin.errors import ImageError, OriginalsError
from semcompress_plugin.isolation import Decoders
from semcompress_plugin.naming import format_of, output_beside
from semcompress_plugin.plan import Asset
from semcompress_plugin.types import Reference, Result, Rule
from semcompress_plugin.workshop import Workshop


class NotHereError(Exception):
    """The original that a picture would be compared with cannot be had; the text says why."""


@dataclass(slots=True)
class Comparison:
    """A picture that we wrote, at ``path``, and the entry that tells of its original.

    ``beside`` is the original itself where it lies next to the output.
    """

    asset: Asset
    path: Path
    entry: Entry
    beside: Path | None = None
    original: bytes = field(default=b"", init=False, repr=False)

    def glance(self) -> int:
        """Read the original; its pixels. Raises NotHereError, or ImageError where it cannot be read."""
        try:
            self.original = files.read(self.beside).data if self.beside else self.asset.domain.originals.get(self.entry)
        except OriginalsError as error:
            raise NotHereError(str(error)) from error
        return pixels_at_a_glance(self.original)

    def load(self, decoders: Decoders) -> Reference:
        """Decode what :meth:`glance` read."""
        return decoders.decode_for(self.asset.rule, self.original, self.entry.name)

    def study(self, reference: Reference, rule: Rule, workshop: Workshop, decoders: Decoders) -> Rounds[Measurement]:
        """How the picture fares today under ``rule``, which is the asset's with some tolerance."""
        data, registry = files.read(self.path).data, workshop.registry
        if (decoder := registry.decoder(self.path)) is not None:
            return measure(reference, workshop.decode(decoder, data), rule, registry)
        # the lock that says it is ours may be a stranger's, too
        return measure(reference, decoders.decode(data, None, "strip-all", rule.limits, "keep").image, rule, registry)


def comparisons(asset: Asset) -> Iterator[Comparison | Result]:
    """What there is to compare about a file, or a Result: nothing is, or an output is not what we wrote.

    Raises ImageError when the file cannot be read.
    """
    snapshot = files.read(asset.path)
    size, lock = len(snapshot.data), asset.domain.lock
    entries = lock.by_output(snapshot.sha256) or asset.domain.made_elsewhere(snapshot.sha256, asset.path)
    replaced = [entry for entry in entries if entry.relation == "replaced"]
    found: list[Comparison | Result] = []
    if replaced:
        # where it may be any of several, they became this very file: one tells as much as the other
        found.append(Comparison(asset, asset.path, lock.origin(replaced, asset.path) or replaced[0]))
    for output, lines in _beside(asset, snapshot.sha256, replaced).items():
        if (comparison := _as_written(asset, output, lines)) is not None:
            found.append(comparison)
        elif any(_should_be_there(one.made, asset, output) for one in lines):
            reason = f"{output.name}, which should lie beside it, {_REDO if output.is_file() else _MAKE}"
            found.append(Result(asset.shown, "failed", size, size, asset.rule.name, reason=reason))
    yield from found
    if found:
        return
    if entries:  # kept as it is, or itself an output beside another
        yield Result(asset.shown, "unchanged", size, size, asset.rule.name)
    else:
        yield Result(asset.shown, "skipped", size, size, asset.rule.name, reason=UNSETTLED)


@dataclass(frozen=True, slots=True)
class _Beside:
    """What was ``made`` beside a picture; ``replaced`` tells of its original, None where the picture still is that."""

    made: Entry
    replaced: Entry | None


def _beside(asset: Asset, sha256: str, replaced: Iterable[Entry]) -> dict[Path, list[_Beside]]:
    """By place, what was ever made beside the picture: of its content, or of an original that it replaced."""
    found: dict[Path, list[_Beside]] = {}
    for original, line in [(sha256, None), *((entry.original.sha256, entry) for entry in replaced)]:
        for made in asset.domain.lock.by_original(original):
            output = output_beside(asset.path, made)
            if made.relation == "beside" and output != asset.path:
                found.setdefault(output, []).append(_Beside(made, line))
    return found


def _as_written(asset: Asset, output: Path, lines: Iterable[_Beside]) -> Comparison | None:
    """What to compare at ``output`` where that is as one of ``lines`` says, under whatever policy it was made."""
    try:
        here = files.read(output).sha256
    except ImageError:
        return None
    one = next((one for one in lines if one.made.output.sha256 == here), None)
    if one is None:
        return None
    return Comparison(asset, output, one.replaced or one.made, None if one.replaced else asset.path)


def _should_be_there(made: Entry, asset: Asset, output: Path) -> bool:
    """Whether the rule still wants what was ``made``, which does not lie at ``output`` any more."""
    rule = asset.rule
    if made.policy == rule.digest:
        return True
    format = format_of(Path(made.path))
    if rule.outputs.place != "beside" or {format, "smallest"}.isdisjoint(rule.outputs.formats):
        return False
    # what a changed policy found no file for may be deleted, but not become another picture
    settled = any(one.policy == rule.digest for one in asset.domain.lock.by_original(made.original.sha256))
    return output.is_file() or not settled


UNSETTLED = "is not settled, so there is nothing to verify (semcompress check)"
_MAKE = "is not there: run semcompress compress"
_REDO = "is not what was written: take that from git again, or delete it and run semcompress compress"


def tolerant(rule: Rule, tolerance: float) -> Rule:
    """``rule`` with every bound moved outwards by ``tolerance``, in the unit of its metric."""
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"expected a tolerance of at least 0, got {tolerance}")
    keep = tuple(
        replace(
            constraint,
            min=None if constraint.min is None else constraint.min - tolerance,
            max=None if constraint.max is None else constraint.max + tolerance,
        )
        for constraint in rule.keep
    )
    return replace(rule, keep=keep)
