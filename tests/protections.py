"""Takes each protection of protections.toml away, in a copy of the checkout, and sees its tests fail.

``python tests/protections.py [WORD…]`` does so for all, or for those in whose row a word occurs. A test that
passes without what it is there for protects nothing.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".toml")
COPIES = 2
PASSED, FAILED = 0, 1
"""What pytest exits with; anything else says that it could not even run the tests."""


@dataclass(frozen=True, slots=True)
class Protection:
    """``code`` is what gives it: all of that is taken away, and each of ``tests`` must fail then."""

    of: str
    code: tuple[Code, ...]
    tests: tuple[str, ...]

    def removed(self, root: Path) -> dict[Path, str]:
        """The texts of the files below ``root`` without it. Raises ValueError unless its code stands there once."""
        texts: dict[Path, str] = {}
        for one in self.code:
            path = root / one.file
            text = texts.get(path) or path.read_text()
            if (count := text.count(one.old)) != 1:
                raise ValueError(f"{self.of}: expected its code once in {one.file}, got {count} times: {one.old!r}")
            texts[path] = text.replace(one.old, one.new)
        return texts


@dataclass(frozen=True, slots=True)
class Code:
    """``old`` in ``file``, and what stands there without the protection."""

    file: str
    old: str
    new: str


def protections() -> list[Protection]:
    rows = tomllib.loads(TABLE.read_text())["protection"]
    return [
        Protection(
            row["of"],
            tuple(Code(one["file"], one["old"], one["new"]) for one in (row, *row.get("also", ()))),
            tuple(row["tests"]),
        )
        for row in rows
    ]


def copy_of_checkout(place: Path) -> Path:
    """What git tracks, as it lies there now, and nothing else."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    return place


def outcome(copy: Path, *tests: str) -> int:
    """What pytest exits with for these tests in ``copy``, which is what gets imported there."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False).returncode


def survivors(one: Protection, copy: Path) -> list[str]:
    """Those of its tests, each with what it did, that do not fail once the protection is gone."""
    removed = one.removed(copy)
    before = {path: path.read_text() for path in removed}
    try:
        for path, text in removed.items():
            path.write_text(text)
        outcomes = {test: outcome(copy, test) for test in one.tests}
    finally:
        for path, text in before.items():
            path.write_text(text)
    words = {PASSED: "passes without it"}
    return [f"{test} {words.get(code, f'cannot be run: exit {code}')}" for test, code in outcomes.items() if code != 1]


def main(words: Sequence[str]) -> int:
    chosen = [one for one in protections() if not words or any(word in repr(one) for word in words)]
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(COPIES) as pool:
        for number in range(COPIES):
            copies.put(copy_of_checkout(Path(folder, str(number))))

        def with_a_copy(one: Protection) -> list[str]:
            copy = copies.get()
            try:
                return survivors(one, copy)
            finally:
                copies.put(copy)

        copy = copies.get()
        broken = outcome(copy, *{test for one in chosen for test in one.tests}) != PASSED
        copies.put(copy)
        if broken:
            print("not all of the tests pass as the code is: nothing can be told from those that do not")
        unprotected = 0
        for one, found in zip(chosen, pool.map(with_a_copy, chosen), strict=True):
            unprotected += bool(found)
            print(f"{'SURVIVED' if found else 'noticed '}  {one.of}", *found, sep="\n    ", flush=True)
    print(f"{len(chosen)} protections taken away, {len(chosen) - unprotected} noticed")
    return FAILED if broken or unprotected else PASSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
