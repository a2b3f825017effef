"""What common qualities score on the metrics that preset ``web`` bounds: medians over a folder of pictures.

python benchmarks/encoders.py FOLDER
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from _pages import publish

from semcompress_plugin.engine import Candidate, Encode
from semcompress_plugin.errors import SemcompressError
from semcompress_plugin.evaluators.msssim import MsssimEvaluator
from semcompress_plugin.images import decode, decode_candidate
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import CompressorUse, Proposal
from semcompress_plugin.workshop import Workshop

QUALITIES = {"jpeg": ("JPEG", (50, 65, 75, 85)), "webp": ("WEBP", (75, 85)), "avif": ("AVIF", (50, 65))}
METRICS = ("score", "worst_tile", "chroma", "colour_shift", "ringing", "contrast_error", "tint", "patch_shift")


def main() -> None:
    folder = Path(sys.argv[1])
    workshop, reader = Workshop(Registry()), MsssimEvaluator()
    found: dict[str, dict[str, list[float]]] = {}
    for path in sorted(folder.iterdir()):
        try:
            reference = decode(path.read_bytes(), metadata="strip-private")
        except SemcompressError:
            continue  # animated, or no picture
        for compressor, (format, qualities) in QUALITIES.items():
            for quality in qualities:
                proposal = Proposal(compressor, format, {"scale": 1.0, "quality": quality})
                made = workshop.perform(Encode(CompressorUse(compressor, ()), reference, proposal))
                if isinstance(made, Candidate):
                    before, after = reader.observe([reference.image, decode_candidate(made.data)])
                    (values,) = reader.compare(before, [after])
                    for metric in METRICS:
                        row = found.setdefault(f"{format} {quality}", {})
                        row.setdefault(metric, []).append(values[metric])
    figures = {name: {metric: statistics.median(row[metric]) for metric in METRICS} for name, row in found.items()}
    lines = [
        f"| median of {len(next(iter(found.values()))['score'])} pictures | {' | '.join(METRICS)} |",
        "|---" * (1 + len(METRICS)) + "|",
    ]
    lines += [f"| {name} | {' | '.join(f'{row[m]:.4f}' for m in METRICS)} |" for name, row in figures.items()]
    publish("encoders", figures, "\n".join(lines))


if __name__ == "__main__":
    main()
