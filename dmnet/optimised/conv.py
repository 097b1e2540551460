"""A convolution with what follows it, batch normalisation folded into its weights.

    y = activation(conv(x, w') + b' [+ residual]),  w' = w s,  b' = beta + (b - mean) s,
    s = gamma / sqrt(variance + eps), one per output channel

Tensors keep their channels innermost (channels_last), so oneDNN reads and writes them as they lie.
On a CPU oneDNN also applies the activation and adds the residual. Which layout of the weights it
works with depends on the image's size, and to get from one of its layouts to another takes it
longer than the convolution itself; from ours, a few per cent of it. So they are laid out once for
each of the first sizes, and from ours for every other image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST_SIZES = 4  # of images, that a layer keeps weights laid out for

Weights = tuple[Tensor, Tensor]  # (outputs, inputs / groups, h, w) and (outputs,), float64


def scale_and_shift(bn: nn.BatchNorm2d) -> Weights:
    """Evaluation-mode batch normalisation as (s, t) with bn(x) = s x + t, in float64."""
    assert bn.running_mean is not None and bn.running_var is not None
    scale = bn.weight.detach().double() / (bn.running_var.double() + bn.eps).sqrt()
    return scale, bn.bias.detach().double() - bn.running_mean.double() * scale


def folded(conv: nn.Conv2d, bn: nn.BatchNorm2d | None) -> Weights:
    """Weight and bias of the convolution that does what `conv` and then `bn` do."""
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()
    if bn is None:
        return weight, bias
    scale, shift = scale_and_shift(bn)
    return weight * scale[:, None, None, None], bias * scale + shift


def by_onednn(x: Tensor) -> bool:
    """Whether oneDNN's own operations, which PyTorch has on most CPUs, can take it."""
    return x.device.type == "cpu" and torch.backends.mkldnn.is_available()


def concatenated(maps: Sequence[Tensor]) -> Tensor:
    """(n, c_i, h, w) -> (n, sum of c_i, h, w) with the channels innermost.

    torch.cat may move them outermost, as the strides of a single image leave its layout open; to
    move them back takes longer than the convolution's own reading.
    """
    n, _, h, w = maps[0].shape
    channels = [part.shape[1] for part in maps]
    result = torch.empty(
        (n, sum(channels), h, w),
        dtype=maps[0].dtype,
        device=maps[0].device,
        memory_format=torch.channels_last,
    )
    for part, place in zip(maps, result.split(channels, dim=1), strict=True):
        place.copy_(part)
    return result


def repeated(x: Tensor, times: int) -> Tensor:
    """(n, c, h, w), channels innermost -> (n, c times, h, w) too: each channel, in a row.

    torch.repeat_interleave moves them outermost on the way, which takes longer than the copies.
    """
    channels_last = x.permute(0, 2, 3, 1)
    copies = channels_last.unsqueeze(-1).expand(*channels_last.shape, times)
    return copies.reshape(*channels_last.shape[:3], -1).permute(0, 3, 1, 2)


class FusedConv(nn.Module):
    """Forward: (n, inputs, h, w) -> (n, outputs, h', w'), float32."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weights: Weights,
        like: nn.Conv2d,
        relu: bool = False,
        before: tuple[int, int, int, int] | None = None,
    ) -> None:
        """`like` gives stride, padding, dilation and groups; `before` is (left, right, top, bottom)
        padding of its own."""
        super().__init__()
        weight, bias = weights
        lasting = torch.channels_last
        self.register_buffer("weight", weight.float().contiguous(memory_format=lasting))
        self.register_buffer("bias", bias.float())
        self.stride, self.dilation = list(like.stride), list(like.dilation)
        assert not isinstance(like.padding, str)
        self.padding, self.groups = list(like.padding), like.groups
        # Several outputs for each input channel: oneDNN is fast where it is one, so the channels
        # are repeated first.
        self.repeats = 1
        if self.groups == like.in_channels > 1:
            self.repeats = like.out_channels // like.in_channels
            self.groups = like.out_channels
        self.relu, self.before = relu, before
        self.packed: dict[tuple[int, ...], Tensor] = {}

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """`residual` is overwritten."""
        x = x.contiguous(memory_format=torch.channels_last)
        if self.before is not None:
            x = F.pad(x, self.before)
        if self.repeats > 1:
            x = repeated(x, self.repeats)
        return self._onednn(x, residual) if by_onednn(x) else self._plain(x, residual)

    def _plain(self, x: Tensor, residual: Tensor | None) -> Tensor:
        y = F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        if residual is not None:
            y += residual
        return y.relu_() if self.relu else y

    def _onednn(self, x: Tensor, residual: Tensor | None) -> Tensor:
        ops, weight = torch.ops.mkldnn, self._laid_out(x)
        settings = (self.padding, self.stride, self.dilation, self.groups)
        unary = "relu" if self.relu else "none"
        if residual is None:
            return ops._convolution_pointwise(x, weight, self.bias, *settings, unary, [], "")
        return ops._convolution_pointwise_.binary(
            residual, x, weight, self.bias, *settings, "add", 1.0, unary, [], ""
        )

    def _laid_out(self, x: Tensor) -> Tensor:
        """The weights as oneDNN wants them for images of this size, or as they are."""
        size = tuple(x.shape)
        if size not in self.packed and len(self.packed) < MOST_SIZES:
            self.packed[size] = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, self.dilation, self.groups, list(size)
            )
        return self.packed.get(size, self.weight)


class FusedResidual(nn.Module):
    """Forward: x -> ReLU(last(body(x)) + shortcut(x)); `last`, built with the ReLU, writes the sum.

    That overwrites the shortcut's memory. Where the shortcut is the block's own input, that
    input is lost: so it is in every block but the first of a stage, whose input may be a feature
    map that a head reads and which has a convolution as its shortcut.
    """

    def __init__(self, body: nn.Module, last: FusedConv, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.last, self.shortcut = body, last, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.body(x), self.shortcut(x))
        return y
