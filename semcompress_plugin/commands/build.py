"""``semcompress build``: derive a tree with shrunk pictures, or shrink inside a tree that was just generated."""

from __future__ import annotations

import argparse
import sys

from semcompress_plugin import bugs
from semcompress_plugin.commands import _shards
from semcompress_plugin.commands._shared import load_registry
from semcompress_plugin.derive import build_tree
from semcompress_plugin.errors import UsageError
from semcompress_plugin.walk import place_below


def run(arguments: argparse.Namespace) -> int:
    if arguments.in_place is not None and arguments.source is not None:
        raise UsageError("--in-place DIR builds inside DIR: give it, or SRC and OUT, not both")
    if _shards.wanted(arguments):
        return _shards.run(arguments)
    if arguments.shard_size is not None:
        raise UsageError("--shard-size is of a build over shards, where --executor is given or SRC or OUT is an URL")
    if arguments.in_place is None and arguments.source is None:
        raise UsageError("say what to build: SRC and OUT, or --in-place DIR")
    if arguments.in_place is None and arguments.out is None:
        raise UsageError("say where to build to: SRC and OUT")
    if arguments.source is not None and place_below(arguments.out, arguments.source) not in (None, arguments.source):
        print(
            f"semcompress: warning: {arguments.out} lies within {arguments.source}: a build into another folder would "
            "copy it as if it were a source",
            file=sys.stderr,
        )
    registry = load_registry()
    report = build_tree(
        arguments.in_place or arguments.source,
        arguments.out,
        policy=arguments.policy,
        pages=arguments.pages,
        site_url=arguments.site_url,
        jobs=arguments.jobs,
        progress=not arguments.quiet,
        effort=arguments.effort,
        registry=registry,
    )
    for text in report.warnings:
        print(f"semcompress: warning: {text}", file=sys.stderr)
    if arguments.format == "json":
        sys.stdout.writelines(report.pieces())
        print()
    elif not arguments.quiet:
        for line in report.lines():
            print(line)
    from semcompress_plugin.words import printable

    for result in report.failed:
        if arguments.quiet or result.status == "compressed":  # of those that failed the report has told
            print(f"semcompress: {printable(result.path)}: {printable(result.reason or '')}", file=sys.stderr)
    if report.bugs:
        return bugs.report("\n".join(report.bugs))
    return int(bool(report.failed))
