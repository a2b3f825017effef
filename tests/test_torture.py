"""Processes that are killed, disks that fill up, rights and clocks that change: no file is ever lost or torn.

The short form runs always; ``just torture`` is the long one, with 100 kills of ``compress`` and 100 of ``build``.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from disk import commit, git, repository
from pictures import encoded, photo
from semcompress_plugin.images import decode

RUNS = int(os.environ.get("SEMCOMPRESS_TORTURE_RUNS", "6"))
POLICY = """\
version: 1
rules:
  - name: all
    files: ["*.jpg", "*.png", "*.webp"]
    compress: [jpeg, png, webp]
    keep: {msssim: {score: {min: 0.97}}}
"""
# every picture is settled on its own, so that many of the kills fall into a settlement
EAGER = (
    "import semcompress_plugin.commands._shrinking as c; c.SECONDS_BETWEEN_COMMITS = 0;"
    "from semcompress_plugin.cli import main; raise SystemExit(main())"
)
RESTLESS_CLOCK = "import random, time; now = time.time; time.time = lambda: now() + random.uniform(-1e8, 1e8);" + EAGER
CAPABILITIES = (1, 2, 3)
"""DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER: what lets root ignore permissions (linux/capability.h)."""
PR_CAPBSET_DROP = 24


def originals() -> dict[str, bytes]:
    return {
        "a.jpg": encoded(photo((240, 180), 1), "JPEG", quality=95),
        "b.jpg": encoded(photo((200, 200), 2), "JPEG", quality=97),
        "sub/c.png": encoded(photo((120, 90), 3), "PNG"),
        "sub/d.webp": encoded(photo((220, 160), 4), "WEBP", quality=98),
        "sub/deep/e with space.jpg": encoded(photo((180, 240), 5), "JPEG", quality=96),
    }


def command(*arguments: str, code: str = EAGER) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def semcompress(folder: Path, *arguments: str, code: str = EAGER, **options: object) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(*arguments, code=code), cwd=folder, capture_output=True, text=True, timeout=120, **options
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode != 3, done.stderr
    return done


def pictures(folder: Path) -> dict[str, bytes]:
    """Every file of a tree that is neither ours nor git's, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith((".git/", ".semcompress", "semcompress.lock")):
            found[name] = path.read_bytes()
    return found


