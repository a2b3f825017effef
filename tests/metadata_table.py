"""What becomes of everything that travels beside the pixels: the data of docs/metadata.md and of its test.

Each row says how to make a picture that has the property (one maker per format), how readers that are not ours find
it, and what must have become of it under each policy. ``python tests/metadata_table.py`` prints the table.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import pyexiv2
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

import icc
from pictures import photo

POLICIES = ("keep", "strip-private", "strip-all")
Make = Callable[[str], bytes]
ALL = ("JPEG", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class Row:
    """``cells``: what becomes of it under each of POLICIES: kept, dropped, applied, converted or left alone.

    ``option`` is what the rule says besides, as YAML (default: nothing).
    ``exiv2`` and ``exiftool`` are the names under which these readers know it; ``seen`` finds what neither does, as
    Pillow sees it. For pictures that are left alone, ``why`` must stand in the reason.
    """

    name: str
    formats: tuple[str, ...]
    make: Make
    cells: tuple[str, str, str]
    exiv2: tuple[str, ...] = ()
    exiftool: tuple[str, ...] = ()
    seen: Callable[[Image.Image, bytes], object] | None = None
    why: str = ""
    note: str = ""
    option: str = ""


def save(image: Image.Image, format: str, **more: object) -> bytes:
    out = io.BytesIO()
    parameters = {"PNG": {}, "WEBP": {"quality": 99}}.get(format, {"quality": 98})
    image.save(out, format, **{**parameters, **more})
    return out.getvalue()


def picture(format: str, **more: object) -> bytes:
    return save(photo((96, 64)), format, **more)


def with_exif(fill: Callable[[Image.Exif], object], **more: object) -> Make:
    def make(format: str) -> bytes:
        exif = Image.Exif()
        exif[0x010F] = "Maker"  # Pillow does not write a block that has nothing in its first directory
        fill(exif)
        return picture(format, exif=exif, **more)

    return make


def edited(change: Callable[[pyexiv2.ImageData], object]) -> Make:
    """A picture that exiv2 wrote into."""

    def make(format: str) -> bytes:
        with pyexiv2.ImageData(picture(format)) as image:
            change(image)
            return image.get_bytes()

    return make


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_with(*chunks: tuple[bytes, bytes]) -> Make:
    """A PNG with chunks directly behind its header, whatever Pillow thinks of them."""

    def make(_: str) -> bytes:
        data = picture("PNG")
        return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]

    return make


def png_with_behind(*chunks: tuple[bytes, bytes]) -> Make:
    """A PNG with chunks behind its pixels."""

    def make(_: str) -> bytes:
        data = picture("PNG")
        return data[:-12] + b"".join(chunk(*each) for each in chunks) + data[-12:]

    return make


def jpeg_with(*segments: tuple[int, bytes], behind: bytes = b"") -> Make:
    def make(_: str) -> bytes:
        data = picture("JPEG")
        parts = b"".join(bytes([0xFF, m]) + struct.pack(">H", len(p) + 2) + p for m, p in segments)
        return data[:2] + parts + data[2:] + behind

    return make


def animation(format: str) -> bytes:
    frames = [photo((48, 32), seed) for seed in range(3)]
    return save(frames[0], format, save_all=True, append_images=frames[1:])


def transparent(format: str) -> bytes:
    image = photo((96, 64))
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return save(image, format)


def _orientation(exif: Image.Exif) -> None:
    exif[0x0112], exif[0x010F] = 6, "Maker"


def _credits(exif: Image.Exif) -> None:
    exif.update({0x010F: "Maker", 0x0110: "Model", 0x013B: "Ann", 0x8298: "(c) Ann", 0x010E: "A view"})
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 10:00:00", 0x829A: 0.01, 0x8827: 200, 0xA434: "50mm"})


def _gps(exif: Image.Exif) -> None:
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 30.0, 0.0)})


def _owner(exif: Image.Exif) -> None:
    exif[0x013C] = "anns-laptop"
    exif.get_ifd(0x8769).update({0xA430: "Ann", 0xA431: "SN-1", 0xA435: "SN-2", 0xA420: "unique"})


def _maker_note(exif: Image.Exif) -> None:
    exif[0x010F] = "Nobody"
    exif.get_ifd(0x8769)[0x927C] = b"Nobody\0" + bytes(range(64))


def _adobe_rgb(exif: Image.Exif) -> None:
    exif.get_ifd(0x8769).update({0xA001: 0xFFFF, 0xA005: {1: "R03"}})


def _dense(exif: Image.Exif) -> None:
    exif.update({0x011A: 144.0, 0x011B: 144.0, 0x0128: 2})
    exif.get_ifd(0x8769).update({0xA002: 48, 0xA003: 32})


def _thumbnail(image: pyexiv2.ImageData) -> None:
    image.modify_exif({"Exif.Image.Make": "Maker", "Exif.Image.Orientation": "1"})
    image.modify_thumbnail(save(photo((32, 24)), "JPEG"))


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    b"<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'"
    b" photoshop:City='Berlin' %s/></rdf:RDF></x:xmpmeta>"
)
TURNED_EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
CUT_OFF = b"Exif\0\0MM\0*\0\0\0\x08\0\x40 taken at home"
LONG_TURN = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x06\0\0\0\0"
TEN_BITS = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAO"
    "cGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAKwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAA"
    "AABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAEAAAABAAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAIAAgAG"
    "gAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAM21kYXQSAAoIOAz/28CAgaQyHRlCYwTAADQAKAB1hV6PrBDW+nLYkoAsGBxkVJWw"
)
"""A 10-bit AVIF as imagecodecs 2026.10 writes it; Pillow writes 8 bits only."""
IN_STREAM = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0"
    "bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAJQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBy"
    "cAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAEAAAABAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1h"
    "AAAAAAAAAAEAAQQBAoMEAAAALW1kYXQSAAoJGAz/2yAhoNCAMhYdh4eFncAALCQAAHV5lEmhuAQ7llxk"
)
"""An AVIF as Pillow 13 writes it, with libavif 1.4: colours in a box and in the header of the coded picture."""


def _xmp(format: str, more: bytes = b"") -> bytes:
    packet = XMP % more
    if format != "PNG":
        return picture(format, xmp=packet)
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode())
    return picture(format, pnginfo=info)


def _panorama(format: str) -> bytes:
    return _xmp(
        format, b"xmlns:GPano='http://ns.google.com/photos/1.0/panorama/' GPano:ProjectionType='equirectangular'"
    )


def _extended_xmp(_: str) -> bytes:
    guid = b"0123456789ABCDEF0123456789ABCDEF"
    body = XMP % b""
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(body), 0)
    main = (XMP % b"").replace(
        b"photoshop:City='Berlin'",
        b"xmlns:xmpNote='http://ns.adobe.com/xmp/note/' xmpNote:HasExtendedXMP='" + guid + b"'",
    )
    return jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main), (0xE1, head + body))("JPEG")


def _between_scans(_: str) -> bytes:
    data = picture("JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + jpeg_with((0xFE, b"taken at home" * 10))("JPEG")[2 : 2 + 4 + 130] + data[at:]


def _long_iptc(_: str) -> bytes:
    words = (b"\x1c\x02\x19" + struct.pack(">H", 30_000) + b"a" * 30_000) * 3
    blocks = resource(b"8BIM", 0x0404, words) + resource(b"8BIM", 0x040B, b"http://example.org/x")
    head = b"Photoshop 3.0\0"
    return jpeg_with((0xED, head + blocks[:65_000]), (0xED, head + blocks[65_000:]))("JPEG")


def resource(signature: bytes, number: int, data: bytes) -> bytes:
    """One of Photoshop's image resources."""
    return signature + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


