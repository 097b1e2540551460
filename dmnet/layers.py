"""Small layers that every network here is made of. Shapes are (n, channels, h, w)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dmnet import fixed_order


class ConvBn(nn.Sequential):
    """Convolution without bias and batch normalisation; 'same' padding.

    An even kernel gets its extra row and column of padding at the left and top. With a stride the
    size is divided and rounded up.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int = 1,
        dilation: int = 1,
        groups: int = 1,
        stride: int = 1,
    ) -> None:
        padding = same_padding(kernel_size, dilation)
        symmetric = padding[0] == padding[1]
        conv = nn.Conv2d(
            inputs,
            outputs,
            kernel_size,
            stride=stride,
            padding=padding[0] if symmetric else 0,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        super().__init__()
        if not symmetric:
            self.add_module("pad", nn.ZeroPad2d(padding))
        self.add_module("conv", conv)
        self.add_module("bn", nn.BatchNorm2d(outputs))


class ConvBnRelu(ConvBn):
    """`ConvBn` followed by ReLU."""

    def __init__(self, *sizes: int, **settings: int) -> None:
        super().__init__(*sizes, **settings)
        self.add_module("relu", nn.ReLU(inplace=True))


def same_padding(kernel_size: int, dilation: int = 1) -> tuple[int, int, int, int]:
    """(left, right, top, bottom) that keep height and width at stride 1."""
    total = dilation * (kernel_size - 1)
    before = (total + 1) // 2
    return before, total - before, before, total - before


def resize_bilinear(x: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Bilinear interpolation to `size` = (height, width), without antialiasing (section 4.1)."""
    if fixed_order.is_asked_for(x):
        return fixed_order.resized(x, size, align_corners)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def average_pool(x: Tensor, size: int) -> Tensor:
    """Means over `size` x `size` parts of the map, which overlap where it is not a multiple."""
    if fixed_order.is_asked_for(x):
        return fixed_order.average_pooled(x, size)
    return F.adaptive_avg_pool2d(x, size)


def initialise(module: nn.Module) -> None:
    """He initialisation of the convolutions that feed a ReLU, as ResNet's own; unit batch norm.

    A plain `nn.Conv2d` with a bias (classifier, filter generator) sets its own start.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            he_normal(layer.weight)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def he_normal(weight: Tensor) -> None:
    """He initialisation by the number of outputs, for a ReLU; in place."""
    if weight.is_meta:  # no values; and drawing none takes PyTorch's compiler, a second to import
        return
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def reset_to_torch(module: nn.Module) -> None:
    """PyTorch's own initialisation of the layers, in place of `initialise` and `classifier`."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            layer.reset_parameters()


def classifier(channels: int, classes: int) -> nn.Conv2d:
    """The 1x1 convolution to one score map per class; weights from N(0, 0.01), as in the zoos."""
    layer = nn.Conv2d(channels, classes, 1)
    if not layer.weight.is_meta:  # as in `he_normal`
        nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
