"""ResNet-50/101 whose last stages keep their resolution by dilation (section 4.1).

    image (n, 3, h, w) -> stem, /4 -> stage 2 (4w) -> stage 3 (8w) -> stage 4 (16w) -> stage 5 (32w)
    stride of stages 2..5:  output stride 8: 4, 8, 8, 8     output stride 16: 4, 8, 16, 16
    dilation of stages 2..5:                 1, 1, 2, 4                       1, 1, 1, 2

The first block of a dilated stage keeps the dilation of the stage before it, as in the dilated
ResNets that the paper cites and in torchvision. Parameter names are torchvision's, so its ImageNet
weights load as they are (plain stem, width 64); tests/dmnet/backbones compares with its ResNet.
torchvision itself is not imported: it brings PyTorch's compiler along, nearly half of an
evaluation's start.
"""

from __future__ import annotations

from torch import Tensor, nn

from dmnet.config import ResNetConfig
from dmnet.layers import initialise

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
STRIDES = {8: (1, 2, 1, 1), 16: (1, 2, 2, 1)}
DILATIONS = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2)}


class Bottleneck(nn.Module):
    """1x1 to `planes`, 3x3 with stride and dilation, 1x1 to 4 x `planes`; ReLU after the sum.

    Forward: (n, inputs, h, w) -> (n, 4 planes, h / stride, w / stride). `downsample` brings the
    input to the output's shape where the two differ. The stride is the 3x3 convolution's, as in
    torchvision and the zoos ("ResNet v1.5").
    """

    expansion = 4

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(
            planes, planes, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x += shortcut
        return self.relu(x)


class ResNet(nn.Module):
    """Forward: (n, 3, h, w) -> the outputs of stages 2 to 5, `channels[i]` channels each."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        width, stem = config.width, config.stem_channels or config.width
        self.channels = tuple(width * 4 * 2**i for i in range(4))
        self.conv1 = deep_stem(stem) if config.stem == "deep" else plain_stem(stem)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs, dilation_before = stem, 1
        for i in range(4):
            dilation = DILATIONS[config.output_stride][i]
            stage = make_stage(
                inputs,
                planes=width * 2**i,
                blocks=BLOCKS[config.depth][i],
                stride=STRIDES[config.output_stride][i],
                first_dilation=dilation_before,
                dilation=dilation,
            )
            self.add_module(f"layer{i + 1}", stage)
            inputs, dilation_before = self.channels[i], dilation
        initialise(self)
        # Every block starts as the identity, which speeds up training from scratch (as in the
        # zoos' ResNet); ImageNet weights replace it.
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        stages = []
        for i in range(4):
            x = self.get_submodule(f"layer{i + 1}")(x)
            stages.append(x)
        return tuple(stages)


def plain_stem(channels: int) -> nn.Module:
    """One 7x7 convolution of stride 2 (He et al., 2016)."""
    return nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)


def deep_stem(channels: int) -> nn.Module:
    """Three 3x3 convolutions in the 7x7's place: ResNetV1c, the zoos' stem."""
    half = channels // 2
    return nn.Sequential(
        nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, half, 3, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, channels, 3, padding=1, bias=False),
    )


def make_stage(
    inputs: int, planes: int, blocks: int, stride: int, first_dilation: int, dilation: int
) -> nn.Sequential:
    outputs = planes * Bottleneck.expansion
    shortcut = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )
    first = Bottleneck(inputs, planes, stride, shortcut, dilation=first_dilation)
    rest = [Bottleneck(outputs, planes, dilation=dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
