"""Whole-image inference: one forward pass over the image at its own size (section 4.1)."""

from __future__ import annotations

from torch import Tensor

from dmnet.layers import resize_bilinear
from dmnet.segmentor import Segmentor


def whole_image_logits(model: Segmentor, image: Tensor) -> Tensor:
    """Normalised images (n, 3, h, w) -> logits (n, classes, h, w), resized bilinearly."""
    height, width = image.shape[-2:]
    return resize_bilinear(model(image).main, (height, width), model.config.align_corners)
