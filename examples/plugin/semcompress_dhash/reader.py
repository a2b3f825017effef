"""The reader itself: two methods."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from PIL import Image

Hash = tuple[bool, ...]


class DhashEvaluator:
    """``size`` x ``size`` bits: is a spot darker than its right neighbour, in a small grey copy?"""

    def __init__(self, size: int = 8) -> None:
        self.size = size

    def observe(self, images: Sequence[Image.Image]) -> list[Hash]:
        return [self._hash(image) for image in images]

    def compare(self, reference: Hash, candidates: Sequence[Hash]) -> list[Mapping[str, float]]:
        return [
            {"distance": sum(a != b for a, b in zip(reference, candidate, strict=True)) / len(reference)}
            for candidate in candidates
        ]

    def _hash(self, image: Image.Image) -> Hash:
        grey = image.convert("L").resize((self.size + 1, self.size), Image.Resampling.LANCZOS).tobytes()
        rows = [grey[start : start + self.size + 1] for start in range(0, len(grey), self.size + 1)]
        return tuple(left < right for row in rows for left, right in pairwise(row))
