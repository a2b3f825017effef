"""The tree that a build writes: pictures from the cache or from a search, everything else as it was, pages last."""

from __future__ import annotations

import filecmp
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path

from semcompress_plugin import files
from semcompress_plugin.baseline import NAME as BASELINE_NAME
from semcompress_plugin.cache import Cache, cache_key, made_key, source_key, traded_key
from semcompress_plugin.claims import Claims, contested
from semcompress_plugin.derive.pages import READ, mentions, publish
from semcompress_plugin.derive.pages import SUFFIXES as PAGES
from semcompress_plugin.errors import ImageError, UsageError
from semcompress_plugin.files import Snapshot, Version
from semcompress_plugin.lock import NAME as LOCK_NAME
from semcompress_plugin.made_with import versions
from semcompress_plugin.naming import format_of
from semcompress_plugin.originals import belongings
from semcompress_plugin.pages import Catalogue, PagesReport, Picture, Site, picture
from semcompress_plugin.plan import Asset, Pending, pending
from semcompress_plugin.policy import POLICY_NAME
from semcompress_plugin.registry import Registry
from semcompress_plugin.report.text import NOT_WRITTEN
from semcompress_plugin.types import SUFFIXES, EffortName, OutputFile, Result
from semcompress_plugin.walk import PASSED_BY

_NOT_CONTENT = {POLICY_NAME, LOCK_NAME, BASELINE_NAME}
_NO_PIXELS = (0, 0)


