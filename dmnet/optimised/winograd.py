"""Convolutions of an optimised model by Winograd's minimal filtering (`dmnet.winograd`).

The filters are transformed once, and the g products are one convolution with g groups. Where too
little is saved the direct convolution stays.

In bf16 x, V, U, M and y are rounded to it and all sums are float32. With tiles of 2 x 2 the error
is less than twice that of the direct convolution in bf16, with larger ones more; so only these.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.optimised.conv import FusedConv, Weights, by_onednn, concatenated
from dmnet.winograd.matrices import TILES, Tile
from dmnet.winograd.tiles import Costs, counts, groups
from dmnet.winograd.transforms import (
    C_NAMES,
    fits_kernels,
    input_tiles,
    output_maps,
    transformed_filters,
)

COSTS = {
    "float": Costs(TILES["float"], least_saving=2.0, filled=128),
    "bf16": Costs(TILES["bf16"], least_saving=1.6),
}
# Kinds of tiles that a layer has filters for, those of the first images. Each kind takes up to four
# times the memory of the weights.
MOST_TILES = 2
AT_ONCE = {"float": 128, "bf16": 1024}  # tiles whose products are one operation


class WinogradConv(nn.Module):
    """Forward: maps (n, C_i, h, w) whose concatenation is meant -> (n, outputs, h, w) in `dtype`.

    dtype: float32 or bfloat16.
    """

    def __init__(
        self,
        weights: Weights,
        like: nn.Conv2d,
        relu: bool,
        with_kernels: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.direct = FusedConv(weights, like, relu, dtype=dtype)
        self.relu, self.dtype, self.kind = relu, dtype, C_NAMES[dtype]
        self.dilation, self.with_kernels = like.dilation[0], with_kernels
        self.filters: dict[Tile, Tensor] = {}

    def forward(self, *maps: Tensor) -> Tensor:
        tile = self.tile_for(len(maps[0]), maps[0].shape[2], maps[0].shape[3])
        if tile is None or not by_onednn(maps[0]):
            return self.direct(concatenated(maps) if len(maps) > 1 else maps[0])
        images = [m.to(self.dtype).permute(0, 2, 3, 1).contiguous() for m in maps]  # (n, h, w, C_i)
        n, h, w, _ = images[0].shape
        d, (down, across) = self.dilation, counts(h, w, tile, self.dilation)
        outputs, channels = self.direct.weight.shape[:2]
        fast = self.with_kernels and fits_kernels([m.shape[-1] for m in images] + [outputs])
        transformed = input_tiles(images, tile, d, fast)
        products = self.multiply(transformed.view(-1, groups(tile) * channels), tile)
        shape = (n, down, d, across, d, groups(tile), outputs)
        bias = self.direct.bias.float()
        result = output_maps(products.view(shape), bias, tile, (h, w), self.relu, fast)
        return result.permute(0, 3, 1, 2)

    def tile_for(self, n: int, height: int, width: int) -> Tile | None:
        """The best one, or the best of those whose filters are there when there are enough."""
        costs, shape = COSTS[self.kind], (n, height, width, self.dilation)
        best = costs.best_tile(*shape)
        if best is None or best in self.filters or len(self.filters) < MOST_TILES:
            return best
        return costs.best_tile(*shape, self.filters)

    def multiply(self, transformed: Tensor, tile: Tile) -> Tensor:
        """(tiles, g C) -> (tiles, g K): a 1x1 convolution with one group per product.

        In float32 oneDNN lays its weights out differently for different numbers of pixels, and
        takes ten times as long as for the products to get from one layout to another. So it always
        gets as many. In bf16 it has one layout, and is the faster the more it gets.
        """
        at_once, filled = AT_ONCE[self.kind], COSTS[self.kind].filled
        settings = ([0, 0], [1, 1], [1, 1], groups(tile))
        ops = torch.ops.mkldnn
        if tile not in self.filters:
            filters = transformed_filters(self.direct.weight, tile).flatten(0, 1)[:, :, None, None]
            shape = [1, transformed.shape[1], 1, at_once]
            self.filters[tile] = ops._reorder_convolution_weight(
                filters.to(self.dtype), *settings, shape
            )
        parts = []
        for part in transformed.split(at_once):
            missing = -len(part) % filled
            row = F.pad(part, (0, 0, 0, missing)) if missing else part
            products = ops._convolution_pointwise(
                row[None, None].permute(0, 3, 1, 2),
                self.filters[tile],
                None,
                *settings,
                "none",
                [],
                "",
            )
            parts.append(products.permute(0, 2, 3, 1)[0, 0, : len(part)])
        return parts[0] if len(parts) == 1 else torch.cat(parts)
