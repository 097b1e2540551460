"""How a sample that is smaller than the crop becomes a full one.

    mmsegmentation   at the right and bottom
    sssegmentation   on all sides, the odd pixel at the right and bottom. If the sample is upright
                     and `crop_size` lying, or the other way round, the target is `crop_size` with
                     height and width swapped. A side that is longer than the target (only a sample
                     that was left uncropped has one) is cut to its middle.

Images are padded after normalisation: with 0, which is the mean colour, or with what black has
become. Labels are padded with `ignore_index`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.config import RecipeConfig


def pad(
    image: Tensor, label: Tensor, recipe: RecipeConfig, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """image (3, h, w) normalised, label (h, w) -> both at `crop_size`, or at it swapped."""
    left, right, top, bottom = margins(label.shape[0], label.shape[1], recipe)
    sides = (left, right, top, bottom)
    label = F.pad(label, sides, value=ignore_index)
    if recipe.padding == "mean":
        return F.pad(image, sides), label
    mean, std = torch.tensor(recipe.mean), torch.tensor(recipe.std)
    black = -(mean / std)[:, None, None]
    inside = F.pad(torch.ones(image.shape[1:], dtype=torch.bool), sides)
    return torch.where(inside, F.pad(image, sides), black), label


def margins(height: int, width: int, recipe: RecipeConfig) -> tuple[int, int, int, int]:
    """Pixels to add at (left, right, top, bottom); a negative number is cut off."""
    target_height, target_width = recipe.crop_size
    if recipe.conventions == "mmsegmentation":
        return 0, target_width - width, 0, target_height - height
    if (height - width) * (target_height - target_width) < 0:
        target_height, target_width = target_width, target_height
    top, left = (target_height - height) // 2, (target_width - width) // 2
    return left, target_width - width - left, top, target_height - height - top