def lay(folder: Path) -> Path:
    for name, data in originals().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / ".semcompress.yaml").write_text(POLICY)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, bytes], float]]:
    """A repository of pictures, what they become when nothing happens, and how long that takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMCOMPRESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        start = repository(tmp_path_factory.mktemp("torture") / "start")
        commit(lay(start))
        quiet = start.parent / "quiet"
        shutil.copytree(start, quiet)
        began = time.monotonic()
        assert semcompress(quiet, "compress", "--jobs", "2").returncode == 1
        took = time.monotonic() - began
        after = pictures(quiet)
        assert all(len(after[name]) < len(data) for name, data in originals().items()), "every picture must shrink"
        yield start, after, took


def killed(arguments: list[str], folder: Path, took: float, luck: random.Random, writes: Callable[[], bool]) -> bool:
    """Start semcompress and kill it: at any time, or (every second time) soon after it began to write."""
    process = subprocess.Popen(
        command(*arguments), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    if luck.random() < 0.5:
        time.sleep(luck.uniform(0, took))
    else:
        while process.poll() is None and not writes():
            time.sleep(0.0005)
        time.sleep(luck.choice([0, luck.expovariate(1 / 0.005), luck.expovariate(1 / 0.08)]))
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return alive


def seeds(count: int = RUNS) -> range:
    return range(count)


@pytest.mark.parametrize("seed", seeds())
def test_compress_killed_anywhere_loses_nothing_and_a_rerun_finishes(undisturbed, tmp_path, seed):
    start, after, took = undisturbed
    before = originals()
    folder = tmp_path / "killed"
    shutil.copytree(start, folder)
    luck = random.Random(seed)
    first = [folder / "semcompress.lock", *(folder / name for name in luck.sample(sorted(before), 2))]
    laid = [path.stat().st_ino if path.exists() else None for path in first]
    killed(
        ["compress", "--jobs", "2"],
        folder,
        took,
        luck,
        lambda: any(path.exists() and path.stat().st_ino != inode for path, inode in zip(first, laid, strict=True)),
    )
    torn = {name for name, data in pictures(folder).items() if data not in (before[name], after[name])}
    assert not torn
    assert pictures(folder).keys() == before.keys(), "a file is missing, or one too many lies about"
    # what was replaced before the kill can be brought back at once, without a rerun
    other = tmp_path / "restored"
    shutil.copytree(folder, other)
    assert semcompress(other, "restore", "--all").returncode == 0
    assert pictures(other) == before
    # and a rerun finishes the work, after which nothing is left to do
    again = semcompress(folder, "compress", "--jobs", "2")
    assert again.returncode in (0, 1), again.stderr
    assert pictures(folder) == after
    last = semcompress(folder, "compress", "--format", "json")
    assert json.loads(last.stdout)["totals"]["looks"] == 0
    assert last.returncode == 0
    leftovers = [
        line for line in git(folder, "status", "--porcelain", "--ignored").splitlines() if "semcompress-" in line
    ]
    assert not leftovers
    assert semcompress(folder, "restore", "--all").returncode == 0
    assert pictures(folder) == before


@pytest.mark.parametrize("seed", seeds())
def test_build_killed_anywhere_leaves_the_sources_and_whole_files(undisturbed, tmp_path, monkeypatch, seed):
    start, after, took = undisturbed
    before = originals()
    monkeypatch.setenv("SEMCOMPRESS_CACHE", str(tmp_path / "cache"))
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(start, source)
    killed(["build", str(source), str(out)], tmp_path, took, random.Random(~seed), out.exists)
    assert pictures(source) == before
    made = {name: data for name, data in pictures(out).items() if not Path(name).name.startswith(".semcompress-")}
    assert made.keys() <= before.keys()
    assert not {name for name, data in made.items() if data not in (before[name], after[name])}
    assert semcompress(tmp_path, "build", str(source), str(out)).returncode == 0
    assert pictures(out) == after
    assert pictures(source) == before


def test_what_a_killed_build_left_is_not_published(undisturbed, tmp_path):
    start, after, _ = undisturbed
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(start, source)
    for folder in (source, source / "sub", out / "sub" / "deep"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".semcompress-0123456789abcdef.tmp").write_bytes(b"half a pict")
    assert semcompress(tmp_path, "build", str(source), str(out)).returncode == 0
    assert {path.name for path in out.rglob(".semcompress-*")} == set()
    assert pictures(out) == after


def whole(folder: Path, after: dict[str, bytes]) -> None:
    """Every file is the old or the new one, and those that are new can be brought back."""
    before = originals()
    assert pictures(folder).keys() == before.keys()
    assert not {name for name, data in pictures(folder).items() if data not in (before[name], after[name])}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root; the test with RLIMIT_FSIZE stands in for it")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("free", [0, 4_096, 20_000, 60_000, 120_000])
def test_a_full_disk_costs_nothing_but_the_attempt(undisturbed, small_disk, free):
    start, after, _ = undisturbed
    folder = small_disk / "r"
    shutil.copytree(start, folder, ignore=shutil.ignore_patterns("*.sample"))
    room = os.statvfs(small_disk)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - free)))
    done = semcompress(folder, "compress")
    assert done.returncode in (1, 2), done.stderr
    whole(folder, after)
    filler.unlink()
    assert semcompress(folder, "compress").returncode in (0, 1)
    assert pictures(folder) == after
    assert semcompress(folder, "restore", "--all").returncode == 0
    assert pictures(folder) == originals()


@pytest.mark.parametrize("limit", [1_000, 6_000, 20_000, 60_000])
def test_files_that_may_not_grow_beyond_a_limit(undisturbed, tmp_path, limit):
    start, after, _ = undisturbed
    folder = tmp_path / "r"
    shutil.copytree(start, folder)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = semcompress(folder, "compress", preexec_fn=limited)
    assert done.returncode in (1, 2), done.stderr
    whole(folder, after)
    assert semcompress(folder, "compress").returncode in (0, 1)
    assert pictures(folder) == after


@pytest.mark.parametrize("gigabyte", [0.97, 1.0, 1.03])
def test_memory_that_runs_out_on_a_huge_picture_costs_that_picture(undisturbed, tmp_path, gigabyte):
    """400 million pixels, which a policy may allow, in a process that may have a gigabyte.

    Where that is just enough to decode them, everything else is short of memory.
    """
    start, after, _ = undisturbed
    folder = tmp_path / "r"
    shutil.copytree(start, folder)
    huge = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    (folder / "huge.png").write_bytes(huge)
    (folder / ".semcompress.yaml").write_text(POLICY + "limits: {max_pixels: 1000000000}\n")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(gigabyte * 2**30),) * 2)

    done = semcompress(folder, "compress", "--format", "json", "--jobs", "2", preexec_fn=limited)
    assert done.stdout, done.stderr
    results = {result["path"]: result for result in json.loads(done.stdout)["results"]}
    assert results["huge.png"]["reason"] == "needs more memory than there is"
    assert pictures(folder) == {**after, "huge.png": huge}


def mere_mortal() -> None:
    """Give up what lets root ignore permissions, for the program that is started next."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        for capability in CAPABILITIES:
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def test_a_read_only_folder_and_a_read_only_file_are_left_alone_with_a_reason(undisturbed, tmp_path):
    start, after, _ = undisturbed
    folder = tmp_path / "r"
    shutil.copytree(start, folder)
    (folder / "sub").chmod(0o555)
    (folder / "a.jpg").chmod(0o444)
    try:
        done = semcompress(folder, "compress", preexec_fn=mere_mortal)
    finally:
        (folder / "sub").chmod(0o755)
    assert done.returncode == 1
    now = pictures(folder)
    assert now["a.jpg"] == originals()["a.jpg"]
    assert now["b.jpg"] == after["b.jpg"]
    assert now["sub/c.png"] == originals()["sub/c.png"]
    for name in ("a.jpg", "sub/c.png", "sub/d.webp"):
        assert any(line.startswith(name) or f" {name}" in line for line in done.stdout.splitlines()), done.stdout
    assert not list((folder / "sub").glob(".semcompress-*"))


