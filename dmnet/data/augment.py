"""Random scale, crop and mirror image of one sample (section 4.1), from one seeded generator.

    image (h, w, 3) uint8, label (h, w) -> image (3, H, W) float32 normalised, label (H, W) int64

The generator belongs to the sample, not to the worker that happens to load it, so the batches do
not depend on the number of workers or on where a run was interrupted.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dmnet.compat import torchvision
from dmnet.config import RecipeConfig

functional = torchvision.transforms.v2.functional
InterpolationMode = torchvision.transforms.InterpolationMode


def scaled_size(height: int, width: int, factor: float) -> tuple[int, int]:
    """Both sides times `factor`, rounded half up, at least one pixel."""
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear without antialiasing: what the reference toolboxes do with OpenCV."""
    if tuple(image.shape[-2:]) == size:
        return image
    return functional.resize(image, list(size), InterpolationMode.BILINEAR, antialias=False)


def resize_label(label: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest neighbour: labels are never mixed."""
    if tuple(label.shape[-2:]) == size:
        return label
    return functional.resize(label[None], list(size), InterpolationMode.NEAREST)[0]


def normalise(image: Tensor, recipe: RecipeConfig) -> Tensor:
    """(3, h, w) uint8 -> float32 with the recipe's mean and standard deviation removed."""
    return functional.normalize(image.float(), list(recipe.mean), list(recipe.std))


def augment(
    image: Tensor, label: Tensor, recipe: RecipeConfig, ignore_index: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Scale by a factor drawn from `scale_range`, crop, mirror; pad what is too small.

    Padding is the mean colour (0 after normalisation) at the right and bottom, labels ignored.
    """
    factor = float(rng.uniform(*recipe.scale_range))
    height, width = image.shape[-2:]
    size = scaled_size(height, width, factor)
    image, label = resize_image(image, size), resize_label(label, size)
    crop_height, crop_width = recipe.crop_size
    top = int(rng.integers(0, max(size[0] - crop_height, 0) + 1))
    left = int(rng.integers(0, max(size[1] - crop_width, 0) + 1))
    image = image[:, top : top + crop_height, left : left + crop_width]
    label = label[top : top + crop_height, left : left + crop_width]
    if rng.random() < recipe.flip:
        image, label = image.flip(-1), label.flip(-1)
    missing = (0, crop_width - label.shape[1], 0, crop_height - label.shape[0])
    padded = torch.nn.functional.pad(normalise(image, recipe), missing)
    return padded, torch.nn.functional.pad(label, missing, value=ignore_index)
