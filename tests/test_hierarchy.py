"""How far apart two classes are in WordNet, by hand on a small tree and for the cats on the one that we ship."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semcompress_plugin.errors import ModelError
from semcompress_plugin.evaluators import _hierarchy
from semcompress_plugin.evaluators._hierarchy import CLASSES, Hierarchy, imagenet
from semcompress_plugin.evaluators.classifier import MODELS, ClassifierEvaluator, Seen, js_divergence

TABBY, TIGER_CAT, SIAMESE, EGYPTIAN_CAT, LYNX, TIGER = 281, 282, 284, 285, 287, 292
GOLDEN_RETRIEVER, CHIHUAHUA, SPORTS_CAR = 207, 151, 817
LABELS = (MODELS / "efficientnet_lite0.labels.txt").read_text(encoding="utf-8").splitlines()

#       root 7
#      /      \
#    pet 5    wild 6
#   /  |  \  /     \
#  0   1  house 4   3
#            |
#            2
SMALL = Hierarchy(
    ["a", "b", "c", "d", "house", "pet", "wild", "root"], [[5], [5], [4], [6], [5, 6], [7], [7], []], classes=4
)


@pytest.mark.parametrize(
    ("one", "other", "height", "similarity"),
    [(0, 0, 0, 1), (0, 1, 2, 4 / 6), (0, 2, 2, 4 / 7), (2, 3, 2, 4 / 7), (0, 3, 3, 2 / 6)],
)
def test_height_and_similarity_by_hand(one, other, height, similarity):
    for a, b in ((one, other), (other, one)):
        assert SMALL.lca_height(a, b) == height
        assert SMALL.wup_similarity(a, b) == pytest.approx(similarity)


def test_probabilities_are_summed_at_a_depth_along_first_hypernyms():
    p = np.array([[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])
    assert SMALL.summed(p, 0).tolist() == [[pytest.approx(1)], [1]]
    assert SMALL.summed(p, 1).tolist() == [[pytest.approx(0.6), 0.4], [1, 0]]
    assert sorted(SMALL.summed(p, 2)[0].tolist()) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_the_way_up_in_words_stops_where_it_was_told_before():
    assert SMALL.in_words([2, 0, 2]) == "c < house (1) < pet (2) < root (3); a < pet (2)"


def test_a_tiger_cat_is_near_an_egyptian_cat_and_far_from_a_dog():
    tree = imagenet()
    heights = [
        tree.lca_height(TIGER_CAT, other)
        for other in (TIGER_CAT, EGYPTIAN_CAT, TABBY, SIAMESE, LYNX, TIGER, GOLDEN_RETRIEVER, CHIHUAHUA, SPORTS_CAR)
    ]
    assert heights == [0, 1, 1, 1, 2, 3, 6, 6, 15]
    similarities = [tree.wup_similarity(TIGER_CAT, o) for o in (TIGER_CAT, EGYPTIAN_CAT, GOLDEN_RETRIEVER, SPORTS_CAR)]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] == 1
    assert tree.in_words([TIGER_CAT]).startswith("tiger cat < domestic cat (1) < cat (2) < feline (3) < carnivore (7)")


def test_the_table_has_every_class_of_the_reader_in_its_order():
    tree = imagenet()
    assert tree.classes == CLASSES == len(LABELS)
    same = sum(
        name.lower() in label.lower() or label.lower() in name.lower()
        for name, label in zip(tree.names, LABELS, strict=False)
    )
    assert same > 900  # the labels often take another of the synset's words
    assert max(tree.heights) == 18
    assert sum(not parents for parents in tree.parents) == 1


def sure(index: int, *, of: int = 1000) -> Seen:
    probabilities = np.full((1, of), 0.1 / (of - 1))
    probabilities[0, index] = 0.9
    return Seen(("center",), probabilities, np.ones((1, 4), np.float32))


def test_the_classifiers_metrics_tell_a_change_among_cats_from_one_to_a_dog():
    reader = ClassifierEvaluator("center")
    cat, dog, car = reader.compare(sure(TIGER_CAT), [sure(EGYPTIAN_CAT), sure(GOLDEN_RETRIEVER), sure(SPORTS_CAR)])
    assert [row["lca_height"] for row in (cat, dog, car)] == [1, 6, 15]
    assert cat["wup_similarity"] > dog["wup_similarity"] > car["wup_similarity"]
    # at the default depth house cats are one, so next to nothing has moved
    assert cat["hierarchical_js"] < 1e-9 < 0.5 < dog["hierarchical_js"]
    assert cat["js_divergence"] == pytest.approx(dog["js_divergence"])


def test_the_chosen_depth_decides_what_counts_as_one():
    deep, shallow = (ClassifierEvaluator("center", depth=depth) for depth in (18, 11))
    (fine,) = deep.compare(sure(TIGER_CAT), [sure(GOLDEN_RETRIEVER)])
    (coarse,) = shallow.compare(sure(TIGER_CAT), [sure(GOLDEN_RETRIEVER)])
    assert fine["hierarchical_js"] == pytest.approx(fine["js_divergence"])
    assert coarse["hierarchical_js"] < 1e-9  # both are carnivores


def test_classes_of_somebodys_own_are_related_by_the_root_only():
    p, q = sure(1, of=10), sure(2, of=10)
    same, other = ClassifierEvaluator("center").compare(p, [p, q])
    assert (same["lca_height"], same["wup_similarity"], same["hierarchical_js"]) == (0, 1, 0)
    assert (other["lca_height"], other["wup_similarity"]) == (18, 0)
    assert other["hierarchical_js"] == js_divergence(p.probabilities, q.probabilities)[0]


@pytest.mark.parametrize("text", ["", "cat\tnothing\n"])
def test_a_table_that_cannot_be_read_says_to_reinstall(tmp_path, monkeypatch, text):
    (tmp_path / "wordnet_imagenet.txt").write_text(text)
    monkeypatch.setattr(_hierarchy, "MODELS", tmp_path)
    imagenet.cache_clear()
    with pytest.raises(ModelError, match=r"hierarchy of classes.*reinstall"):
        imagenet()
    imagenet.cache_clear()


def test_the_table_is_what_the_tool_makes_of_wordnets_format(tmp_path):
    # two cats and what is above them, as data.noun writes it, with a pointer that is no hypernym and a licence
    (tmp_path / "data.noun").write_text(
        "  1 This software and database is being provided to you\n"
        "00000010 03 n 01 entity 0 001 ~ 00000020 n 0000 | all that is  \n"
        "00000020 05 n 02 domestic_cat 0 house_cat 0 002 @ 00000010 n 0000 ~ 00000030 n 0000 | a cat  \n"
        "00000030 05 n 01 tabby 1 001 @ 00000020 n 0000 | a cat | with stripes  \n"
        "00000040 05 n 01 tiger_cat 2 002 @ 00000020 n 0000 @i 00000010 n 0000 | another  \n"
    )
    (tmp_path / "ids.txt").write_text("n00000040\nn00000030\n")
    code = (
        "import sys, pathlib; sys.path.insert(0, 'tools'); import make_hierarchy as tool\n"
        "tool.TABLE = pathlib.Path(sys.argv.pop()); tool.main()"
    )
    table = tmp_path / "table.txt"
    arguments = [str(tmp_path / "ids.txt"), "--wordnet", str(tmp_path / "data.noun"), str(table)]
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=root, check=True, capture_output=True)
    rows = [line for line in table.read_text().splitlines() if not line.startswith("#")]
    assert rows == ["tiger cat\t2\t3", "tabby\t2", "domestic cat\t3", "entity"]
