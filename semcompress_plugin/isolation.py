"""Decoding in a process of its own, for files of strangers: what crashes it, hangs it or fills its memory costs one
picture.

A child is started when first needed and kept for the next picture; one that died is replaced. It is a fresh
interpreter (a fork would copy locks that other threads hold). Requests and answers go through its standard input and
output: four bytes of length, so many bytes of JSON, then one block of bytes (the file; the pixels). Nothing is
pickled: what comes from a child that a hostile file may have taken over is read as data.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import IO, Any, cast

from PIL import Image

from semcompress_plugin.errors import ImageError, UnsupportedImageError, UsageError
from semcompress_plugin.images import MODES, MetadataPolicy, decode, refuse_what_would_be_lost
from semcompress_plugin.types import Limits, Metadata, OrientationPolicy, ProfilePolicy, Reference, Rule

MEMORY_AT_REST = 1 << 30
"""Bytes of address space that a child may have before any picture; libraries reserve far more than they use."""
MEMORY_PER_PIXEL = 24
"""Bytes of address space more for each pixel that limits allow: decoders hold a picture several times over."""
_LONGEST_HEADER = 1 << 28
_BYTES_PER_PIXEL = 4
_NONSENSE = "made the decoder answer nonsense"
_SLACK = 5.0
"""Seconds more on the clock than of work, for starting and for waiting for a core."""


class Decoders:
    """Decodes here or, where limits say ``isolate``, in children; for several threads at once.

    A context manager: its end is the children's end.
    """

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        while True:
            try:
                self._idle.get_nowait().kill()
            except queue.Empty:
                return

    def decode_for(self, rule: Rule, data: bytes, name: str | None) -> Reference:
        """The picture in ``data`` as ``rule`` wants it: see :meth:`decode`. Nothing is lost where all is to be kept."""
        reference = self.decode(data, name, rule.metadata, rule.limits, rule.orientation, rule.icc)
        if rule.metadata == "keep":
            refuse_what_would_be_lost(data)
        return reference

    def decode(
        self,
        data: bytes,
        name: str | None,
        metadata: MetadataPolicy,
        limits: Limits,
        orientation: OrientationPolicy = "apply",
        icc: ProfilePolicy = "keep",
    ) -> Reference:
        """As :func:`semcompress_plugin.images.decode`; a child's death is an ImageError."""
        if not limits.isolate:
            return decode(data, name, metadata, limits, orientation, icc)
        try:
            child = self._idle.get_nowait()
        except queue.Empty:
            child = _Child()
        try:
            wanted = {"name": name, "metadata": metadata, "orientation": orientation, "icc": icc}
            answer, pixels = child.ask({**wanted, "limits": asdict(limits)}, data)
        except BaseException:  # who answered nonsense, or nothing, is not asked again
            child.kill()
            raise
        self._idle.put(child)
        if "refused" in answer:
            raise (UnsupportedImageError if answer.get("unsupported") else ImageError)(str(answer["refused"]))
        if "bug" in answer:
            raise RuntimeError(f"in the decoding process:\n{answer['bug']}")
        return _reference(answer, pixels, data)


