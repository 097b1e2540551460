"""FCN: 3x3 convolutions and a classifier on one stage.

    x (n, C, h, w) -> m times 3x3 -> (n, c, h, w) [-> concat with x, 3x3] -> dropout -> 1x1

With one convolution it is DMNet without its Dynamic Convolutional Modules (Table 5); on stage 4 it
is the head of deep supervision.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmnet.config import FCNHeadConfig
from dmnet.layers import ConvBnRelu, classifier, initialise


class FCNHead(nn.Module):
    """Forward: features, the last of which is used -> logits (n, classes, h, w)."""

    def __init__(self, config: FCNHeadConfig, in_channels: Sequence[int], classes: int) -> None:
        super().__init__()
        inputs, channels = in_channels[-1], config.channels
        widths = [inputs] + [channels] * config.convolutions
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.convolutions = nn.Sequential(*(ConvBnRelu(a, b, 3) for a, b in pairs))
        self.concat = ConvBnRelu(inputs + widths[-1], channels, 3) if config.concat_input else None
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = classifier(channels if config.concat_input else widths[-1], classes)
        initialise(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        y = self.convolutions(x)
        if self.concat is not None:
            y = self.concat(torch.cat([x, y], dim=1))
        return self.classifier(self.dropout(y))
