"""DeepLabV3's head: atrous spatial pyramid pooling (Chen et al., 2017, section 3.3).

    x     (n, C, h, w)            stage 5 of the backbone
    p     (n, c, h, w)            image pooling: mean over the map, 1x1 convolution, spread again
    b_r   (n, c, h, w)            3x3 convolution with dilation r; 1x1 for r = 1
    y     (n, (1 + m) c, h, w)    concat of p and the m branches -> 3x3 -> dropout -> 1x1

Every convolution but the last is followed by BN and ReLU. In training, batch normalisation of the
pooled maps needs two images per batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmnet.config import ASPPHeadConfig
from dmnet.layers import ConvBnRelu, classifier, initialise


class ASPPHead(nn.Module):
    """Forward: features, the last of which is used -> logits (n, classes, h, w)."""

    def __init__(self, config: ASPPHeadConfig, in_channels: Sequence[int], classes: int) -> None:
        super().__init__()
        inputs, channels = in_channels[-1], config.channels
        self.image_pooling = ConvBnRelu(inputs, channels)
        self.branches = nn.ModuleList(
            ConvBnRelu(inputs, channels, kernel_size=1 if rate == 1 else 3, dilation=rate)
            for rate in config.dilations
        )
        self.bottleneck = ConvBnRelu((1 + len(self.branches)) * channels, channels, 3)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = classifier(channels, classes)
        initialise(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        pooled = self.image_pooling(x.mean(dim=(2, 3), keepdim=True))
        # Resizing a 1x1 map repeats its value, whatever align_corners is.
        scales = [pooled.expand(-1, -1, *x.shape[2:])]
        scales += [branch(x) for branch in self.branches]
        return self.classifier(self.dropout(self.bottleneck(torch.cat(scales, dim=1))))
