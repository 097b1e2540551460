"""Dense 3x3 convolutions of stride 1 by Winograd's minimal filtering, dilated ones by phases.

    x  (n, C, h, w)     with dilation d, the pixels of one phase (row mod d, column mod d) form an
                        image of their own, which is convolved without dilation
    V  (tiles, g, C)    B^T x B of every tile of (m_h + 2) x (m_w + 2) = g pixels
    U  (g, K, C)        G w G^T, once
    M  (tiles, g, K)    g matrix products, as one convolution with g groups
    y  (n, K, h, w)     A^T M A: m_h x m_w pixels per tile; bias and ReLU

A tile of 4 x 4 pixels takes 36 products per pair of channels instead of 144. Which tiles waste the
least at the border depends on the image and the dilation, so height and width each choose among
2, 3 and 4 when they see the image (among those they chose before, when these are many), and where
too little is saved the direct convolution stays.

In bf16 x, V, U, M and y are rounded to it and all sums are float32. With tiles of 2 x 2 the error
is less than twice that of the direct convolution in bf16, with larger ones more; so only these.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.optimised.conv import FusedConv, Weights, by_onednn, concatenated
from dmnet.optimised.winograd_kernels import LANES, MOST_CHANNELS, kernels
from dmnet.optimised.winograd_matrices import TILES, Matrix, Tile, matrices

C_NAMES = {torch.float32: "float", torch.bfloat16: "bf16"}
# Products of the direct convolution for one of Winograd's, from which the transforms pay.
LEAST_SAVING = {"float": 2.0, "bf16": 1.6}
# Kinds of tiles that a layer has filters for, those of the first images. Each kind takes up to four
# times the memory of the weights.
MOST_TILES = 2
AT_ONCE = {"float": 128, "bf16": 1024}  # tiles whose products are one operation
FILLED = {"float": 128, "bf16": 1}  # their number is made a multiple of this, with zeros


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
        d, (down, across) = self.dilation, tiles(h, w, tile, self.dilation)
        outputs, channels = self.direct.weight.shape[:2]
        groups = (tile[0] + 2) * (tile[1] + 2)
        fast = self.with_kernels and fits_kernels([m.shape[-1] for m in images] + [outputs])
        transformed = (input_by_kernel if fast else input_plain)(images, tile, d)
        products = self.multiply(transformed.view(-1, groups * channels), tile)
        shape = (n, down, d, across, d, groups, outputs)
        result = (output_by_kernel if fast else output_plain)(
            products.view(shape), self.direct.bias.float(), tile, (h, w), self.relu
        )
        return result.permute(0, 3, 1, 2)

    def tile_for(self, n: int, height: int, width: int) -> Tile | None:
        """The best one, or the best of those whose filters are there when there are enough."""
        shape = (n, height, width, self.dilation, self.kind)
        best = best_tile(*shape)
        if best is None or best in self.filters or len(self.filters) < MOST_TILES:
            return best
        return best_tile(*shape, self.filters)

    def multiply(self, transformed: Tensor, tile: Tile) -> Tensor:
        """(tiles, g C) -> (tiles, g K): a 1x1 convolution with one group per product.

        In float32 oneDNN lays its weights out differently for different numbers of pixels, and
        takes ten times as long as for the products to get from one layout to another. So it always
        gets as many. In bf16 it has one layout, and is the faster the more it gets.
        """
        at_once, filled = AT_ONCE[self.kind], FILLED[self.kind]
        groups = (tile[0] + 2) * (tile[1] + 2)
        settings = ([0, 0], [1, 1], [1, 1], groups)
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


def tiles(height: int, width: int, tile: Tile, dilation: int) -> tuple[int, int]:
    """How many tiles cover one phase, down and across."""
    return -(-height // (tile[0] * dilation)), -(-width // (tile[1] * dilation))


def saving(n: int, height: int, width: int, dilation: int, kind: str, tile: Tile) -> float:
    """Multiplications of the direct convolution per multiplication of this one."""
    down, across = tiles(height, width, tile, dilation)
    filled = FILLED[kind]
    count = -(-n * down * across * dilation**2 // filled) * filled
    return 9 * n * height * width / (count * (tile[0] + 2) * (tile[1] + 2))


def best_tile(
    n: int,
    height: int,
    width: int,
    dilation: int,
    kind: str = "float",
    among: Iterable[Tile] | None = None,
) -> Tile | None:
    """For n images: the tile with the fewest products, or None where the direct convolution stays.

    kind: a key of TILES; among: of its tiles, by default all.
    """
    shape = (n, height, width, dilation, kind)
    best = max(among or TILES[kind], key=lambda tile: saving(*shape, tile))
    return best if saving(*shape, best) >= LEAST_SAVING[kind] else None


def as_tensor(matrix: Matrix) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in matrix], dtype=torch.float64)


def transformed_filters(weight: Tensor, tile: Tile) -> Tensor:
    """Weights (K, C, 3, 3) -> G w G^T as (g, K, C) float32; computed in float64."""
    left, right = (as_tensor(matrices(m).filter) for m in tile)
    products = torch.einsum("ia,kcab,jb->ijkc", left, weight.double(), right)
    return products.flatten(0, 1).float().contiguous()


# ------------------------------------------------------------------- transforms: PyTorch operations


def input_plain(images: Sequence[Tensor], tile: Tile, d: int) -> Tensor:
    """Maps (n, h, w, C_i) -> (n, down, d, across, d, g, sum of C_i)."""
    x = torch.cat(list(images), -1).float()
    n, h, w, channels = x.shape
    down, across = tiles(h, w, tile, d)
    rows, columns = down * tile[0] + 2, across * tile[1] + 2
    x = F.pad(x, (0, 0, d, (columns - 1) * d - w, d, (rows - 1) * d - h))
    x = x.view(n, rows, d, columns, d, channels)
    lines = [x[:, i : i + (down - 1) * tile[0] + 1 : tile[0]] for i in range(tile[0] + 2)]
    products = []
    for line in combinations(matrices(tile[0]).input, lines):
        cells = [
            line[:, :, :, j : j + (across - 1) * tile[1] + 1 : tile[1]] for j in range(tile[1] + 2)
        ]
        products += combinations(matrices(tile[1]).input, cells)
    return torch.stack(products, dim=-2).to(images[0].dtype)


def output_plain(
    products: Tensor, bias: Tensor, tile: Tile, size: tuple[int, int], relu: bool
) -> Tensor:
    """(n, down, d, across, d, g, K) -> (n, h, w, K)."""
    n, down, d, across, _, _, channels = products.shape
    cells = products.float().unflatten(5, (tile[0] + 2, tile[1] + 2)).unbind(5)
    rows = [
        torch.stack(combinations(matrices(tile[1]).output, row.unbind(5)), dim=4)
        for row in combinations(matrices(tile[0]).output, cells)
    ]
    y = torch.stack(rows, dim=2) + bias  # (n, down, m_h, d, across, m_w, d, K)
    y = y.reshape(n, down * tile[0] * d, across * tile[1] * d, channels)
    y = y[:, : size[0], : size[1]]
    return (y.relu() if relu else y).to(products.dtype).contiguous()


def combinations(matrix: Matrix, terms: Sequence[Tensor]) -> list[Tensor]:
    """One sum of multiples of the terms per row of the matrix."""
    sums = []
    for row in matrix:
        used = [(float(c), term) for c, term in zip(row, terms, strict=True) if c]
        total = used[0][1] * used[0][0]
        for factor, term in used[1:]:
            total = torch.add(total, term, alpha=factor)
        sums.append(total)
    return sums


# ------------------------------------------------------------------------------ transforms: kernels


def fits_kernels(channels: Sequence[int]) -> bool:
    whole = all(count % LANES == 0 and count <= MOST_CHANNELS for count in channels)
    return whole and kernels() is not None


def input_by_kernel(images: Sequence[Tensor], tile: Tile, d: int) -> Tensor:
    """What `input_plain` does."""
    n, h, w, _ = images[0].shape
    down, across = tiles(h, w, tile, d)
    groups, channels = (tile[0] + 2) * (tile[1] + 2), sum(x.shape[-1] for x in images)
    out = torch.empty((n, down, d, across, d, groups, channels), dtype=images[0].dtype)
    function, offset = getattr(kernels(), name_of("input", out, tile)), 0
    for x in images:
        call(function, [x, out], [n, h, w, x.shape[-1], d, down, across, channels, offset])
        offset += x.shape[-1]
    return out


def output_by_kernel(
    products: Tensor, bias: Tensor, tile: Tile, size: tuple[int, int], relu: bool
) -> Tensor:
    """What `output_plain` does."""
    n, down, d, across, _, _, channels = products.shape
    out = torch.empty((n, *size, channels), dtype=products.dtype)
    function = getattr(kernels(), name_of("output", out, tile))
    call(function, [products, out, bias], [n, *size, channels, d, down, across], [int(relu)])
    return out


def name_of(transform: str, maps: Tensor, tile: Tile) -> str:
    return f"{transform}_{C_NAMES[maps.dtype]}_{tile[0]}x{tile[1]}"


def call(
    function: Any, tensors: Sequence[Tensor], sizes: Sequence[int], flags: Sequence[int] = ()
) -> None:
    """Contiguous tensors by address, sizes as `long`, then flags and the number of threads."""
    function(
        *(ctypes.c_void_p(tensor.contiguous().data_ptr()) for tensor in tensors),
        *map(ctypes.c_long, sizes),
        *map(ctypes.c_int, (*flags, torch.get_num_threads())),
    )
