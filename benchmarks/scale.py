"""What a second Dask worker is worth, and whether memory grows with the number of pictures.

    python benchmarks/scale.py FOLDER [--pictures 150] [--rounds 5] [--many 10000] [--only memory|workers]

Workers have a core each (where there are two) and are warm; one and two take turns, and what is told is the median of
the ratios of neighbours, with the smallest and the largest. The command's own start (a second: it imports Dask) counts,
so that few pictures show less of what workers do. Memory is the high-water mark of `semcompress compress`
and `build` over small pictures made for the purpose, each another. With ``--only`` the other part stays as it was
measured before; memory needs no FOLDER, and hardly minds a busy machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _pages import RESULTS, publish
from PIL import Image

FEW = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--only", choices=["memory", "workers"])
    arguments = parser.parse_args()
    if arguments.folder is None and arguments.only != "memory":
        parser.error("the part about workers needs FOLDER")
    known = RESULTS / "scale.json"
    figures: dict[str, Any] = json.loads(known.read_text()) if arguments.only else {}
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed programs are compiled
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["SEMCOMPRESS_CACHE"] = str(work / "cache")
        if arguments.only != "memory":
            figures["load"] = os.getloadavg()[0]
            figures["workers"] = workers(arguments, work)
        if arguments.only != "workers":
            figures["memory"] = {
                command: {str(count): peak(command, count, work) for count in (FEW, arguments.many)}
                for command in ("compress", "build")
            }
    publish("scale", figures, table(figures))


def workers(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Seconds of the same build by one worker and by two, in turn; sums over its pictures; processor time."""
    source = work / "in"
    source.mkdir()
    found = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for path in found[: arguments.pictures]:
        shutil.copy(path, source / path.name)
    (source / ".semcompress.yaml").write_text("version: 1\npreset: machine\n")
    seconds: dict[int, list[float]] = {1: [], 2: []}
    totals: dict[str, Any] = {}
    used: list[float] = []
    for turn in range(arguments.rounds):
        for count in (1, 2):
            with Cluster(count, work / f"cluster {turn} {count}") as cluster:
                cluster.build(source, work / "warm")  # models are loaded, at the cost of a build
                shutil.rmtree(work / "warm")
                before = cluster.cpu()
                started = time.monotonic()
                totals = cluster.build(source, work / "out")
                seconds[count].append(time.monotonic() - started)
                if count == 1:
                    used.append(cluster.cpu() - before)
                shutil.rmtree(work / "out")
    medians = {str(count): statistics.median(times) for count, times in seconds.items()}
    pairs = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    return {
        "pictures": totals["files"],
        "seconds": medians,
        "speed-up": statistics.median(pairs),
        "speed-ups": sorted(pairs),
        "looks per picture": totals["looks"] / totals["files"],
        "bytes before": totals["before"] / totals["files"],
        "bytes after": totals["after"] / totals["files"],
        "cpu seconds per picture": statistics.median(used) / totals["files"],
    }


class Cluster:
    """A Dask scheduler and ``count`` workers of one thread, each on a core of its own while there are cores."""

    def __init__(self, count: int, folder: Path) -> None:
        folder.mkdir()
        file = folder / "scheduler.json"
        cores = sorted(os.sched_getaffinity(0))
        common = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
        self.scheduler = _start("distributed.cli.dask_scheduler", *common, "--port", "0")
        more = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", str(folder)]
        self.workers = []
        for number in range(count):
            self.workers.append(_start("distributed.cli.dask_worker", *common, *more))
            os.sched_setaffinity(self.workers[-1].pid, {cores[number % len(cores)]})
        while not (file.exists() and file.stat().st_size):
            time.sleep(0.1)
        self.address = json.loads(file.read_text())["address"]
        from distributed import Client

        with Client(self.address) as client:
            client.wait_for_workers(count)

    def build(self, source: Path, out: Path) -> dict[str, Any]:
        command = [sys.executable, "-m", "semcompress_plugin", "build", str(source), str(out), "--format", "json"]
        command += ["--executor", f"dask:{self.address}", "--shard-size", "2"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"exit {done.returncode}: {done.stderr}{done.stdout}")
        totals: dict[str, Any] = json.loads(done.stdout)["totals"]
        return totals

    def cpu(self) -> float:
        """Processor seconds of the workers so far."""
        ticks = 0
        for worker in self.workers:
            fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", module, *arguments], **quiet)


def peak(command: str, count: int, work: Path) -> float:
    """MiB of resident memory that a command over ``count`` pictures takes at most."""
    folder = work / f"{command} {count}"
    for number in range(count):
        path = folder / "in" / f"{number % 100:02d}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_picture(number))
    # one constraint that is quickly judged, and few looks: what is measured is what is kept for each picture
    keep = "    keep: {msssim: {score: {min: 0.9}}}\n    search: {frontier: {looks: 2}}\n"
    (folder / "in/.semcompress.yaml").write_text(
        f'version: 1\npreset: machine\noriginals: kept\nrules:\n  - name: all\n    files: ["*"]\n{keep}'
    )
    paths = ["in"] if command == "compress" else ["in", "out"]
    # a child of a child: the high-water mark of children covers all that ever were
    code = "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(r.returncode > 1)"
    whole = [sys.executable, "-c", code, sys.executable, "-m", "semcompress_plugin", command, *paths]
    found = subprocess.run(whole, cwd=folder, check=True, capture_output=True, text=True)
    shutil.rmtree(folder)
    return int(found.stdout.split()[-1]) / (1024 if sys.platform != "darwin" else 1024**2)


def _picture(seed: int) -> bytes:
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    out = io.BytesIO()
    small.resize((64, 64), Image.Resampling.BICUBIC).save(out, "JPEG", quality=97)
    return out.getvalue()


def table(figures: dict[str, Any]) -> str:
    found = figures["workers"]
    lines = [
        f"Load of the machine before the builds by workers: {figures['load']:.1f}.",
        "",
        "| pictures | looks a picture | CPU s a picture | one worker | two workers | one / two (least, most) |",
        "|---|---|---|---|---|---|",
        f"| {found['pictures']} | {found['looks per picture']:.1f} | {found['cpu seconds per picture']:.2f} "
        f"| {found['seconds']['1']:.1f} s | {found['seconds']['2']:.1f} s "
        f"| {found['speed-up']:.2f} ({found['speed-ups'][0]:.2f}, {found['speed-ups'][-1]:.2f}) |",
        "",
    ]
    for number, (command, peaks) in enumerate(figures["memory"].items()):
        (few, low), (many, high) = sorted(peaks.items(), key=lambda item: int(item[0]))
        if number == 0:
            lines += [f"| peak memory | {few} pictures | {many} pictures | ratio |", "|---|---|---|---|"]
        lines.append(f"| `{command}` | {low:.0f} MiB | {high:.0f} MiB | {high / low:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
