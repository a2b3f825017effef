"""The blog post's two figures: pictures on their way down, and what a network takes them for.

    python examples/blog/strips.py [PICTURE …] [--out FOLDER] [--reader NAME] [--tiles N] [--steps N] [--seed N]

For each picture (default: the cat of the example site) and each of the post's loops one PNG: the picture as it came,
some of the pictures that follow, the last on which the network's answer is still the first one (green) and the first
on which it is not (red). The post's loop ends there; the strip goes on, to show what the network makes of the rest.
Where the answer first leaves house cats for something else (`lca_height` above 1) is marked as well (violet).

Under each picture: its step and size, the class, the network's confidence in it, and the bytes of its file. The
reader is `classifier`, and also `torchvision:resnet152` where torchvision and its weights are there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from semcompress_plugin.compressors.iterative import IterativeCompressor
from semcompress_plugin.compressors.seed_jpeg import SeedJpegCompressor
from semcompress_plugin.compressors.seed_resize import SeedResizeCompressor
from semcompress_plugin.errors import SemcompressError
from semcompress_plugin.images import decode
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Reference

HERE = Path(__file__).parent
CAT = HERE.parent / "site" / "img" / "chelsea.jpg"
READERS = {"classifier": {"view": "center"}, "torchvision:resnet152": {"weights": "IMAGENET1K_V1"}}
SISTERS = 1
"""`lca_height` of classes that differ as a tiger cat does from an Egyptian cat."""

PAPER, INK, PALE = (255, 255, 255), (28, 30, 33), (110, 116, 122)
GREEN, RED, VIOLET = (22, 140, 70), (200, 40, 40), (120, 60, 170)
WIDE, GAP, MARGIN, FRAME = 184, 14, 20, 5
_ANSWER = re.compile(r"(.+) (\d+) % \(")


@dataclass(frozen=True)
class Tile:
    """One picture of a chain, with what the reader said of it."""

    step: int
    image: Image.Image
    answer: str
    confidence: int
    bytes: int
    agrees: bool
    height: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", type=Path, default=[CAT], metavar="PICTURE")
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER")
    parser.add_argument("--reader", choices=READERS, action="append", help="default: all that can be had")
    parser.add_argument("--tiles", type=int, default=7, metavar="N", help="how many pictures a strip shows")
    parser.add_argument("--steps", type=int, default=40, metavar="N", help="how far to go at most")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="where the draws of the JPEG loop start")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.reader or READERS:
        try:
            reader = Registry().make_evaluator(name, READERS[name])
            for path in given.pictures:
                picture = decode(path.read_bytes(), path.name)
                loops = {"seed-resize": SeedResizeCompressor(), "seed-jpeg": SeedJpegCompressor(seed=given.seed)}
                for loop, compressor in loops.items():
                    tiles = walked(picture, compressor, reader, given.steps)
                    title = f"{loop}, seen by {name}"
                    target = given.out / "-".join([path.stem, loop, *name.split(":")[1:]])
                    strip(title, tiles, given.tiles).save(f"{target}.png", optimize=True)
                    print(f"{target}.png: {told(tiles)}")
        except SemcompressError as error:  # torch or its weights are not there
            if given.reader:
                raise SystemExit(str(error)) from error
            print(f"without {name}: {error}")


def walked(picture: Reference, compressor: IterativeCompressor, reader: Any, steps: int) -> list[Tile]:
    """The picture and what follows it, up to ``steps`` steps or until a step changes nothing more."""
    tiles: list[Tile] = []
    first = None
    for step in range(steps + 1):
        try:
            image = compressor.iterate(picture, step).convert("RGB")
        except ValueError:
            break
        (seen,) = reader.observe([image])
        first = first or seen
        (scores,) = reader.compare(first, [seen])
        answer, confidence = _ANSWER.match(reader.describe(seen)).groups()
        size = len(compressor.compress(picture, {"steps": step}, "JPEG")) if step else picture.bytes or 0
        agrees, height = scores["top1_agreement"] == 1, scores["lca_height"]
        tiles.append(Tile(step, image, answer, int(confidence), size, agrees, height))
    return tiles


def flip(tiles: Sequence[Tile]) -> int | None:
    """The first step on which the answer is another, where the post's loop ends."""
    return next((tile.step for tile in tiles if not tile.agrees), None)


