"""Record what a folder of photographs weighs and scores over a grid of settings.

    python tools/record_grids.py PHOTOS OUT.jsonl \
        --compressor jpeg:scale=.12,.18,.26,.38,.54,.75,1:quality=5,10,18,26,35,45,55,65,75,85,93 \
        --evaluator center=classifier:view=center --evaluator full=classifier:view=full

The first line of OUT describes the grid; every further line is one photograph: its size, and for every setting the
bytes and the metrics. Photographs come in a shuffled (seeded) order and are appended as they finish, so that a run
can be stopped, and continued by the same command. ``tools/make_prior.py`` and ``benchmarks/search.py`` read it.

A compressor's options are given like its knobs, before them: ``avif:grain=true:scale=...``. Every metric of an
evaluator is recorded. With ``--files FOLDER`` the encoded files are kept there (a few megabytes a
photograph), and another recording of the same grid, of a metric that is new, only looks at them.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from semcompress_plugin.engine import Candidate, Compare, Encode, Observe
from semcompress_plugin.images import decode, decode_candidate
from semcompress_plugin.registry import Registry
from semcompress_plugin.search._table import parts, variant
from semcompress_plugin.types import CompressorUse, EvaluatorUse, Proposal, Reference
from semcompress_plugin.workshop import Workshop

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


Setting = tuple[CompressorUse, Proposal]


def record(
    workshop: Workshop, reference: Reference, grid: list[Setting], readers: list[EvaluatorUse], kept: Path | None
) -> Any:
    """``{"bytes": [...], "scores": {reader: {metric: [...]}}}`` over ``grid``; raises what the plugins raise."""
    registry = workshop.registry
    files = encoded(workshop, reference, grid, kept)
    scores: dict[str, dict[str, list[float]]] = {reader.name: {} for reader in readers}
    known = [workshop.perform(Observe(reader, reference.image)) for reader in readers]
    for data in files:
        image = decode_candidate(data)
        for reader, observed in zip(readers, known, strict=True):
            same_size = registry.evaluator(reader.plugin).equal_sizes
            seen: Any = workshop.perform(Observe(reader, image, reference.image.size if same_size else None))
            (values,) = workshop.compare(Compare(reader, observed, seen))  # type: ignore[arg-type]  # as observed
            for name, value in values.items():
                scores[reader.name].setdefault(name, []).append(float(f"{value:.6g}"))
    return {"bytes": [len(data) for data in files], "scores": scores}


def encoded(workshop: Workshop, reference: Reference, grid: list[Setting], kept: Path | None) -> list[bytes]:
    """The file of every setting; from the archive ``kept``, which is written where there is none."""
    if kept is not None and kept.exists():
        with np.load(kept) as archive:
            joined, ends = archive["bytes"].tobytes(), archive["ends"].tolist()
        return [joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    files = []
    for use, proposal in grid:
        candidate = workshop.perform(Encode(use, reference, proposal))
        if not isinstance(candidate, Candidate):
            raise SystemExit(f"{proposal}: {candidate}")
        files.append(candidate.data)
    if kept is not None:
        partial = kept.with_suffix(".partial")
        with partial.open("wb") as out:
            np.savez(out, bytes=np.frombuffer(b"".join(files), np.uint8), ends=np.cumsum([len(f) for f in files]))
        partial.replace(kept)
    return files


def parse_compressor(text: str, registry: Registry) -> list[Setting]:
    """``jpeg:scale=.5,1:quality=20,80`` as a grid, the last knob fastest; options stand before the knobs."""
    name, *rest = parts(text)
    spec = registry.compressor(name)
    given = dict(part.split("=", 1) for part in rest)
    options = {key: json.loads(value) for key, value in given.items() if key in spec.options}
    axes = {key: [float(value) for value in values.split(",")] for key, values in given.items() if key not in options}
    if set(axes) != {knob.name for knob in spec.knobs}:
        raise SystemExit(f"{text}: expected the knobs {', '.join(knob.name for knob in spec.knobs)}")
    use = CompressorUse(name, (), options)
    points = itertools.product(*axes.values())
    return [(use, Proposal(name, spec.formats[0], dict(zip(axes, point, strict=True)))) for point in points]


def parse_evaluator(text: str) -> EvaluatorUse:
    """``center=classifier:view=center`` as a use; ``=...`` may be left out."""
    name, _, rest = text.partition("=")
    plugin, *options = (rest or name).split(":")
    return EvaluatorUse(name, plugin, dict(option.split("=", 1) for option in options))


def described(grid: list[Setting]) -> list[Any]:
    """The grid as JSON: ``[["avif:grain=true", {"scale": 0.5, "quality": 40}], ...]``."""
    return [[variant(use.name, use.options), dict(proposal.settings)] for use, proposal in grid]


def _archive(folder: Path, grid: list[Setting], photo: Path) -> Path:
    settings = json.dumps(described(grid), sort_keys=True)
    place = folder / hashlib.sha256(settings.encode()).hexdigest()[:12]
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{hashlib.sha256(photo.read_bytes()).hexdigest()[:16]}.npz"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--compressor", action="append", required=True, metavar="NAME:KNOB=V,V:KNOB=V,V")
    parser.add_argument("--evaluator", action="append", required=True, metavar="NAME=PLUGIN:OPTION=VALUE")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="keep the encoded files there, and use them again")
    parser.add_argument("--limit", type=int, help="at most so many photographs")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    registry = Registry()
    workshop = Workshop(registry)
    grid = [setting for text in arguments.compressor for setting in parse_compressor(text, registry)]
    readers = [parse_evaluator(text) for text in arguments.evaluator]
    header = {
        "settings": described(grid),
        "readers": {reader.name: [reader.plugin, dict(reader.options)] for reader in readers},
        "versions": {
            **{name: registry.compressor(name).version for name in sorted({use.name for use, _ in grid})},
            **{name: registry.evaluator(name).version for name in sorted({r.plugin for r in readers})},
        },
    }
    paths = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in SUFFIXES)
    random.Random(arguments.seed).shuffle(paths)
    done: set[str] = set()
    if arguments.out.exists():
        first, *lines = arguments.out.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != header:
            raise SystemExit(f"{arguments.out} holds another grid")
        done = {json.loads(line)["photo"] for line in lines}
    with arguments.out.open("a", encoding="utf-8") as out:
        if out.tell() == 0:
            print(json.dumps(header), file=out)
        for path in paths[: arguments.limit]:
            if path.name in done:
                continue
            began = time.perf_counter()
            reference = decode(path.read_bytes(), metadata="strip-private", icc="drop-srgb")
            width, height = reference.image.size
            facts = {"photo": path.name, "width": width, "height": height, "source_bytes": reference.bytes}
            kept = None if arguments.files is None else _archive(arguments.files, grid, path)
            print(json.dumps(facts | record(workshop, reference, grid, readers, kept)), file=out, flush=True)
            print(f"{path.name}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