def _texts(_: str) -> bytes:
    info = PngInfo()
    for key in ("Title", "Author", "Copyright"):
        info.add_text(key, f"the {key}")
    info.add_itxt("Description", "größer", zip=True)
    return picture("PNG", pnginfo=info)


def _private_text(_: str) -> bytes:
    info = PngInfo()
    info.add_text("Software", "an editor")
    info.add_text("Comment", "taken at home")
    return picture("PNG", pnginfo=info)


def _drawing(_: str) -> bytes:
    info = PngInfo()
    for key in ("mxfile", "mxGraphModel"):
        info.add_text(key, "%3Cmxfile%3E", zip=True)
    info.add_text("application/vnd.excalidraw+json", "{}")
    info.add_itxt("plantuml", "@startuml", zip=True)
    return picture("PNG", pnginfo=info)


def _drawings(image: Image.Image, _: bytes) -> object:
    return tuple(
        image.info.get(key) for key in ("mxfile", "mxGraphModel", "application/vnd.excalidraw+json", "plantuml")
    )


def _palette(_: str) -> bytes:
    return save(photo((96, 64)).quantize(200), "PNG", transparency=3)


def _colour_key(_: str) -> bytes:
    image = photo((96, 64)).point(lambda value: value & 0xF0)
    image.paste((1, 2, 3), (0, 0, 20, 20))
    return save(image, "PNG", transparency=(1, 2, 3))


