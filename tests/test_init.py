"""A first policy is valid whatever a folder holds, and fits what it holds."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_registry import Stand
from semcompress_plugin import init
from semcompress_plugin.init import draft
from semcompress_plugin.policy import parse_policy

SITE = [
    ("photos/IMG_1.JPG", 2_000_000),
    ("photos/b.webp", 50_000),
    ("docs/Screenshot from yesterday.png", 40_000),
    ("docs/flow-diagram.webp", 9_000),
    ("docs/plain.png", 9_000),
    ("assets/logo-dark.png", 3_000),
    ("icons/menu.png", 500),
    ("favicon.png", 400),
    ("node_modules/x/photo.jpg", 7_000),
    ("tests/__snapshots__/home.png", 7_000),
    ("movie.gif", 10),
    ("drawing.svg", 10),
    ("readme.md", 10),
]


def written(files):
    return draft([(PurePosixPath(path), size) for path, size in files])


def policy(files):
    return parse_policy(written(files), Stand(), Path())


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("photos/IMG_1.JPG", "photos"),
        ("photos/b.webp", "photos"),
        ("docs/Screenshot from yesterday.png", "text"),
        ("docs/flow-diagram.webp", "text"),
        ("docs/plain.png", "text"),
        ("assets/logo-dark.png", "icons"),
        ("icons/menu.png", "icons"),
        ("favicon.png", "icons"),
        ("node_modules/x/photo.jpg", "generated"),
        ("tests/__snapshots__/home.png", "baselines"),
    ],
)
def test_every_picture_falls_under_the_rule_that_fits_it(path, rule):
    found = policy(SITE).rule_for(path)
    assert found.name == rule
    assert found.skip == (rule in ("generated", "baselines", "icons"))
    assert found.preset == ("text" if rule == "text" else "web")


def test_a_draft_names_only_what_is_there():
    (rule,) = policy([("a.jpg", 1), ("b/c.jpg", 1)]).rules
    assert (rule.name, rule.files) == ("photos", tuple(f"*{suffix}" for suffix in init.FORMATS))
    assert policy([("icons/icon-a.png", 1), ("icons/b.png", 1)]).rules[0].files == ("icons/",)
    assert "node_modules" not in written([("a.jpg", 1)])


def test_a_draft_says_what_it_found():
    text = written(SITE)
    assert "# Found 10 pictures, 2.1 MB. PNG: 6 pictures, 59.9 kB; WebP: 2 pictures, 59.0 kB; JPEG: 2 pic" in text
    assert "no built-in compressor reads them: 1 gif, 1 svg." in text
    assert "(3 pictures, 3.9 kB)" in text


def test_a_folder_without_pictures_gets_the_preset_for_those_to_come():
    text = written([("readme.md", 3)])
    assert "No pictures were found here." in text
    assert [rule.name for rule in policy([]).rules] == ["all"]


def test_folders_of_data_get_a_word_about_the_preset_machine():
    assert "if only models read datasets/" in written([("datasets/a.jpg", 1)])
    assert "if only models read" not in written([("photos/a.jpg", 1)])


def test_what_a_draft_suggests_in_comments_is_valid_too():
    text = written(SITE)
    suggested = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")]
    assert len(suggested) == 5
    for line in suggested:
        parse_policy(f"version: 1\nrules:\n- name: a\n  files: [a]\n  {line}\n", Stand(), Path())
    parse_policy(text.replace("# originals: git", "originals: git"), Stand(), Path())


FOLDERS = [name.strip("/*") for name in (*init._GENERATED, *init._BASELINES, *init._ICONS, *init._TEXT, *init._DATA)]
names = st.sampled_from([*FOLDERS, "a"]) | st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1)
paths = st.builds(
    lambda parts, stem, suffix: "/".join([*parts, stem + suffix]),
    st.lists(names.filter(lambda name: name not in (".", "..")), max_size=3),
    names,
    st.sampled_from([*init.FORMATS, ".JPG", ".gif", ".md", ""]),
)


@given(st.lists(st.tuples(paths, st.integers(0, 10**9)), max_size=8))
def test_a_draft_is_always_valid_and_leaves_no_picture_without_a_rule(files):
    found = policy(files)
    for path, _ in files:
        if PurePosixPath(path).suffix.lower() in init.FORMATS:
            assert found.rule_for(PurePosixPath(path)) is not None
