"""Each preset on pictures it is for, against the fixed quality that reaches the same worst score.

    python benchmarks/presets.py CASE=PRESET:FOLDER ... [--limit 12] [--effort fast]

such as ``photographs=web:/usr/share/backgrounds site=web:examples/site photos=machine:PHOTOS letters=text:DIAGRAMS``.
Each picture of a folder is shrunk in its own format. The fixed setting is one quality for the whole folder: the lowest
at which no picture's score (MS-SSIM for ``web`` and ``text``, the sway for ``machine``) is worse
than the worst among our outputs, by the same encoder with effort ``fast``; it may choose its quality afterwards, from
the very pictures, which is more than anybody can who sets one. Formats of which a folder has no picture that shrinks
are left out. Which constraint binds: the one with the least slack in the kept file, yes and no apart. One process per
case, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _pages import publish

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif"}
JUDGES = {"web": ("msssim", "score"), "text": ("msssim", "score"), "machine": ("classifier", "sway")}
QUALITIES = range(20, 99)


def case(preset: str, folder: Path, limit: int, effort: Any) -> dict[str, Any]:
    """One preset on one folder, in this process."""
    from semcompress_plugin.engine import decide, drive
    from semcompress_plugin.errors import SemcompressError
    from semcompress_plugin.images import decode
    from semcompress_plugin.policy import parse_policy
    from semcompress_plugin.registry import Registry
    from semcompress_plugin.workshop import Workshop

    registry = Registry()
    tools = Workshop(registry)
    rule = parse_policy(f"version: 1\npreset: {preset}\n", registry, Path(), "benchmark").rules[0]
    judge = JUDGES[preset]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    before, after, binding, kept = [], [], collections.Counter[str](), []
    cpu, megapixels, left = 0.0, 0.0, 0
    for path in found[:: max(1, len(found) // limit)][:limit]:
        try:
            reference = decode(path.read_bytes(), path.name, rule.metadata)
        except SemcompressError:
            left += 1
            continue
        began = time.process_time()
        (decision,) = drive(decide(reference, rule, registry, None, effort), tools.perform)
        cpu += time.process_time() - began
        megapixels += reference.image.width * reference.image.height / 1e6
        before.append(reference.bytes)
        after.append(len(decision.candidate.data) if decision.candidate else reference.bytes)
        if decision.candidate:
            slack = {
                f"{c.evaluator}.{c.metric.name}": c.slack(decision.scores[c.evaluator][c.metric.name])
                for c in rule.keep
                if c.metric.transform != "step"  # yes or no, that is always met exactly
            }
            binding[min(slack, key=slack.__getitem__)] += 1
            value = decision.scores[judge[0]][judge[1]]
            kept.append((reference, decision.candidate.proposal.format, len(decision.candidate.data), value))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "preset": preset,
        "pictures": len(before),
        "left alone": left,
        "megapixels": megapixels,
        "before": sum(before),
        "after": sum(after),
        "geometric ratio": math.exp(statistics.mean(math.log(b / a) for b, a in zip(before, after, strict=True))),
        "cpu seconds per megapixel": cpu / megapixels,
        "peak MiB": peak,
        "binding": dict(binding.most_common()),
        "fixed": {name: fixed(name, kept, rule, registry, tools, judge) for name in ("JPEG", "WEBP", "AVIF")},
    }


def fixed(format: str, kept: Sequence[Any], rule: Any, registry: Any, tools: Any, judge: tuple[str, str]) -> Any:
    """The lowest quality for all pictures of ``format`` at which none scores worse than the worst of ours."""
    from semcompress_plugin.engine import Compare, Encode, Observe
    from semcompress_plugin.types import CompressorUse, EvaluatorUse, Proposal

    mine = [(reference, size, value) for reference, here, size, value in kept if here == format]
    if not mine:
        return None
    reader = next(use for use in rule.evaluators if use.name == judge[0])
    metric = registry.evaluator(reader.plugin).metric(judge[1])
    worst = (min if metric.higher_is_better else max)(value for _, _, value in mine)
    assert isinstance(reader, EvaluatorUse)
    use = CompressorUse(format.lower(), ())
    seen = [tools.observe([Observe(reader, reference.image)])[0] for reference, _, _ in mine]

    def size_at(quality: int) -> int | None:
        """Bytes of all pictures at this quality, or None where one is worse."""
        total = 0
        for (reference, _, _), before in zip(mine, seen, strict=True):
            settings = {"scale": 1.0, "quality": quality}
            candidate = tools.encode(Encode(use, reference, Proposal(format.lower(), format, settings)))
            after = tools.observe([Observe(reader, candidate.image, reference.image.size)])[0]
            values = [float(row[judge[1]]) for row in tools.compare(Compare(reader, before, after))]
            value = min(values) if metric.higher_is_better else max(values)
            if value < worst if metric.higher_is_better else value > worst:
                return None
            total += len(candidate.data)
        return total

    low, high, best = QUALITIES[0], QUALITIES[-1], None
    while low <= high:  # the worst score of a folder rises with quality, near enough
        middle = (low + high) // 2
        size = size_at(middle)
        if size is None:
            low = middle + 1
        else:
            best, high = {"quality": middle, "bytes": size}, middle - 1
    ours = sum(size for _, size, _ in mine)
    return None if best is None else {**best, "ours": ours, "pictures": len(mine), "ratio": best["bytes"] / ours}


def table(figures: dict[str, Any]) -> str:
    lines = [
        "| case | preset | pictures (megapixels) | bytes before | after | saved | CPU s a megapixel | peak MiB | binds "
        "| fixed quality at the same worst score / ours |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in figures.items():
        binds = ", ".join(f"{metric} {count}" for metric, count in row["binding"].items())
        others = "; ".join(
            f"{format} {found['quality']}: {found['ratio']:.2f} ({found['pictures']})"
            for format, found in row["fixed"].items()
            if found
        )
        saved = 100 * (1 - row["after"] / row["before"])
        lines.append(
            f"| {name} | {row['preset']} | {row['pictures']} ({row['megapixels']:.0f}) | {row['before']:,} "
            f"| {row['after']:,} | {saved:.0f} % | {row['cpu seconds per megapixel']:.2f} | {row['peak MiB']:.0f} "
            f"| {binds} | {others or '-'} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="CASE=PRESET:FOLDER")
    parser.add_argument("--limit", type=int, default=12, help="so many pictures of each folder, evenly spread")
    parser.add_argument("--effort", choices=("fast", "best"), default="fast")
    parser.add_argument("--alone", action="store_true", help="one case, its figures as JSON (how this calls itself)")
    arguments = parser.parse_args(argv)
    figures = {}
    for text in arguments.cases:
        name, _, rest = text.partition("=")
        preset, _, folder = rest.partition(":")
        if preset not in JUDGES or not Path(folder).is_dir():
            parser.error(
                f"{text}: expected CASE=PRESET:FOLDER, with one of {', '.join(JUDGES)} and a folder that exists"
            )
        if arguments.alone:
            print(json.dumps(case(preset, Path(folder), arguments.limit, arguments.effort)))
            return
        command = [sys.executable, __file__, text, "--limit", str(arguments.limit), "--effort", arguments.effort]
        done = subprocess.run([*command, "--alone"], check=True, capture_output=True, text=True)
        figures[name] = json.loads(done.stdout)
        print(table({name: figures[name]}).splitlines()[-1], flush=True)
    publish("presets", figures, table(figures))


if __name__ == "__main__":
    main()
