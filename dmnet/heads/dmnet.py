"""DMNet's head: Dynamic Convolutional Modules (section 3.2, equation 1).

    x        (n, C, h, w)    stage 5 of the backbone
    f_k(x)   (n, c, h, w)    feature reduction: 1x1 convolution, BN, ReLU
    g_k(x)   (n, c, k, k)    context-aware filters: adaptive pooling to k x k, 1x1 convolution
    h_k      (n, c, h, w)    f_k(x) convolved per sample and channel with g_k(x); BN, ReLU
    O_k      (n, c, h, w)    1x1 fusion of the channels: convolution, BN, ReLU

The paper names neither normalisation nor activation; they stand where the zoos put them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.config import DMNetHeadConfig
from dmnet.heads.multi_branch import MultiBranchHead
from dmnet.layers import ConvBnRelu, average_pool, same_padding


def dynamic_convolution(x: Tensor, filters: Tensor) -> Tensor:
    """Convolve every channel of every sample with its own filter, keeping the size.

    x: (n, c, h, w), filters: (n, c, k, k) -> (n, c, h, w). For even k the extra row and column of
    padding lie at the left and top.
    """
    n, c, h, w = x.shape
    k = filters.shape[-1]
    x = x.reshape(1, n * c, h, w)
    filters = filters.reshape(n * c, 1, k, k)
    if k % 2:
        x = F.conv2d(x, filters, padding=k // 2, groups=n * c)
    else:
        x = F.conv2d(F.pad(x, same_padding(k)), filters, groups=n * c)
    return x.reshape(n, c, h, w)


class DynamicConvolutionalModule(nn.Module):
    """One scale: x (n, C, h, w) and context (n, D, h', w') -> O_k (n, channels, h, w)."""

    def __init__(
        self, in_channels: int, context_channels: int, channels: int, kernel_size: int, fusion: bool
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.filter_generator = nn.Conv2d(context_channels, channels, 1)
        self.reduction = ConvBnRelu(in_channels, channels)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.fusion = ConvBnRelu(channels, channels) if fusion else nn.Identity()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        filters = self.filter_generator(average_pool(context, self.kernel_size))
        h = dynamic_convolution(self.reduction(x), filters)
        return self.fusion(self.relu(self.bn(h)))


class DMNetHead(MultiBranchHead):
    """One module per kernel size, side by side with the backbone's feature."""

    def __init__(self, config: DMNetHeadConfig, in_channels: Sequence[int], classes: int) -> None:
        branches = [
            DynamicConvolutionalModule(
                in_channels[-1],
                in_channels[config.context_stage - 2],
                config.channels,
                kernel_size,
                config.fusion,
            )
            for kernel_size in config.kernel_sizes
        ]
        super().__init__(
            branches,
            in_channels[-1],
            config.channels,
            classes,
            config.dropout,
            config.context_stage,
        )
