"""Training losses. Labels are (n, h, w) class indices; `ignore_index` marks unlabelled pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.layers import resize_bilinear
from dmnet.segmentor import Logits, Segmentor


class Losses(NamedTuple):
    """Scalars; `auxiliary` is the weighted sum over its heads; `total` is what is minimised."""

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
    if not logits.auxiliary:
        return Losses(main, main, None)
    weighted = [
        pixel_cross_entropy(scores, labels, ignore_index, align)
        * model.config.auxiliary[name].weight
        for name, scores in logits.auxiliary.items()
    ]
    auxiliary = torch.stack(weighted).sum()
    return Losses(main + auxiliary, main, auxiliary)
