"""BiSeNetV2: a wide, shallow branch for detail, a narrow, deep one for meaning (Yu et al., 2021).

    image (n, 3, h, w)
    detail branch      3 stages of 3x3 convolutions                      (n, d, h/8, w/8)
    semantic branch    stage 2: stem block                               (n, c2, h/4, w/4)
                       stage 3: gather-and-expansion layers              (n, c3, h/8, w/8)
                       stage 4: gather-and-expansion layers              (n, c4, h/16, w/16)
                       stage 5: gather-and-expansion layers              (n, d, h/32, w/32)
                       context embedding                                 (n, d, h/32, w/32)
    guided aggregation of the detail branch and the context embedding    (n, d, h/8, w/8)

The numbers of the stages are the paper's (table 1), and their strides are those of ResNet's stages.
Sizes are rounded up. Normalisation and activation stand where mmsegmentation puts them: after the
depthwise expansion and after the context embedding's last convolution too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmnet.config import BiSeNetV2Config
from dmnet.layers import ConvBn, ConvBnRelu, he_normal, initialise, resize_bilinear


class BiSeNetV2(nn.Module):
    """Forward: (n, 3, h, w) -> stages 2 to 5, then the aggregated feature on which a head works.

    So an auxiliary head finds its stage where ResNet has it, and the last map is the head's. In
    training, batch normalisation of the context embedding needs two images per batch.
    """

    def __init__(self, config: BiSeNetV2Config) -> None:
        super().__init__()
        c2, c3, c4, c5 = config.semantic_channels
        self.channels = (c2, c3, c4, c5, config.aggregation_channels)
        self.detail = detail_branch(config.detail_channels)
        self.stem = StemBlock(c2)
        self.stage3 = gather_expansion_stage(c2, c3, 2, config.expansion)
        self.stage4 = gather_expansion_stage(c3, c4, 2, config.expansion)
        self.stage5 = gather_expansion_stage(c4, c5, 4, config.expansion)
        self.context = ContextEmbedding(c5)
        self.aggregation = GuidedAggregation(config.aggregation_channels)
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        stage2 = self.stem(images)
        stage3 = self.stage3(stage2)
        stage4 = self.stage4(stage3)
        stage5 = self.stage5(stage4)
        aggregated = self.aggregation(self.detail(images), self.context(stage5))
        return stage2, stage3, stage4, stage5, aggregated


def detail_branch(channels: tuple[int, int, int]) -> nn.Sequential:
    """(n, 3, h, w) -> (n, channels[2], h/8, w/8): three stages, each of which starts with stride 2.

    The first has two convolutions, the others three.
    """
    stages, inputs = [], 3
    for outputs, convolutions in zip(channels, (2, 3, 3), strict=True):
        down = ConvBnRelu(inputs, outputs, 3, stride=2)
        rest = [ConvBnRelu(outputs, outputs, 3) for _ in range(convolutions - 1)]
        stages.append(nn.Sequential(down, *rest))
        inputs = outputs
    return nn.Sequential(*stages)


class StemBlock(nn.Module):
    """(n, 3, h, w) -> (n, c, h/4, w/4): strided convolutions beside max-pooling, fused."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBnRelu(3, channels, 3, stride=2)
        self.narrow = ConvBnRelu(channels, channels // 2)
        self.down = ConvBnRelu(channels // 2, channels, 3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse = ConvBnRelu(2 * channels, channels, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(images)
        return self.fuse(torch.cat([self.down(self.narrow(x)), self.pool(x)], dim=1))


def gather_expansion_stage(inputs: int, outputs: int, layers: int, expansion: int) -> nn.Sequential:
    """(n, inputs, h, w) -> (n, outputs, h/2, w/2): the first layer has stride 2."""
    first = GatherExpansion(inputs, outputs, expansion, stride=2)
    rest = [GatherExpansion(outputs, outputs, expansion, stride=1) for _ in range(layers - 1)]
    return nn.Sequential(first, *rest)


class GatherExpansion(nn.Module):
    """(n, inputs, h, w) -> (n, outputs, h/stride, w/stride), with a residual connection.

    3x3 gathers, depthwise 3x3 expands to `expansion` times the channels, 1x1 projects.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.gather = ConvBnRelu(inputs, inputs, 3)
        self.expand: nn.Module
        self.shortcut: nn.Module
        if stride == 1:
            self.expand = nn.Sequential(ConvBnRelu(inputs, wide, 3, groups=inputs))
            self.shortcut = nn.Identity()
        else:
            self.expand = nn.Sequential(
                ConvBn(inputs, wide, 3, groups=inputs, stride=stride),
                ConvBnRelu(wide, wide, 3, groups=wide),
            )
            self.shortcut = nn.Sequential(
                ConvBn(inputs, inputs, 3, groups=inputs, stride=stride), ConvBn(inputs, outputs)
            )
        self.project = ConvBn(wide, outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.expand(self.gather(x)))
        return self.relu(y + self.shortcut(x))


class ContextEmbedding(nn.Module):
    """(n, c, h, w) -> the same size: adds what the mean over the map says to every place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.embed = ConvBnRelu(channels, channels)
        self.last = ConvBnRelu(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        context = self.embed(self.bn(x.mean(dim=(2, 3), keepdim=True)))
        return self.last(x + context)


class GuidedAggregation(nn.Module):
    """Detail (n, c, h, w) and semantic (n, c, h/4, w/4) -> (n, c, h, w).

    Each branch is gated by the sigmoid of the other, at both resolutions; the two are summed at
    the finer one. All resizing is bilinear without align_corners, as in the released models.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail_fine = separable(channels)
        self.detail_coarse = nn.Sequential(
            ConvBn(channels, channels, 3, stride=2), nn.AvgPool2d(3, stride=2, padding=1)
        )
        self.semantic_fine = ConvBn(channels, channels, 3)
        self.semantic_coarse = separable(channels)
        self.fuse = ConvBnRelu(channels, channels, 3)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        size = (detail.shape[2], detail.shape[3])
        fine_gate = torch.sigmoid(resize_bilinear(self.semantic_fine(semantic), size))
        fine = self.detail_fine(detail) * fine_gate
        coarse_gate = torch.sigmoid(self.semantic_coarse(semantic))
        coarse = self.detail_coarse(detail) * coarse_gate
        return self.fuse(fine + resize_bilinear(coarse, size))


def separable(channels: int) -> nn.Sequential:
    """Depthwise 3x3 with BN, then 1x1 with a bias and nothing after it."""
    pointwise = nn.Conv2d(channels, channels, 1)
    he_normal(pointwise.weight)
    assert pointwise.bias is not None
    nn.init.zeros_(pointwise.bias)
    return nn.Sequential(ConvBn(channels, channels, 3, groups=channels), pointwise)
