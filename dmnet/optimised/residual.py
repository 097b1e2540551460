"""Blocks that end in ReLU(y + shortcut): the last convolution adds the shortcut as it writes.

The sum overwrites the shortcut's memory. Where the shortcut is the block's own input, that input is
lost: so it is in every block but the first of a stage, whose input may be a feature map that a head
reads and which has a convolution as its shortcut.
"""

from __future__ import annotations

from torch import Tensor, nn

from dmnet.optimised.conv import FusedConv


class FusedResidual(nn.Module):
    """Forward: x -> ReLU(last(body(x)) + shortcut(x)); `last` is built with the ReLU."""

    def __init__(self, body: nn.Module, last: FusedConv, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.last, self.shortcut = body, last, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.body(x), self.shortcut(x))
        return y
