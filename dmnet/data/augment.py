"""Random scale, crop, mirror image (section 4.1) and colours of one sample, from one generator.

    image (h, w, 3) uint8, label (h, w) uint8 -> image (3, H, W) float32 normalised, label (H, W)

The generator belongs to the sample, not to the worker that happens to load it, so the batches do
not depend on the number of workers or on where a run was interrupted.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from dmnet.config import RecipeConfig
from dmnet.data.crop import draw_window
from dmnet.data.padding import pad
from dmnet.data.photometric import distort
from dmnet.devices import upload

# One thread: results must not depend on how many there are, and loaders run side by side.
cv2.setNumThreads(0)


def scaled_size(height: int, width: int, factor: float) -> tuple[int, int]:
    """Both sides times `factor`, rounded half up, at least one pixel."""
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def fitted_size(
    height: int, width: int, fit_size: tuple[int, int], factor: float = 1.0
) -> tuple[int, int]:
    """The largest size with the same proportions within `factor` x `fit_size`, at least one pixel.

    `fit_size` bounds the longer side by its longer side and the shorter one by its shorter side,
    so its orientation does not matter. Its sides are cut to whole pixels first, as in both zoos.
    """
    sides = [int(side * factor) for side in fit_size]
    scale = min(max(sides) / max(height, width), min(sides) / min(height, width))
    return scaled_size(height, width, scale)


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, h, w) uint8 on the CPU -> (3, *size), by OpenCV's bilinear, which does not antialias.

    Its memory has the colours innermost. The reference toolboxes resize with OpenCV; its
    fixed-point arithmetic differs from other libraries' by one gray level at every fourth pixel,
    enough to change label maps.
    """
    if tuple(image.shape[-2:]) == size:
        return image
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    resized = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(resized).permute(2, 0, 1)


def resize_label(label: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) uint8 -> size, by the nearest neighbour: labels are never mixed."""
    if tuple(label.shape[-2:]) == size:
        return label
    resized = cv2.resize(label.numpy(), size[::-1], interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(resized)


def normalise(image: Tensor, recipe: RecipeConfig) -> Tensor:
    """(3, h, w) uint8 -> float32 with the recipe's mean and standard deviation removed."""
    mean, std = (
        upload(torch.tensor(values, dtype=torch.float32).view(3, 1, 1), image.device)
        for values in (recipe.mean, recipe.std)
    )
    # Rows innermost from here on, as the network's first convolution reads them.
    return image.contiguous().float().sub(mean).div_(std)


def augment(
    image: Tensor, label: Tensor, recipe: RecipeConfig, ignore_index: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Scale by a factor drawn from `scale_range`, crop, mirror, distort colours, normalise, pad.

    Random numbers are drawn in this order, and for an optional part only if the recipe has it.
    The sample has `crop_size`, but for one case of `dmnet.data.padding`.
    """
    factor = float(rng.uniform(*recipe.scale_range))
    height, width = label.shape
    if recipe.fit_size is None:
        size = scaled_size(height, width, factor)
    else:
        size = fitted_size(height, width, recipe.fit_size, factor)
    image, label = resize_image(image, size), resize_label(label, size)
    window = draw_window(label, recipe, ignore_index, rng)
    image, label = window.cut(image), window.cut(label)
    if rng.random() < recipe.flip:
        image, label = image.flip(-1), label.flip(-1)
    if recipe.photometric:
        # sssegmentation's photographs are in the order blue, green, red here.
        image = distort(image, rng, "rgb" if recipe.conventions == "mmsegmentation" else "bgr")
    return pad(normalise(image, recipe), label, recipe, ignore_index)
