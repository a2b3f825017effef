"""The default reader: EfficientNet-Lite0 on ImageNet's 1000 classes, from a file that we ship.

The metrics are plain functions of arrays, in ``float64``; the class only looks and takes the worse of its views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcompress_plugin.errors import ImageError, ModelError
from semcompress_plugin.evaluators._classifier_metrics import DEPTH, METRICS, ROOT
from semcompress_plugin.evaluators._hierarchy import CLASSES, imagenet
from semcompress_plugin.evaluators._model import MODELS, REINSTALL
from semcompress_plugin.evaluators._session import load_session
from semcompress_plugin.types import Features

if TYPE_CHECKING:
    import onnxruntime

MODEL = "efficientnet_lite0"
SIDE = 224
CROP = 0.875
_TINY = 1e-300  # of a probability, before its logarithm is taken

Array = NDArray[np.floating[Any]]
View = Literal["center", "full", "both"]

_VIEWS: Mapping[View, tuple[str, ...]] = {"center": ("center",), "full": ("full",), "both": ("center", "full")}
_WORDS = {"center": "centre", "full": "whole frame"}


def center(image: Image.Image) -> Image.Image:
    """The middle square, 7/8 of the shorter side, at 224 x 224 (bicubic, antialiased), as the network was trained.

    The same pixels as from resizing the shorter side to 256 and cutting out 224 x 224, but only those that matter are
    computed, and the cut is not rounded to whole pixels of the resized picture: a scaled candidate shows exactly
    the part that its reference shows, rather than one shifted by up to half a pixel.
    """
    width, height = image.size
    crop = CROP * min(width, height)
    left, top = (width - crop) / 2, (height - crop) / 2
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + crop, top + crop))


def full(image: Image.Image) -> Image.Image:
    """The whole frame squashed to 224 x 224 (bicubic, antialiased)."""
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


_LOOK = {"center": center, "full": full}


def softmax(logits: Array) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def top1_agreement(reference: Array, candidate: Array) -> NDArray[np.float64]:
    """1 where the most probable class is the same, else 0. Shapes (..., classes) broadcast to (...)."""
    return np.asarray(reference.argmax(axis=-1) == candidate.argmax(axis=-1), np.float64)


def topk_overlap(reference: Array, candidate: Array, k: int) -> NDArray[np.float64]:
    """The share, 0 to 1, of the reference's ``k`` most probable classes that are among the candidate's.

    Shapes (..., classes) broadcast to (...). Of equally probable classes the earlier ones count.
    """

    def among_top(probabilities: Array) -> NDArray[np.bool_]:
        chosen = np.argsort(-probabilities, axis=-1, kind="stable")[..., :k]
        mask = np.zeros(probabilities.shape, bool)
        np.put_along_axis(mask, chosen, True, axis=-1)
        return mask

    return np.asarray((among_top(reference) & among_top(candidate)).sum(axis=-1) / min(k, reference.shape[-1]))


def confidence_ratio(reference: Array, candidate: Array) -> NDArray[np.float64]:
    """Probability of the reference's top class, candidate / reference, 0 and up. (..., classes) broadcast to (...)."""
    top = reference.argmax(axis=-1, keepdims=True)
    reference, candidate = np.broadcast_arrays(reference, candidate)
    top = np.broadcast_to(top, (*reference.shape[:-1], 1))
    ratio = np.take_along_axis(candidate, top, axis=-1) / np.take_along_axis(reference, top, axis=-1)
    return np.asarray(ratio[..., 0], np.float64)


def js_divergence(reference: Array, candidate: Array) -> NDArray[np.float64]:
    """Jensen-Shannon divergence in bits, 0 to 1 (Lin 1991). Shapes (..., classes) broadcast to (...).

    Written with ``log1p((p - q) / (p + q))`` for ``log(p / m)``: exact where ``p`` and ``q`` are nearly the same.
    """
    p, q = reference.astype(np.float64), candidate.astype(np.float64)
    total = p + q
    change = np.divide(p - q, total, out=np.zeros_like(total), where=total > 0)
    # At -1 the one is nothing beside the other (0 * log 0 = 0): the logarithm is infinite, its share below 1e-14.
    of_p = np.log1p(change, out=np.zeros_like(total), where=change > -1)
    of_q = np.log1p(-change, out=np.zeros_like(total), where=change < 1)
    bits = (p * of_p + q * of_q).sum(axis=-1) / (2 * np.log(2))
    return np.asarray(np.clip(bits, 0.0, 1.0))


