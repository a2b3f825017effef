"""mozjpeg's packing of a JPEG: the same coefficients in the scans that it finds smallest."""

from __future__ import annotations

import subprocess
import sys

try:
    from mozjpeg_lossless_optimization import COPY_MARKERS, optimize
except ImportError:  # no wheel for this platform: a few per cent larger
    optimize = None

_SECONDS = 60
"""It needs one for twelve megapixels."""


def installed() -> bool:
    return optimize is not None


def packed(data: bytes) -> bytes:
    """A JPEG of our own with every marker, packed; as it is where mozjpeg is not installed."""
    return data if optimize is None else bytes(optimize(data, copy=COPY_MARKERS.ALL))


def packed_apart(data: bytes) -> bytes:
    """A stranger's JPEG with every marker, packed; as it is where mozjpeg is not installed or cannot do that.

    In a process of its own: where a coefficient is out of range, which decoders pass over, mozjpeg ends its process.
    """
    if optimize is None or not sys.executable:
        return data
    try:
        # -P: a folder called like it in the working folder is none of our business
        command = [sys.executable, "-P", "-m", __name__]
        done = subprocess.run(
            command, input=data, capture_output=True, check=False, timeout=_SECONDS, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return data
    return done.stdout if done.returncode == 0 else data


def main() -> None:
    """The child: a JPEG from standard input, packed, to standard output."""
    sys.stdout.buffer.write(packed(sys.stdin.buffer.read()))


if __name__ == "__main__":
    main()
