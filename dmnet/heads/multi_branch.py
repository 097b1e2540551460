"""What the multi-scale heads share (section 3.1, Figure 2).

    stage 5 (n, C, h, w) -+-> branch 1 -> (n, c, h, w) -+
                          +-> ...                       +-> concat -> 3x3 -> dropout -> 1x1
                          +-> branch m -> (n, c, h, w) -+
                          +---------------------------- +   (n, C + m c, h, w)

A head differs from another only in its branches, so the tables compare filters and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmnet.layers import ConvBnRelu, classifier, initialise


class MultiBranchHead(nn.Module):
    """Forward: features of stages 2 to 5 -> logits (n, classes, h, w) at stage 5's size.

    A branch maps (stage 5, context) to `channels` maps; `context_stage` picks the context.
    """

    def __init__(
        self,
        branches: Sequence[nn.Module],
        in_channels: int,
        channels: int,
        classes: int,
        dropout: float,
        context_stage: int = 5,
    ) -> None:
        super().__init__()
        self.context_stage = context_stage
        self.branches = nn.ModuleList(branches)
        self.bottleneck = ConvBnRelu(in_channels + len(branches) * channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = classifier(channels, classes)
        initialise(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x, context = features[-1], features[self.context_stage - 2]
        scales = [branch(x, context) for branch in self.branches]
        x = self.bottleneck(torch.cat([x, *scales], dim=1))
        return self.classifier(self.dropout(x))
