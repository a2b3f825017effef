"""Photographs at every point of a grid of settings: the files, and what readers see in them, kept in a cache folder.

A photograph's files are encoded once, by the product's own compressors; every look decodes them again. Both are kept
per photograph (and per look), so that a recording can be stopped, continued, and asked by one more reader later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from _readers import Look
from numpy.typing import NDArray
from PIL import Image

from semcompress_plugin.engine import Candidate, Encode
from semcompress_plugin.errors import SemcompressError
from semcompress_plugin.images import decode, decode_candidate, renditions
from semcompress_plugin.types import CompressorUse, ProfilePolicy, Proposal
from semcompress_plugin.workshop import Workshop

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
FORMATS = {"jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}
ICC: ProfilePolicy = "drop-srgb"  # as in preset machine, for everybody
SCALES = (0.25, 0.36, 0.5, 0.71, 1.0)
GRID = (
    *(Proposal("jpeg", "JPEG", {"scale": s, "quality": q}) for s in SCALES for q in (20, 40, 55, 70, 80, 90)),
    *(Proposal("webp", "WEBP", {"scale": s, "quality": q}) for s in SCALES for q in (20, 40, 55, 70, 82, 92)),
    *(Proposal("avif", "AVIF", {"scale": s, "quality": q}) for s in SCALES[1:] for q in (30, 45, 60, 75)),
    Proposal("avif", "AVIF", {"scale": 1.0, "quality": 85}),
)

GRAIN = tuple(
    Proposal("avif", "AVIF", {"scale": s, "quality": q})
    for s, q in (
        *((0.25, 60), (0.36, 30), (0.36, 60)),
        *((s, q) for s in (0.5, 0.71) for q in (15, 30, 45, 60, 75)),
        *((1.0, q) for q in (15, 30, 45, 60)),
    )
)
"""Settings of AVIF at which film grain may pay: ask for them with the option."""


def photographs(folder: Path) -> list[Path]:
    """Every photograph below ``folder``, sorted by path: a flat folder, or one folder per class."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"{folder}: expected a folder of photographs, found none")
    return found


@dataclass(frozen=True, slots=True)
class Cache:
    """Recordings below ``folder``, by the photograph's name, the grid and the ``options`` of its compressors."""

    folder: Path
    grid: Sequence[Proposal] = GRID
    options: Mapping[str, Any] = field(default_factory=dict)

    def files(self, photo: Path) -> list[bytes]:
        """The photograph itself, then its file at every point of the grid.

        Where nothing can be written, or nothing smaller than the photograph, the photograph's own bytes stand.
        """
        place = self._place(photo, "files.npz")
        if not place.exists():
            files = _encoded(photo.read_bytes(), self.grid, self.options)
            ends = np.cumsum([len(data) for data in files])
            _write(place, bytes=np.frombuffer(b"".join(files), np.uint8), ends=ends)
        with np.load(place) as kept:
            joined, ends = kept["bytes"].tobytes(), kept["ends"].tolist()
        return [joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def look(self, photo: Path, name: str, look: Look | None = None) -> NDArray[np.float32]:
        """(1 + grid, 1000) logits: the photograph's first. Without ``look`` they must have been recorded."""
        place = self._place(photo, f"{name}.npz")
        if not place.exists():
            if look is None:
                raise FileNotFoundError(f"{place}: {photo.name} has not been shown to {name}: run `record` first")
            logits = look([opened(data) for data in self.files(photo)])
            _write(place, logits=logits.astype(np.float16))
        with np.load(place) as kept:
            return np.asarray(kept["logits"], np.float32)

    def sizes(self, photo: Path) -> NDArray[np.int64]:
        """(1 + grid,) bytes: the photograph's first."""
        with np.load(self._place(photo, "files.npz")) as kept:
            return np.diff(kept["ends"], prepend=0)

    def _place(self, photo: Path, name: str) -> Path:
        settings: list[Any] = [[p.compressor, sorted(p.settings.items())] for p in self.grid] + [ICC]
        if self.options:  # what they mean changes with the compressor's version
            settings += [
                sorted(self.options.items()),
                [_version(name) for name in sorted({p.compressor for p in self.grid})],
            ]
        grid = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]
        return self.folder / grid / f"{photo.parent.name}.{photo.stem}" / name


def opened(data: bytes) -> Image.Image:
    """The pixels of a file as a reader gets them."""
    return renditions(decode_candidate(data))[0]


def _encoded(source: bytes, grid: Sequence[Proposal], options: Mapping[str, Any]) -> list[bytes]:
    try:
        reference = decode(source, metadata="strip-private", icc=ICC)
    except SemcompressError:  # what the product leaves alone
        return [source] * (1 + len(grid))
    workshop = _workshop()
    files = [source]
    for proposal in grid:
        candidate = workshop.perform(Encode(CompressorUse(proposal.compressor, (), options), reference, proposal))
        written = candidate.data if isinstance(candidate, Candidate) else source
        files.append(min(written, source, key=len))
    return files


@cache
def _version(compressor: str) -> str:
    return _workshop().registry.compressor(compressor).version


def _workshop() -> Workshop:
    from semcompress_plugin.registry import Registry

    return Workshop(Registry())


def _write(path: Path, **arrays: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        np.savez(out, **arrays)  # type: ignore[arg-type]  # numpy's stub takes **kwds for allow_pickle
    partial.replace(path)
