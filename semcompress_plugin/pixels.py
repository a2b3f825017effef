"""A picture's pixels as a digest: what stays the same when only what lies beside them is edited."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def fingerprint(image: Image.Image) -> str:
    """SHA-256 (hexadecimal) of an upright picture's size and colours, whatever its mode and the file it came from.

    Another decoder may round otherwise and give another one: it says what is the same, never what is different.
    """
    plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    hashed = hashlib.sha256(f"{plain.mode} {plain.width} x {plain.height}\n".encode())
    hashed.update(plain.tobytes())
    return hashed.hexdigest()
