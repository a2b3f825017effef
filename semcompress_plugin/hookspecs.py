"""The hooks that a plugin may implement.

A plugin is a module (or object) named by an entry point of the group ``semcompress``::

    [project.entry-points.semcompress]
    my-reader = "my_package.plugin"
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from semcompress_plugin.types import CompressorSpec, EvaluatorSpec, Result

PROJECT = "semcompress"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def semcompress_compressors() -> Iterable[CompressorSpec]:  # type: ignore[empty-body]  # a hookspec has no body
    """Offer compressors.

    Example::

        from semcompress_plugin import CompressorSpec, Knob, hookimpl

        class Gif:
            def compress(self, reference, settings, format):
                import io
                out = io.BytesIO()
                reference.image.quantize(int(settings["colors"])).save(out, format)
                return out.getvalue()

        @hookimpl
        def semcompress_compressors():
            colors = Knob("colors", "palette size", low=2, high=256, integer=True, log=True)
            yield CompressorSpec("gif", "1", "palette GIF", formats=("GIF",), knobs=(colors,), factory=Gif)
    """


@hookspec
def semcompress_evaluators() -> Iterable[EvaluatorSpec]:  # type: ignore[empty-body]  # a hookspec has no body
    """Offer readers.

    Example::

        from semcompress_plugin import EvaluatorSpec, Metric, hookimpl

        class MeanGrey:
            def observe(self, images):
                return [image.convert("L").resize((1, 1)).getpixel((0, 0)) / 255 for image in images]

            def compare(self, reference, candidates):
                return [{"difference": abs(reference - candidate)} for candidate in candidates]

        @hookimpl
        def semcompress_evaluators():
            difference = Metric("difference", "change of the mean grey", higher_is_better=False)
            yield EvaluatorSpec("mean-grey", "1", "mean brightness", metrics=(difference,), factory=MeanGrey)
    """


@hookspec
def semcompress_result(result: Result) -> None:
    """Be told of each picture that ``compress`` or ``build`` was to see to, at the end of the run.

    What it says has been done then: files are written. ``check`` and ``verify`` write nothing, and tell nobody. A build
    over shards tells where the picture was worked on.

    Example::

        import logging

        from semcompress_plugin import hookimpl

        @hookimpl
        def semcompress_result(result):
            # not to standard output, where reports go
            logging.getLogger("my_package").info("%s: %d -> %d bytes", result.path, result.before, result.after)
    """
