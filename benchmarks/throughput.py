"""What a run costs beside its own trials, each called alone; and beside the post's loops.

    python benchmarks/throughput.py FOLDER [--limit 24] [--torch-python PYTHON]

Preset machine on copies of the first photographs of FOLDER: JPEG in place, and WebP beside. The command's processor
seconds with one worker thread are compared with those of its bare trials: the same encodings (Pillow's resize and
encoder), decodings, looks and comparisons, called one after the other outside of everything else; its wall time with
two workers with the bare trials' wall time on one thread (measure that on a quiet machine). Imports and opening the
model are not counted. A bare trial scales the picture itself; the run scales it once per scale, so it may cost less.

With the interpreter of an environment that has torch and torchvision, the post as published is timed as well: one look
of an untrained torchvision resnet152 (eager PyTorch, one thread), times the looks that the post's two loops need with
our default reader. Encoding and everything else in those loops counts as free.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _pages import publish
from PIL import Image

from semcompress_plugin.cli import main as semcompress
from semcompress_plugin.engine import Compare, Encode, Observe, decide, drive
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.images import decode
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.workshop import Workshop, _prepared

POLICY = 'version: 1\npreset: machine\nrules:\n  - name: all\n    files: ["*.jpg"]\n    '
CASES = {
    "JPEG in place": "compress: [jpeg]",
    "WebP beside": "compress: [webp]\n    outputs: {formats: [webp], place: beside}",
}
POST = """compress: [{compressor}]
    outputs: {{formats: [jpeg], place: beside}}
    keep: {{classifier: {{top1_agreement: {{min: 1}}}}}}
"""
LOOK = """
import time, torch, torchvision
torch.set_num_threads(1)
net = torchvision.models.resnet152(weights=None).eval()
x = torch.zeros(1, 3, 224, 224)
with torch.no_grad():
    net(x)
    took = []
    for _ in range(5):
        began = time.process_time(); net(x); took.append(time.process_time() - began)
print(sorted(took)[2])
"""


def repository(photos: Sequence[Path], folder: Path, how: str) -> None:
    for number, path in enumerate(photos):
        (folder / f"{number:05}.jpg").write_bytes(path.read_bytes())
    (folder / ".semcompress.yaml").write_text(POLICY + how + "\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)


def run(photos: Sequence[Path], how: str, jobs: int) -> tuple[float, float]:
    """Processor and wall seconds of the whole command, in this process."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name), contextlib.redirect_stdout(io.StringIO()):
        repository(photos, Path(name), how)
        wall, cpu = time.perf_counter(), time.process_time()
        code = semcompress(["compress", "--jobs", str(jobs), "--format", "json", "--quiet"])
        assert code in (0, 1), code
        return time.process_time() - cpu, time.perf_counter() - wall


