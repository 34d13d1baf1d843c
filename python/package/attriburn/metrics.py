"""Metrics of maps. Insertion and deletion, which need the model, are methods of :class:`attriburn.Model`.

A map is an :class:`attriburn.Map` or an array ``[channels, height, width]``. The score of a pixel is the absolute
value of the sum over its channels.
"""

from attriburn._native import (
    box_precision,
    cosine,
    overlap,
    paired_t_test,
    pixel_scores,
    pointing_game,
    rank_correlation,
    sparseness,
    ssim,
    unit_distance,
)

__all__ = [
    "box_precision",
    "cosine",
    "overlap",
    "paired_t_test",
    "pixel_scores",
    "pointing_game",
    "rank_correlation",
    "sparseness",
    "ssim",
    "unit_distance",
]
