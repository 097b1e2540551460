"""Training losses. Labels are (n, h, w) class indices; `ignore_index` marks unlabelled pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from dmnet.layers import resize_bilinear
from dmnet.segmentor import Logits, Segmentor


class Losses(NamedTuple):
    """Scalars; `auxiliary` is already weighted; `total` is what is minimised."""

    total: Tensor
    main: Tensor
    auxiliary: Tensor | None


def pixel_cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int, align_corners: bool
) -> Tensor:
    """Cross-entropy of the logits, resized to the labels' size, averaged over labelled pixels.

    A batch without a labelled pixel has loss 0 (with a gradient of 0), not NaN.
    """
    height, width = labels.shape[-2:]
    logits = resize_bilinear(logits, (height, width), align_corners)
    loss = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="sum")
    return loss / (labels != ignore_index).sum().clamp(min=1)


def segmentation_losses(
    model: Segmentor, logits: Logits, labels: Tensor, ignore_index: int
) -> Losses:
    align = model.config.align_corners
    main = pixel_cross_entropy(logits.main, labels, ignore_index, align)
    if logits.auxiliary is None or model.config.auxiliary is None:
        return Losses(main, main, None)
    auxiliary = pixel_cross_entropy(logits.auxiliary, labels, ignore_index, align)
    auxiliary = auxiliary * model.config.auxiliary.weight
    return Losses(main + auxiliary, main, auxiliary)
