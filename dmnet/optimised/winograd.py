"""Dense 3x3 convolutions of stride 1 by Winograd's minimal filtering, dilated ones by phases.

    x  (n, h, w, C)     with dilation d, the pixels of one phase (row mod d, column mod d) form an
                        image of their own, which is convolved without dilation
    V  (tiles, g, C)    B^T x B of every tile of (m_h + 2) x (m_w + 2) = g pixels
    U  (g, K, C)        G w G^T
    M  (tiles, g, K)    g matrix products
    y  (n, h, w, K)     A^T M A: m_h x m_w pixels per tile

A tile of 4 x 4 pixels takes 36 products per pair of channels instead of 144. Which tiles waste the
least at the border depends on the image and the dilation, so height and width each choose among
2, 3 and 4. The filters are transformed once, and the g products are one convolution with g groups.
Where too little is saved the direct convolution stays.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.optimised import tiles
from dmnet.optimised.conv import FusedConv, Weights, by_onednn
from dmnet.optimised.matrices import Tile
from dmnet.optimised.tiles import FILLED, groups
from dmnet.optimised.transforms import input_tiles, output_maps, transformed_filters

# Kinds of tiles that a layer has filters for, those of the first images. Each kind takes up to four
# times the memory of the weights.
MOST_TILES = 2


class WinogradConv(nn.Module):
    """Forward: (n, inputs, h, w) -> (n, outputs, h, w), float32."""

    def __init__(self, weights: Weights, like: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.direct = FusedConv(weights, like, relu)
        self.relu, self.dilation = relu, like.dilation[0]
        self.filters: dict[Tile, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        tile = self.tile_for(n, h, w)
        if tile is None or not by_onednn(x):
            return self.direct(x)
        transformed = input_tiles(x.permute(0, 2, 3, 1).contiguous(), tile, self.dilation)
        products = self.multiply(transformed, tile)
        bias, shape = self.direct.bias, (n, h, w)
        y = output_maps(products, bias, tile, self.dilation, shape, self.relu)
        return y.permute(0, 3, 1, 2)

    def tile_for(self, n: int, height: int, width: int) -> Tile | None:
        """The best one, or the best of those whose filters are there when there are enough."""
        shape = (n, height, width, self.dilation)
        best = tiles.best_tile(*shape)
        if best is None or best in self.filters or len(self.filters) < MOST_TILES:
            return best
        return tiles.best_tile(*shape, self.filters)

    def multiply(self, transformed: Tensor, tile: Tile) -> Tensor:
        """(tiles, g, C) -> (tiles, g, K): a 1x1 convolution with one group per product.

        oneDNN lays its weights out differently for different numbers of pixels, and takes ten times
        as long as for the products to get from one layout to another. So it always gets as many.
        """
        settings = ([0, 0], [1, 1], [1, 1], groups(tile))
        ops = torch.ops.mkldnn
        rows = transformed.flatten(1)
        if tile not in self.filters:
            filters = transformed_filters(self.direct.weight, tile).flatten(0, 1)[:, :, None, None]
            shape = [1, rows.shape[1], 1, FILLED]
            self.filters[tile] = ops._reorder_convolution_weight(filters, *settings, shape)
        parts = []
        for part in rows.split(FILLED):
            missing = FILLED - len(part)
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
        joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        return joined.unflatten(1, (groups(tile), -1))
