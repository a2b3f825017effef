"""Takes each protection of protections.toml away, in a copy of the checkout, and sees its tests fail.

``python tests/protections.py [WORD…]`` does so for all, or for those in whose name or file a word occurs. A test that
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
    """``old`` in ``file`` is what gives it, ``new`` the code without it; each of ``tests`` must fail then."""

    of: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def removed(self, text: str) -> str:
        """The file's text without the protection. Raises ValueError unless what gives it stands there once."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.of}: expected its code once in {self.file}, got {count} times: {self.old!r}")
        return text.replace(self.old, self.new)


def protections() -> list[Protection]:
    rows = tomllib.loads(TABLE.read_text())["protection"]
    return [Protection(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def copy_of_checkout(place: Path) -> Path:
    """What git tracks, as it lies there now, and nothing else."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    return place


def outcome(copy: Path, test: str) -> int:
    """What pytest exits with for ``test`` in ``copy``, which is what gets imported there."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False).returncode


def survivors(one: Protection, copy: Path) -> list[str]:
    """Those of its tests, each with what it did, that do not fail once the protection is gone."""
    file = copy / one.file
    text = file.read_text()
    try:
        file.write_text(one.removed(text))
        outcomes = {test: outcome(copy, test) for test in one.tests}
    finally:
        file.write_text(text)
    words = {PASSED: "passes without it"}
    return [f"{test} {words.get(code, f'cannot be run: exit {code}')}" for test, code in outcomes.items() if code != 1]


def main(words: Sequence[str]) -> int:
    chosen = [one for one in protections() if not words or any(word in f"{one.of} {one.file}" for word in words)]
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

        tests = sorted({test for one in chosen for test in one.tests})
        copy = copies.get()
        broken = [test for test in tests if outcome(copy, test) != PASSED]
        copies.put(copy)
        for test in broken:
            print(f"{test} fails as it is: nothing can be told from it")
        unprotected = 0
        for one, found in zip(chosen, pool.map(with_a_copy, chosen), strict=True):
            unprotected += bool(found)
            print(f"{'SURVIVED' if found else 'noticed '}  {one.of}", *found, sep="\n    ", flush=True)
    print(f"{len(chosen)} protections taken away, {len(chosen) - unprotected} noticed")
    return FAILED if broken or unprotected else PASSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
