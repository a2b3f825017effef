"""Pictures of few colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcompress_plugin.images import has_transparency

FLAT = 0.01
"""A colour of more than this share of the pixels is that of an area, and stays exactly as it is."""
_SAMPLE = 100_000


def quantised(image: Image.Image, colors: int) -> Image.Image:
    """``image`` with at most ``colors`` colours, those of flat areas exactly as they are.

    A page's white that turns off-white, or is dithered, is seen at once and costs bytes, too. Pillow's median cut does
    not know alpha; its octree does, but neither dithers nor leaves alone an alpha that is opaque throughout.
    """
    alpha = has_transparency(image)
    image = image.convert("RGBA" if alpha else "RGB")
    flat = _flat_colours(image, colors // 4)
    rest = colors - len(flat)
    if alpha:
        few = image.quantize(rest, Image.Quantize.FASTOCTREE)
    else:
        palette = _sample(image).quantize(rest, Image.Quantize.MEDIANCUT, kmeans=1)
        few = image.quantize(rest, palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    return _with_exact(few, image, flat) if len(flat) else few


def _flat_colours(image: Image.Image, most: int) -> NDArray[np.uint32]:
    """The colours of more than a hundredth of the pixels, the most frequent first, each as a number."""
    colours, counts = np.unique(_as_numbers(_sample(image)), return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:most]
    flat: NDArray[np.uint32] = colours[frequent][counts[frequent] > FLAT * counts.sum()]
    return flat


def _with_exact(few: Image.Image, image: Image.Image, flat: NDArray[np.uint32]) -> Image.Image:
    """``few``, with pixels of ``flat`` colours in ``image`` as they are there: further entries of its palette."""
    assert few.palette is not None
    mode = few.palette.mode
    indices, numbers = np.array(few), _as_numbers(image)
    palette = bytes(few.getpalette(mode) or ())[: (int(indices.max()) + 1) * len(mode)]
    for index, colour in enumerate(flat, len(palette) // len(mode)):
        indices[numbers == colour] = index
    exact = Image.fromarray(indices)
    exact.putpalette(palette + flat.view(np.uint8).reshape(-1, 4)[:, : len(mode)].tobytes(), mode)
    return exact


def _as_numbers(image: Image.Image) -> NDArray[np.uint32]:
    """(height, width): each pixel's red, green, blue and alpha as one number."""
    numbers: NDArray[np.uint32] = np.asarray(image.convert("RGBA")).view(np.uint32)[..., 0]
    return numbers


def _sample(image: Image.Image) -> Image.Image:
    """Every n-th pixel of a large picture: refining a palette takes 4 s a megapixel, and a sample does as well."""
    ratio = (_SAMPLE / (image.width * image.height)) ** 0.5
    if ratio >= 1:
        return image
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.NEAREST)
