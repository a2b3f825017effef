"""Which files a command handles."""

from __future__ import annotations

import os
from pathlib import Path

from disk import commit, git, repository
from semcompress_plugin import walk
from semcompress_plugin.walk import Found, find_images, in_their_repositories, repository_root


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def walked(root, *paths, **options):
    return [str(found.path.relative_to(root)) for found in find_images(paths or [root], root, **options)]


def test_pictures_below_a_folder_sorted_by_extension_whatever_its_case(tmp_path):
    touch(tmp_path, "b.JPG", "a/z.png", "a/y.Webp", "c.txt", "d.jpeg", "e.avif", "f.gif", "jpg", ".hidden.png", "g.svg")
    assert walked(tmp_path) == [".hidden.png", "a/y.Webp", "a/z.png", "b.JPG", "d.jpeg", "e.avif", "f.gif"]


def test_version_control_and_our_own_folders_are_passed_by(tmp_path):
    touch(tmp_path, ".git/a.jpg", ".hg/a.jpg", ".svn/a.jpg", ".semcompress/a.jpg", "b/.git.jpg/c.jpg")
    assert walked(tmp_path) == ["b/.git.jpg/c.jpg"]


def test_folders_named_like_pictures_are_folders(tmp_path):
    touch(tmp_path, "a.jpg/b.png")
    assert walked(tmp_path) == ["a.jpg/b.png"]


def test_links_are_passed_by_when_walking_and_an_error_when_named(tmp_path):
    touch(tmp_path, "tree/real.jpg", "elsewhere/secret.jpg")
    root = tmp_path / "tree"
    (root / "link.jpg").symlink_to("real.jpg")
    (root / "broken.jpg").symlink_to("nowhere")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    assert walked(root) == ["real.jpg"]
    link, broken, folder, through = find_images(
        [root / "link.jpg", root / "broken.jpg", root / "folder", root / "folder/secret.jpg"], root
    )
    assert all("symbolic link" in found.error for found in (link, broken, folder, through))
    assert "leaves" in through.error


def test_naming_a_file_elsewhere_or_through_a_linked_root_is_fine(tmp_path):
    touch(tmp_path, "tree/a.jpg", "other/b.jpg")
    (tmp_path / "alias").symlink_to("tree")
    root = tmp_path / "tree"
    names = [tmp_path / "alias/a.jpg", root / "../other/b.jpg"]
    assert find_images(names, root) == [Found(str(name), named=True) for name in names]


def test_what_is_named_through_a_link_to_its_repository_is_called_as_policies_there_call_it(tmp_path, monkeypatch):
    touch(tmp_path, "tree/real/b.jpg", "other/c.jpg")
    repository(tmp_path / "tree")
    for link, target in (("alias", "tree"), ("above", "."), ("tree/inside", "real"), ("elsewhere", "other")):
        (tmp_path / link).symlink_to(target)
    tree = tmp_path / "tree"
    for name in ("real/b.jpg", "real", "real/gone.jpg", "inside", "inside/b.jpg"):
        assert [*in_their_repositories([tmp_path / "alias" / name])] == [tree / name.replace("inside/", "real/")]
    assert [*in_their_repositories([tmp_path / "above/tree"])] == [tree]
    monkeypatch.chdir(tmp_path)
    names = ("alias", "elsewhere/c.jpg", "tree/inside/b.jpg", "tree/real", "above", "x" * 300, "a\0b")
    assert [*in_their_repositories(map(Path, names))] == [*map(Path, names)]


def test_the_repository_of_many_files_in_one_folder_is_looked_for_once(tmp_path, monkeypatch):
    names = [f"tree/{number}.jpg" for number in range(9)]
    touch(tmp_path, *names)
    repository(tmp_path / "tree")
    (tmp_path / "alias").symlink_to("tree")
    asked = []
    monkeypatch.setattr(walk, "repository_root", lambda path: asked.append(path) or repository_root(path))
    named = [tmp_path / name.replace("tree", "alias") for name in names]
    assert [*in_their_repositories(named)] == [tmp_path / name for name in names]
    assert asked == [tmp_path / "alias"]


def test_named_files_come_whatever_their_extension_and_what_is_missing_is_said(tmp_path):
    touch(tmp_path, "notes.txt")
    os.mkfifo(tmp_path / "pipe.jpg")
    names = [tmp_path / "notes.txt", tmp_path / "none.jpg", tmp_path / "pipe.jpg", Path("nul\0.jpg")]
    found = find_images(names, tmp_path)
    assert found[0] == Found(str(names[0]), named=True)
    assert [one.error for one in found[1:3]] == ["does not exist", "is not a regular file"]
    assert found[3].error
    assert walked(tmp_path) == []


def test_each_file_comes_once_and_remembers_that_it_was_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "b.jpg")
    monkeypatch.chdir(tmp_path)
    found = find_images([Path(), tmp_path, Path("b.jpg"), Path("x/../b.jpg")], tmp_path)
    assert [(one.path.name, one.named) for one in found] == [("a.jpg", False), ("b.jpg", True)]


def test_odd_names(tmp_path):
    names = [os.fsdecode(name) for name in (b"new\nline.jpg", b"\xff\xfe.jpg", b"-rf.jpg", b"a b.jpg")]
    touch(tmp_path, *names)
    assert sorted(walked(tmp_path)) == sorted(names)


def test_what_git_ignores_is_passed_by_unless_it_is_tracked_or_named(tmp_path):
    root = repository(tmp_path)
    touch(root, "a.jpg", "public/b.jpg", "public/deep/c.jpg", "sub/d.tmp.png", "sub/e.png", "tracked/f.jpg")
    (root / ".gitignore").write_text("public/\n*.tmp.png\ntracked/\n")
    git(root, "add", "-f", "tracked/f.jpg")
    assert walked(root) == ["a.jpg", "sub/e.png", "tracked/f.jpg"]
    assert walked(root, root / "sub") == ["sub/e.png"]
    assert walked(root, root / "public") == ["public/b.jpg", "public/deep/c.jpg"]
    assert walked(root, root / "public/deep") == ["public/deep/c.jpg"]
    assert walked(root, root / "public/b.jpg") == ["public/b.jpg"]
    assert len(walked(root, skip_ignored=False)) == 6


def test_a_repository_within_is_passed_by_unless_named(tmp_path):
    root = repository(tmp_path)
    repository(root / "theme")
    touch(root, "a.jpg", "theme/b.jpg")
    assert walked(root) == ["a.jpg"]
    assert walked(root, root / "theme") == ["theme/b.jpg"]
    assert walked(root, skip_ignored=False) == ["a.jpg"]
    assert walked(root, skip_nested=False) == ["a.jpg", "theme/b.jpg"]


def test_the_repository_is_found_from_below_in_worktrees_too(tmp_path):
    root = repository(tmp_path / "r")
    touch(root, "a/b/c.jpg")
    commit(root)
    git(root, "worktree", "add", "-q", "../w")
    assert repository_root(root / "a/b/c.jpg") == root
    assert repository_root(tmp_path / "w/a") == tmp_path / "w"
    assert repository_root(tmp_path) is None
    (tmp_path / "not/.git").mkdir(parents=True)
    assert repository_root(tmp_path / "not") is None
