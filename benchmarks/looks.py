"""Looks per second of a reader on PyTorch by batch size, and pictures per second end to end, on the device there is.

    python benchmarks/looks.py FOLDER [--model efficientnet_b0] [--weights FILE] [--looks 256] [--pictures 20]

Without weights the model is untrained: as fast, and its verdicts mean nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _pages import publish
from PIL import Image
from torchvision import models
from torchvision.transforms._presets import ImageClassification

from semcompress_plugin import EvaluatorSpec, hookimpl
from semcompress_plugin.cores import available_cores
from semcompress_plugin.engine import Decision, Rounds, decide
from semcompress_plugin.evaluators import _classifier_metrics
from semcompress_plugin.evaluators.torch_classifier import TorchClassifier, TorchvisionClassifier
from semcompress_plugin.images import decode
from semcompress_plugin.plugins import Plugins
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.runner import Job, Runner
from semcompress_plugin.types import Reference, Rule
from semcompress_plugin.workshop import Workshop

BATCHES = (1, 32, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", default="efficientnet_b0")
    parser.add_argument("--weights")
    parser.add_argument("--looks", type=int, default=256)
    parser.add_argument("--pictures", type=int, default=20)
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    reader = make(arguments)
    images = [Image.open(path).convert("RGB") for path in files[:32]]
    figures: dict[str, Any] = {"device": device(reader), "model": arguments.model, "load": os.getloadavg()[0]}
    figures["looks per second"] = {str(size): looks(reader, images, size, arguments.looks) for size in BATCHES}
    figures["pictures per second"] = pictures(reader, files[: arguments.pictures])
    publish("looks", figures, table(figures))


def make(arguments: argparse.Namespace) -> TorchClassifier:
    if arguments.weights:
        return TorchvisionClassifier(arguments.model, arguments.weights)
    torch.manual_seed(0)
    return TorchClassifier(models.get_model(arguments.model, weights=None), ImageClassification(crop_size=224))


def device(reader: TorchClassifier) -> str:
    if reader.device.type == "cuda":
        return torch.cuda.get_device_name(reader.device)
    return f"{reader.device.type}, {torch.get_num_threads()} threads"


def looks(reader: TorchClassifier, images: list[Image.Image], batch: int, count: int) -> float:
    """Looks per second, the pictures' way to the device included."""
    pictures = list(itertools.islice(itertools.cycle(images), batch))
    reader.observe(pictures)  # warm
    rounds = max(1, count // batch)
    started = time.monotonic()
    for _ in range(rounds):
        reader.observe(pictures)
    return rounds * batch / (time.monotonic() - started)


def pictures(reader: TorchClassifier, files: list[Path]) -> dict[str, dict[str, float]]:
    """Pictures per second through decoding, search and encoding, and the batches that the reader saw."""
    found = {}
    for batch in BATCHES:
        counting = _Counting(reader)
        registry = Registry(_plugins(counting, batch))
        policy = parse_policy(
            "version: 1\npreset: machine\nrules:\n  - {name: all, files: ['*'], compress: [jpeg], "
            "keep: {measured: {js_divergence: {max: 0.01}}}}\n",
            registry,
            Path(),
        )
        study = partial(_study, rule=policy.rules[0], registry=registry)
        work = [Job(path, partial(_load, path), study) for path in files]
        started = time.monotonic()
        done = list(Runner(Workshop(registry), available_cores()).run(work))
        seconds = time.monotonic() - started
        failed = [each.error for each in done if each.error is not None]
        if failed:
            raise failed[0]
        found[str(batch)] = {
            "pictures per second": len(done) / seconds,
            "mean batch": sum(counting.sizes) / len(counting.sizes),
            "largest batch": max(counting.sizes),
        }
    return found


def _load(path: Path) -> Reference:
    return decode(path.read_bytes(), path.name)


def _study(reference: Reference, rule: Rule, registry: Registry) -> Rounds[tuple[Decision, ...]]:
    return decide(reference, rule, registry)


class _Counting:
    def __init__(self, reader: TorchClassifier) -> None:
        self.reader, self.sizes = reader, list[int]()

    def observe(self, images: Any) -> Any:
        self.sizes.append(len(images))
        return self.reader.observe(images)

    def compare(self, reference: Any, candidates: Any) -> Any:
        return self.reader.compare(reference, candidates)


def _plugins(reader: _Counting, batch: int) -> Plugins:
    class Plugin:
        @hookimpl
        def semcompress_evaluators(self) -> list[EvaluatorSpec]:
            metrics = _classifier_metrics.METRICS
            return [EvaluatorSpec("measured", "1", "the reader", metrics, factory=lambda: reader, batch=batch)]

    plugins = Plugins(found=[])
    plugins.register(Plugin(), "looks")
    return plugins


def table(figures: dict[str, Any]) -> str:
    rows = [
        f"| {batch} | {speed:.1f} | {whole['pictures per second']:.2f} | {whole['mean batch']:.1f} |"
        for (batch, speed), whole in zip(
            figures["looks per second"].items(), figures["pictures per second"].values(), strict=True
        )
    ]
    head = f"{figures['model']} on {figures['device']}; load of the machine at the start: {figures['load']:.1f}."
    columns = "| batch | looks per second | pictures per second, end to end | mean batch of the run |"
    return "\n".join([head, "", columns, "|---|---|---|---|", *rows])


if __name__ == "__main__":
    main()
