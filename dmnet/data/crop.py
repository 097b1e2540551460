"""Where a sample is cropped: at random, and again if one class fills the crop.

The two zoos share the rule: a crop is good if it shows more than one class and the largest has less
than `cat_max_ratio` of its labelled pixels. They differ in what follows ten bad crops:

    mmsegmentation   an eleventh is drawn and used unchecked; `cat_max_ratio` 1 switches the rule
                     off, so that the first crop is used
    sssegmentation   the tenth is used; if it has no labelled pixel, the sample stays uncropped;
                     at `cat_max_ratio` 1 a crop of a single class is still drawn again
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from dmnet.config import RecipeConfig

TRIES = 10


class Window(NamedTuple):
    """A part of a sample, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, sample: Tensor) -> Tensor:
        """(..., h, w) -> (..., height, width), a view."""
        rows = slice(self.top, self.top + self.height)
        return sample[..., rows, self.left : self.left + self.width]


def draw_window(
    label: Tensor, recipe: RecipeConfig, ignore_index: int, rng: np.random.Generator
) -> Window:
    """The crop of one sample. label: (h, w) uint8; at most `crop_size`, and within the label."""
    if recipe.conventions == "mmsegmentation":
        window = _draw(label, recipe, rng)
        if recipe.cat_max_ratio < 1:
            for _ in range(TRIES):
                if _is_varied(class_counts(window.cut(label), ignore_index), recipe.cat_max_ratio):
                    break
                window = _draw(label, recipe, rng)
        return window
    for _ in range(TRIES):
        window = _draw(label, recipe, rng)
        counts = class_counts(window.cut(label), ignore_index)
        if _is_varied(counts, recipe.cat_max_ratio):
            break
    if not counts.size:
        return Window(0, 0, label.shape[0], label.shape[1])
    return window


def class_counts(label: Tensor, ignore_index: int) -> np.ndarray:
    """Pixels of every class that occurs, `ignore_index` left out, in the order of the classes."""
    counts = np.bincount(label.numpy().ravel())
    if ignore_index < len(counts):
        counts[ignore_index] = 0
    return counts[counts > 0]


def _draw(label: Tensor, recipe: RecipeConfig, rng: np.random.Generator) -> Window:
    height, width = label.shape
    crop_height, crop_width = recipe.crop_size
    top = int(rng.integers(0, max(height - crop_height, 0) + 1))
    left = int(rng.integers(0, max(width - crop_width, 0) + 1))
    return Window(top, left, min(crop_height, height), min(crop_width, width))


def _is_varied(counts: np.ndarray, cat_max_ratio: float) -> bool:
    return len(counts) > 1 and bool(counts.max() / counts.sum() < cat_max_ratio)
