"""Winograd's transforms of filters and maps.

Maps are (n, h, w, channels), contiguous float32; with dilation d their tiles are numbered as
(n, down, d, across, d): `dmnet.optimised.winograd`'s (tiles, g, channels).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.optimised.matrices import Matrices, Matrix, Tile, matrices
from dmnet.optimised.tiles import counts, groups


def fits(conv: nn.Conv2d) -> bool:
    """Dense, 3x3, stride 1, 'same' padding: it can be computed so at all."""
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == (1, 1)
        and conv.groups == 1
        and conv.dilation[0] == conv.dilation[1]
        and conv.padding == conv.dilation
    )


def transformed_filters(weight: Tensor, tile: Tile) -> Tensor:
    """Weights (K, C, 3, 3) -> U = G w G^T as (g, K, C) float32; computed in float64."""
    both = _kronecker(tile, lambda matrices: matrices.filter)
    return torch.einsum("gt,kct->gkc", both, weight.double().flatten(2)).float().contiguous()


def input_tiles(x: Tensor, tile: Tile, d: int) -> Tensor:
    """Maps -> V."""
    n, h, w, channels = x.shape
    down, across = counts(h, w, tile, d)
    rows, columns = down * tile[0] + 2, across * tile[1] + 2
    x = F.pad(x, (0, 0, d, (columns - 1) * d - w, d, (rows - 1) * d - h))
    phases = x.view(n, rows, d, columns, d, channels)
    tiles = phases.unfold(1, tile[0] + 2, tile[0]).unfold(3, tile[1] + 2, tile[1])
    pixels = tiles.permute(0, 1, 2, 3, 4, 6, 7, 5).reshape(-1, groups(tile), channels)
    return _kronecker(tile, lambda matrices: matrices.input).float() @ pixels


def output_maps(
    products: Tensor, bias: Tensor, tile: Tile, d: int, shape: tuple[int, int, int], relu: bool
) -> Tensor:
    """M and a bias of (K,) -> y (n, h, w, K); shape: (n, h, w)."""
    n, h, w = shape
    down, across = counts(h, w, tile, d)
    y = _kronecker(tile, lambda matrices: matrices.output).float() @ products
    y = y.view(n, down, d, across, d, *tile, -1).permute(0, 1, 5, 2, 3, 6, 4, 7)
    y = y.reshape(n, down * tile[0] * d, across * tile[1] * d, -1)[:, :h, :w] + bias
    return y.relu_() if relu else y


def _kronecker(tile: Tile, which: Callable[[Matrices], Matrix]) -> Tensor:
    """Of the matrices for both sides: what they do with the pixels of a tile, row after row."""
    return torch.kron(*(_as_tensor(which(matrices(m))) for m in tile))


@cache
def _as_tensor(matrix: Matrix) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in matrix], dtype=torch.float64)
