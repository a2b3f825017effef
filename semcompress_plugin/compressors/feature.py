"""A picture for a network alone: what its last layer before the classifier said of it, and no pixels."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

from semcompress_plugin.errors import ImageError
from semcompress_plugin.features import coder, quantise, semf, tables
from semcompress_plugin.images import renditions
from semcompress_plugin.types import Features, Reference, Settings

if TYPE_CHECKING:
    from semcompress_plugin.evaluators.classifier import Seen

View = Literal["center", "full", "both"]


class FeatureCompressor:
    """Writes the features that the evaluator ``classifier`` has of a picture, transformed, quantised and coded.

    ``view``: of the usual crop (``center``), the whole frame (``full``) or ``both``; what a rule's ``classifier``
    looks at must be among them. What is found in a picture is remembered while its Reference lives.
    """

    def __init__(self, view: View = "both") -> None:
        self.view = view
        self._seen: WeakKeyDictionary[Reference, Seen] = WeakKeyDictionary()
        self._looking = threading.Lock()

    def compress(self, reference: Reference, settings: Settings, format: str) -> bytes:
        """A .semf file (docs/feature.md); ``settings["step"]`` is how coarse, 1 to 24 in quarter octaves."""
        known, step, seen = tables.load(), int(settings["step"]), self._look(reference)
        rows = [quantise.symbols_of(features, step, known) for features in seen.features]
        size = (reference.image.width, reference.image.height)
        payload = coder.packed(rows, step, known)
        lengths = tuple(map(len, rows))
        return semf.write(semf.Semf(known.model_id, known.id, step, seen.views, size, lengths, payload))

    def decode(self, data: bytes) -> Features:
        """What a .semf file holds. Raises :class:`ImageError` for what is not a whole one of ours."""
        parts, known = semf.read(data), tables.load()
        if (parts.model, parts.tables) != (known.model_id, known.id):
            theirs, ours = (f"{m.hex()} and {t.hex()}" for m, t in (parts[:2], (known.model_id, known.id)))
            raise ImageError(f"was made with network and tables {theirs}, this semcompress has {ours}")
        if any(length > len(known.octaves) for length in parts.lengths):
            raise ImageError(f"is a .semf file that is damaged: it has more than {len(known.octaves)} coefficients")
        try:
            rows = coder.unpacked(parts.payload, parts.lengths, parts.step, known)
        except ValueError as error:
            raise ImageError(f"is a .semf file that is damaged: {error}") from error
        return Features(tables.NETWORK, parts.views, quantise.features_of(rows, parts.step, known), parts.size)

    def _look(self, reference: Reference) -> Seen:
        from semcompress_plugin.evaluators.classifier import ClassifierEvaluator

        with self._looking:
            if reference not in self._seen:
                (self._seen[reference],) = ClassifierEvaluator(self.view).observe(renditions(reference.image)[:1])
            return self._seen[reference]