def _sixteen_bits(_: str) -> bytes:
    rows = b"".join(b"\0" + bytes(range(48)) for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _numbered(_: str) -> bytes:
    # Pillow names BT.709 and sRGB; 12 is Display P3
    return picture("AVIF").replace(b"colrnclx\0\x01\0\x0d", b"colrnclx\0\x0c\0\x0d")


def stream_says(primaries: int, transfer: int) -> bytes:
    """An AVIF in which only the header of the coded picture names colours."""
    data = IN_STREAM
    start = data.index(b"mdat") + 4
    bits = f"{int.from_bytes(data[start : start + 16], 'big'):0128b}".replace(
        f"{1:08b}{13:08b}", f"{primaries:08b}{transfer:08b}", 1
    )
    return data[:start].replace(b"colrnclx", b"freenclx") + int(bits, 2).to_bytes(16, "big") + data[start + 16 :]


def _gain_map(format: str) -> bytes:
    if format == "AVIF":  # the item type is all that tells
        exif = Image.Exif()
        exif[0x010F] = "Maker"
        return picture("AVIF", exif=exif).replace(b"Exif", b"tmap", 1)
    return picture("JPEG", xmp=XMP % b"xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' hdrgm:Version='1.0'")


def profiled(profile: bytes, mode: str = "RGB") -> Make:
    return lambda format: save(photo((96, 64)).convert(mode), format, icc_profile=profile)


def _profiled_palette(_: str) -> bytes:
    return save(photo((96, 64)).quantize(200), "PNG", transparency=3, icc_profile=WIDE)


def _profiled_transparent(format: str) -> bytes:
    image = photo((96, 64))
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return save(image, format, icc_profile=WIDE)


def _profile_of(image: Image.Image, _: bytes) -> object:
    return image.info.get("icc_profile")


LEFT = ("left alone",) * 3
CONVERTED = ("converted",) * 3
WIDE = icc.rgb(gamma=1.0)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TURNED, TO_SRGB = "orientation: keep", "icc: srgb"
KEPT = ("kept",) * 3

TABLE = (
    Row(
        "EXIF orientation", ("JPEG", "PNG"), with_exif(_orientation), ("applied",) * 3,
        exiv2=("Exif.Image.Orientation",), exiftool=("IFD0:Orientation",),
        note="the pixels are turned, the tag goes",
    ),
    Row(
        "EXIF orientation in a WebP", ("WEBP",), with_exif(_orientation), LEFT, why="on which readers disagree",
        note="Chromium ignores it, other programs do not",
    ),
    Row(
        "rotation and mirroring (`irot`, `imir`)", ("AVIF",), with_exif(_orientation), ("applied",) * 3,
        exiftool=("QuickTime:Rotation",), seen=lambda image, data: image.getexif().get(0x0112),
    ),
    Row(
        "orientation in XMP only", ALL, lambda f: _xmp(f, b"tiff:Orientation='6'"), LEFT,
        why="turned by XMP but not by EXIF", note="browsers ignore it, some viewers do not",
    ),
    Row(
        "EXIF orientation behind the pixels, twice or in a text", ("PNG",), png_with_behind((b"eXIf", TURNED_EXIF)),
        LEFT, why="turned by an eXIf", note="browsers ignore it",
    ),
    Row(
        "EXIF orientation that is not one SHORT, or is cut off", ("JPEG", "PNG"),
        lambda f: (jpeg_with((0xE1, b"Exif\0\0" + LONG_TURN)) if f == "JPEG" else png_with((b"eXIf", LONG_TURN)))(f),
        LEFT, why="turned by EXIF", note="readers differ",
    ),
    Row(
        "EXIF: maker, model, date, exposure, artist, copyright", ALL, with_exif(_credits), ("kept", "kept", "dropped"),
        exiv2=(
            "Exif.Image.Make", "Exif.Image.Model", "Exif.Image.Artist", "Exif.Image.Copyright",
            "Exif.Image.ImageDescription", "Exif.Photo.DateTimeOriginal", "Exif.Photo.ExposureTime",
            "Exif.Photo.ISOSpeedRatings", "Exif.Photo.LensModel",
        ),
        exiftool=(
            "IFD0:Make", "IFD0:Model", "IFD0:Artist", "IFD0:Copyright", "IFD0:ImageDescription",
            "ExifIFD:DateTimeOriginal", "ExifIFD:ExposureTime", "ExifIFD:ISO", "ExifIFD:LensModel",
        ),
    ),
    Row(
        "EXIF: GPS", ALL, with_exif(_gps), ("kept", "dropped", "dropped"),
        exiv2=("Exif.GPSInfo.GPSLatitude", "Exif.GPSInfo.GPSLongitude", "Exif.GPSInfo.GPSLatitudeRef"),
        exiftool=("GPS:GPSLatitude", "GPS:GPSLongitude"),
    ),
    Row(
        "EXIF: serial numbers, owner, computer, unique id", ALL, with_exif(_owner), ("kept", "dropped", "dropped"),
        exiv2=(
            "Exif.Image.HostComputer", "Exif.Photo.CameraOwnerName", "Exif.Photo.BodySerialNumber",
            "Exif.Photo.LensSerialNumber", "Exif.Photo.ImageUniqueID",
        ),
        exiftool=(
            "IFD0:HostComputer", "ExifIFD:OwnerName", "ExifIFD:SerialNumber", "ExifIFD:LensSerialNumber",
            "ExifIFD:ImageUniqueID",
        ),
    ),
    Row(
        "EXIF: maker's note", ALL, with_exif(_maker_note), ("kept", "dropped", "dropped"),
        exiv2=("Exif.Photo.MakerNote",),
        note="kept at its offset, which notes depend on",
    ),
    Row(
        "EXIF: thumbnail", ("JPEG", "PNG", "WEBP"), edited(_thumbnail), ("dropped",) * 3,
        exiv2=("Exif.Thumbnail.JPEGInterchangeFormatLength",), exiftool=("IFD1:ThumbnailLength",),
        note="it shows the picture as it was stored",
    ),
    Row("EXIF that cannot be read", ALL, lambda f: picture(f, exif=CUT_OFF),
        ("left alone", "dropped", "dropped"), seen=lambda image, data: b"taken at home" in data,
        why="EXIF that cannot be read"),
    Row(
        "EXIF: Adobe RGB said by interoperability index", ALL, with_exif(_adobe_rgb), ("kept", "kept", "dropped"),
        exiv2=("Exif.Iop.InteroperabilityIndex", "Exif.Photo.ColorSpace"),
        exiftool=("InteropIFD:InteropIndex", "ExifIFD:ColorSpace"),
        note="browsers ignore it",
    ),
    Row(
        "EXIF: size to be shown at, of dense screens", ("JPEG",), with_exif(_dense), KEPT,
        exiv2=("Exif.Photo.PixelXDimension", "Exif.Photo.PixelYDimension", "Exif.Image.XResolution"),
        exiftool=("ExifIFD:ExifImageWidth", "ExifIFD:ExifImageHeight"),
        note="Chromium heeds it, in JPEG only",
    ),
    Row(
        "ICC profile", ALL, lambda f: picture(f, icc_profile=WIDE), KEPT,
        exiftool=("ICC-header:ColorSpaceData", "ICC_Profile:ProfileDescription"),
        seen=lambda image, data: image.info.get("icc_profile"),
    ),
    Row(
        "XMP", ALL, _xmp, ("kept", "dropped", "dropped"),
        exiv2=("Xmp.photoshop.City",), exiftool=("XMP-photoshop:City",), note="it may repeat places under any name",
    ),
    Row(
        "XMP: 360° panorama (GPano)", ALL, _panorama, ("kept", "left alone", "dropped"), why="all around",
        exiv2=("Xmp.GPano.ProjectionType",), exiftool=("XMP-GPano:ProjectionType",),
        note="viewers show it all around for that",
    ),
    Row(
        "extended XMP", ("JPEG",), _extended_xmp, ("kept", "dropped", "dropped"), exiftool=("XMP-photoshop:City",),
    ),
    Row(
        "IPTC", ("JPEG", "PNG"), edited(lambda image: image.modify_iptc({"Iptc.Application2.City": "Berlin"})),
        ("kept", "dropped", "dropped"), exiv2=("Iptc.Application2.City",), exiftool=("IPTC:City",),
    ),
    Row(
        "IPTC of more than 64 kB", ("JPEG",), _long_iptc, ("kept", "dropped", "dropped"),
        exiftool=("IPTC:Keywords", "Photoshop:URL"),
        seen=lambda image, data: data.count(b"a" * 30_000),
    ),
    Row(
        "several comments", ("JPEG",), jpeg_with((0xFE, b"first words"), (0xFE, b"second words")),
        ("kept", "dropped", "dropped"),
        seen=lambda image, data: tuple(words for words in (b"first words", b"second words") if words in data),
    ),
    Row(
        "segments of other makers (FLIR, Ducky, picture info, ...)", ("JPEG",),
        jpeg_with((0xEC, b"Ducky\0\1\0\4\0\0\0\x50\0\0"), (0xED, b"Adobe_CM\0\2"), (0xE1, b"FLIR\0\1\0\0heat")),
        ("kept", "dropped", "dropped"), exiftool=("Ducky:Quality",),
        seen=lambda image, data: tuple(
            words for words in (b"Ducky\0", b"Adobe_CM\0", b"FLIR\0\1\0\0heat") if words in data
        ),
    ),
    Row(
        "comment", ("JPEG",), lambda f: picture(f, comment=b"taken at home"), ("kept", "dropped", "dropped"),
        exiftool=("File:Comment",), seen=lambda image, data: image.info.get("comment"),
    ),
    Row(
        "text: title, author, description, copyright", ("PNG",), _texts, ("kept", "kept", "dropped"),
        exiftool=("PNG:Title", "PNG:Author", "PNG:Copyright", "PNG:Description"),
        seen=lambda image, data: tuple(image.info.get(key) for key in ("Title", "Author", "Copyright", "Description")),
    ),
    Row(
        "text: software, comment, others", ("PNG",), _private_text, ("kept", "dropped", "dropped"),
        exiftool=("PNG:Software", "PNG:Comment"), seen=lambda image, data: image.info.get("Comment"),
    ),
    Row(
        "text: drawing of draw.io, Excalidraw, PlantUML", ("PNG",), _drawing, ("kept", "kept", "dropped"),
        seen=_drawings, note="the source of the picture; no other format takes its place",
    ),
    Row(
        "density", ("JPEG", "PNG"), lambda f: picture(f, dpi=(300, 300)), ("kept", "kept", "dropped"),
        seen=lambda image, data: None if "dpi" not in image.info or image.info["dpi"] == (1, 1) else round(
            image.info["dpi"][0]
        ),
        note="in whole dots an inch",
    ),
    Row(
        "pixels that are not square", ("JPEG",), lambda f: picture(f, dpi=(1, 2)).replace(
            b"JFIF\0\x01\x01\x01", b"JFIF\0\x01\x01\0", 1
        ), LEFT, why="not square",
    ),
    Row(
        "gAMA, cHRM", ("PNG",),
        png_with((b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", struct.pack(">8I", *range(10_000, 90_000, 10_000)))),
        KEPT, exiftool=("PNG:Gamma", "PNG:RedX", "PNG:WhitePointX"),
        seen=lambda image, data: (image.info.get("gamma"), image.info.get("chromaticity")),
    ),
    Row(
        "sRGB", ("PNG",), png_with((b"sRGB", b"\1")), KEPT, exiftool=("PNG:SRGBRendering",),
        seen=lambda image, data: image.info.get("srgb"),
    ),
    Row(
        "cICP (colours by number)", ("PNG",), png_with((b"cICP", b"\x0c\x0d\0\x01")), KEPT,
        seen=lambda image, data: b"cICP\x0c\x0d\0\x01" in data,
    ),
    Row(
        "cICP of an HDR screen (PQ, HLG)", ("PNG",), png_with((b"cICP", b"\x09\x12\0\x01")), LEFT, why="PQ or HLG",
    ),
    Row(
        "ICC profile of an HDR screen (cicp: PQ, HLG)", ("JPEG", "PNG", "WEBP", "AVIF"),
        profiled(icc.rgb(numbers=(9, 16))), LEFT, why="PQ or HLG",
    ),
    Row("colours or transparency said behind the pixels, or twice", ("PNG",),
        png_with_behind((b"gAMA", struct.pack(">I", 100_000))), LEFT, why="gAMA twice, or too late"),
    Row("ICC profile in parts that are missing or come twice", ("JPEG",),
        jpeg_with(*[(0xE2, b"ICC_PROFILE\0\x01\x01" + WIDE)] * 2), LEFT, why="parts are missing"),
    Row("mDCV, cLLI (HDR screens)", ("PNG",), png_with((b"cLLI", bytes(8))), LEFT, why="HDR screens"),
    Row("nclx other than sRGB, no profile", ("AVIF",), _numbered, LEFT, why="colours by number"),
    Row("AV1 stream that says other than sRGB, no nclx, no profile", ("AVIF",),
        lambda _: stream_says(12, 13), LEFT, why="colours by number (AV1 12/13)"),
    Row(
        "private chunks that say they may be copied", ("PNG",), png_with((b"prVt", b"private"), (b"npTc", bytes(32))),
        ("kept", "dropped", "dropped"),
        seen=lambda image, data: tuple(kind for kind in (b"prVt", b"npTc") if kind in data),
    ),
    Row(
        "bKGD, sBIT, hIST, sPLT, oFFs, sCAL, sTER, other private chunks", ("PNG",),
        png_with(
            (b"bKGD", bytes(6)), (b"sBIT", b"\5\6\5"), (b"oFFs", bytes(9)), (b"sCAL", b"\x011\x001"), (b"sTER", b"\0"),
            (b"prVT", b"private"),
        ),
        ("dropped",) * 3,
        seen=lambda image, data: tuple(
            kind for kind in (b"bKGD", b"sBIT", b"oFFs", b"sCAL", b"sTER", b"prVT") if kind in data
        ),
        note="they speak of pixels as they were",
    ),
    Row("transparency", ("PNG", "WEBP", "AVIF"), transparent, KEPT,
        seen=lambda image, data: image.has_transparency_data),
    Row("palette with transparency", ("PNG",), _palette, KEPT, seen=lambda image, data: image.has_transparency_data),
    Row("one transparent colour", ("PNG",), _colour_key, KEPT, seen=lambda image, data: image.has_transparency_data),
    Row("more than 8 bits a channel", ("PNG", "AVIF"), lambda f: TEN_BITS if f == "AVIF" else _sixteen_bits(f), LEFT,
        why="more than 8 bits"),
    Row("CMYK, YCCK", ("JPEG",), lambda f: save(photo((96, 64)).convert("CMYK"), f), LEFT, why="mode CMYK"),
    Row("RGB stored as such (Adobe transform 0)", ("JPEG",), lambda f: picture(f, keep_rgb=True), ("applied",) * 3,
        seen=lambda image, data: image.info.get("adobe_transform") == 0, note="the same pixels, as YCbCr"),
    Row("progressive", ("JPEG",), lambda f: picture(f, progressive=True), KEPT,
        seen=lambda image, data: image.info.get("progressive")),
    Row("odd size, subsampled", ("JPEG", "WEBP", "AVIF"),
        lambda f: save(photo((97, 63)), f, **({} if f == "WEBP" else {"subsampling": "4:2:0"})), KEPT,
        seen=lambda image, data: image.size == (97, 63)),
    Row("several pictures (MPO)", ("JPEG",), lambda f: animation("MPO"), LEFT, why="several pictures"),
    Row("HDR gain map", ("JPEG", "AVIF"), _gain_map, LEFT, why="gain map"),
    Row("film behind the picture (motion photo)", ("JPEG",),
        jpeg_with(behind=struct.pack(">I", 24) + b"ftypmp42" + bytes(12)), LEFT, why="film"),
    Row("other data behind the picture, more than 100 bytes", ("JPEG", "PNG", "WEBP"),
        lambda f: picture(f) + b"PK\3\4" + b"z" * 500, ("left alone", "dropped", "dropped"),
        seen=lambda image, data: b"PK\3\4zzz" in data, why="504 bytes behind its end"),
    Row("comments, EXIF and others' segments between scans, more than 100 bytes", ("JPEG",), _between_scans,
        ("left alone", "dropped", "dropped"), seen=lambda image, data: b"taken at home" in data,
        why="130 bytes between its scans"),
    Row("animation", ("PNG", "WEBP", "AVIF", "GIF"), animation, LEFT, why="animated"),
    Row("GIF that stands still", ("GIF",), lambda f: save(photo((96, 64)), f), LEFT, why="is a GIF"),
    Row(
        "EXIF orientation", ("JPEG", "PNG", "WEBP"), with_exif(_orientation), KEPT, option=TURNED,
        exiv2=("Exif.Image.Orientation",), exiftool=("IFD0:Orientation",),
        note="the pixels stay as they are stored, so does the tag",
    ),
    Row(
        "rotation and mirroring (`irot`, `imir`)", ("AVIF",), with_exif(_orientation), KEPT, option=TURNED,
        exiftool=("QuickTime:Rotation",), seen=lambda image, data: image.getexif().get(0x0112),
        note="as boxes, which is where viewers look; not in EXIF",
    ),
    Row(
        "orientation in XMP only", ALL, lambda f: _xmp(f, b"tiff:Orientation='6'"), LEFT, option=TURNED,
        why="turned by XMP but not by EXIF",
    ),
    Row("ICC profile other than sRGB", ALL, profiled(WIDE), CONVERTED, option=TO_SRGB,
        exiftool=("ICC_Profile:ProfileDescription",), seen=_profile_of),
    Row("ICC profile that says sRGB", ALL, profiled(SRGB), ("dropped",) * 3, option=TO_SRGB,
        exiftool=("ICC_Profile:ProfileDescription",), seen=_profile_of, note="and no pixel is touched for it"),
    Row("grey with a profile", ("JPEG", "PNG"), profiled(icc.grey(), "L"), CONVERTED, option=TO_SRGB,
        exiftool=("ICC_Profile:ProfileDescription",), seen=_profile_of, note="and stays grey"),
    Row("palette with a profile", ("PNG",), _profiled_palette, CONVERTED, option=TO_SRGB, seen=_profile_of),
    Row("transparency and a profile", ("PNG", "WEBP", "AVIF"), _profiled_transparent, CONVERTED, option=TO_SRGB,
        seen=_profile_of, note="transparency stays as it is"),
    Row("CMYK with a profile", ("JPEG",), profiled(icc.cmyk(), "CMYK"), CONVERTED, option=TO_SRGB,
        exiftool=("ICC_Profile:ProfileDescription",), seen=_profile_of, note="and becomes RGB"),
    Row("CMYK, YCCK without a profile", ("JPEG",), lambda f: save(photo((96, 64)).convert("CMYK"), f), LEFT,
        option=TO_SRGB, why="mode CMYK", note="nobody knows how its inks look"),
    Row("profile for other pixels", ("JPEG", "PNG", "WEBP"), profiled(PROFILE), LEFT, option=TO_SRGB,
        why="colour profile for Lab", note="readers disagree"),
    Row("gAMA, cHRM", ("PNG",), png_with((b"gAMA", struct.pack(">I", 100_000))), KEPT, option=TO_SRGB,
        exiftool=("PNG:Gamma",), seen=lambda image, data: image.info.get("gamma"), note="only profiles are converted"),
)  # fmt: skip

NAMES = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "AVIF": "AVIF", "GIF": "GIF"}


def markdown(option: str = "") -> str:
    """The table of the rows with this option, as docs/metadata.md has it."""
    lines = ["| property | formats | `keep` | `strip-private` | `strip-all` | |", "|---|---|---|---|---|---|"]
    for row in TABLE:
        if row.option == option:
            formats = ", ".join(NAMES[format] for format in row.formats)
            lines.append(f"| {row.name} | {formats} | {' | '.join(row.cells)} | {row.note} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print("\n\n".join(map(markdown, ("", TURNED, TO_SRGB))))
