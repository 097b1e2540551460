"""Training losses. Labels are (n, h, w) class indices; `ignore_index` marks unlabelled pixels."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dmnet.config import OHEMConfig
from dmnet.ohem import hard_pixels
from dmnet.pixel_losses import pixel_losses
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

    @classmethod
    def of(cls, main: Tensor, heads: dict[str, Tensor]) -> Losses:
        if not heads:
            return cls(main, main, None, {})
        auxiliary = torch.stack(list(heads.values())).sum()
        return cls(main + auxiliary, main, auxiliary, heads)


class Shares(NamedTuple):
    """Where images lie in several parts of a batch, each averaged by itself, or are a piece of one.

    images: how many of them lie in each part, one part after the other; divisors (parts): what the
    sum over each is divided by.
    """

    images: tuple[int, ...]
    divisors: Tensor


def pixel_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int,
    align_corners: bool,
    average: Average = "labelled",
    ohem: OHEMConfig | None = None,
    shares: Shares | None = None,
) -> Tensor:
    """Cross-entropy of the logits, resized to the labels' size: summed over the labelled pixels
    (with `ohem`, over the hard ones among them) and divided by the number of

    - labelled pixels ("labelled": the paper as we read it, sssegmentation), or
    - all pixels of the batch ("all": mmsegmentation).

    With `shares` each part's sum is divided by the number given there (`count_pixels`), and the
    quotients are added up.

    A batch without a labelled pixel has loss 0 (with a gradient of 0), not NaN. Half-precision
    logits are taken to float32 first, also under autocast.
    """
    with torch.autocast(logits.device.type, enabled=False):
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        by_probability = ohem is not None and ohem.threshold is not None
        losses, probability = pixel_losses(
            logits, labels, ignore_index, align_corners, by_probability
        )
        if ohem is not None:
            losses = losses * hard_pixels(probability, labels, losses, ignore_index, ohem)
        images = (len(labels),) if shares is None else shares.images
        sums = [part.sum() for part in losses.split(images)]
        if shares is None:
            if average == "all":
                return sums[0] / labels.numel()
            return sums[0] / count_pixels(labels, ignore_index, average).clamp(min=1)
        parts = [one / divisor for one, divisor in zip(sums, shares.divisors, strict=True)]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum()


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
    shares: Shares | None = None,
) -> Losses:
    """The losses of the head and of every auxiliary head; `ohem` applies to each by itself."""
    align = model.config.align_corners
    main = pixel_cross_entropy(logits.main, labels, ignore_index, align, average, ohem, shares)
    weighted = {
        name: pixel_cross_entropy(scores, labels, ignore_index, align, average, ohem, shares)
        * model.config.auxiliary[name].weight
        for name, scores in logits.auxiliary.items()
    }
    return Losses.of(main, weighted)
