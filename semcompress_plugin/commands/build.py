"""``semcompress build``: derive a tree with shrunk pictures, or shrink inside a tree that was just generated.

Sources are never touched. What was found out is cached, so that a second build looks at nothing.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.cache import Cache, cache_key, made_key
from semcompress_plugin.commands._shared import finish, here, left, load_registry, look, versions
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.lock import NAME as LOCK_NAME
from semcompress_plugin.plan import Asset, Domains, Pending, assets, pending
from semcompress_plugin.policy import POLICY_NAME
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import OutputFile, Result
from semcompress_plugin.walk import find_images

_PASSED_BY = {".git", ".hg", ".svn", ".semcompress"}
_NOT_CONTENT = {POLICY_NAME, LOCK_NAME}


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    source, out = _folders(arguments)
    registry = load_registry()
    # a generated tree has no policy of its own: there, the nearest above it governs
    top = source if source != out else None
    domains = Domains(registry, arguments.policy, top=top, default=source, in_place=False)
    build = _Build(registry, source, out)
    found = list(find_images([source], skip_ignored=False))
    pictures = [item for item in found if not item.path.is_relative_to(out) or source == out]
    governed = list(assets(pictures, domains, source))
    if source != out:
        stores = {Path(os.path.normpath(d.policy.root / (d.policy.originals or ""))) for d in domains.used()}
        build.copy_others({item.path for item in pictures}, stores - {source})
    results: list[Result] = []
    work: list[Pending] = []
    for asset in governed:
        done = build.without_looking(asset)
        work.append(done) if isinstance(done, Pending) else results.append(done)
    bugs: list[str] = []
    if work:
        for item, result, settlement in look(work, registry, arguments, bugs):
            writes = {} if settlement is None else settlement.writes
            results.append(build.finish(item, result, {path.name: data for path, data in writes.items()}))
    code = finish(results, started, registry, domains, arguments, bugs, "compressed")
    return code if bugs else int(any(result.status == "failed" for result in results))


def _folders(arguments: argparse.Namespace) -> tuple[Path, Path]:
    base = here()
    if (arguments.in_place is None) == (arguments.source is None):
        raise UsageError("say what to build: SRC and OUT, or --in-place DIR")
    source = base / (arguments.in_place or arguments.source)
    if not source.is_dir():
        raise UsageError(f"{source}: is not a folder")
    source = Path(os.path.normpath(source))
    if arguments.in_place is not None:
        return source, source
    if arguments.out is None:
        raise UsageError("say where to build to: SRC and OUT")
    out = Path(os.path.normpath(base / arguments.out))
    if source.is_relative_to(out):
        raise UsageError(f"{arguments.out}: would be written over its own sources; use --in-place DIR to want that")
    return source, out


class _Build:
    def __init__(self, registry: Registry, source: Path, out: Path) -> None:
        self.registry, self.source, self.out = registry, source, out
        self.cache = Cache()
        self.claimed: dict[Path, str] = {}

    def copy_others(self, pictures: set[Path], stores: set[Path]) -> None:
        """Copy whatever is no picture and no affair of ours: never the originals (``stores``), which are private."""
        for folder, folders, names in os.walk(self.source):
            here = Path(folder)
            folders[:] = [name for name in folders if name not in _PASSED_BY and here / name not in {self.out, *stores}]
            for name in names:
                path = here / name
                if path not in pictures and name not in _NOT_CONTENT and self._is_ours_to_copy(path):
                    self._copy(path)

    def _is_ours_to_copy(self, path: Path) -> bool:
        """Files, and links to files within the sources; a link that leads elsewhere must not publish what is there."""
        return path.is_file() and path.resolve().is_relative_to(self.source.resolve())

    def without_looking(self, asset: Asset | Result) -> Pending | Result:
        """A result where nothing need be looked at, because it is settled, cached or nobody's affair."""
        if isinstance(asset, Result):
            if asset.status != "failed":
                self._copy(self.source / asset.path)
            return asset
        state = pending(asset)
        if isinstance(state, Result):
            self._copy(asset.path)
            return state
        if self.source == self.out and self.cache.get(made_key(state.sha256)) is not None:
            return left(state, "unchanged", "was made by an earlier build")
        cached = self.cache.get(self._key(state))
        if cached is None:
            return state
        outputs = tuple(OutputFile(**output) for output in cached.meta["outputs"])
        result = replace(_result(cached.meta["result"], asset), outputs=outputs)
        return self._write(state, result, cached.payloads)

    def finish(self, item: Pending, result: Result, payloads: Mapping[str, bytes]) -> Result:
        """Write what was found, and cache it."""
        if result.status in ("compressed", "unchanged"):
            meta = {
                "result": {"status": result.status, "after": result.after, "reason": result.reason},
                "outputs": [{**asdict(output), "path": Path(output.path).name} for output in result.outputs],
            }
            self.cache.put(self._key(item), meta, payloads)
        return self._write(item, result, payloads)

    def _write(self, item: Pending, result: Result, payloads: Mapping[str, bytes]) -> Result:
        folder = self._target(item.asset.path).parent
        shown = Path(item.asset.shown).parent
        replaced = bool(payloads) and item.asset.rule.outputs.place == "replace"
        targets = {folder / name: data for name, data in payloads.items()}
        if not replaced and self._target(item.asset.path) not in targets:
            self._copy(item.asset.path)
        for target in targets:
            other = self.claimed.setdefault(target, result.path)
            if other != result.path:
                self._copy(item.asset.path)
                return left(item, "failed", f"would be written where {other} is: rename one, or exclude one")
        try:
            for target, data in targets.items():
                if not _holds(target, data):
                    files.create(target, data, overwrite=True)
                self.cache.put(made_key(files.digest(data)), {})
            if self.source == self.out and replaced and item.asset.path not in targets:
                files.remove(files.read(item.asset.path))
        except ImageError as error:
            return left(item, "failed", str(error))
        outputs = tuple(replace(o, path=(shown / Path(o.path).name).as_posix()) for o in result.outputs)
        return replace(result, outputs=outputs)

    def _copy(self, path: Path) -> None:
        target = self._target(path)
        if target == path or (target.is_file() and filecmp.cmp(path, target, shallow=False)):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)

    def _target(self, path: Path) -> Path:
        return self.out / path.relative_to(self.source)

    def _key(self, item: Pending) -> str:
        rule = item.asset.rule
        original = item.outdated.original.sha256 if item.outdated else None
        return cache_key(
            "build", item.sha256, original, item.asset.path.name, rule.digest, versions(rule, self.registry)
        )


def _result(meta: dict[str, object], asset: Asset) -> Result:
    size = asset.path.stat().st_size
    return Result(asset.shown, before=size, rule=asset.rule.name, **meta)  # type: ignore[arg-type]  # as it was cached


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