class Tree:
    """Writes the tree ``out``, derived from ``source``; the same folder twice means in place."""

    def __init__(self, registry: Registry, source: Path, out: Path, effort: EffortName = "fast") -> None:
        self.registry, self.source, self.out, self.effort = registry, source, out, effort
        self.in_place = source == out
        self._cache = Cache()
        self._within: set[Path] = set()
        """Folders that are known to lie below ``out`` without a link between."""
        self._claims = Claims()
        self._beside: dict[Path, list[Path]] = {}
        """Picture -> what lies beside it in the tree that is written."""
        self._moved: dict[str, str] = {}
        """Picture -> the one file that was written for it, under another name."""
        self._links: dict[Path, Path] = {}
        """File of the sources -> the first link that leads there, in place."""
        self.failures: list[Result] = []
        """Files that are no pictures, and could not be copied or seen to."""

    def others(self, pictures: Collection[str], passed_by: set[Path]) -> list[Path]:
        """Whatever is no picture and no affair of ours: nothing of what is to be ``passed_by``, nor of originals, which
        are private, whether or not a policy still says that they lie there.
        """
        found: list[Path] = []
        for folder, folders, names in os.walk(self.source):
            here = Path(folder)
            apart = passed_by.union(belongings(here))
            folders[:] = sorted(name for name in folders if name not in PASSED_BY and here / name not in apart)
            # what a killed build left in the derived tree would be published with it
            files.sweep([self._target(here)])
            self._sweep_taken_out(self._target(here))
            paths = (here / name for name in sorted(names) if name not in _NOT_CONTENT and not files.is_temporary(name))
            rest = (path for path in paths if str(path) not in pictures and path not in apart)
            found += filter(self._is_ours_to_copy, rest)
        if self.in_place:
            links = (path for path in found if path.is_symlink())
            self._links = {Path(os.path.realpath(link)): link for link in reversed(list(links))}
        return found

    def _sweep_taken_out(self, folder: Path) -> None:
        """Finish what a killed build in place had begun; what it did not know of stays."""
        for taken in files.parked([folder]):
            try:
                if self._cache.get(traded_key(files.read(taken).sha256)) is not None:
                    taken.unlink()
                    continue
            except (ImageError, OSError):
                pass
            self.failures.append(Result(self._inside(taken), "failed", 0, 0, reason=files.TAKEN_OUT))

    def refuse_one_file_for_two(self, paths: Iterable[Path]) -> None:
        """Raise UsageError where two sources would be one file in a tree on a system that does not tell case apart."""
        if self.in_place:
            return
        first: dict[str, str] = {}
        for path in paths:
            target = str(self._target(path))
            other = first.setdefault(target.casefold(), target)
            if other != target and files.folds_case(self.out):
                raise UsageError(
                    f"{self.out}: does not tell {self._inside(Path(other))} from {self._inside(Path(target))}: rename "
                    "one, or build to a file system that does"
                )

    def _is_ours_to_copy(self, path: Path) -> bool:
        """Files, and links to files within the sources; a link that leads elsewhere must not publish what is there."""
        return path.is_file() and path.resolve().is_relative_to(self.source.resolve())

    def without_looking(self, governed: deque[Asset | Result]) -> Iterator[Pending | Result]:
        """For each picture a result where nothing need be looked at, because it is settled, cached or nobody's affair;
        else what is to be looked at. ``governed`` is used up.
        """
        waiting: deque[Pending] = deque()
        claims: list[Asset] = []
        while governed:
            asset = governed.popleft()
            if isinstance(asset, Result):
                if not self._lies_there_since_a_build(self.source / asset.path):
                    self._claims.occupy(self._place(self.source / asset.path), asset.path)
                yield asset if asset.status == "failed" else self._copied(self.source / asset.path, asset)
                continue
            state = pending(asset, harmless=True)
            made = isinstance(state, Pending) and self._was_made(state)
            if isinstance(state, Result):
                self._remember_settled(asset)
                yield self._copied(asset.path, state)
            elif made and not self.in_place:
                self._claims.occupy(self._place(asset.path), asset.shown)
                result = state.left("unchanged", "was made by an earlier build, and is copied as it is")
                yield self._copied(asset.path, result)
            elif made:
                self._remember_made(state)
                yield state.left("unchanged", "was made by an earlier build")
            else:
                self._claims.occupy(self._place(asset.path), asset.shown)
                claims.append(state.asset)
                waiting.append(state)
        self._claim_names(claims)
        while waiting:
            state = waiting.popleft()
            cached = self._cache.get(self._key(state))
            if cached is None:
                yield state
            else:
                yield self._write(state, _result(cached.meta, state), cached.payloads)

    def _lies_there_since_a_build(self, path: Path) -> bool:
        """Whether an earlier build in place wrote what lies at ``path``: its own picture may write over it."""
        try:
            return self.in_place and self._cache.get(made_key(files.measure(path)[0])) is not None
        except (ImageError, OSError):
            return False

    def _was_made(self, item: Pending) -> bool:
        """Whether a build of ours made this content, and no lock knows of what: it is not shrunk twice."""
        if item.outdated is not None and not self.in_place:
            return False
        return self._cache.get(made_key(item.sha256)) is not None

    def _claim_names(self, claims: Iterable[Asset]) -> None:
        """Share out names: whose a new name is must not depend on which picture is ready first."""
        claims = [asset for asset in claims if not {"keep", "smallest"}.issuperset(asset.rule.outputs.formats)]
        if not claims:
            return
        from semcompress_plugin.shrink import output_name  # brings Pillow along

        def is_of_ones_own(asset: Asset) -> bool:
            """Whether this is in a format that others are given: an a.avif that lies beside an a.jpg already."""
            return format_of(asset.path) in asset.rule.outputs.formats

        for asset in sorted(claims, key=is_of_ones_own):
            for format in asset.rule.outputs.formats:
                if format not in ("keep", "smallest"):
                    name = output_name(asset.path.name, format.upper())
                    self._claims.claim(self._place(asset.path.with_name(name)), asset.shown)

    def finish(self, item: Pending, result: Result, payloads: Mapping[str, bytes]) -> Result:
        """Write what was found, and cache it."""
        if result.status in ("compressed", "unchanged"):
            meta = {
                "result": {"status": result.status, "after": result.after, "reason": result.reason},
                "outputs": [{**asdict(output), "path": Path(output.path).name} for output in result.outputs],
            }
            self._cache.put(self._key(item), meta, payloads)
        return self._write(item, result, payloads)

    def write_others(self, paths: Iterable[Path], site: Site | None) -> PagesReport | None:
        """Copy what is no picture. With a ``site``, pages offer what lies beside pictures and name pictures as they
        are named in the tree, if there is any such thing.
        """
        pictures = {} if site is None else {one.path: one for one in self._pictures()}
        concerned = site is not None and bool(pictures or self._moved)
        pages: list[Path] = []
        read: list[Path] = []
        for path in paths:
            suffix = path.suffix.lower()
            pages.append(path) if concerned and suffix in PAGES else self._copy_other(path)
            if self._moved and suffix in READ:
                read.append(path)
        if site is None or not concerned:
            return None
        written = {*self._moved.values(), *map(self._inside, chain.from_iterable(self._beside.values()))}
        catalogue = Catalogue(site, pictures, partial(self._has, written), moved=self._moved)
        report = publish(pages, self.source, self.out, catalogue, self._copy_other, self._write_page)
        return replace(report, left=(*report.left, *mentions(read, self.source, catalogue)))

    def _has(self, written: Collection[str], path: str) -> bool:
        """Whether this build has a file for ``path``, among its sources or newly ``written``; what an earlier one has
        left there does not count.
        """
        try:
            return path in written or (path not in self._moved and self._is_content(self.source / path))
        except (OSError, ValueError):  # no name that a file of the tree could have, as one that is too long
            return False

    def _is_content(self, path: Path) -> bool:
        parts = path.relative_to(self.source).parts
        return PASSED_BY.isdisjoint(parts) and path.name not in _NOT_CONTENT and self._is_ours_to_copy(path)

    def _pictures(self) -> Iterator[Picture]:
        """What pages may offer: only files as large in pixels as the picture, for pages are laid out by that."""
        for path, beside in self._beside.items():
            if (pixels := _pixels(path)) == _NO_PIXELS:  # it could not be copied, which was said
                continue
            sizes = [(self._inside(one), one.stat().st_size) for one in beside if _pixels(one) == pixels]
            if (found := picture(self._inside(path), path.stat().st_size, sizes)) is not None:
                yield found

    def _inside(self, path: Path) -> str:
        return path.relative_to(self.out).as_posix()

    def _place(self, path: Path) -> str:
        """Where in the tree a file of the sources would be written."""
        return self._inside(self._target(path))

    def _remember_settled(self, asset: Asset) -> None:
        """What the lock knows to lie beside a settled picture may be offered, and written over by its own picture."""
        target = self._target(asset.path)
        try:
            sha256 = files.read(asset.path).sha256
        except ImageError:
            return
        lock = asset.domain.lock
        entries = lock.by_output(sha256)
        if not any(entry.relation == "beside" for entry in entries):
            self._claims.occupy(self._place(asset.path), asset.shown)
        if asset.rule.outputs.place != "beside":
            return
        for original in dict.fromkeys([sha256, *(entry.original.sha256 for entry in entries)]):
            for entry in lock.by_original(original):
                other = asset.path.with_suffix(Path(entry.path).suffix)
                if entry.relation == "beside" and other != asset.path and files.holds(other, entry.output.sha256):
                    self._note(target, self._target(other))
                    self._copy_other(other)

    def _remember_made(self, item: Pending) -> None:
        """What an earlier build wrote beside a picture of its own lies there still, or can be had again."""
        source = self._cache.get(source_key(item.sha256, item.asset.path.name))
        cached = self._cache.get(source.meta["build"]) if source else None
        for name, data in (cached.payloads if cached else {}).items():
            path = item.asset.path.with_name(name)
            if path != item.asset.path and files.holds(path, files.digest(data)):
                self._note(item.asset.path, path)

    def _note(self, path: Path, other: Path) -> None:
        beside = self._beside.setdefault(path, [])
        if other not in beside:
            beside.append(other)

    def _write(self, item: Pending, result: Result, payloads: Mapping[str, bytes]) -> Result:
        own = self._target(item.asset.path)
        replaced = bool(payloads) and item.asset.rule.outputs.place == "replace"
        targets = {own.with_name(name): data for name, data in payloads.items()}
        if replaced and own not in targets and (link := self._links.get(Path(os.path.realpath(own)))):
            reason = f"would get another name, and {self._inside(link)} is a link to it: make that a file of its own"
            return item.left("failed", reason)
        owners = {
            target: result.path if target == own else self._claims.claim(self._inside(target), result.path)
            for target in targets
        }
        taken = {target: owner for target, owner in owners.items() if owner != result.path}
        if taken and replaced:
            other = next(iter(taken.values()))
            return self._copied(item.asset.path, item.left("failed", contested(other)))
        try:
            if not replaced and own not in targets:
                self._copy(item.asset.path)
            for target, data in targets.items():
                if target not in taken:
                    self._put(item, target, data, own)
            if self.in_place and replaced and own not in targets:
                self._cache.put(traded_key(item.sha256), {})
                files.retire(_as_looked_at(item))
            if replaced and own not in targets:
                self._moved[self._inside(own)] = self._inside(next(iter(targets)))
        except ImageError as error:
            # what of it was written may have been made of another picture than lies there now
            self._beside.pop(own, None)
            return self._copied(item.asset.path, item.left("failed", str(error)))
        shown = Path(item.asset.shown).parent
        outputs = tuple(
            replace(output, path=(shown / Path(output.path).name).as_posix())
            for output in result.outputs
            if own.with_name(Path(output.path).name) not in taken
        )
        return _without(replace(result, outputs=outputs), {path.name: owner for path, owner in taken.items()})

    def _put(self, item: Pending, target: Path, data: bytes, own: Path) -> None:
        digest = files.digest(data)
        self._cache.put(made_key(digest), {})  # before it lies there: a killed build has made it, too
        if target == own and self.in_place:
            self._cache.put(source_key(digest, own.name), {"build": self._key(item)})
        if target == item.asset.path:
            # the only copy: nothing that was saved since we looked at it is written over
            self._trade(target, data, _as_looked_at(item))
        elif not files.holds(target, digest):
            files.create(target, data, overwrite=True)
        if target != own and item.asset.rule.outputs.place == "beside":
            self._note(own, target)

    def _write_page(self, page: Snapshot, target: Path, data: bytes) -> None:
        """Write a page whole, with its source's permissions; in place, one that was saved meanwhile is left alone."""
        if page.path == target:
            self._trade(target, data, page)
        elif not files.holds(target, files.digest(data)):
            files.create(target, data, overwrite=True, mode=page.mode)

    def _trade(self, target: Path, data: bytes, expected: Snapshot | Version) -> None:
        for sha256 in (expected.sha256, files.digest(data)):
            self._cache.put(traded_key(sha256), {})
        files.replace(target, data, expected, trade=True)

    def _copied(self, path: Path, result: Result) -> Result:
        """The result of a picture that is copied as it is; it has failed where that cannot be done."""
        try:
            self._copy(path)
        except ImageError as error:
            return replace(result, status="failed", reason=str(error))
        return result

    def _copy_other(self, path: Path) -> None:
        try:
            self._copy(path, self._built(path))
        except ImageError as error:
            self.failures.append(Result(path.relative_to(self.source).as_posix(), "failed", 0, 0, reason=str(error)))

    def _built(self, path: Path) -> Path:
        """What is copied for ``path``: for a link to a picture of the sources, what that has become."""
        if self.in_place or not path.is_symlink() or path.suffix.lower() not in SUFFIXES:
            return path
        built = self.out / path.resolve().relative_to(self.source.resolve())
        if not built.is_file():
            raise ImageError("is a link to a picture that is written under another name: link to that")
        return built

    def _copy(self, path: Path, content: Path | None = None) -> None:
        """Copy a file of the sources, or another ``content`` for it. Raises ImageError when that cannot be done."""
        target, content = self._target(path), content or path
        if target == path:
            return
        try:
            if not (target.is_file() and filecmp.cmp(content, target, shallow=False)):
                with content.open("rb") as file:
                    files.pour(target, file, like=content.resolve(), durable=False)
        except OSError as error:
            raise ImageError(f"cannot be copied: {error.strerror or error}") from error

    def _target(self, path: Path) -> Path:
        target = self.out / path.relative_to(self.source)
        if target != self.out and target.parent not in self._within:  # links above it are the user's own
            self._refuse_links(target.parent)
        return target

    def _refuse_links(self, folder: Path) -> None:
        """A link below OUT may have been put there to have us write somewhere else."""
        for one in (folder, *folder.parents):
            if one == self.out or one in self._within:
                break
            if one.is_symlink():
                raise UsageError(f"{one}: is a symbolic link, through which nothing is written: remove it")
        self._within.add(folder)

    def _key(self, item: Pending) -> str:
        rule = item.asset.rule
        original = item.outdated.original.sha256 if item.outdated else None
        made_with = versions(rule, self.registry)
        return cache_key("build", item.sha256, original, item.asset.path.name, rule.digest, made_with, self.effort)