class _Child:
    def __init__(self) -> None:
        # -P: a folder called PIL in the working folder is none of our business
        command = [sys.executable, "-P", "-m", __name__]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # ^C is for us to handle
            )
        except OSError as error:
            raise UsageError(f"isolate: cannot start {sys.executable}: {error.strerror or error}") from error

    def ask(self, question: dict[str, Any], block: bytes) -> tuple[dict[str, Any], bytes]:
        """What the child answers, a refusal too. Raises ImageError when it dies, or takes too long."""
        seconds = question["limits"]["max_seconds"]
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: reading will say of what
            send(self._process.stdin, question, block)
        most = _BYTES_PER_PIXEL * question["limits"]["max_pixels"]
        return self._receive(time.monotonic() + seconds + _SLACK, seconds, most)

    def kill(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def _receive(self, deadline: float, seconds: float, most: int) -> tuple[dict[str, Any], bytes]:
        length = int.from_bytes(self._read(4, deadline, seconds), "big")
        if length > _LONGEST_HEADER:
            raise ImageError(_NONSENSE)
        try:
            header = json.loads(self._read(length, deadline, seconds))
            count = int(header["block"])
        except (ValueError, TypeError, KeyError) as error:
            raise ImageError(_NONSENSE) from error
        if not 0 <= count <= most:
            raise ImageError(_NONSENSE)
        return header, self._read(count, deadline, seconds)

    def _read(self, count: int, deadline: float, seconds: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        parts = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while len(parts) < count:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ImageError(_too_long(seconds))
                part = os.read(descriptor, min(count - len(parts), 1 << 20))
                if not part:
                    raise ImageError(self._death(seconds))
                parts += part
        return bytes(parts)

    def _death(self, seconds: float) -> str:
        code = self._process.wait()
        if hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU:
            return _too_long(seconds)
        if code == -getattr(signal, "SIGKILL", 9):
            return "was being decoded when the system killed the decoder, as it does when memory is short"
        try:
            what = signal.Signals(-code).name
        except ValueError:
            what = f"exit {code}"
        return f"crashed its decoder ({what}): it may be made to attack; remove it, or have it looked at"


def _too_long(seconds: float) -> str:
    return f"took longer than {seconds:g} s to decode: raise limits.max_seconds in the policy"


def send(pipe: IO[bytes], header: dict[str, Any], block: bytes) -> None:
    text = json.dumps({**header, "block": len(block)}).encode()
    pipe.write(len(text).to_bytes(4, "big") + text)
    pipe.write(block)
    pipe.flush()


def _reference(answer: dict[str, Any], pixels: bytes, data: bytes) -> Reference:
    """The picture that a child describes. Raises ImageError where the description makes no sense."""
    try:
        mode, size = answer["mode"], (int(answer["size"][0]), int(answer["size"][1]))
        if mode not in MODES or size[0] * size[1] > 8 * len(pixels):
            raise ValueError(f"{mode} {size}")
        image = Image.frombytes(mode, size, pixels)
        if answer["palette"] is not None:
            image.putpalette(b64decode(answer["palette"][1]), answer["palette"][0])
        image.info.update({key: _from_json(value) for key, value in answer["info"].items()})
        metadata = Metadata(**{key: _from_json(value) for key, value in answer["metadata"].items()})
        orientation = answer["orientation"]
        if orientation not in range(1, 9):
            raise ValueError(f"orientation {orientation}")
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ImageError(f"{_NONSENSE}: {error}") from error
    return Reference(image, source=data, format=answer["format"], metadata=metadata, orientation=orientation)


def describe(reference: Reference) -> tuple[dict[str, Any], bytes]:
    """A picture as JSON and its pixels; of ``info`` only what says how they are meant."""
    image = reference.image
    palette = None
    if image.palette is not None and image.mode == "P":
        colours = bytes(image.getpalette(image.palette.mode) or [])
        palette = [image.palette.mode, b64encode(colours).decode()]
    info = {key: _to_json(image.info[key]) for key in ("transparency", "icc_profile") if key in image.info}
    metadata = {key: _to_json(value) for key, value in asdict(reference.metadata).items()}
    header = {"mode": image.mode, "size": image.size, "format": reference.format, "palette": palette}
    return {**header, "info": info, "metadata": metadata, "orientation": reference.orientation}, image.tobytes()


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": b64encode(value).decode()}
    return [_to_json(part) for part in value] if isinstance(value, (tuple, list)) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return b64decode(value["bytes"])
    return tuple(_from_json(part) for part in value) if isinstance(value, list) else value


def _restrict(limits: Limits) -> None:
    """Let this process have no more than one picture may need; where the system knows no such limits, do without."""
    try:
        import resource
    except ImportError:
        return
    memory = MEMORY_AT_REST + MEMORY_PER_PIXEL * limits.max_pixels
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + limits.max_seconds) + 1
    wanted = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,  # it has nothing to write to a disk
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))


def _read_exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def main() -> None:
    """The child: answers one request after the other until its standard input ends."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    while True:
        try:
            header = json.loads(_read_exactly(questions, int.from_bytes(_read_exactly(questions, 4), "big")))
            data = _read_exactly(questions, header["block"])
        except EOFError:
            return
        limits = Limits(**header["limits"])
        _restrict(limits)
        answer: dict[str, Any]
        block = b""
        try:
            wanted = (header[key] for key in ("orientation", "icc"))
            answer, block = describe(decode(data, header["name"], header["metadata"], limits, *wanted))
        except ImageError as error:
            answer = {"refused": str(error), "unsupported": isinstance(error, UnsupportedImageError)}
        except MemoryError:
            answer = {"refused": "needs more memory than there is"}
        except Exception:  # ours: to be reported as such, by the parent
            import traceback

            answer = {"bug": traceback.format_exc()}
        send(cast("IO[bytes]", answers), answer, block)


if __name__ == "__main__":
    main()
