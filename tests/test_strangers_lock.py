"""A lock may be a stranger's, and it may be wrong: what it says runs nothing and costs nobody a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from disk import commit, content, entry, git, sha
from pictures import encoded, photo
from semcompress_plugin import git as our_git
from semcompress_plugin.cli import main
from semcompress_plugin.entries import Entry, encode, parse, render
from semcompress_plugin.originals import GitOriginals

POLICY = """\
version: 1
rules:
  - name: all
    files: ["*.jpg"]
    compress: [{jpeg: {quality: 60}}]
    keep: {msssim: {score: {min: 0.3}}}
"""


def claim(root: Path, place: str, original: bytes, **facts: object) -> Entry:
    """A lock that says of the picture at ``place`` what it likes, and of which it has the original."""
    blob = our_git.run(root, "hash-object", "-w", "--stdin", input=original).decode().strip()
    given = {"path": place, "name": place, "blob": blob, "policy": "whatever"} | facts
    line = entry(0, original=content(original), output=content((root / place).read_bytes()), **given)
    (root / "semcompress.lock").write_text(render([line]))
    return line


def kept(root: Path) -> set[str]:
    repository = our_git.find(root)
    assert repository is not None
    return {one.sha256 for one in GitOriginals(repository).kept()}


@pytest.fixture
def mine(repository: Path) -> Path:
    """The only copy of a photo: it is in no commit."""
    (repository / ".semcompress.yaml").write_text(POLICY)
    (repository / "mine.jpg").write_bytes(encoded(photo((240, 180), 1), "JPEG", quality=95))
    return repository


@pytest.mark.parametrize("name", [".git", "conftest.py", "Makefile", ".gitattributes", ".semcompress.yaml", "x.html"])
def test_a_file_is_put_back_under_no_name_that_means_something_to_a_program(mine, name):
    before = {path: path.read_bytes() for path in mine.iterdir() if path.is_file()}
    claim(mine, "mine.jpg", b"gitdir: ../evil\n", name=name, mode=0o777)
    assert main(["restore", "--all"]) in (0, 1)
    after = {path: path.read_bytes() for path in mine.iterdir() if path.is_file() and path.name != "semcompress.lock"}
    assert after.keys() == before.keys()
    assert {path.name for path in before if after[path] != before[path]} <= {"mine.jpg"}


def test_what_only_a_lock_calls_ours_is_kept_before_restore_replaces_it(mine):
    before = (mine / "mine.jpg").read_bytes()
    claim(mine, "mine.jpg", b"anything else")
    main(["restore", "--all"])
    assert (mine / "mine.jpg").read_bytes() == b"anything else"
    git(mine, "gc", "-q", "--prune=now")
    assert sha(before) in kept(mine)


def test_what_only_a_lock_calls_ours_is_kept_before_compress_replaces_it(mine):
    before = (mine / "mine.jpg").read_bytes()
    other = encoded(photo((240, 180), 2), "JPEG", quality=95)
    line = claim(mine, "mine.jpg", b"x")
    blob = our_git.run(mine, "hash-object", "-w", "--stdin", input=other).decode().strip()
    (mine / "semcompress.lock").write_text(render([replace(line, original=content(other), blob=blob)]))
    (mine / ".semcompress.yaml").write_text(POLICY.replace("0.3", "0.9"))
    main(["compress"])
    assert (mine / "mine.jpg").read_bytes() != before
    git(mine, "gc", "-q", "--prune=now")
    assert {sha(before), sha(other)} <= kept(mine)


def test_what_is_committed_is_not_kept_twice(mine):
    claim(mine, "mine.jpg", b"anything else")
    commit(mine)
    main(["restore", "--all"])
    assert (mine / "mine.jpg").read_bytes() == b"anything else"
    assert kept(mine) == set()


@pytest.mark.parametrize(
    "change",
    [
        ('"path": "img/0.jpg"', '"path": "x/"'),
        ('"path": "img/0.jpg"', '"path": "a/.."'),
        ('"blob": null', '"blob": "-p"'),
    ],
)
def test_a_line_that_names_no_file_or_no_object_is_damaged(mine, change, capsys):
    text = render([entry(0, output=content((mine / "mine.jpg").read_bytes()))])
    assert change[0] in text
    (mine / "semcompress.lock").write_text(text.replace(*change))
    assert main(["check"]) == 2
    assert "is damaged (not " in capsys.readouterr().err


class TestTwoOriginalsWithOneOutput:
    """Their pixels are the same; what differs does not survive the policy."""

    @pytest.fixture
    def twins(self, mine: Path) -> Path:
        picture = photo((240, 180), 3)
        for name, mode in (("mine.jpg", 0o640), ("yours.jpg", 0o600)):
            (mine / name).write_bytes(encoded(picture, "JPEG", quality=95, comment=name.encode()))
            (mine / name).chmod(mode)
        self.before = {name: (mine / name).read_bytes() for name in ("mine.jpg", "yours.jpg")}
        (mine / ".semcompress.yaml").write_text(POLICY + "    metadata: strip-all\n")
        assert main(["compress"]) == 1
        assert (mine / "mine.jpg").read_bytes() == (mine / "yours.jpg").read_bytes()
        return mine

    def restored(self, folder: Path) -> bool:
        main(["restore", "--all"])
        modes = {name: (folder / name).stat().st_mode & 0o777 for name in self.before}
        contents = {name: (folder / name).read_bytes() for name in self.before}
        return contents == self.before and modes == {"mine.jpg": 0o640, "yours.jpg": 0o600}

    def test_a_changed_policy_starts_from_the_right_one(self, twins):
        (twins / ".semcompress.yaml").write_text(POLICY.replace("60", "70").replace("0.3", "0.31"))
        assert main(["compress"]) in (0, 1)
        assert self.restored(twins)

    def test_each_comes_back_where_nothing_smaller_holds_any_more(self, twins):
        (twins / ".semcompress.yaml").write_text(POLICY.replace("0.3", "1"))
        assert main(["compress"]) == 1
        assert {name: (twins / name).read_bytes() for name in self.before} == self.before

    def test_under_new_names_nobody_guesses(self, twins, capsys):
        small = (twins / "mine.jpg").read_bytes()
        (twins / "mine.jpg").rename(twins / "a.jpg")
        (twins / "yours.jpg").rename(twins / "b.jpg")
        (twins / ".semcompress.yaml").write_text(POLICY.replace("0.3", "0.31"))
        assert main(["compress"]) == 0
        assert main(["restore", "--all"]) == 1
        assert "mine.jpg and yours.jpg became this very file" in capsys.readouterr().out
        assert (twins / "a.jpg").read_bytes() == (twins / "b.jpg").read_bytes() == small
        (twins / "a.jpg").rename(twins / "mine.jpg")
        assert main(["restore", "mine.jpg"]) == 0
        assert (twins / "mine.jpg").read_bytes() == self.before["mine.jpg"]


def test_of_two_originals_of_one_place_the_one_that_was_replaced_last_comes_back(mine):
    """Restored, given another tag that the policy strips, and shrunk again: the same output, another original."""
    (mine / ".semcompress.yaml").write_text(POLICY + "    metadata: strip-all\n")
    for author in (b"Ada", b"Eve", b"Ida"):
        original = encoded(photo((240, 180), 3), "JPEG", quality=95, comment=author)
        (mine / "mine.jpg").write_bytes(original)
        assert main(["compress"]) == 1
        assert main(["restore", "mine.jpg"]) == 0
        assert (mine / "mine.jpg").read_bytes() == original


@pytest.mark.parametrize("order", ["12", "21", "121", "212"])
@pytest.mark.parametrize("lock", ["as it is", "lost", "older"])
def test_one_that_is_replaced_again_is_the_last_that_was_replaced(mine, order, lock):
    """Though its line is the very one that the journal has since the first time, and whatever became of the lock."""
    (mine / ".semcompress.yaml").write_text(POLICY + "    metadata: strip-all\n")
    locks = []
    for author in order:
        original = encoded(photo((240, 180), 3), "JPEG", quality=95, comment=author.encode())
        (mine / "mine.jpg").write_bytes(original)
        assert main(["compress"]) == 1
        locks.append((mine / "semcompress.lock").read_text())
    if lock == "lost":
        (mine / "semcompress.lock").unlink()
        assert main(["compress"]) == 0
    elif lock == "older":
        (mine / "semcompress.lock").write_text(locks[0])
    shrunk = (mine / "mine.jpg").read_bytes()
    assert main(["restore", "mine.jpg"]) == 0
    assert (mine / "mine.jpg").read_bytes() == original
    # nor is it otherwise once what lies beside the pixels was edited
    (mine / "mine.jpg").write_bytes(shrunk[:2] + b"\xff\xfe\0\6note" + shrunk[2:])
    assert main(["compress"]) == 0
    assert main(["restore", "mine.jpg"]) == 0
    assert (mine / "mine.jpg").read_bytes() == original


def test_an_id_of_git_is_never_forgotten(mine):
    """Under another store an original has none; what the line had before is still true."""
    assert main(["compress"]) == 1
    (mine / ".semcompress.yaml").write_text("originals: kept\n" + POLICY.replace("0.3", "0.31").replace("60", "70"))
    main(["compress"])
    lines = parse((mine / "semcompress.lock").read_text(), "lock")
    assert all('"blob": null' not in encode(line) for line in lines if line.relation == "replaced")
