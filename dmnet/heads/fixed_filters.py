"""DMNet's head with its context-aware filters replaced by fixed ones (section 4.2).

    x (n, C, h, w) -> 1x1 reduction -> k x k convolution -> 1x1 fusion -> (n, c, h, w)

`MultiKernelHead` (Table 1) varies the kernel size, Inception-like; `DilatedHead` (Table 2) keeps
3 x 3 and varies the dilation rate, ASPP-like. Either is regular (all channels) or depthwise.
Every convolution is followed by BN and ReLU, as in the Dynamic Convolutional Module.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dmnet.config import DilatedHeadConfig, MultiKernelHeadConfig
from dmnet.heads.multi_branch import MultiBranchHead
from dmnet.layers import ConvBnRelu


class FixedFilterBranch(nn.Module):
    """x (n, C, h, w) -> (n, channels, h, w); the context is not looked at."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        dilation: int,
        depthwise: bool,
        fusion: bool,
    ) -> None:
        super().__init__()
        self.reduction = ConvBnRelu(in_channels, channels)
        groups = channels if depthwise else 1
        self.filter = ConvBnRelu(channels, channels, kernel_size, dilation, groups)
        self.fusion = ConvBnRelu(channels, channels) if fusion else nn.Identity()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.fusion(self.filter(self.reduction(x)))


class MultiKernelHead(MultiBranchHead):
    """Table 1, rows 'Regular conv' and 'Depthwise conv'."""

    def __init__(
        self, config: MultiKernelHeadConfig, in_channels: Sequence[int], classes: int
    ) -> None:
        c, last = config, in_channels[-1]
        branches = [
            FixedFilterBranch(last, c.channels, kernel_size, 1, c.depthwise, c.fusion)
            for kernel_size in c.kernel_sizes
        ]
        super().__init__(branches, last, c.channels, classes, c.dropout)


class DilatedHead(MultiBranchHead):
    """Table 2, rows 'Dilated'."""

    def __init__(self, config: DilatedHeadConfig, in_channels: Sequence[int], classes: int) -> None:
        c, last = config, in_channels[-1]
        branches = [
            FixedFilterBranch(last, c.channels, 3, dilation, c.depthwise, c.fusion)
            for dilation in c.dilations
        ]
        super().__init__(branches, last, c.channels, classes, c.dropout)
