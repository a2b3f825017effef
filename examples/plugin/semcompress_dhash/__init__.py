"""What the plugin offers, as data: this module is imported whenever plugins are listed, so it imports nothing heavy."""

from collections.abc import Iterator

from semcompress_plugin import EvaluatorSpec, Metric, hookimpl


@hookimpl
def semcompress_evaluators() -> Iterator[EvaluatorSpec]:
    yield EvaluatorSpec(
        "dhash",
        "1",  # another one where the same picture would get other numbers
        "the difference hash by which programs find duplicates",
        metrics=(Metric("distance", "share of the hash's bits that differ", higher_is_better=False),),
        factory="semcompress_dhash.reader:DhashEvaluator",  # imported when a policy uses it
        options={"size": {"type": "integer", "minimum": 4, "maximum": 32, "default": 8}},
        cost=2,  # ms per megapixel, roughly: cheap readers are asked first
        concurrent=True,  # it has no state, so threads may share it
    )
