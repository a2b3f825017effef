"""A first policy for a folder, with comments that say what was found and what to change."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from semcompress_plugin.policy.match import matcher

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WebP",
    ".avif": "AVIF",
}
"""Extensions of the pictures that a draft speaks about."""

OTHERS = {".gif", ".svg", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".jxl", ".ico", ".apng", ".jp2"}
"""Extensions of pictures that it only counts."""

_GENERATED = (
    *("node_modules/", "bower_components/", "vendor/", "site-packages/", ".venv/", "venv/", ".tox/", ".git/"),
    *("dist/", "build/", "target/", "out/", "_build/", "_site/", ".next/", ".nuxt/", ".cache/", ".docusaurus/"),
    *("coverage/", "htmlcov/", "__pycache__/"),
)
_BASELINES = (
    *("__snapshots__/", "__image_snapshots__/", "snapshots/", "baseline/", "baselines/", "baseline_images/"),
    *("golden/", "goldens/", "fixtures/", "testdata/", "test_data/"),
)
_ICONS = (
    *("favicon*", "apple-touch-icon*", "android-chrome-*", "mstile-*", "icons/", "logos/", "badges/", "favicons/"),
    *("logo*", "Logo*", "*-logo*", "*_logo*", "icon*", "Icon*", "*-icon*", "*_icon*", "badge*", "*-badge*", "sprite*"),
)
_TEXT = (
    *("*screenshot*", "*Screenshot*", "*screen-shot*", "*Screen Shot*", "*screencap*", "*diagram*", "*Diagram*"),
    *("*chart*", "*Chart*", "*wireframe*", "*mockup*", "figures/", "plots/", "*.png"),
)
_DATA = ("data/", "dataset/", "datasets/", "train/", "val/", "test_images/")


@dataclass(frozen=True)
class _Group:
    """A rule of the draft: its name, why it is there, what it may catch, and its further lines."""

    name: str
    why: str
    candidates: Sequence[str]
    lines: Sequence[str]


_GROUPS = (
    _Group("generated", "made or installed by tools, which would make them anew", _GENERATED, ("skip: true",)),
    _Group("baselines", "tests may compare these with what a program draws", _BASELINES, ("skip: true",)),
    _Group("icons", "logos and icons are small and looked at closely", _ICONS, ("skip: true",)),
    _Group("text", "screenshots and diagrams: letters stay sharp", _TEXT, ("preset: text",)),
    _Group("photos", "everything else: the preset above", tuple(f"*{suffix}" for suffix in FORMATS), ()),
)

_HEAD = """\
# Which pictures semcompress shrinks, and what a reader must still see in them.
# Check this file with `semcompress validate`; try it with `semcompress check`, which writes nothing.
#
{found}
version: 1

# web: for pages; size in pixels, name and format stay. text: for screenshots and diagrams.
# machine: for pictures that only models read; they may be scaled down.
preset: web

# Where replaced originals are kept: git (default in a repository), a folder, or none.
{originals}
"""

_TAIL = """
# What a rule may also say (it then replaces what the preset says under the same key):
#   compress: [jpeg]                                   # which compressors compete
#   compress: {jpeg: {quality: [40, 95], scale: 1}}    # a knob: a fixed value or [low, high]
#   keep: {classifier: {js_divergence: {max: 0.02}}}   # reader, metric, bound; all must hold
#   outputs: {formats: [keep, webp], place: beside}    # also write a WebP next to the file
#   min_saving: 10%                                    # leave a file alone for less
"""


def draft(files: Iterable[tuple[PurePosixPath, int]], originals: str | None = None) -> str:
    """A commented policy fitted to ``files``: paths relative to the policy's folder, and sizes in bytes.

    ``originals`` says where replaced ones go where there is no git repository to keep them.

    Only names are looked at. Files that are not pictures may be among them. The text is a valid policy.
    """
    every = sorted((path, size) for path, size in files)
    pictures = [(path.as_posix(), size) for path, size in every if path.suffix.lower() in FORMATS]
    others = Counter(path.suffix.lower() for path, _ in every if path.suffix.lower() in OTHERS)
    place = "# originals: git" if originals is None else f"originals: {originals}"
    text = _HEAD.format(found=_found(pictures, others), originals=place)
    rules = list(_rules(pictures))
    if rules:
        text += "\n# The first rule that matches a file decides; a file that none matches is left alone.\nrules:\n"
        text += "\n".join(rules)
    else:
        text += "\n# There are no rules yet: every picture below this folder is shrunk with the preset.\n"
    return text + _TAIL


def _rules(pictures: Sequence[tuple[str, int]]) -> Iterable[str]:
    rest = list(pictures)
    for group in _GROUPS:
        # the last rule is for pictures to come as well
        patterns = group.candidates if group is _GROUPS[-1] and pictures else _fitting(group.candidates, rest)
        if not patterns:
            continue
        matches = matcher(patterns)
        caught = [(path, size) for path, size in rest if matches(path)]
        rest = [(path, size) for path, size in rest if not matches(path)]
        lines = [f"  - name: {group.name}", f"    files: {_listed(patterns)}", *(f"    {line}" for line in group.lines)]
        comments = [f"  # {group.why} ({_amount(caught)})"]
        if group.name == "photos" and (folders := _fitting(_DATA, caught)):
            comments.append(
                f"  # if only models read {', '.join(folders)}: give that folder a rule with preset: machine"
            )
        if group.name == "text" and "*.png" in patterns:
            comments.append("  # if some PNG files are photographs: give their folder a rule of its own, before this")
        yield "\n".join([*comments, *lines, ""])


def _found(pictures: Sequence[tuple[str, int]], others: Counter[str]) -> str:
    if not pictures:
        lines = ["No pictures were found here."]
    else:
        kinds: dict[str, list[tuple[str, int]]] = {}
        for path, size in pictures:
            kinds.setdefault(FORMATS[PurePosixPath(path).suffix.lower()], []).append((path, size))
        each = "; ".join(f"{kind}: {_amount(some)}" for kind, some in kinds.items())
        lines = [f"Found {_amount(pictures)}. {each}."]
    if others:
        named = ", ".join(f"{count} {suffix[1:]}" for suffix, count in sorted(others.items()))
        lines.append(f"Left alone, since no built-in compressor reads them: {named}.")
    return "\n".join(f"# {line}" for line in lines)


def _fitting(candidates: Sequence[str], pictures: Sequence[tuple[str, int]]) -> list[str]:
    """The patterns of which each matches a picture that none before it does."""
    left, fitting = [path for path, _ in pictures], []
    for pattern in candidates:
        matches = matcher([pattern])
        if any(map(matches, left)):
            fitting.append(pattern)
            left = [path for path in left if not matches(path)]
    return fitting


def _amount(pictures: Sequence[tuple[str, int]]) -> str:
    size = sum(size for _, size in pictures)
    count = f"{len(pictures):,} picture{'s' if len(pictures) != 1 else ''}"
    return f"{count}, {size / 1e6:,.1f} MB" if size >= 1e5 else f"{count}, {size / 1e3:,.1f} kB"


def _listed(patterns: Sequence[str]) -> str:
    return f"[{', '.join(json.dumps(pattern) for pattern in patterns)}]"
