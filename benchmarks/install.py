"""The default environment (no extras): size on disk, seconds to install, largest packages, and what must not be there.

python benchmarks/install.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _pages import publish

MIB = 1 << 20
UNWANTED = ("torch", "torchvision", "nvidia", "cuda", "triton")


def main() -> None:
    project = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        python = environment / "bin" / "python"
        started = time.perf_counter()
        subprocess.run([str(python), "-m", "pip", "install", "-q", str(project)], check=True)
        seconds = time.perf_counter() - started
        size = _size(environment)
        (packages,) = environment.glob("lib/python*/site-packages")
        sizes = {path.name: _size(path) for path in packages.iterdir() if path.is_dir()}
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
        found = [name for name in sizes if name.lower().startswith(UNWANTED)]
    figures = {
        "MiB": round(size / MIB, 1),
        "seconds": round(seconds, 1),
        "unwanted": found,
        "largest MiB": {name: round(count / MIB, 1) for name, count in largest},
    }
    heads = ["seconds to install", "of torch or CUDA", "MiB in all", *figures["largest MiB"]]
    cells = [seconds, len(found), size / MIB, *figures["largest MiB"].values()]
    lines = (" | ".join(heads), "|".join(["---"] * len(heads)), " | ".join(f"{cell:.0f}" for cell in cells))
    publish("install", figures, "\n".join(f"| {line} |" for line in lines))


def _size(path: Path) -> int:
    """Bytes on disk, as du counts them."""
    return sum(file.lstat().st_blocks * 512 for file in path.rglob("*") if not file.is_dir())


if __name__ == "__main__":
    main()