def departure(tiles: Sequence[Tile]) -> int | None:
    """The first step on which the answer is no sister of the first."""
    return next((tile.step for tile in tiles if tile.height > SISTERS), None)


def told(tiles: Sequence[Tile]) -> str:
    """A strip in one line."""
    flipped = flip(tiles)
    if flipped is None:
        return f"{tiles[0].answer} throughout, to {tiles[-1].bytes:,} bytes after {tiles[-1].step} steps"
    last, first = tiles[flipped - 1], tiles[flipped]
    return f"{last.answer} up to step {last.step} ({last.bytes:,} bytes), then {first.answer}"


def chosen(tiles: Sequence[Tile], count: int) -> list[Tile]:
    """About ``count`` of them, evenly spread, and always those that are marked."""
    flipped, gone = flip(tiles), departure(tiles)
    marked = {0, len(tiles) - 1, *(x for x in (flipped, gone) if x is not None)}
    marked |= {flipped - 1} if flipped is not None else set()
    spread = [round(i * (len(tiles) - 1) / max(count - 1, 1)) for i in range(count)]
    # those that are spread give way to marked neighbours, so that the strip keeps its length
    free = sorted(set(spread) - marked, key=lambda step: -min(abs(step - other) for other in marked))
    return [tiles[step] for step in sorted({*marked, *free[: max(0, count - len(marked))]})]


def strip(title: str, tiles: Sequence[Tile], count: int) -> Image.Image:
    """The strip: the chosen pictures in a row, all equally large, with their labels."""
    flipped, gone = flip(tiles), departure(tiles)
    shown = chosen(tiles, count)
    high = round(WIDE * tiles[0].image.height / tiles[0].image.width)
    top = MARGIN + 34
    sheet = Image.new("RGB", (2 * MARGIN + len(shown) * (WIDE + GAP) - GAP, top + high + 118 + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 4), title, INK, _font(20))
    for number, tile in enumerate(shown):
        left = MARGIN + number * (WIDE + GAP)
        # enlarged without smoothing: what is left of the picture is all that there is to see
        kernel = Image.Resampling.NEAREST if tile.image.width < WIDE else Image.Resampling.LANCZOS
        sheet.paste(tile.image.resize((WIDE, high), kernel), (left, top))
        mark, colour = _mark(tile, flipped, gone)
        if mark:
            box = (left - FRAME, top - FRAME, left + WIDE + FRAME - 1, top + high + FRAME - 1)
            draw.rectangle(box, outline=colour, width=FRAME)
        down = top + high + 10
        draw.text((left, down), _fitted(draw, tile.answer, 17), INK if tile.agrees else colour or RED, _font(17))
        draw.text((left, down + 23), f"{tile.confidence} % sure", INK, _font(15))
        draw.text((left, down + 43), f"{tile.bytes:,} bytes", INK, _font(15))
        where = "as it came" if tile.step == 0 else f"step {tile.step}"
        draw.text((left, down + 63), f"{where}, {tile.image.width} x {tile.image.height}", PALE, _font(14))
        draw.text((left, down + 84), mark, colour or INK, _font(14))
    return sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)


def _mark(tile: Tile, flipped: int | None, gone: int | None) -> tuple[str, tuple[int, int, int] | None]:
    if flipped is not None and tile.step == flipped - 1:
        return "the last that agrees", GREEN
    if tile.step == flipped:
        return ("the first that does not" if flipped != gone else "the first, and no sister"), RED
    if tile.step == gone:
        return "the first that is no sister", VIOLET
    return "", None


def _fitted(draw: ImageDraw.ImageDraw, text: str, size: int) -> str:
    """The text, or as much of it as is no wider than a picture."""
    if draw.textlength(text, _font(size)) <= WIDE:
        return text
    while draw.textlength(text + "…", _font(size)) > WIDE:
        text = text[:-1].rstrip()
    return text + "…"


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()
