"""Make the pictures of ``examples/site``.

    python tools/make_example_site.py BACKGROUNDS [--out examples/site/img]

BACKGROUNDS is the folder ``usr/share/backgrounds`` of the unpacked Debian package ``lomiri-wallpapers-16.04``
(20.04.0-2); only pictures of it that are CC0-1.0 or CC-BY-4.0 are used. Small photographs come with scikit-image,
which is needed besides this project; everything else is drawn here. ``examples/site/CREDITS.md`` names each author.

The pixels are the same on every run; the bytes are as far as the installed encoders' versions are.
"""

from __future__ import annotations

import argparse
import io
import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw, ImageFont, ImageOps
from PIL.Image import Image as Picture

INK, PAPER, MOSS, RUST, SKY, SAND = "#22302a", "#fbf9f3", "#4f7a4c", "#b5532a", "#5d8fb3", "#e6ddc8"
FINE = 4  # shapes are drawn this many times larger and scaled down: anti-aliasing, which ImageDraw lacks

# --- photographs -----------------------------------------------------------------------------------------------------


def wallpaper(folder: Path, name: str, width: int) -> Picture:
    """A photograph of the package, ``width`` pixels wide, with nothing but pixels."""
    with Image.open(folder / f"{name}.jpg") as source:
        upright = ImageOps.exif_transpose(source).convert("RGB")
    height = round(upright.height * width / upright.width)
    return Image.fromarray(np.asarray(upright.resize((width, height), Image.Resampling.LANCZOS)))


def phone_exif() -> Image.Exif:
    """What a telephone held upright writes, invented: a device, its serial number, a place and an author."""
    exif = Image.Exif()
    base, gps = ExifTags.Base, ExifTags.GPS
    exif[base.Make] = "Fairphone"
    exif[base.Model] = "FP4"
    exif[base.Orientation] = 6  # stored lying down; shown turned clockwise by a quarter
    exif[base.Software] = "FP4.SP2J.2023.118"
    exif[base.DateTime] = "2023:05:14 10:21:37"
    exif[base.Artist] = "Robin Example"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[base.DateTimeOriginal] = "2023:05:14 10:21:37"
    details[base.OffsetTimeOriginal] = "+02:00"
    details[base.ExposureTime] = (1, 240)
    details[base.FNumber] = (16, 10)
    details[base.ISOSpeedRatings] = 64
    details[base.FocalLength] = (558, 100)
    details[base.BodySerialNumber] = "0041-2207-5519"
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[gps.GPSVersionID] = bytes((2, 3, 0, 0))
    place[gps.GPSLatitudeRef], place[gps.GPSLatitude] = "N", (43.0, 11.0, 27.4)
    place[gps.GPSLongitudeRef], place[gps.GPSLongitude] = "W", (4.0, 48.0, 9.1)
    place[gps.GPSAltitudeRef], place[gps.GPSAltitude] = 0, 812.5
    return exif


# --- a wide-gamut profile --------------------------------------------------------------------------------------------

Matrix = NDArray[np.float64]
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])  # the white of ICC's connection space
D65 = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
SRGB_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))


def to_xyz(primaries: Sequence[tuple[float, float]]) -> Matrix:
    """The matrix from linear RGB with these chromaticities and white D65 to XYZ (SMPTE RP 177)."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    matrix: Matrix = columns * np.linalg.solve(columns, D65)
    return matrix


def adaptation() -> Matrix:
    """Bradford's chromatic adaptation from D65 to D50."""
    matrix: Matrix = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ D65)) @ BRADFORD
    return matrix