def _as_looked_at(item: Pending) -> Version:
    return Version(item.asset.path, item.sha256)


def _result(meta: Mapping[str, object], item: Pending) -> Result:
    """The result that was cached; it cost no looks this time."""
    outputs = tuple(OutputFile(**output) for output in meta["outputs"])  # type: ignore[attr-defined]  # as it was cached
    asset, known = item.asset, meta["result"]
    return Result(asset.shown, before=item.bytes, rule=asset.rule.name, outputs=outputs, cached=True, **known)  # type: ignore[arg-type]  # as it was cached


def _without(result: Result, taken: Mapping[str, str]) -> Result:
    """``result``, where some of its outputs were not written since their names are ``taken`` by other pictures."""
    if not taken:
        return result
    said = "; ".join(f"{name}{NOT_WRITTEN}{_whose(name, other)}" for name, other in sorted(taken.items()))
    reason = "; ".join(part for part in (result.reason, said) if part)
    if not result.outputs:
        return replace(result, status="unchanged", after=result.before, reason=reason)
    return replace(result, after=min(output.bytes for output in result.outputs), reason=reason)


def _whose(name: str, other: str) -> str:
    return "there is one among the sources" if Path(other).name == name else f"{other} has one of that name"


def _pixels(path: Path) -> tuple[int, int]:
    """Width and height as browsers show it; _NO_PIXELS for what is no picture to us, or is not there."""
    from semcompress_plugin.images import size_of  # brings Pillow along

    try:
        return size_of(files.read(path).data)
    except ImageError:
        return _NO_PIXELS
