"""The policy of a file is the nearest one above it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from semcompress_plugin.policy import POLICY_NAME, PolicyFinder, find_policy


@pytest.fixture
def tree(tmp_path):
    for folder in ("top/a/b/c", "top/d", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    for place in ("", "top", "top/a/b"):
        (tmp_path / place / POLICY_NAME).write_text("version: 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "policy"),
    [
        ("top/x.jpg", "top"),
        ("top/d/x.jpg", "top"),
        ("top/a/x.jpg", "top"),
        ("top/a/b/x.jpg", "top/a/b"),
        ("top/a/b/c/x.jpg", "top/a/b"),
        ("top/a/b/../x.jpg", "top"),
        ("top/missing/x.jpg", "top"),
        ("outside/x.jpg", None),
        ("x.jpg", None),
    ],
)
def test_the_nearest_policy_up_to_the_last_folder_governs(tree, file, policy):
    expected = policy and tree / policy / POLICY_NAME
    assert find_policy(tree / file, tree / "top") == expected
    assert PolicyFinder(tree / "top").of_file(tree / file) == expected


def test_a_folder_stands_for_the_files_in_it(tree):
    assert find_policy(tree / "top/a/b", tree) == tree / "top/a/b" / POLICY_NAME


def test_relative_paths_are_meant_from_here(tree, monkeypatch):
    monkeypatch.chdir(tree / "top/d")
    assert find_policy(Path("x.jpg"), tree / "top") == tree / "top" / POLICY_NAME
    assert find_policy(Path("x.jpg"), Path("..")) == tree / "top" / POLICY_NAME
    assert find_policy(Path("x.jpg"), Path()) is None


def test_a_folder_called_like_a_policy_is_none(tree):
    (tree / "top/d" / POLICY_NAME).mkdir()
    assert find_policy(tree / "top/d/x.jpg", tree) == tree / "top" / POLICY_NAME


def test_many_files_look_into_each_folder_once(tree, monkeypatch):
    looked = []
    stat = os.stat

    def counting(path, *args, **kwargs):
        if str(path).endswith(POLICY_NAME):
            looked.append(path)
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", counting)
    finder = PolicyFinder(tree / "top")
    for number in range(100):
        finder.of_file(tree / f"top/a/b/c/{number}.jpg")
        finder.of_file(tree / f"top/d/{number}.jpg")
    assert len(looked) == len(set(looked)) == 4