def display_p3_profile() -> bytes:
    """A matrix profile, ICC version 4.3, with the primaries of Display P3 and the tone curve of sRGB."""

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65536) for number in numbers))

    def text(words: str) -> bytes:
        encoded = words.encode("utf-16-be")
        return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"GB", len(encoded), 28) + encoded

    def point(xyz: Matrix) -> bytes:
        return b"XYZ " + bytes(4) + fixed(*xyz)

    colours = adaptation() @ to_xyz(P3_XY)
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {
        b"desc": text("Wide gamut, primaries as Display P3"),
        b"cprt": text("No rights reserved (CC0)"),
        b"wtpt": point(D50),
        b"chad": b"sf32" + bytes(4) + fixed(*adaptation().ravel()),
        **{name: point(colours[:, channel]) for channel, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">I4sI4s4s4s6H4s4sIIIQI3i4s", start + len(body), bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ",
        2024, 1, 1, 0, 0, 0, b"acsp", bytes(4), 0, 0, 0, 0, 0, *struct.unpack(">3i", fixed(*D50)), bytes(4),
    )  # fmt: skip
    return header.ljust(128, b"\0") + table + body


def srgb_to_display_p3(picture: Picture) -> Picture:
    """The same colours in the other space's numbers; both share the tone curve of sRGB."""
    encoded = np.asarray(picture, dtype=np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    wide = np.clip(linear @ (np.linalg.inv(to_xyz(P3_XY)) @ to_xyz(SRGB_XY)).T, 0, 1)
    again = np.where(wide <= 0.0031308, wide * 12.92, 1.055 * wide ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(again * 255).astype(np.uint8))


# --- drawings --------------------------------------------------------------------------------------------------------


def font(size: float) -> ImageFont.FreeTypeFont:
    found = ImageFont.load_default(size)
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise SystemExit("Pillow was built without FreeType")
    return found


def drawn(size: tuple[int, int], mode: str, paper: Any, draw: Callable[[ImageDraw.ImageDraw, int], None]) -> Picture:
    """What ``draw`` draws on a canvas ``FINE`` times as large, scaled down."""
    canvas = Image.new(mode, (size[0] * FINE, size[1] * FINE), paper)
    draw(ImageDraw.Draw(canvas), FINE)
    return canvas.resize(size, Image.Resampling.BOX)


PLACES = ((0, 640, "Car park"), (2.5, 690, "Mill bridge"), (5.3, 1330, "Saddle"), (7.6, 1180, "Hut"),
          (10.3, 1260, "Viewpoint"))  # fmt: skip
"""Of the walk in the diagram, made up: kilometres, metres above the sea, name."""


def heights(kilometres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres above the sea along the walk: smooth through ``PLACES``, with a bump before the bridge."""
    bends = [*((km, metres) for km, metres, _ in PLACES), (1.5, 700), (6.9, 1185), (12.0, 1090)]
    at, metres = np.array(sorted(bends), dtype=np.float64).T
    after = np.clip(np.searchsorted(at, kilometres, side="right"), 1, len(at) - 1)
    share = (kilometres - at[after - 1]) / (at[after] - at[after - 1])
    smooth = metres[after - 1] + (metres[after] - metres[after - 1]) * (3 - 2 * share) * share**2
    rough: NDArray[np.float64] = smooth + 9 * np.sin(9.0 * kilometres) * np.sin(math.pi * share)
    return rough


def logo() -> Picture:
    """A badge and the name on transparent ground."""

    def draw(pen: ImageDraw.ImageDraw, k: int) -> None:
        pen.ellipse((4 * k, 4 * k, 116 * k, 116 * k), fill=MOSS)
        pen.ellipse((10 * k, 10 * k, 110 * k, 110 * k), outline=PAPER, width=2 * k)
        pen.polygon([(x * k, y * k) for x, y in ((22, 82), (50, 36), (64, 58), (72, 48), (98, 82))], fill=PAPER)
        pen.polygon([(x * k, y * k) for x, y in ((50, 36), (42, 50), (50, 54), (58, 48))], fill=RUST)
        pen.line([(x * k, y * k) for x, y in ((34, 92), (50, 87), (68, 95), (86, 90))], fill=PAPER, width=3 * k)
        pen.text((136 * k, 18 * k), "Fieldnotes", font=font(58 * k), fill=INK, stroke_width=k // 2, stroke_fill=INK)
        pen.text((139 * k, 86 * k), "a walking club's almanac", font=font(19 * k), fill=RUST)

    return drawn((440, 120), "RGBA", (34, 48, 42, 0), draw)


def symbols() -> Picture:
    """Sun, cloud, rain and snow in one row, few colours, on transparent ground."""

    def cloud(pen: ImageDraw.ImageDraw, k: int, x: float) -> None:
        for left, top, size in ((14, 36, 32), (34, 22, 44), (58, 38, 28)):
            pen.ellipse([v * k for v in (x + left, top, x + left + size, top + size)], fill=SKY)
        pen.rectangle([v * k for v in (x + 28, 48, x + 74, 66)], fill=SKY)

    def draw(pen: ImageDraw.ImageDraw, k: int) -> None:
        for ray in range(12):
            turn = math.tau * ray / 12
            ends = [(k * (50 + r * math.cos(turn)), k * (50 + r * math.sin(turn))) for r in (30, 42)]
            pen.line(ends, fill="#d99a2b", width=5 * k)
        pen.ellipse([v * k for v in (27, 27, 73, 73)], fill="#f2b83a")
        for x in (100, 200, 300):
            cloud(pen, k, x)
        for drop in range(4):
            x = 228 + 14 * drop
            pen.line([(x * k, 74 * k), ((x - 5) * k, 90 * k)], fill="#2f5f86", width=4 * k)
            pen.ellipse([v * k for v in (322 + 15 * drop, 74 + drop % 2 * 8, 330 + 15 * drop, 82 + drop % 2 * 8)],
                        fill="#9cc3de")  # fmt: skip

    return drawn((400, 100), "RGBA", (93, 143, 179, 0), draw).quantize(48, Image.Quantize.FASTOCTREE)


def diagram() -> Picture:
    """The profile of a walk: axes, a filled line, labels down to 13 pixels."""
    size, left, right, bottom = (1280, 640), 90, 1240, 540

    def place(km: float, metres: float) -> tuple[float, float]:
        return left + (right - left) * km / 12, bottom - (metres - 500) * 65 / 200

    def draw(pen: ImageDraw.ImageDraw, k: int) -> None:
        way = np.linspace(0, 12, 600)
        line = [(x * k, y * k) for x, y in map(place, way, heights(way))]
        pen.polygon([(left * k, bottom * k), *line, (right * k, bottom * k)], fill="#d5e0cf")
        for step in range(6):
            height = bottom - 65 * step
            pen.line([(left * k, height * k), (right * k, height * k)], fill="#c9c4b6", width=k)
            pen.text(((left - 12) * k, height * k), f"{500 + 200 * step} m", font=font(15 * k), fill=INK, anchor="rm")
        pen.line(line, fill=MOSS, width=4 * k, joint="curve")
        for step in range(13):
            x = left + (right - left) * step / 12
            pen.line([(x * k, bottom * k), (x * k, (bottom + 7) * k)], fill=INK, width=k)
            pen.text((x * k, (bottom + 12) * k), f"{step}", font=font(15 * k), fill=INK, anchor="mt")
        pen.line([(left * k, bottom * k), (right * k, bottom * k)], fill=INK, width=2 * k)
        pen.text(((left + right) / 2 * k, (bottom + 44) * k), "kilometres", font=font(16 * k), fill=INK, anchor="mt")
        for km, metres, name in PLACES:
            x, y = place(km, metres)
            pen.line([(x * k, y * k), (x * k, (y - 34) * k)], fill=RUST, width=2 * k)
            pen.ellipse([v * k for v in (x - 6, y - 6, x + 6, y + 6)], fill=RUST)
            pen.text((x * k, (y - 38) * k), name, font=font(16 * k), fill=INK, anchor="ms" if km else "ls")
        pen.text((left * k, 30 * k), "Walk 14, over the saddle to the hut", font=font(26 * k), fill=INK)
        pen.text((right * k, 38 * k), "12.0 km   780 m up   5 h 10 min", font=font(16 * k), fill=RUST, anchor="ra")
        pen.text((right * k, 608 * k), "Heights are drawn three times too steep; distances from the 2023 survey.",
                 font=font(13 * k), fill="#6b6f66", anchor="ra")  # fmt: skip

    return drawn(size, "RGB", PAPER, draw)


WALKS = (
    ("14", "Over the saddle to the hut", "12.0 km", "780 m", "5 h 10", "Sat 20 May", "9 of 12"),
    ("15", "Three bridges and the old mill", "8.4 km", "210 m", "2 h 40", "Sun 28 May", "full"),
    ("16", "Dandelion meadows at dusk", "5.1 km", "90 m", "1 h 30", "Wed 7 June", "4 of 20"),
    ("17", "Northern ridge, with scrambling", "17.6 km", "1,340 m", "8 h 05", "Sat 17 June", "6 of 8"),
    ("18", "Night walk: Perseids from the viewpoint", "6.3 km", "320 m", "2 h 50", "Sat 12 Aug.", "11 of 25"),
    ("19", "Beech woods, slowly", "7.7 km", "180 m", "2 h 30", "Sun 3 Sept.", "2 of 15"),
    ("20", "Limestone gorge and waterfall", "9.9 km", "440 m", "3 h 45", "Sat 16 Sept.", "7 of 12"),
    ("21", "Long way round the reservoir", "21.2 km", "260 m", "6 h 00", "Sat 7 Oct.", "3 of 18"),
)


def screenshot() -> Picture:
    """The club's planner in a window: hard edges, text of 12 to 22 pixels drawn at its own size."""
    picture = Image.new("RGB", (1280, 800), "#eef0ee")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 1280, 36), fill="#dfe2df")
    for dot, colour in enumerate(("#e0685c", "#e5b64f", "#6fb56b")):
        pen.ellipse((14 + 22 * dot, 12, 26 + 22 * dot, 24), fill=colour)
    pen.rounded_rectangle((300, 7, 980, 29), 6, fill="white", outline="#c5c9c5")
    pen.text((640, 18), "planner.fieldnotes.example/walks?season=2023", font=font(13), fill="#555d57", anchor="mm")
    pen.rectangle((0, 36, 220, 800), fill=INK)
    for row, words in enumerate(("Overview", "Walks", "Members", "Lifts and lodging", "Kit to lend", "Accounts")):
        top = 70 + 44 * row
        if words == "Walks":
            pen.rectangle((0, top - 10, 220, top + 28), fill=MOSS)
        pen.text((28, top), words, font=font(16), fill="white")
    pen.text((28, 764), "Signed in as robin", font=font(12), fill="#9fb0a6")
    pen.text((250, 62), "Walks in 2023", font=font(22), fill=INK)
    pen.rounded_rectangle((1110, 58, 1250, 92), 5, fill=RUST)
    pen.text((1180, 75), "New walk", font=font(15), fill="white", anchor="mm")
    columns = (262, 310, 640, 730, 820, 910, 1040)
    pen.rectangle((250, 112, 1250, 146), fill="#d8ddd8")
    for x, words in zip(columns, ("No.", "Name", "Length", "Up", "Time", "Date", "Places taken"), strict=True):
        pen.text((x, 129), words, font=font(13), fill="#3c463f", anchor="lm")
    for row, walk in enumerate(WALKS):
        top = 146 + 40 * row
        pen.rectangle((250, top, 1250, top + 40), fill="white" if row % 2 else "#f7f8f6")
        pen.line((250, top + 40, 1250, top + 40), fill="#dde1dd")
        for x, words in zip(columns, walk, strict=True):
            pen.text((x, top + 20), words, font=font(14), fill=RUST if words == "full" else INK, anchor="lm")
    pen.rectangle((250, 490, 780, 776), fill="white", outline="#d0d5d0")
    pen.text((266, 504), "Members on walks, by month", font=font(15), fill=INK)
    for month, count in enumerate((6, 9, 14, 22, 31, 38, 27, 33, 29, 21, 12, 7)):
        x = 276 + 41 * month
        pen.rectangle((x, 740 - 5 * count, x + 28, 740), fill=SKY if month > 4 else MOSS)
        pen.text((x + 14, 734 - 5 * count), str(count), font=font(12), fill=INK, anchor="mb")
        pen.text((x + 14, 748), "JFMAMJJASOND"[month], font=font(12), fill="#555d57", anchor="mt")
    pen.rectangle((800, 490, 1250, 776), fill="white", outline="#d0d5d0")
    pen.text((816, 504), "To do before Saturday", font=font(15), fill=INK)
    jobs = (
        "Ask the hut about supper for nine",
        "Return the blue rope (Kim has it)",
        "Lifts: two seats short from town",
        "Print map sheet 81-III, 1:25,000",
        "Check the ford after Thursday's rain",
        "First-aid kit: plasters",
    )
    for row, words in enumerate(jobs):
        top = 540 + 38 * row
        pen.rectangle((816, top, 832, top + 16), outline=MOSS, width=2, fill=MOSS if row < 2 else "white")
        pen.text((846, top), words, font=font(14), fill="#8a918b" if row < 2 else INK)
    return picture


def compass(frames: int = 16) -> list[Picture]:
    """A needle that swings once and settles."""

    def frame(turn: float) -> Picture:
        def draw(pen: ImageDraw.ImageDraw, k: int) -> None:
            pen.ellipse((4 * k, 4 * k, 116 * k, 116 * k), fill=SAND, outline=INK, width=3 * k)
            for mark in range(16):
                angle, inner = math.tau * mark / 16, 44 if mark % 4 else 40
                ends = [((60 + r * math.sin(angle)) * k, (60 - r * math.cos(angle)) * k) for r in (inner, 50)]
                pen.line(ends, fill=INK, width=2 * k)
            pen.text((60 * k, 25 * k), "N", font=font(13 * k), fill=INK, anchor="mt")
            for colour, way in ((RUST, 0.0), (INK, math.pi)):
                tip, *base = ((38, turn + way), (7, turn + way + math.pi / 2), (7, turn + way - math.pi / 2))
                corners = [((60 + r * math.sin(a)) * k, (60 - r * math.cos(a)) * k) for r, a in (tip, *base)]
                pen.polygon(corners, fill=colour)
            pen.ellipse((56 * k, 56 * k, 64 * k, 64 * k), fill=PAPER)

        return drawn((120, 120), "RGB", PAPER, draw)

    swing = [1.1 * math.exp(-2.5 * i / frames) * math.sin(2 * math.tau * i / frames) for i in range(frames)]
    palette = frame(0.4).quantize(32)
    return [frame(turn).quantize(palette=palette, dither=Image.Dither.NONE) for turn in swing]


# --- files -----------------------------------------------------------------------------------------------------------


def encode(picture: Picture, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(picture: Picture, quality: int, **options: Any) -> bytes:
    return encode(picture, "JPEG", quality=quality, **options)


def files(backgrounds: Path) -> dict[str, bytes]:
    """Every picture of the site: name and bytes."""
    peaks = wallpaper(backgrounds, "picosdeeuropa_by_Aitzol_Berasategi", 1600)
    hills = wallpaper(backgrounds, "aitzgorri_by_Aitzol_Berasategi", 1200)
    fig = wallpaper(backgrounds, "Picture_0B_by_freespace", 1200)
    brushes = wallpaper(backgrounds, "Picture_1A_by_freespace", 900)
    dogs = wallpaper(backgrounds, "friends_by_Aitzol_Berasategi", 900)
    first, *rest = compass()
    bundled: Any = skimage.data  # its functions have no types
    hubble = Image.fromarray(bundled.hubble_deep_field()[200:600, 240:840])
    return {
        "meadow.jpg": jpeg(wallpaper(backgrounds, "seeding_by_Clements_Engelhardt", 1800), 92),
        "peaks.jpg": jpeg(peaks, 92, progressive=True),
        "peaks-1000.jpg": jpeg(peaks.resize((1000, 750), Image.Resampling.LANCZOS), 92, progressive=True),
        "peaks-500.jpg": jpeg(peaks.resize((500, 375), Image.Resampling.LANCZOS), 92, progressive=True),
        "stream.jpg": jpeg(wallpaper(backgrounds, "life_by_Aitzol_Berasategi", 1200), 92),
        "dogs.jpg": jpeg(dogs.transpose(Image.Transpose.ROTATE_90), 93, exif=phone_exif()),
        "brushes.jpg": jpeg(srgb_to_display_p3(brushes), 94, subsampling=0, icc_profile=display_p3_profile()),
        "fig.webp": encode(fig, "WEBP", quality=90, method=4),
        "hills.avif": encode(hills, "AVIF", quality=70, speed=6, max_threads=1),
        "hills.jpg": jpeg(hills, 92),
        "chelsea.jpg": jpeg(Image.fromarray(bundled.chelsea()), 95, subsampling=0),
        "coffee.jpg": jpeg(Image.fromarray(bundled.coffee()), 95),
        "astronaut.jpg": jpeg(Image.fromarray(bundled.astronaut()), 93),
        "rocket.jpg": jpeg(Image.fromarray(bundled.rocket()), 92),
        "photographer.jpg": jpeg(Image.fromarray(bundled.camera()), 93),
        "deep-field.png": encode(hubble, "PNG"),
        "planner.png": encode(screenshot(), "PNG"),
        "profile.png": encode(diagram(), "PNG"),
        "logo.png": encode(logo(), "PNG"),
        "weather.png": encode(symbols(), "PNG"),
        "compass.gif": encode(first, "GIF", save_all=True, append_images=rest, duration=90, loop=0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of examples/site.")
    parser.add_argument("backgrounds", type=Path, help="usr/share/backgrounds of Debian's lomiri-wallpapers-16.04")
    parser.add_argument("--out", type=Path, default=Path("examples/site/img"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, content in files(options.backgrounds).items():
        (options.out / name).write_bytes(content)
        print(f"{len(content):>9,} {name}")


if __name__ == "__main__":
    main()
