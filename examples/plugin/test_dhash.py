"""Run in an environment that has this package and pytest: ``pytest examples/plugin``."""

from PIL import Image
from semcompress_dhash.reader import DhashEvaluator

from semcompress_plugin.registry import Registry


def test_a_mirrored_picture_is_another_and_a_smaller_one_is_not():
    picture = Image.linear_gradient("L").rotate(90).convert("RGB")
    reader = DhashEvaluator(size=8)
    seen, mirrored, smaller = reader.observe(
        [picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), picture.reduce(4)]
    )
    assert reader.compare(seen, [seen, mirrored, smaller]) == [{"distance": 0.0}, {"distance": 1.0}, {"distance": 0.0}]


def test_it_is_found_under_its_name():
    assert Registry().evaluator("dhash").metric("distance")
