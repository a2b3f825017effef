"""A lock that is not here, or not as it was written: what git has of it counts, and nothing is shrunk again."""

from __future__ import annotations

from pathlib import Path

import pytest

from disk import commit, git
from pictures import encoded, photo
from semcompress_plugin.cli import main
from semcompress_plugin.entries import HEADER

POLICY = """\
version: 1
rules:
  - name: all
    files: ["**/*.jpg"]
    compress: [{jpeg: {quality: 60}}]
    keep: {msssim: {score: {min: 0.3}}}
"""


def picture(path: Path, seed: int) -> None:
    path.write_bytes(encoded(photo((240, 180), seed), "JPEG", quality=97))


@pytest.fixture
def clone(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone, where no journal remembers what the lock says of two pictures."""
    (repository / ".semcompress.yaml").write_text(POLICY)
    picture(repository / "a.jpg", 1)
    picture(repository / "b.jpg", 2)
    assert main(["compress"]) == 1
    commit(repository)
    git(repository.parent, "clone", "-q", f"file://{repository}", "clone")
    monkeypatch.chdir(repository.parent / "clone")
    return repository.parent / "clone"


def lose(clone: Path, how: str) -> None:
    lock = clone / "semcompress.lock"
    if how == "left out by a sparse checkout":
        git(clone, "sparse-checkout", "set", "--no-cone", "/*", "!/semcompress.lock")
        assert not lock.exists()
    elif how == "deleted":
        lock.unlink()
    else:
        lock.write_text(how)


@pytest.mark.parametrize("how", ["deleted", "left out by a sparse checkout", "", "\n", f"{HEADER}\n", f"{HEADER}\r\n"])
@pytest.mark.parametrize("few", ["n.jpg", "a.jpg"])
def test_whoever_writes_to_a_lock_that_is_gone_puts_all_that_git_has_back(clone, how, few):
    before = {name: (clone / name).read_bytes() for name in ("a.jpg", "b.jpg")}
    lines = set((clone / "semcompress.lock").read_text().splitlines())
    lose(clone, how)
    picture(clone / "n.jpg", 3)
    assert main(["compress", few]) == (few == "n.jpg")
    assert set((clone / "semcompress.lock").read_text().splitlines()) >= lines
    assert main(["compress"]) == (few != "n.jpg")
    assert {name: (clone / name).read_bytes() for name in before} == before


def test_the_line_ends_that_git_gives_another_lock_do_not_hide_it(clone):
    """``core.autocrlf``: a lock of this policy is read whatever they are."""
    for name in ("one", "two"):
        (clone / name).mkdir()
        (clone / name / ".semcompress.yaml").write_text(POLICY.replace("60", "20"))
    (clone / "a.jpg").rename(clone / "two/a.jpg")
    lock = clone / "semcompress.lock"
    lines = lock.read_bytes().replace(b"\n", b"\r\n")
    (clone / "one/semcompress.lock").write_bytes(lines)
    lock.unlink()
    git(clone, "add", "-A")
    before = (clone / "two/a.jpg").read_bytes()
    assert main(["compress", "two"]) == 0
    assert (clone / "two/a.jpg").read_bytes() == before
