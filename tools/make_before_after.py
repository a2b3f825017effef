"""Draw a picture before and after a real build: ``docs/before-after.jpg``.

    semcompress build --format json examples/site build/site > build/report.json
    python tools/make_before_after.py examples/site build/site build/report.json img/coffee.jpg

Bytes come from the report; what the reader sees is asked of the classifier again, of both files. The drawing itself is
a JPEG of a quality that shows what the build did to the picture, and little of its own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.Image import Image as Picture

from semcompress_plugin import images
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.report.text import settings_in_words
from semcompress_plugin.words import percent, size

WIDTH, GAP, CAPTION = 1200, 12, 92
INK, GREY, PAPER, MARK = "#1f2a25", "#5c665f", "#ffffff", "#ffd24a"


def _in_short(description: str) -> str:
    """Without the path of the class in the hierarchy, which is too long for a caption."""
    return description.split(";")[0]


def half(picture: Picture, zoom: tuple[int, int, int, int], heading: str, lines: list[str]) -> Picture:
    """The whole picture, beside it ``zoom`` (left, top, right, bottom) of it enlarged, and words below."""
    width = (WIDTH - GAP) // 2
    height = 270
    whole = ImageOps.contain(picture, (width * 2 // 3, height), Image.Resampling.LANCZOS)
    close = picture.crop(zoom)
    close = ImageOps.fit(close, (width - whole.width - 4, whole.height), Image.Resampling.BICUBIC)
    panel = Image.new("RGB", (width, whole.height + CAPTION), PAPER)
    panel.paste(whole, (0, 0))
    panel.paste(close, (whole.width + 4, 0))
    pen = ImageDraw.Draw(panel)
    scale = whole.width / picture.width
    pen.rectangle([round(edge * scale) for edge in zoom], outline=MARK, width=2)
    pen.text((0, whole.height + 10), heading, font=ImageFont.load_default(22), fill=INK)
    for row, line in enumerate(lines):
        pen.text((0, whole.height + 42 + 22 * row), line, font=ImageFont.load_default(15), fill=GREY)
    return panel


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a picture before and after a build.")
    parser.add_argument("source", type=Path, help="the tree that was built")
    parser.add_argument("built", type=Path, help="the tree that was written")
    parser.add_argument("report", type=Path, help="what `semcompress build --format json` printed")
    parser.add_argument("picture", help="a picture in both trees, as the report calls it")
    parser.add_argument("--zoom", type=int, nargs=4, default=(210, 60, 350, 250), metavar="PIXEL",
                        help="left, top, right and bottom of what is shown enlarged")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("docs/before-after.jpg"))
    options = parser.parse_args()

    results = json.loads(options.report.read_text(encoding="utf-8"))["results"]
    (result,) = [each for each in results if each["path"] == options.picture]
    (output,) = result["outputs"]
    data = [(tree / options.picture).read_bytes() for tree in (options.source, options.built)]
    if [len(each) for each in data] != [result["before"], output["bytes"]]:
        raise SystemExit(f"{options.picture}: the files are not those of {options.report}")

    pictures = [images.decode(each).image.convert("RGB") for each in data]
    reader = ClassifierEvaluator()
    seen = reader.observe(pictures)
    divergence = output["scores"]["classifier"]["js_divergence"]
    score = output["scores"]["msssim"]["score"]
    halves = [
        half(pictures[0], options.zoom, f"Before: {size(len(data[0]))}",
             [f"The reader sees: {_in_short(reader.describe(seen[0]))}"]),
        half(pictures[1], options.zoom,
             f"After: {size(len(data[1]))} ({percent(len(data[0]), len(data[1]))})",
             [f"The reader sees: {_in_short(reader.describe(seen[1]))}",
              f"{settings_in_words(output['compressor'], output['settings'])}; "
              f"divergence {divergence:.3f}, structural score {score:.3f}"]),
    ]  # fmt: skip
    sheet = Image.new("RGB", (WIDTH, halves[0].height), PAPER)
    for place, panel in enumerate(halves):
        sheet.paste(panel, (place * (panel.width + GAP), 0))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out, quality=86, subsampling="4:4:4", optimize=True, progressive=True)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
