"""Random scale, crop and mirror image of one sample (section 4.1), from one seeded generator.

    image (h, w, 3) uint8, label (h, w) -> image (3, H, W) float32 normalised, label (H, W) int64

The generator belongs to the sample, not to the worker that happens to load it, so the batches do
not depend on the number of workers or on where a run was interrupted.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from dmnet.compat import torchvision
from dmnet.config import RecipeConfig

functional = torchvision.transforms.v2.functional

# One thread: results must not depend on how many there are, and loaders run side by side.
cv2.setNumThreads(0)


def scaled_size(height: int, width: int, factor: float) -> tuple[int, int]:
    """Both sides times `factor`, rounded half up, at least one pixel."""
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, h, w) uint8 -> (3, *size) uint8, by OpenCV's bilinear, which does not antialias.

    The reference toolboxes resize with OpenCV; its fixed-point arithmetic differs from other
    libraries' by one gray level at every fourth pixel, enough to change label maps.
    """
    if tuple(image.shape[-2:]) == size:
        return image
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    resized = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(resized).permute(2, 0, 1).contiguous().to(image.device)


def resize_label(label: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) int64 -> size, by the nearest neighbour: labels are never mixed."""
    if tuple(label.shape[-2:]) == size:
        return label
    # OpenCV has no 64-bit integers; labels fit into 16 bits.
    pixels = label.cpu().numpy().astype(np.int16)
    resized = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(resized.astype(np.int64)).to(label.device)


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
