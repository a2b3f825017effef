"""Runs ``semcompress compress`` on folders of damaged pictures, and holds it to its promises.

As a program: ``python tests/fuzz.py 10000 --seed 0``. What must hold, in every folder:

- no traceback, no bug of ours, no crash: exit 0 or 1, and a word about every picture;
- what the policy does not cover, and what failed or was skipped, keeps its bytes; nothing appears anywhere else;
- what was written can be decoded, is no larger, and has its profile, shape and transparency;
- ``restore --all`` brings every picture back, bit for bit.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mutations import mutated
from semcompress_plugin.cli import main as semcompress
from semcompress_plugin.images import decode

FOLDER = 250
POLICY = """\
version: 1
originals: kept
limits: {{max_pixels: 4000000}}
isolate: {isolate}
rules:
  - {{name: left alone, files: [skipped/], skip: true}}
  - name: all
    files: ["*", "!other/"]
    compress: [{{jpeg: {{scale: 1, quality: 50}}}}, {{webp: {{scale: 1, quality: 50}}}},
               {{avif: {{scale: 1, quality: 50, speed: 10}}}}, {{png: {{scale: 1, colors: 40}}}}, repack]
    keep: {{msssim: {{score: {{min: 0.1}}}}}}
    min_saving: 0
    metadata: {metadata}
    {option}
"""


OPTIONS = ("icc: keep", "icc: srgb", "orientation: keep")


class BrokenPromiseError(AssertionError):
    """A promise that was not kept, with what is needed to see it again."""


def hunt(count: int, seed: int, isolate: bool = False) -> Counter[str]:
    """Run ``count`` damaged pictures; how many there were of each status. Raises BrokenPromiseError."""
    counts: Counter[str] = Counter()
    for number, start in enumerate(range(0, count, FOLDER)):
        metadata = ("keep", "strip-private", "strip-all")[number % 3]
        rule = {"metadata": metadata, "option": OPTIONS[(number + number // 3) % 3], "isolate": str(isolate).lower()}
        with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
            counts += _one_folder(Path(name), min(FOLDER, count - start), seed * 1_000_003 + number, rule)
    return counts


def _one_folder(top: Path, count: int, seed: int, rule: dict[str, str]) -> Counter[str]:
    where = f"seed {seed}, {rule}"
    tree = top / "tree"
    for folder in ("pictures", "skipped", "other"):
        (tree / folder).mkdir(parents=True)
    (tree / ".semcompress.yaml").write_text(POLICY.format_map(rule))
    for number, (suffix, data) in enumerate(mutated(count, seed)):
        (tree / "pictures" / f"{number}{suffix}").write_bytes(data)
        if number < 5:
            (tree / "skipped" / f"{number}{suffix}").write_bytes(data)
            (tree / "other" / f"{number}{suffix}").write_bytes(data)
    (top / "outside.jpg").write_bytes(data)
    before = _contents(top)
    report = _run(["compress", "--format", "json", "--jobs", "1"], tree, where)
    results = {result["path"]: result for result in json.loads(report)["results"]}
    after = _contents(top)
    for path, data in before.items():
        result = results.get(path.removeprefix("tree/"))
        if path.startswith("tree/pictures/") and result is None:
            raise BrokenPromiseError(f"{where}: nothing is said about {path}")
        if path.startswith("tree/pictures/") and result["status"] == "compressed":
            _check_written(data, after[path], f"{where}, {path}", "srgb" in rule["option"])
        elif after.get(path) != data:
            raise BrokenPromiseError(f"{where}: {path} has changed: {result}")
    ours = ("tree/kept/", "tree/semcompress.lock", "tree/.gitattributes")
    if strange := [path for path in after if path not in before and not path.startswith(ours)]:
        raise BrokenPromiseError(f"{where}: {strange} appeared")
    _run(["restore", "--all", "--format", "json"], tree, where)
    for path, data in _contents(top).items():
        if path in before and data != before[path]:
            raise BrokenPromiseError(f"{where}: {path} was not restored")
    return Counter(results[path.removeprefix("tree/")]["status"] for path in before if "/pictures/" in path)


def _run(arguments: list[str], folder: Path, where: str) -> str:
    out, err, here = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = semcompress(arguments)
    finally:
        os.chdir(here)
    if code not in (0, 1) or "Traceback" in err.getvalue() or "bug of ours" in out.getvalue() + err.getvalue():
        raise BrokenPromiseError(f"{where}: {arguments}: exit {code}\n{err.getvalue()}")
    return out.getvalue()


def _check_written(before: bytes, after: bytes, where: str, srgb: bool) -> None:
    if len(after) >= len(before):
        raise BrokenPromiseError(f"{where}: has grown")
    old = decode(before, orientation="keep", icc="srgb" if srgb else "keep")
    new = decode(after, orientation="keep")
    same = (
        (old.format, old.image.size) == (new.format, new.image.size),
        old.metadata.icc_profile == new.metadata.icc_profile,
        old.image.has_transparency_data or not new.image.has_transparency_data,
    )
    if not all(same):
        raise BrokenPromiseError(f"{where}: format and size, profile, transparency: {same}")


def _contents(top: Path) -> dict[str, bytes]:
    files = (path for path in top.rglob("*") if path.is_file())
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in files}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isolate", action="store_true")
    arguments = parser.parse_args()
    faulthandler.enable()
    started = time.monotonic()
    counts = hunt(arguments.count, arguments.seed, arguments.isolate)
    seconds = time.monotonic() - started
    told = ", ".join(f"{number:,} {status}" for status, number in sorted(counts.items()))
    print(f"{arguments.count:,} damaged pictures in {seconds:.0f} s, every promise kept: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
