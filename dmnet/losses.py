"""Training losses. Labels are (n, h, w) class indices; `ignore_index` marks unlabelled pixels."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.config import OHEMConfig
from dmnet.layers import resize_bilinear
from dmnet.ohem import hard_pixels
from dmnet.segmentor import Logits, Segmentor

Average = Literal["labelled", "all"]


class Losses(NamedTuple):
    """Scalars; `auxiliary` is the weighted sum over its heads; `total` is what is minimised.

    `auxiliary_heads` holds the parts of that sum, weight included, by the name of the head.
    """

    total: Tensor
    main: Tensor
    auxiliary: Tensor | None
    auxiliary_heads: dict[str, Tensor]


def pixel_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int,
    align_corners: bool,
    average: Average = "labelled",
    ohem: OHEMConfig | None = None,
    divisor: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the logits, resized to the labels' size: summed over the labelled pixels
    (with `ohem`, over the hard ones among them) and divided by the number of

    - labelled pixels ("labelled": the paper as we read it, sssegmentation), or
    - all pixels of the batch ("all": mmsegmentation).

    `divisor` is that number where these images are only a piece of the batch (`count_pixels`).

    A batch without a labelled pixel has loss 0 (with a gradient of 0), not NaN. Half-precision
    logits are taken to float32 first, also under autocast.
    """
    with torch.autocast(logits.device.type, enabled=False):
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        height, width = labels.shape[-2:]
        logits = resize_bilinear(logits, (height, width), align_corners)
        if ohem is None:
            total = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="sum")
        else:
            losses = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="none")
            total = (losses * hard_pixels(logits, labels, losses, ignore_index, ohem)).sum()
        if divisor is not None:
            return total / divisor
        if average == "all":
            return total / labels.numel()
        return total / count_pixels(labels, ignore_index, average).clamp(min=1)


def count_pixels(labels: Tensor, ignore_index: int, average: Average) -> Tensor:
    """The number of pixels that a loss over these labels is divided by; scalar int64."""
    if average == "all":
        return torch.tensor(labels.numel(), device=labels.device)
    return (labels != ignore_index).sum()


def segmentation_losses(
    model: Segmentor,
    logits: Logits,
    labels: Tensor,
    ignore_index: int,
    average: Average = "labelled",
    ohem: OHEMConfig | None = None,
    divisor: Tensor | None = None,
) -> Losses:
    """The losses of the head and of every auxiliary head; `ohem` applies to each by itself."""
    align = model.config.align_corners
    main = pixel_cross_entropy(logits.main, labels, ignore_index, align, average, ohem, divisor)
    if not logits.auxiliary:
        return Losses(main, main, None, {})
    weighted = {
        name: pixel_cross_entropy(scores, labels, ignore_index, align, average, ohem, divisor)
        * model.config.auxiliary[name].weight
        for name, scores in logits.auxiliary.items()
    }
    auxiliary = torch.stack(list(weighted.values())).sum()
    return Losses(main + auxiliary, main, auxiliary, weighted)
