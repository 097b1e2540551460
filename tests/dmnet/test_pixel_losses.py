"""In pieces of a batch losses and gradients are the same, and only one piece is in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dmnet import pixel_losses
from dmnet.config import OHEMConfig
from dmnet.losses import pixel_cross_entropy

IGNORE, CLASSES, SIZE = 255, 7, 24
MAP = CLASSES * SIZE * SIZE  # values of an image's resized scores
HARD = [None, OHEMConfig(threshold=0.2, min_kept=30), OHEMConfig(threshold=None, min_kept=30)]
aten = torch.ops.aten


class Watched(TorchDispatchMode):
    """The largest tensor that an operation makes, and how many copy one as large as a map."""

    largest, copies = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(found) if isinstance(x, Tensor)]
        self.largest = max([self.largest, *sizes])
        copied = func in (aten.clone.default, aten._to_copy.default, aten.copy_.default)
        self.copies += copied and max(sizes) >= MAP
        return found


def batch(layout: torch.memory_format) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, CLASSES, 6, 6, generator=generator).to(memory_format=layout)
    labels = torch.randint(CLASSES + 1, (5, SIZE, SIZE), generator=generator)
    return logits.requires_grad_(), labels.masked_fill(labels == CLASSES, IGNORE)


def loss_and_gradient(
    layout: torch.memory_format, ohem: OHEMConfig | None
) -> tuple[Tensor, Tensor]:
    logits, labels = batch(layout)
    loss = 0.4 * pixel_cross_entropy(logits, labels, IGNORE, False, "labelled", ohem)
    loss.backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


@pytest.mark.parametrize("ohem", HARD, ids=["all", "threshold", "hardest"])
@pytest.mark.parametrize("images", [1, 2, 4])  # five are not a multiple
def test_in_pieces_loss_and_gradient_are_the_same(
    ohem: OHEMConfig | None, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loss_and_gradient(torch.contiguous_format, ohem)
    monkeypatch.setattr(pixel_losses, "PIECE", 4 * MAP * images)
    with Watched() as watched:
        loss, gradient = loss_and_gradient(torch.contiguous_format, ohem)
    assert watched.largest == images * MAP
    torch.testing.assert_close(loss, whole[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, whole[1], rtol=1e-6, atol=1e-9)


def test_resized_scores_are_not_copied_where_channels_lie_innermost() -> None:
    whole = loss_and_gradient(torch.contiguous_format, None)
    with Watched() as watched:
        loss, gradient = loss_and_gradient(torch.channels_last, None)
    assert watched.largest == 5 * MAP and watched.copies == 0
    assert torch.equal(loss, whole[0]) and torch.equal(gradient, whole[1])
