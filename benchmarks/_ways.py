"""Ways to shrink a folder of photographs, run for real: the product under policies, and other people's strategies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _grid import ICC, opened
from numpy.typing import NDArray

from semcompress_plugin.compressors.jpeg import JpegCompressor
from semcompress_plugin.errors import SemcompressError
from semcompress_plugin.images import decode

Array = NDArray[np.float64]

RULE = "  - {{name: all, files: ['*'], {body}}}\n"
POLICY = "version: 1\npreset: machine\n{evaluators}rules:\n" + RULE
CENTER = "evaluators: {reader: {use: classifier, view: center}}\n"
AVIF, SMALLEST = (f"outputs: {{formats: [{formats}], place: beside}}" for formats in ("avif", "smallest"))
ANY = (0.2, 0.25)  # bounds at which the preset may choose among formats
BEST_EFFORT = (0.2, 0.21, 0.22, 0.25)  # bounds at which files are written with --effort best
TOP1 = "keep: {reader: {top1_agreement: {min: 1}}}"


@dataclass(frozen=True, slots=True)
class Made:
    """What a way made of one photograph: its file (the photograph's own where nothing was made), and the effort."""

    data: bytes
    looks: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the command line: under which policy, and with which ``--effort``."""

    policy: str
    effort: str = "fast"


def runs(bounds: Sequence[float]) -> dict[str, Run]:
    """By name: our preset at several bounds, of any format, at effort best, by bisection, and the post's two loops."""

    def ours(bound: float, more: str = AVIF) -> str:
        return POLICY.format(evaluators="", body=f"keep: {{classifier: {{sway: {{max: {bound}}}}}}}, {more}")

    return {
        **{f"sway {bound:g}": Run(ours(bound)) for bound in bounds},
        **{f"any format, sway {bound:g}": Run(ours(bound, SMALLEST)) for bound in ANY},
        **{f"effort best, sway {bound:g}": Run(ours(bound), "best") for bound in BEST_EFFORT},
        "bisection, sway 0.25": Run(ours(0.25, f"{AVIF}, search: bisect")),
        "post: seed-resize": Run(POLICY.format(evaluators=CENTER, body=f"compress: [seed-resize], {TOP1}")),
        "post: seed-jpeg": Run(POLICY.format(evaluators=CENTER, body=f"compress: [seed-jpeg], {TOP1}")),
    }


def product(photos: Mapping[str, bytes], run: Run, folder: Path) -> tuple[dict[str, Made], float]:
    """Run `semcompress compress` in ``folder`` over ``photos`` (by name, without suffix), and the seconds it took.

    A finished run is kept in ``folder`` and read again. A photograph that was left alone counts as it is.
    """
    done = folder / "report.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, data in photos.items():
            (folder / f"{name}.jpg").write_bytes(data)
        (folder / ".semcompress.yaml").write_text(f"{run.policy}originals: none\n", encoding="utf-8")
        command = [sys.executable, "-m", "semcompress_plugin", "compress", "--format", "json", "--jobs", "1"]
        command += ["--effort", run.effort]
        # a repository of its own: that of this checkout may remember what an earlier search had found
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        root = str(Path(__file__).parents[1])  # this checkout, whatever is installed
        began = time.perf_counter()
        ran = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": root}
        )
        if ran.returncode not in (0, 1):
            raise SystemExit(f"{folder}: {ran.stderr}")
        done.write_text(json.dumps(json.loads(ran.stdout) | {"wall": time.perf_counter() - began}), encoding="utf-8")
    report = json.loads(done.read_text(encoding="utf-8"))
    made = {name: Made(data, 0) for name, data in photos.items()}
    for result in report["results"]:
        data = photos[Path(result["path"]).stem]
        for output in result["outputs"]:
            data = (folder / output["path"]).read_bytes()
        made[Path(result["path"]).stem] = Made(data, result["looks"])
    return made, report["wall"]


PROBES, WORST, BEST = 6, 40, 95  # as jpeg-recompress has them by default
TARGETS = (0.86, 0.9, 0.93, 0.955, 0.97, 0.98)


def jpeg_recompress(data: bytes, targets: Sequence[float] = TARGETS) -> list[Made]:
    """For each target the JPEG that jpeg-recompress's strategy ends at: full size, bisecting quality on SSIM.

    Six probes between quality 40 and 95: the middle; lower where the score is above the target, else higher; the last
    probe is what is written (github.com/danielgtaylor/jpeg-archive, from its description). SSIM of the luma.
    """
    try:
        reference = decode(data, metadata="strip-private", icc=ICC)
    except SemcompressError:
        return [Made(data, 0) for _ in targets]
    before = np.asarray(opened(data).convert("L"), np.float64)
    known: dict[int, tuple[bytes, float]] = {}

    def probe(quality: int) -> tuple[bytes, float]:
        if quality not in known:
            written = JpegCompressor().compress(reference, {"scale": 1.0, "quality": quality}, "JPEG")
            known[quality] = written, ssim(before, np.asarray(opened(written).convert("L"), np.float64))
        return known[quality]

    made = []
    for target in targets:
        low, high, written = WORST, BEST, data
        for _ in range(PROBES):
            quality = (low + high) // 2
            written, score = probe(quality)
            low, high = (low, max(quality - 1, low)) if score >= target else (min(quality + 1, high), high)
        made.append(Made(min(written, data, key=len), PROBES))
    return made


def ssim(x: Array, y: Array, window: int = 8) -> float:
    """Mean structural similarity (Wang et al. 2004) of two equal-sized luma planes, 0 to 255; box windows."""

    def mean(plane: Array) -> Array:
        sums = np.pad(plane.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        n = window
        return np.asarray((sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]) / n**2)

    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    one, two = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * mx * my + one) * (2 * xy + two) / ((mx * mx + my * my + one) * (xx + yy + two))).mean())
