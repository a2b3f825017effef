"""Coverage-guided fuzzing (atheris) of everything that reads what strangers write.

``python fuzz/cover.py TARGET SECONDS`` with TARGET one of policy, lock, semc, images. What a target may raise is what
a user can cause; anything else stops the run and leaves the input in a file called ``crash-…``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["semcompress_plugin", "yaml", "PIL"]):
    import io
    import warnings

    from PIL import Image

    import semcompress_plugin.SemcompressImagePlugin  # noqa: F401  # registers the container
    from semcompress_plugin.entries import Index, encode
    from semcompress_plugin.errors import ImageError, LockError, PolicyError
    from semcompress_plugin.hosts._semc import pack
    from semcompress_plugin.images import decode
    from semcompress_plugin.metadata import save_parameters
    from semcompress_plugin.policy.resolve import parse
    from semcompress_plugin.registry import Registry
    from semcompress_plugin.types import Limits

TESTS = Path(__file__).parent.parent / "tests"
REGISTRY = Registry()


def policy(data: bytes) -> None:
    """Any bytes are a policy or a list of findings, each in one line."""
    try:
        parse(data, "policy", REGISTRY)
    except PolicyError as error:
        for finding in error.findings or [""]:
            _one_line(finding)


def lock(data: bytes) -> None:
    """Any text is a lock, whose lines come out as they went in, or an error; a journal is always read."""
    text = data.decode("utf-8", "surrogateescape")
    Index.salvage(text)
    try:
        index = Index.load(text, "lock")
    except LockError:
        return
    assert Index.load(index.text(), "lock").text() == index.text()


def semc(data: bytes) -> None:
    """Any bytes are a container that can be loaded, or what Pillow's users expect to catch."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, Image.DecompressionBombError):
        return


def images(data: bytes) -> None:
    """Any bytes are a picture whose metadata can be handed on under every policy, or one clear line."""
    for wanted, orientation, icc in (
        ("keep", "apply", "keep"),
        ("strip-private", "keep", "srgb"),
        ("strip-all", "keep", "keep"),
    ):
        try:
            reference = decode(data, None, wanted, Limits(max_pixels=1_000_000), orientation, icc)
        except ImageError as error:
            _one_line(str(error))
            return
        for format in ("JPEG", "PNG", "WEBP", "AVIF"):
            try:
                save_parameters(reference.metadata, format)
            except ValueError:
                continue


def _one_line(text: str) -> None:
    if len(text.splitlines()) != 1:
        raise RuntimeError(f"not one line: {text!r}")


def corpus(target: str) -> list[bytes]:
    """Sound inputs to begin with."""
    sys.path.insert(0, str(TESTS))
    if target == "policy":
        text = (TESTS.parent / "docs" / "policy.md").read_text(encoding="utf-8")
        return [part.split("```")[0].encode() for part in text.split("```yaml\n")[1:]]
    if target == "lock":
        from disk import entry

        index = Index()
        index.add(encode(entry(number)) for number in range(3))
        return [index.text().encode()]
    from mutations import seeds

    found = [data for _, data in seeds()]
    if target == "semc":
        found = [pack(data, "JPEG", (96, 64), {"a": 1}) for data in found[:2]]
    return found


TARGETS: dict[str, Callable[[bytes], None]] = {"policy": policy, "lock": lock, "semc": semc, "images": images}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("seconds", type=int)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(corpus(arguments.target)):
            (Path(folder) / str(number)).write_bytes(data)
        options = [f"-max_total_time={arguments.seconds}", "-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, folder], TARGETS[arguments.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
