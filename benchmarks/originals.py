"""What thousands of originals in a repository cost everyday git commands, by the way they are kept.

python benchmarks/originals.py [COUNT]

Ratios within one run are what counts: each row is measured in a repository of its own with the same tracked files.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _pages import publish

from semcompress_plugin.files import Snapshot
from semcompress_plugin.originals import GitOriginals, open_originals

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
TRACKED, GROUP, ROUNDS, BYTES = 2_000, 32, 9, 2_000
COMMANDS = ("status", "commit", "log --all", "fetch, nothing new", "fetch, a new commit")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    os.environ["GIT_TEST_FSYNC"] = "0"  # what is measured reads; syncing thousands of objects only slows the set-up
    kinds: dict[str, Callable[[Path, int], None]] = {
        "(none kept)": lambda *_: None,
        "one ref each, loose": one_ref_each,
        "one ref each, packed": packed,
        "one ref to one tree": one_tree,
        "groups folded into few refs (chosen)": chosen,
    }
    figures = {}
    for name, keep in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = measure(Path(folder), keep, count)
        print(name, figures[name], flush=True)
    rows = [f"| {name} | {' | '.join(f'{row[c]:.0f}' for c in COMMANDS)} |" for name, row in figures.items()]
    head = [f"| {count:,} originals kept as (ms) | {' | '.join(COMMANDS)} |", "|---|" + "--:|" * len(COMMANDS)]
    publish("originals", {"count": count, "milliseconds": figures}, "\n".join([*head, *rows]), PAGE)


def measure(folder: Path, keep: Callable[[Path, int], None], count: int) -> dict[str, float]:
    """Medians in milliseconds; the clone is one that has fetched the originals, too."""
    root = folder / "there"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    for number in range(TRACKED):
        path = root / f"{number % 50}" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")
    keep(root, count)
    clone = folder / "clone"
    git(folder, "clone", "-q", f"file://{root}", "clone")
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}

    def timed(name: str, where: Path, *arguments: str) -> None:
        started = time.perf_counter()
        git(where, *arguments)
        times[name].append(1000 * (time.perf_counter() - started))

    everything = "refs/semcompress/*:refs/semcompress/*"
    git(clone, "fetch", "-q", "origin", everything)
    for number in range(ROUNDS):
        timed("status", root, "status", "--porcelain")
        timed("log --all", root, "log", "--all", "--oneline")
        timed("fetch, nothing new", clone, "fetch", "-q", "origin", everything, "main")
        (root / "0/0.txt").write_text(f"round {number}\n")
        timed("commit", root, "commit", "-q", "-a", "-m", "x")
        timed("fetch, a new commit", clone, "fetch", "-q", "origin", everything, "main")
    return {name: round(statistics.median(values), 1) for name, values in times.items()}


def blobs(root: Path, count: int) -> list[tuple[str, str]]:
    """(SHA-256, git id) of as many stored contents."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(count):
            path = Path(folder) / str(number)
            path.write_bytes(os.urandom(BYTES))
            paths.append(path)
        listed = "".join(f"{path}\n" for path in paths).encode()
        ids = git(root, "hash-object", "-w", "--no-filters", "--stdin-paths", input=listed).decode().split()
        return [(hashlib.sha256(p.read_bytes()).hexdigest(), one) for p, one in zip(paths, ids, strict=True)]


def one_ref_each(root: Path, count: int) -> None:
    lines = "".join(f"create refs/semcompress/{sha256} {blob}\n" for sha256, blob in blobs(root, count))
    git(root, "update-ref", "--stdin", input=lines.encode())


def packed(root: Path, count: int) -> None:
    one_ref_each(root, count)
    git(root, "pack-refs", "--all")


def one_tree(root: Path, count: int) -> None:
    lines = "".join(f"100644 blob {blob}\t{sha256}\n" for sha256, blob in sorted(blobs(root, count)))
    git(root, "update-ref", "refs/semcompress/all", git(root, "mktree", input=lines.encode()).decode().strip())


def chosen(root: Path, count: int) -> None:
    store = open_originals(root, None)
    assert isinstance(store, GitOriginals)
    for _ in range(0, count, GROUP):
        group = [os.urandom(BYTES) for _ in range(min(GROUP, count))]
        store.keep([Snapshot(root / "gone", data, hashlib.sha256(data).hexdigest()) for data in group])
        store = GitOriginals(store.repository)  # a new run each time, as after many small commits


def git(folder: Path, *arguments: str, input: bytes = b"") -> bytes:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "gc.auto=0", "-c", "maintenance.auto=false")
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], input=input, capture_output=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
