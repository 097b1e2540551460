"""From normalised images to scores: the whole image at once, or window by window."""

from __future__ import annotations

import torch
from torch import Tensor

from dmnet.config import InferenceConfig
from dmnet.layers import resize_bilinear
from dmnet.segmentor import Segmentor


def view_scores(
    model: Segmentor, images: Tensor, config: InferenceConfig, pixels: int = 0
) -> Tensor:
    """Normalised images (n, 3, h, w) -> scores (n, classes, any, any), by the protocol's mode.

    mmsegmentation's are logits at the images' size, sssegmentation's logits or, as `average` says,
    probabilities at the head's own, or by windows at the images'. pixels: what windows may have
    together to go through at once.
    """
    at_head = config.conventions == "sssegmentation"
    probabilities = at_head and config.average == "probabilities"
    if config.window is not None and config.stride is not None:
        return sliding_window_logits(
            model, images, config.window, config.stride, probabilities, pixels
        )
    if not at_head:
        return whole_image_logits(model, images)
    logits = head_logits(model, images)
    return logits.softmax(1) if probabilities else logits


def head_logits(model: Segmentor, images: Tensor) -> Tensor:
    """(n, classes, h', w'), rows innermost: what is done with scores is slower otherwise."""
    return model(images).main.contiguous()


def whole_image_logits(model: Segmentor, images: Tensor) -> Tensor:
    """One forward pass; the logits are resized bilinearly to the images' size (section 4.1)."""
    height, width = images.shape[-2:]
    return resized(head_logits(model, images), (height, width), model.config.align_corners)


def resized(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Bilinearly, (n, classes, h, w) -> (n, classes, *size); as it is where the size is the same,
    which interpolation would give too, bit for bit."""
    if tuple(scores.shape[-2:]) == size:
        return scores
    return resize_bilinear(scores, size, align_corners)


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
    pixels: int = 0,
) -> Tensor:
    """Logits of overlapping windows (height, width), averaged where they overlap.

    An image smaller than the window is one window of its own size. With `probabilities`, every
    window's logits become probabilities before they are averaged. Windows go through the network
    one by one, or as many at once as have `pixels` together.
    """
    number, _, height, width = images.shape
    size = min(window[0], height), min(window[1], width)  # of every window
    places = [
        (..., slice(top, top + size[0]), slice(left, left + size[1]))
        for top in window_starts(height, window[0], stride[0])
        for left in window_starts(width, window[1], stride[1])
    ]
    at_once = max(1, pixels // (number * size[0] * size[1]))
    total: Tensor | None = None
    count = images.new_zeros((1, 1, height, width))
    for first in range(0, len(places), at_once):
        some = places[first : first + at_once]
        batch = torch.cat([images[place] for place in some]) if len(some) > 1 else images[some[0]]
        logits = whole_image_logits(model, batch)
        logits = logits.softmax(1) if probabilities else logits
        if total is None:
            total = logits.new_zeros((number, logits.shape[1], height, width))
        for place, part in zip(some, logits.split(number), strict=True):
            total[place] += part
            count[place] += 1
    assert total is not None
    return total / count
