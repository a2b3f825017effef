"""What a run with nothing to do over 1,000 pictures costs, against hashing what they were before.

    python benchmarks/noop.py FOLDER [--rounds 15] [--work DIR]

Takes 100 photographs of FOLDER ten times, each with another comment, and shrinks them in a git repository (minutes; a
DIR is kept and used again). What is timed are whole commands, in turn, so that ratios mean something on a busy machine
too; the parts are differences between commands that do more and more.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _pages import publish

PHOTOS, TIMES = 100, 10
POLICY = (
    "version: 1\nrules:\n  - name: all\n    files: ['img/*.jpg']\n    compress: [{jpeg: {scale: 1.0}}]\n"
    "    keep: {classifier: {js_divergence: {max: 0.05}}}\n"
)
COMMAND = [sys.executable, "-m", "semcompress_plugin", "compress", "--quiet"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--work", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed programs are compiled
    with tempfile.TemporaryDirectory() as name:
        work = arguments.work or Path(name)
        if not (work / "ready").exists():
            prepare(arguments.folder.resolve(), work)
        os.chdir(work)
        figures = measure(arguments.rounds)
    publish("noop", figures, table(figures))


def prepare(folder: Path, work: Path) -> None:
    (work / "img").mkdir(parents=True)
    (work / "before").mkdir()
    photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    for photo in photos[:: max(1, len(photos) // PHOTOS)][:PHOTOS]:
        data = photo.read_bytes()
        for number in range(TIMES):
            other = data[:2] + b"\xff\xfe\x00\x04" + b"%02d" % number + data[2:]
            for place in ("img", "before"):
                (work / place / f"{photo.stem}-{number}.jpg").write_bytes(other)
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    (work / ".semcompress.yaml").write_text(POLICY)
    done = subprocess.run([*COMMAND, "img"], cwd=work, check=False)
    if done.returncode > 1:
        sys.exit(done.returncode)
    (work / "ready").touch()


def measure(rounds: int) -> dict[str, Any]:
    """Milliseconds (medians) of each thing, and medians of paired ratios."""
    pictures = sorted(map(str, Path("img").iterdir()))
    one = pictures[0]
    things: dict[str, Callable[[], None]] = {
        "hash": hash_before,
        "python": lambda: run([sys.executable, "-c", "pass"]),
        "imports": lambda: run(
            [sys.executable, "-c", "import semcompress_plugin.cli, semcompress_plugin.commands.compress"]
        ),
        "one": lambda: run([*COMMAND, one]),
        "all": lambda: run([*COMMAND, "img"]),
        "unknown": lambda: run([*COMMAND, "img"]),
    }
    times: dict[str, list[float]] = {name: [] for name in things}
    load = os.getloadavg()[0]
    for turn in range(rounds + 1):
        for name, thing in things.items():
            if name == "unknown":
                for cache in Path(".git/semcompress").glob("digests-*"):
                    cache.unlink()
            started = time.perf_counter()
            thing()
            if turn:  # the first round warms everything up
                times[name].append(1000 * (time.perf_counter() - started))
    pairs = {name: statistics.median(map(float.__truediv__, times[name], times["hash"])) for name in ("all", "unknown")}
    medians = {name: statistics.median(found) for name, found in times.items()}
    return {"load": load, "pictures": len(pictures), "milliseconds": medians, "ratios": pairs}


def hash_before() -> None:
    for path in Path("before").iterdir():
        hashlib.sha256(path.read_bytes()).digest()


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def table(figures: dict[str, Any]) -> str:
    found, ratios = figures["milliseconds"], figures["ratios"]
    parts = {
        "Python": found["python"],
        "imports": found["imports"] - found["python"],
        "policy, lock, git": found["one"] - found["imports"],
        "other pictures": found["all"] - found["one"],
        "hashing them again": found["unknown"] - found["all"],
    }
    return "\n".join(
        [
            f"{figures['pictures']:,} pictures; load of the machine at the start: {figures['load']:.1f}.",
            "",
            "| hashing what they were | whole command | command / hashing | hashes unknown / hashing |",
            "|---|---|---|---|",
            f"| {found['hash']:.0f} ms | {found['all']:.0f} ms | {ratios['all']:.2f} | {ratios['unknown']:.2f} |",
            "",
            f"| {' | '.join(parts)} |",
            "|---" * len(parts) + "|",
            f"| {' | '.join(f'{value:.0f} ms' for value in parts.values())} |",
        ]
    )


if __name__ == "__main__":
    main()