def bare(photos: Sequence[Path], how: str) -> dict[str, float]:
    """Processor seconds of the trials that the same run makes, by what they are; ``wall`` in all, and their number."""
    registry = Registry()
    tools = Workshop(registry)
    rule = parse_policy(POLICY + how, registry, Path(), "benchmark").rules[0]
    spent: dict[str, float] = dict.fromkeys(("encode", "resize", "decode", "look", "wall", "trials"), 0.0)

    def timed(part: str, call: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        spent[part] += time.process_time() - cpu
        spent["wall"] += time.perf_counter() - wall
        return result

    for path in photos:
        reference = timed("decode", lambda path=path: decode(path.read_bytes(), None, rule.metadata))
        tasks: list[Any] = []

        def perform(task: Any, tasks: list[Any] = tasks) -> Any:
            tasks.append(task)
            return tools.perform(task)

        drive(decide(reference, rule, registry), perform)
        for task in tasks:
            if isinstance(task, Encode):
                maker = registry.make_compressor(task.use.name, task.use.options)
                scale = task.proposal.settings.get("scale", 1.0)
                size = tuple(max(1, round(side * scale)) for side in reference.image.size)
                small = reference.image if scale == 1 else reference.image.resize(size, Image.Resampling.LANCZOS)
                whole = {**task.proposal.settings, "scale": 1.0}
                ready = type(reference)(small, reference.source, reference.format, reference.metadata)
                if scale != 1:
                    timed("resize", lambda s=size, r=reference: r.image.resize(s, Image.Resampling.LANCZOS))
                data = timed("encode", lambda m=maker, r=ready, w=whole, t=task: m.compress(r, w, t.proposal.format))
                timed("decode", lambda d=data: Image.open(io.BytesIO(d)).load())
                spent["trials"] += 1
            elif isinstance(task, Observe):
                reader, images = tools._evaluator(task.use), _prepared(task)
                timed("look", lambda reader=reader, images=images: reader.observe(images))
            elif isinstance(task, Compare):
                reader = tools._evaluator(task.use)
                for before, after in zip(task.reference, task.candidate, strict=True):
                    timed("look", lambda reader=reader, b=before, a=after: reader.compare(b, [a]))
    return spent


def post_looks(photos: Sequence[Path]) -> float:
    """Looks per picture of the post's two loops together, with our default reader."""
    registry = Registry()
    tools, looks = Workshop(registry), []
    for path in photos:
        reference, count = decode(path.read_bytes()), 0
        for compressor in ("seed-resize", "seed-jpeg"):
            policy = POLICY + POST.format(compressor=compressor)
            rule = parse_policy(policy, registry, Path(), "benchmark").rules[0]
            (decision,) = drive(decide(reference, rule, registry), tools.perform)
            count += decision.looks
        looks.append(count)
    return statistics.mean(looks)


def batches(photo: Path) -> dict[str, float]:
    """Looks per second of the bare reader, by batch."""
    reader, figures = ClassifierEvaluator(), {}
    image = decode(photo.read_bytes()).image.convert("RGB")
    for size in (1, 8, 32):
        took = []
        for _ in range(3):
            began = time.process_time()
            reader.observe([image] * size)
            took.append(time.process_time() - began)
        figures[str(size)] = size / statistics.median(took)
    return figures


def measure(photos: Sequence[Path]) -> dict[str, Any]:
    ClassifierEvaluator().observe([Image.new("RGB", (8, 8))])  # opening the model is not what is measured
    figures: dict[str, Any] = {"pictures": len(photos), "load": os.getloadavg()[0], "cases": {}}
    for name, how in CASES.items():
        run(photos[:1], how, 1)
        alone = bare(photos, how)
        cpu, wall = run(photos, how, 1)
        _, wall_two = run(photos, how, 2)
        parts = {part: alone[part] for part in ("encode", "resize", "decode", "look")}
        figures["cases"][name] = {
            "trials per picture": alone["trials"] / len(photos),
            "ms per picture": 1e3 * cpu / len(photos),
            "wall ms per picture": {"1": 1e3 * wall / len(photos), "2": 1e3 * wall_two / len(photos)},
            "bare ms per picture": {part: 1e3 * seconds / len(photos) for part, seconds in parts.items()},
            "cpu / bare": cpu / sum(parts.values()),
            "wall on two / bare": wall_two / alone["wall"],
        }
    figures["looks per second by batch"] = batches(photos[0])
    return figures


def table(figures: dict[str, Any]) -> str:
    lines = [
        f"{figures['pictures']} photographs; load of the machine at the start: {figures['load']:.1f}.",
        "",
        "| case | trials | CPU ms a picture | of which bare: encode | resize | decode | look | CPU / bare "
        "| wall on two cores / bare |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in figures["cases"].items():
        parts = " | ".join(f"{row['bare ms per picture'][part]:.0f}" for part in ("encode", "resize", "decode", "look"))
        lines.append(
            f"| {name} | {row['trials per picture']:.1f} | {row['ms per picture']:.0f} | {parts} "
            f"| {row['cpu / bare']:.2f} | {row['wall on two / bare']:.2f} |"
        )
    speeds = ", ".join(f"{rate:.0f} at {size}" for size, rate in figures["looks per second by batch"].items())
    lines += ["", f"Looks per second of the bare reader (both views), one thread, by batch: {speeds}."]
    if "post" in figures:
        post = figures["post"]
        lines += [
            "",
            f"The post as published: {post['looks']:.1f} looks a picture for its two loops, with our default reader, "
            f"times {1e3 * post['look seconds']:.0f} ms for one look of an untrained resnet152 (eager PyTorch, one "
            f"thread), is {post['ratio']:.0f} times the processor time of preset machine (JPEG in place).",
        ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=24, help="so many photographs, evenly spread")
    parser.add_argument("--torch-python", type=Path, help="an interpreter with torch and torchvision")
    arguments = parser.parse_args(argv)
    found = sorted(path for path in arguments.folder.resolve().rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    photos = found[:: max(1, len(found) // arguments.limit)][: arguments.limit]
    figures = measure(photos)
    if arguments.torch_python:
        done = subprocess.run([arguments.torch_python, "-c", LOOK], check=True, capture_output=True, text=True)
        look, looks = float(done.stdout), post_looks(photos)
        ours = figures["cases"]["JPEG in place"]["ms per picture"] / 1e3
        figures["post"] = {"looks": looks, "look seconds": look, "ratio": looks * look / ours}
    text = table(figures)
    print(text)
    print(json.dumps(figures["cases"], indent=1))
    publish("throughput", figures, text)


if __name__ == "__main__":
    main()
