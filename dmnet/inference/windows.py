"""From normalised images to scores: the whole image at once, or window by window."""

from __future__ import annotations

from torch import Tensor

from dmnet.config import InferenceConfig
from dmnet.layers import resize_bilinear
from dmnet.segmentor import Segmentor


def image_logits(model: Segmentor, images: Tensor, config: InferenceConfig) -> Tensor:
    """Normalised images (n, 3, h, w) -> logits (n, classes, h, w), by the protocol's mode."""
    if config.mode == "slide":
        assert config.window is not None and config.stride is not None  # the schema's promise
        return sliding_window_logits(model, images, config.window, config.stride)
    return whole_image_logits(model, images)


def head_scores(model: Segmentor, images: Tensor, config: InferenceConfig) -> Tensor:
    """Normalised images (n, 3, h, w) -> logits or, as `average` says, probabilities.

    At the head's own resolution; by windows, at the images'.
    """
    probabilities = config.average == "probabilities"
    if config.mode == "slide":
        assert config.window is not None and config.stride is not None  # the schema's promise
        return sliding_window_logits(model, images, config.window, config.stride, probabilities)
    logits = model(images).main
    return logits.softmax(1) if probabilities else logits


def whole_image_logits(model: Segmentor, images: Tensor) -> Tensor:
    """One forward pass; the logits are resized bilinearly to the images' size (section 4.1)."""
    height, width = images.shape[-2:]
    return resize_bilinear(model(images).main, (height, width), model.config.align_corners)


def window_starts(size: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one side: every `stride`, the last one moved back to fit."""
    count = max(-(-(size - window) // stride), 0) + 1
    return [min(i * stride, max(size - window, 0)) for i in range(count)]


def sliding_window_logits(
    model: Segmentor,
    images: Tensor,
    window: tuple[int, int],
    stride: tuple[int, int],
    probabilities: bool = False,
) -> Tensor:
    """Logits of overlapping windows (height, width), averaged where they overlap.

    An image smaller than the window is one window of its own size. With `probabilities`, every
    window's logits become probabilities before they are averaged.
    """
    height, width = images.shape[-2:]
    total: Tensor | None = None
    count = images.new_zeros((1, 1, height, width))
    for top in window_starts(height, window[0], stride[0]):
        for left in window_starts(width, window[1], stride[1]):
            rows = slice(top, min(top + window[0], height))
            columns = slice(left, min(left + window[1], width))
            logits = whole_image_logits(model, images[..., rows, columns])
            if total is None:
                total = logits.new_zeros((*logits.shape[:2], height, width))
            total[..., rows, columns] += logits.softmax(1) if probabilities else logits
            count[..., rows, columns] += 1
    assert total is not None
    return total / count
