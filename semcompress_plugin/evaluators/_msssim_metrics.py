"""What the evaluator ``msssim`` measures, as data: imports nothing heavy."""

from __future__ import annotations

from semcompress_plugin.types import Metric

METRICS = (
    Metric(
        "score",
        "mean MS-SSIM of the whole picture, luma and the two chroma planes weighted 6:1:1; 1 when nothing changed",
        higher_is_better=True,
        transform="log1m",
    ),
    Metric(
        "luma",
        "MS-SSIM of the luma plane",
        higher_is_better=True,
        transform="log1m",
    ),
    Metric(
        "chroma",
        "MS-SSIM of the worse of the two chroma planes, at half resolution",
        higher_is_better=True,
        transform="log1m",
    ),
    Metric(
        "worst_tile",
        "the score of the worst of all tiles of 64 x 64 pixels, so that a small subject counts on a flat background",
        higher_is_better=True,
        transform="log1m",
    ),
    Metric(
        "colour_shift",
        "greatest change of a tile's mean in any plane, as a share of the whole range: what MS-SSIM hardly sees",
        higher_is_better=False,
        transform="log",
    ),
    Metric(
        "ringing",
        "greatest error of a tile where the reference is even, as a share of the whole range: ripples around letters, "
        "blots of colour, which averages hide on flat graphics",
        higher_is_better=False,
        transform="log",
    ),
    Metric(
        "contrast_error",
        "greatest error of a tile that is even in part, as a share of the tile's own contrast: pale text and lines, "
        "which MS-SSIM takes for the page",
        higher_is_better=False,
        transform="log",
    ),
    Metric(
        "tint",
        "greatest error of Cb or Cr, root mean square over what a tile has of one colour, as a share of the whole "
        "range: pages of a light grey that turn green",
        higher_is_better=False,
        transform="log",
    ),
    Metric(
        "patch_shift",
        "greatest change of the mean of 8 x 8 pixels in any plane, as a share of the whole range: icons and lines that "
        "lose their colour",
        higher_is_better=False,
        transform="log",
    ),
)
