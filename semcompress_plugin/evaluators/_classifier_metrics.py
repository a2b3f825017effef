"""What the evaluator ``classifier`` measures and can be told, as data: imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semcompress_plugin.types import Metric, Parts

ROOT = 18
"""The height of WordNet's root above ImageNet's classes, and the depth of the deepest class below it."""

DEPTH = 13
"""Where all dogs are one, and all house cats."""

METRICS = (
    Metric(
        "top1_agreement",
        "1 when the most probable class is the reference's, else 0",
        higher_is_better=True,
        transform="step",
    ),
    Metric(
        "topk_overlap",
        "share of the reference's k most probable classes that are among the candidate's",
        higher_is_better=True,
    ),
    Metric(
        "confidence_ratio",
        "probability of the reference's top class, candidate / reference; above 1 when the reader is surer than before",
        higher_is_better=True,
        maximum=float("inf"),
    ),
    Metric(
        "js_divergence",
        "Jensen-Shannon divergence of the two distributions over all classes, 0 when they are the same",
        higher_is_better=False,
        unit="bit",
        transform="log",
    ),
    Metric(
        "sway",
        "how far the reader was swayed: root mean square change of its class scores, against the square root of the "
        "lead that the reference's top class still has; 0 not at all, 1 that class is no longer first",
        higher_is_better=False,
        maximum=float("inf"),  # 1 in truth, which it reaches abruptly: a logit would make a cliff of that
        transform="log",
    ),
    Metric(
        "feature_cosine",
        "cosine of the angle between the two vectors of the network's penultimate layer",
        higher_is_better=True,
        transform="log1m",
    ),
    Metric(
        "lca_height",
        "how far up WordNet the two most probable classes meet: 0 the same class, 1 sisters such as tiger cat and "
        "Egyptian cat, 6 a cat and a dog",
        higher_is_better=False,
        maximum=ROOT,
        unit="levels",
    ),
    Metric(
        "wup_similarity",
        "Wu and Palmer's similarity of the two most probable classes in WordNet: 1 the same class",
        higher_is_better=True,
    ),
    Metric(
        "hierarchical_js",
        "js_divergence after the probabilities of classes that are one at WordNet's level `depth` were summed",
        higher_is_better=False,
        unit="bit",
        transform="log",
    ),
)

OPTIONS: Mapping[str, Any] = {
    "view": {
        "enum": ["center", "full", "both"],
        "description": "the usual centre crop, the whole frame, or both, of which the worse counts",
    },
    "top_k": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "the k of topk_overlap"},
    "depth": {
        "type": "integer",
        "minimum": 0,
        "maximum": ROOT,
        "default": DEPTH,
        "description": "the level of WordNet, counted from its root, to which hierarchical_js sums; at 13 all dogs are "
        "one",
    },
}

PARTS = Parts("view", {"both": ("center", "full")}, default="both")