def sway(reference: Array, candidate: Array) -> NDArray[np.float64]:
    """How far a reader was swayed from its top class, 0 to 1. Probabilities (..., classes) broadcast to (...).

    ``c / (c + sqrt(m))``: ``c`` is the root mean square change of the class scores (logarithms of the probabilities,
    less their mean over the classes: the network's logits up to a constant), ``m`` the lead in the candidate of the
    reference's top class over the next one. Without a lead it is 1. Other readers' scores change about as much as this
    one's, and their verdicts turn where that is large beside their lead; the root stands between this reader's lead
    and the little that it says of theirs (chosen in benchmarks/fidelity.py).
    """
    before, after = (np.log(np.maximum(np.asarray(x, np.float64), _TINY)) for x in (reference, candidate))
    moved = (after - after.mean(axis=-1, keepdims=True)) - (before - before.mean(axis=-1, keepdims=True))
    change = np.sqrt((moved**2).mean(axis=-1))
    top = np.arange(before.shape[-1]) == before.argmax(axis=-1)[..., None]
    lead = np.where(top, after, -np.inf).max(axis=-1) - np.where(top, -np.inf, after).max(axis=-1)
    total = change + np.sqrt(np.maximum(lead, 0.0))
    return np.asarray(np.divide(change, total, out=np.zeros_like(total), where=total > 0))


