"""What the tests of everything that touches the disk share: repositories, entries, settlements, deaths."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from semcompress_plugin import exchange, files
from semcompress_plugin.entries import Content, Entry
from semcompress_plugin.lock import Lock
from semcompress_plugin.originals import open_originals
from semcompress_plugin.settle import Settlement

POLICY = "0123456789abcdef"
EVENTS = ("open", "fsync", "replace", "rename", "link", "unlink")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape")


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@example.org")
    return folder


def commit(folder: Path, message: str = "x") -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def sha(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def content(data: bytes) -> Content:
    return Content(sha(data), len(data))


def entry(number: int, **changes: object) -> Entry:
    facts: dict[str, object] = {
        "original": content(b"original %d" % number),
        "output": content(b"output %d" % number),
        "relation": "replaced",
        "policy": POLICY,
        "path": f"img/{number}.jpg",
        "name": f"{number}.jpg",
        "compressor": "jpeg",
        "settings": {"scale": 0.5, "quality": 40},
        "scores": {"classifier": {"js_divergence": 0.0123}},
        "looks": 7,
        "made_with": {"semcompress": "0.1.0"},
    }
    return Entry(**{**facts, **changes})  # type: ignore[arg-type]  # the tests know what they pass


def shrunk(path: Path, lock: Lock, new: bytes) -> Settlement:
    """The settlement that replaces the file at ``path``."""
    snapshot = files.read(path)
    line = entry(
        0,
        original=content(snapshot.data),
        output=content(new),
        path=lock.relative(path),
        name=path.name,
        mode=snapshot.mode,
    )
    return Settlement(snapshot, (line,), {path: new})


def workplace(folder: Path, setting: str | None = None):
    """A lock and its originals, opened afresh as a new process would."""
    originals = open_originals(folder, setting)
    return Lock(folder / "semcompress.lock", originals.state), originals


def dies_at(event: int, act) -> bool:
    """Run ``act`` in a child that is gone, without a chance to tidy up, just before its ``event``-th disk operation.

    False when the child finished first.
    """
    child = os.fork()
    if child == 0:
        try:
            seen = 0

            def deadly(function):
                def wrapper(*arguments, **options):
                    nonlocal seen
                    seen += 1
                    if seen == event:
                        os._exit(9)
                    return function(*arguments, **options)

                return wrapper

            for name in EVENTS:
                setattr(os, name, deadly(getattr(os, name)))
            subprocess.run = deadly(subprocess.run)
            exchange.swap = deadly(exchange.swap)
            act()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), f"the child failed with {code}"
    return code == 9