@pytest.mark.parametrize("seed", seeds(max(1, RUNS // 4)))
def test_rights_that_change_while_we_run(undisturbed, tmp_path, seed):
    start, after, _ = undisturbed
    folder = tmp_path / "r"
    shutil.copytree(start, folder)
    luck, done = random.Random(seed), threading.Event()

    def meddle() -> None:
        while not done.is_set():
            target = luck.choice([folder, folder / "sub", folder / "sub" / "deep", folder / "b.jpg"])
            target.chmod(luck.choice([0o555, 0o755]))
            time.sleep(luck.uniform(0, 0.02))

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        first = semcompress(folder, "compress", preexec_fn=mere_mortal)
    finally:
        done.set()
        thread.join()
        for path in (folder, folder / "sub", folder / "sub" / "deep", folder / "b.jpg"):
            path.chmod(0o755)
    assert first.returncode in (0, 1, 2)
    whole(folder, after)
    assert semcompress(folder, "compress").returncode in (0, 1)
    assert pictures(folder) == after


@pytest.mark.parametrize("seed", seeds(max(1, RUNS // 4)))
def test_a_file_that_is_saved_while_we_look_at_it_is_never_overwritten(undisturbed, tmp_path, seed):
    """The last word is the person's: whatever they saved last is what lies there, or what we made of just that."""
    start, _, _ = undisturbed
    folder = tmp_path / "r"
    shutil.copytree(start, folder)
    path, ready = folder / "a.jpg", folder / ".git" / "ready"
    # everything has been looked at, and nothing is written yet
    held = (
        "import pathlib, time, semcompress_plugin.settle as s; settle = s.settle\n"
        "def late(*arguments):\n"
        "    pathlib.Path('.git/ready').touch(); time.sleep(0.5); return settle(*arguments)\n"
        "s.settle = late\n"
        "from semcompress_plugin.cli import main; raise SystemExit(main())"
    )
    process = subprocess.Popen(
        command("compress", code=held), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while process.poll() is None and not ready.exists():
        time.sleep(0.001)
    edited = encoded(photo((64, 64), 100 + seed), "JPEG", quality=90)
    path.write_bytes(edited)  # as an editor without atomic saving does
    _, errors = process.communicate(timeout=120)
    assert b"Traceback" not in errors
    assert path.read_bytes() == edited


def test_a_clock_that_jumps_and_files_from_the_future_change_nothing(undisturbed, tmp_path):
    start, after, _ = undisturbed
    folder = tmp_path / "r"
    shutil.copytree(start, folder)
    for number, name in enumerate(originals()):
        when = (0, 1, 4_000_000_000, 2_000_000_000, 86_400)[number]
        os.utime(folder / name, (when, when))
    assert semcompress(folder, "compress", code=RESTLESS_CLOCK).returncode == 1
    assert pictures(folder) == after
    os.utime(folder / "semcompress.lock", (4_000_000_000, 4_000_000_000))
    again = semcompress(folder, "compress", "--format", "json", code=RESTLESS_CLOCK)
    assert (again.returncode, json.loads(again.stdout)["totals"]["looks"]) == (0, 0)


def test_an_edit_of_the_same_size_within_the_same_second_is_seen(undisturbed, tmp_path):
    """Neither size nor time give it away: only its bytes do."""
    start, after, _ = undisturbed
    folder = tmp_path / "r"
    shutil.copytree(start, folder)
    assert semcompress(folder, "compress").returncode == 1
    assert semcompress(folder, "compress").returncode == 0  # whatever may be remembered about files is now
    path = folder / "a.jpg"
    was = path.stat()
    new = bytearray(after["a.jpg"])
    new[-40] ^= 1  # towards the end of the scan: another picture
    path.write_bytes(new)
    assert decode(bytes(new)).image.tobytes() != decode(after["a.jpg"]).image.tobytes()
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert path.stat().st_size == was.st_size
    seen = json.loads(semcompress(folder, "check", "--format", "json").stdout)["results"]
    (edited,) = (result for result in seen if result["path"] == "a.jpg")
    assert edited["looks"] > 0, edited
