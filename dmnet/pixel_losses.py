"""Cross-entropy of every pixel, of scores resized to the labels' size, in pieces of a batch.

The scores at that size are large, as they have a map for each class: 2.3 GiB a head for a batch of
ADE20K (16 x 150 x 512 x 512), several times over while the loss is differentiated. In pieces of
whole images each is resized again when its gradient is asked for, and only one is in memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from dmnet.layers import resize_bilinear
from dmnet.ohem import true_class_probability

PIECE = 2**27  # bytes of resized scores; a batch that fits in is one piece, and resized once


class _How(NamedTuple):
    ignore_index: int
    align_corners: bool
    probabilities: bool


def pixel_losses(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int,
    align_corners: bool,
    probabilities: bool = False,
) -> tuple[Tensor, Tensor]:
    """(n, h, w) cross-entropies, 0 where unlabelled, and, where asked for, the true classes'
    probabilities (`true_class_probability`), without gradients; else nothing is in them.

    logits: (n, classes, any, any); labels: (n, h, w) class indices.
    """
    how = _How(ignore_index, align_corners, probabilities)
    # With channels innermost the softmax, which takes class after class, would copy them resized.
    logits = logits.contiguous()
    of_an_image = labels[0].numel() * logits.shape[1] * logits.element_size()
    images = max(1, PIECE // of_an_image)
    if images >= len(labels):
        return _of_piece(logits, labels, how)
    losses, probability = _InPieces.apply(logits, labels, images, how)
    return losses, probability


def _of_piece(logits: Tensor, labels: Tensor, how: _How) -> tuple[Tensor, Tensor]:
    height, width = labels.shape[-2:]
    resized = resize_bilinear(logits, (height, width), how.align_corners)
    losses = F.cross_entropy(resized, labels, ignore_index=how.ignore_index, reduction="none")
    if not how.probabilities:
        return losses, losses.new_empty(0)
    return losses, true_class_probability(resized, labels, how.ignore_index)


class _InPieces(torch.autograd.Function):
    """`_of_piece`, so many images at a time."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, images: int, how: _How
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits, labels)
        ctx.images, ctx.how = images, how
        pieces = zip(logits.split(images), labels.split(images), strict=True)
        losses, probability = zip(*(_of_piece(*piece, how) for piece in pieces), strict=True)
        result = torch.cat(losses), torch.cat(probability)
        ctx.mark_non_differentiable(result[1])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        how, gradients = ctx.how._replace(probabilities=False), []
        pieces = zip(*(x.split(ctx.images) for x in (*ctx.saved_tensors, of_losses)), strict=True)
        for logits, labels, of_piece in pieces:
            with torch.enable_grad():
                start = logits.detach().requires_grad_()
                losses, _ = _of_piece(start, labels, how)
            gradients += torch.autograd.grad(losses, start, of_piece)
            del losses  # and with it what the next piece needs room for
        return torch.cat(gradients), None, None, None
