"""Which files a rule means."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pathspec import PathSpec

from policy_registry import Stand
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.policy.match import matcher, problem


@pytest.mark.parametrize(
    ("patterns", "inside", "outside"),
    [
        (["*.jpg"], ["a.jpg", "x/y/a.jpg", "a.JPG", "x/a.Jpg"], ["a.jpeg", "jpg", "a.jpg.txt"]),
        (["*.JPG"], ["a.jpg", "a.JPG"], ["a.png"]),
        (["/*.jpg"], ["a.jpg"], ["x/a.jpg"]),
        (["assets/*.jpg"], ["assets/a.jpg"], ["assets/x/a.jpg", "x/assets/a.jpg"]),
        (["assets/**/*.jpg", "!assets/raw/**"], ["assets/a.JPG", "assets/x/y/a.jpg"], ["assets/raw/x/a.jpg", "a.jpg"]),
        (["**/logo*.png"], ["logo.png", "x/logo-dark.PNG"], ["x/Logo.png", "x/logo.jpg"]),
        (["docs/"], ["docs/a.png", "x/docs/y/a.png"], ["docs"]),
        (["docs/", "!docs/a.png"], ["docs/b.png"], ["docs/a.png"]),
        (["*", "!raw/"], ["a.jpg"], ["raw/a.jpg", "x/raw/y/a.jpg"]),
        (["*.jpg", "!a*", "ab.jpg"], ["b.jpg", "ab.jpg", "x/ab.jpg"], ["a.jpg", "ac.jpg"]),
        (["Site.V2/"], ["Site.V2/a.jpg"], ["site.v2/a.jpg"]),
        (["*.[jJ]pg"], ["a.Jpg"], ["a.png"]),
        (["*.jp*g"], ["a.JPEG", "a.jpg"], ["a.png"]),
        (["IMG_????.jpg"], ["x/IMG_1234.JPG"], ["x/img_1234.jpg", "IMG_12345.jpg"]),
        (["\\!a.jpg", "\\#b.jpg"], ["!a.jpg", "#b.jpg"], ["a.jpg"]),
        (["a\\[1\\].jpg"], ["a[1].jpg", "a[1].JPG"], ["a1.jpg"]),
        (["my photos/*.jpg"], ["my photos/a b.jpg"], ["my/a.jpg"]),
        (["*", "!raw/"], ["a", "x/y.jpg", "x\n/y.jpg"], ["raw/x\n.jpg", "raw/\n/y.jpg", "x\n/raw/y.jpg"]),
    ],
)
def test_patterns_are_gitignores_with_extensions_in_either_case_and_the_last_match_deciding(patterns, inside, outside):
    matches = matcher(patterns)
    assert [path for path in inside if not matches(path)] == []
    assert [path for path in outside if matches(path)] == []


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "nothing to match"),
        ("  ", "nothing to match"),
        ("!", "nothing to match"),
        ("/", "nothing to match"),
        ("!/", "nothing to match"),
        ("# photos", "comment"),
        ("./a.jpg", "below the policy's folder"),
        ("../a.jpg", "below the policy's folder"),
        ("!a/../b", "below the policy's folder"),
        ("a//b.jpg", "one / between folders"),
        ("assets\\photos\\*.jpg", "expected / between folders"),
        ("*.{jpg,png}", "one pattern for each"),
        ("a[b.jpg", "expected ] to close ["),
        ("[z-a].jpg", "not a gitignore pattern"),
        ("[[:alpha:]].jpg", "expected ] to close ["),
        ("a\\", "expected a character after"),
    ],
)
def test_patterns_that_are_wrong_or_never_match_are_refused(pattern, said):
    assert said in (problem(pattern) or "")
    with pytest.raises(ValueError, match=r".+") as caught:
        matcher(["*.jpg", pattern])
    assert said in str(caught.value)


def test_ten_thousand_paths_are_matched_in_no_time():
    rules = ", ".join(f"{{name: r{i}, files: ['a{i}/**/*.jpg', '!x/', 'b{i}*.png']}}" for i in range(10))
    policy = parse_policy(f"version: 1\nrules: [{rules}]", Stand(), Path())
    paths = [f"assets/photos/img_{i}.jpg" for i in range(10_000)]
    start = time.perf_counter()
    assert not any(map(policy.rule_for, paths))
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("piece", ["{", ",", "{,", "\\{", "[", "[!", "*."])
def test_a_pattern_is_judged_in_time_that_grows_with_its_length(piece):
    started = time.process_time()
    for size in (4_000, 20_000):
        problem("{" * size + piece * size)
        assert time.process_time() - started < 5


@pytest.mark.parametrize("pattern", ["*.{jpg,png}", "{a,b}", "\\{{a,b}", "{{,}", "a{,b}c{"])
def test_alternatives_are_told_of_wherever_they_stand(pattern):
    assert "write one pattern for each" in problem(pattern)


@pytest.mark.parametrize("pattern", ["{a}", "a,b", "}a,{b", "\\{a,b}", "{a},b", "{"])
def test_braces_without_alternatives_are_names(pattern):
    assert problem(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["*a" * 20 + "*b", "*[a]" * 20 + "*b", "*?a" * 20 + "*b", "*" * 200 + "b", "/" + "*a" * 20 + "*b/c"]
)
def test_a_pattern_of_many_stars_costs_no_time_on_a_long_name(pattern):
    matches = matcher([pattern])
    started = time.process_time()
    assert not matches("a" * 250)
    assert not matches("a" * 250 + "/x")
    assert time.process_time() - started < 5


pieces = st.lists(
    st.sampled_from(["*", "**", "?", "a", "b", ".", "/", "[a]", "[ab]", "[^a]", "[!b]", "[a-z]", "\\*"]), max_size=9
)


@given(pieces.map("".join), st.lists(st.text("ab./*", min_size=1, max_size=12), min_size=1, max_size=8))
@settings(max_examples=500)
@example("*[!a]*b", ["x/ab"])
def test_stars_match_what_they_do_in_pathspec(pattern, paths):
    if problem(pattern) is not None:
        return
    matches = matcher([pattern])
    (part,) = PathSpec.from_lines("gitignore", [pattern]).patterns
    for path in paths:
        within = re.sub(r"\[(?!\^/)", "(?!/)[", part.regex.pattern)  # as with git, which lets no class match a /
        assert matches(path) in (part.match_file(path) is not None, re.search(within, path) is not None)