def feature_cosine(reference: Array, candidate: Array) -> NDArray[np.float64]:
    """Cosine of the angle between the vectors, -1 to 1. Shapes (..., features) broadcast to (...).

    A vector of zeros has no direction: 1 against another one, 0 against anything else.
    """
    x, y = reference.astype(np.float64), candidate.astype(np.float64)
    xx, yy, xy = (x * x).sum(axis=-1), (y * y).sum(axis=-1), (x * y).sum(axis=-1)
    scale = np.sqrt(xx * yy)
    nothing = np.asarray((xx == 0) & (yy == 0), np.float64)
    return np.asarray(np.clip(np.divide(xy, scale, out=nothing, where=scale > 0), -1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the reader saw in one picture: a row per view.

    ``probabilities`` is (views, 1000), each row summing to 1; ``features`` is (views, 1280), 0 to 6.
    """

    views: tuple[str, ...]
    probabilities: NDArray[np.float64]
    features: NDArray[np.float32]


def compared(reference: Seen, candidates: Sequence[Seen], top_k: int, depth: int) -> list[dict[str, float]]:
    """For each candidate a value of every metric of METRICS, the worst over the views."""
    if not candidates:
        return []
    p, q = reference.probabilities, np.stack([seen.probabilities for seen in candidates])
    values = {
        "top1_agreement": top1_agreement(p, q),
        "topk_overlap": topk_overlap(p, q, top_k),
        "confidence_ratio": confidence_ratio(p, q),
        "js_divergence": js_divergence(p, q),
        "sway": sway(p, q),
        "feature_cosine": feature_cosine(reference.features, np.stack([seen.features for seen in candidates])),
        **_in_the_hierarchy(p, q, depth),
    }
    worst = {m.name: (values[m.name].min if m.higher_is_better else values[m.name].max)(axis=-1) for m in METRICS}
    return [{name: float(value[i]) for name, value in worst.items()} for i in range(len(candidates))]


def described(seen: Seen, names: Sequence[str]) -> str:
    """What a reader takes a picture for, by the classes' ``names``, and where in WordNet that is."""
    best = seen.probabilities.argmax(axis=-1).tolist()
    parts = [
        f"{names[index]} {100 * row[index]:.0f} % ({_WORDS[view]})"
        for view, row, index in zip(seen.views, seen.probabilities, best, strict=True)
    ]
    related = len(names) == CLASSES  # somebody's own classes have no place in WordNet
    return "; ".join([", ".join(parts), *([imagenet().in_words(best)] if related else [])])


def _in_the_hierarchy(p: Array, q: Array, depth: int) -> dict[str, NDArray[np.float64]]:
    """The metrics that know how classes are related. ``p`` is (views, classes), ``q`` (candidates, views, classes)."""
    if q.shape[-1] != CLASSES:  # somebody's own classes: nobody knows how they are related, so only by the root
        same = top1_agreement(p, q)
        return {"lca_height": ROOT * (1 - same), "wup_similarity": same, "hierarchical_js": js_divergence(p, q)}
    shape, tree = q.shape[:-1], imagenet()
    pairs = np.broadcast_arrays(p.argmax(axis=-1), q.argmax(axis=-1))
    related = [
        (tree.lca_height(a, b), tree.wup_similarity(a, b)) for a, b in zip(*(x.flat for x in pairs), strict=True)
    ]
    heights, similarities = np.array(related, np.float64).T
    return {
        "lca_height": heights.reshape(shape),
        "wup_similarity": similarities.reshape(shape),
        "hierarchical_js": js_divergence(tree.summed(p, depth), tree.summed(q, depth)),
    }


class ClassifierEvaluator:
    """Looks with EfficientNet-Lite0 and compares what it sees.

    ``view`` is ``center`` (the usual crop), ``full`` (the whole frame) or ``both``, of which the worse value of each
    metric counts. ``top_k`` is the k of ``topk_overlap``, 1 to 1000; ``depth`` is the level of WordNet to which
    ``hierarchical_js`` sums, 0 (the root) and up. The model is opened at the first look
    (:class:`~semcompress_plugin.errors.ModelError` if it is not the one that was shipped); all instances and
    threads share it.
    """

    def __init__(self, view: View = "both", top_k: int = 5, depth: int = DEPTH) -> None:
        if view not in _VIEWS:
            raise ValueError(f"view: expected one of {', '.join(_VIEWS)}, got {view!r}")
        if not 1 <= top_k <= 1000:
            raise ValueError(f"top_k: expected 1 to 1000, got {top_k!r}")
        self.view = view
        self.top_k = top_k
        self.depth = depth

    def observe(self, images: Sequence[Image.Image | Features]) -> list[Seen]:
        """One :class:`Seen` per picture (mode RGB, any size from 1x1 up), the same whatever came with it.

        Instead of a picture this network's own features of it may come (:class:`~semcompress_plugin.types.Features`;
        ImageError where a view is missing): its classifier then says what they mean.
        """
        return [self._understand(image) if isinstance(image, Features) else self._look(image) for image in images]

    def compare(self, reference: Seen, candidates: Sequence[Seen]) -> list[dict[str, float]]:
        """For each candidate a value of every metric, the worst over the views."""
        return compared(reference, candidates, self.top_k, self.depth)

    def describe(self, seen: Seen) -> str:
        """What the reader takes the picture for, in words, and where in WordNet that is.

        ``tabby 62 % (centre), tiger cat 41 % (whole frame); tabby < domestic cat (1) < cat (2) < …``: behind each
        ancestor the ``lca_height`` of a class that is related by it only.
        """
        return described(seen, _labels())

    def _understand(self, features: Features) -> Seen:
        from semcompress_plugin.features.tables import load

        views = _VIEWS[self.view]
        if features.network != MODEL:
            raise ImageError(f"holds features of {features.network}, and classifier reads those of {MODEL}")
        if missing := [view for view in views if view not in features.views]:
            raise ImageError(
                f"holds features of the view {', '.join(features.views)}, not of {', '.join(missing)}, which "
                "classifier looks at: give both the same `view`"
            )
        values = features.values[[features.views.index(view) for view in views]]
        return Seen(views, softmax(load().logits(values)), values)

    def _look(self, image: Image.Image) -> Seen:
        views = _VIEWS[self.view]
        pixels = np.stack([np.asarray(_LOOK[view](image)) for view in views])
        # One run per picture: larger batches are no faster (benchmarks/portability.py) and would let the neighbours
        # in a batch decide how the runtime adds up, hence the last digits.
        logits, features = _session().run(["logits", "features"], {"image": pixels})
        return Seen(views, softmax(logits), features)


_opening = Lock()


@cache
def _open() -> onnxruntime.InferenceSession:
    return load_session(MODEL)


def _session() -> onnxruntime.InferenceSession:
    with _opening:
        return _open()


@cache
def _labels() -> tuple[str, ...]:
    path = MODELS / f"{MODEL}.labels.txt"
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise ModelError(f"{path}: cannot read the labels ({error}): {REINSTALL}") from error
