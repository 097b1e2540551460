"""Wide 3x3 convolutions on a CPU, trained with fewer multiplications.

By Winograd's minimal filtering (`dmnet.winograd`):

    forward       M = V U^T of every group,           y = A^T M A
    input         the gradient of x is y's convolved with the filters turned by 180 degrees
    weights       dU = (A dy A^T)^T V of every group, dw = G^T dU G

Or tap by tap (`dmnet.taps`) where a large dilation leaves more to save: matrix products of the
pixels that a tap reaches. With channels outermost oneDNN multiplies the padding, too.

`use_fast_convolutions` puts them in the place of a model's own; names and parameters stay. What is
computed agrees with PyTorch's convolutions to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dmnet import taps
from dmnet.winograd.matrices import TILES, Tile
from dmnet.winograd.tiles import Costs, counts
from dmnet.winograd.transforms import (
    filters_by_kernel,
    fits,
    fits_kernels,
    gradient_tiles,
    input_tiles,
    output_maps,
    turned,
    weights_by_kernel,
)

# Products of the direct convolution for one of these, from which either way pays.
WINOGRAD = Costs(TILES["float"], least_saving=2.2)
LEAST_SAVING_BY_TAPS = 1.5
# C K / (C + K) of C inputs and K outputs. Below, transforming and rearranging the maps takes too
# large a part of what is saved.
LEAST_WIDTH = 100
# Tiles, in whole images: those of a large batch would take a multiple of the memory of its maps.
AT_ONCE = 1024


class FastConv2d(nn.Conv2d):
    """In training mode with fewer multiplications where that pays, else PyTorch's own."""

    def forward(self, input: Tensor) -> Tensor:
        float32 = input.dtype == self.weight.dtype == torch.float32
        if not (self.training and input.is_cpu and float32):
            return super().forward(input)
        n, _, h, w = input.shape
        d = int(self.dilation[0])
        tile = WINOGRAD.best_tile(n, h, w, d)
        if tile is not None:
            y = _ByWinograd.apply(input, self.weight, tile, d)
        elif taps.saving(h, w, d) >= LEAST_SAVING_BY_TAPS:
            y = _ByTaps.apply(input, self.weight, d)
        else:
            return super().forward(input)
        return y if self.bias is None else y + self.bias[:, None, None]


class _ByWinograd(torch.autograd.Function):
    """x (n, C, h, w), weight (K, C, 3, 3) -> y (n, K, h, w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tile: Tile, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tile, ctx.dilation = tile, dilation
        filters = filters_by_kernel(weight, tile)
        return convolved(x, filters.transpose(1, 2), tile, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            filters = filters_by_kernel(weight, ctx.tile, half_turn=True)
            of_x = convolved(dy, filters, ctx.tile, ctx.dilation)
            del filters  # as large as what comes next
        if ctx.needs_input_grad[1]:
            of_u: Tensor | None = None
            at_once = images_at_once(x, ctx.tile, ctx.dilation)
            for some_x, some_dy in zip(x.split(at_once), dy.split(at_once), strict=True):
                v = input_tiles([inner(some_x)], ctx.tile, ctx.dilation)
                m = gradient_tiles(inner(some_dy), ctx.tile, ctx.dilation)
                factors = by_group(m).transpose(1, 2), by_group(v)
                of_u = torch.bmm(*factors) if of_u is None else of_u.baddbmm_(*factors)
            assert of_u is not None
            of_weight = weights_by_kernel(of_u, ctx.tile)
        return of_x, of_weight, None, None


def convolved(x: Tensor, filters: Tensor, tile: Tile, dilation: int) -> Tensor:
    """x (n, C, h, w) by transformed filters (g, C, K) -> (n, K, h, w)."""
    outputs, parts = filters.shape[-1], []
    for some in x.split(images_at_once(x, tile, dilation)):
        v = input_tiles([inner(some)], tile, dilation)
        products = torch.bmm(by_group(v), filters)
        m = products.transpose(0, 1).contiguous().view(*v.shape[:-1], outputs)
        size = (x.shape[2], x.shape[3])
        parts.append(outer(output_maps(m, torch.zeros(outputs), tile, size, relu=False)))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def images_at_once(x: Tensor, tile: Tile, dilation: int) -> int:
    down, across = counts(x.shape[2], x.shape[3], tile, dilation)
    return max(1, AT_ONCE // (down * across * dilation**2))


def by_group(tiles: Tensor) -> Tensor:
    """(..., g, C) -> (g, tiles, C)."""
    return tiles.flatten(0, -3).transpose(0, 1)


class _ByTaps(torch.autograd.Function):
    """x (n, C, h, w), weight (K, C, 3, 3) -> y (n, K, h, w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        images = inner(x)
        y = images.new_zeros((*images.shape[:3], len(weight)))
        for tap in taps.taps(x.shape[2], x.shape[3], dilation):
            y[:, *tap.output] += images[:, *tap.input] @ weight[:, :, tap.row, tap.column].t()
        return outer(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        images, of_y = inner(x), inner(dy)
        of_x = torch.zeros_like(images) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for tap in taps.taps(x.shape[2], x.shape[3], ctx.dilation):
            part = of_y[:, *tap.output].flatten(0, 2)
            if of_x is not None:
                place = of_x[:, *tap.input]
                place += (part @ weight[:, :, tap.row, tap.column]).view(place.shape)
            if of_weight is not None:
                of_weight[:, :, tap.row, tap.column] = part.t() @ images[:, *tap.input].flatten(
                    0, 2
                )
        return None if of_x is None else outer(of_x), of_weight, None


def inner(x: Tensor) -> Tensor:
    """(n, C, h, w) -> (n, h, w, C)."""
    n, channels, h, w = x.shape
    return turned(x.flatten(2)).view(n, h, w, channels)


def outer(y: Tensor) -> Tensor:
    """(n, h, w, K) -> (n, K, h, w)."""
    n, h, w, channels = y.shape
    return turned(y.flatten(1, 2)).view(n, channels, h, w)


def use_fast_convolutions(model: nn.Module) -> int:
    """Replace the convolutions that can be, in place; returns how many."""
    count = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Conv2d and can_be_fast(child):
                setattr(module, name, taken_over(child))
                count += 1
    return count


def can_be_fast(conv: nn.Conv2d) -> bool:
    """Of the kind that Winograd's are, wide, and with channels that the kernels take."""
    inputs, outputs = conv.in_channels, conv.out_channels
    wide = inputs * outputs >= LEAST_WIDTH * (inputs + outputs)
    return fits(conv) and wide and fits_kernels([inputs, outputs])


def taken_over(conv: nn.Conv2d) -> FastConv2d:
    """With the very parameters of `conv`."""
    with torch.device("meta"):  # where nothing is drawn
        result = FastConv2d(
            conv.in_channels,
            conv.out_channels,
            3,
            padding=conv.dilation[0],
            dilation=conv.dilation[0],
            bias=conv.bias is not None,
        )
    result.weight, result.bias = conv.weight, conv.bias
    return result.train(conv.training)
