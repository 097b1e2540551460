"""Winograd's transforms of maps and filters; of maps by the kernels in C where these fit.

Maps are (n, h, w, channels), contiguous, float32 or bfloat16; sums are float32. Tiles are
(n, down, d, across, d, g, channels) with dilation d: `dmnet.winograd`'s (tiles, g, channels).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmnet.winograd.kernels import kernels
from dmnet.winograd.matrices import Matrix, Tile, matrices
from dmnet.winograd.source import LANES, MOST_CHANNELS
from dmnet.winograd.tiles import counts, groups

C_NAMES = {torch.float32: "float", torch.bfloat16: "bf16"}


def fits(conv: nn.Conv2d) -> bool:
    """Dense, 3x3, stride 1, 'same' padding: it can be computed so at all."""
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == (1, 1)
        and conv.groups == 1
        and conv.dilation[0] == conv.dilation[1]
        and conv.padding == conv.dilation
    )


def fits_kernels(channels: Sequence[int]) -> bool:
    whole = all(count % LANES == 0 and count <= MOST_CHANNELS for count in channels)
    return whole and kernels() is not None


# ------------------------------------------------------------------------------------------ filters


def transformed_filters(weight: Tensor, tile: Tile) -> Tensor:
    """Weights (K, C, 3, 3) -> U = G w G^T as (g, K, C) float32; computed in float64."""
    left, right = (as_tensor(matrices(m).filter) for m in tile)
    products = torch.einsum("ia,kcab,jb->ijkc", left, weight.double(), right)
    return products.flatten(0, 1).float().contiguous()


def as_tensor(matrix: Matrix) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in matrix], dtype=torch.float64)


# --------------------------------------------------------------------------------------------- maps


def input_tiles(images: Sequence[Tensor], tile: Tile, d: int, fast: bool = True) -> Tensor:
    """Maps (n, h, w, C_i), whose concatenation is meant -> V, of sum of C_i channels.

    fast: by the kernels; the caller has asked `fits_kernels`.
    """
    if not fast:
        return input_plain(images, tile, d)
    out, offset = empty_tiles(images, tile, d), 0
    for x in images:
        run_kernel("input", x, out, tile, d, offset)
        offset += x.shape[-1]
    return out


def output_maps(
    products: Tensor,
    bias: Tensor,
    tile: Tile,
    size: tuple[int, int],
    relu: bool,
    fast: bool = True,
) -> Tensor:
    """M and a bias of (K,) float32 -> y (n, *size, K) in the type of M."""
    if not fast:
        return output_plain(products, bias, tile, size, relu)
    n, down, d, across, _, _, channels = products.shape
    out = torch.empty((n, *size, channels), dtype=products.dtype)
    call(
        name_of("output", out, tile),
        [products, out, bias],
        [n, *size, channels, d, down, across],
        [int(relu)],
    )
    return out


def empty_tiles(images: Sequence[Tensor], tile: Tile, d: int) -> Tensor:
    n, h, w, _ = images[0].shape
    down, across = counts(h, w, tile, d)
    channels = sum(x.shape[-1] for x in images)
    return torch.empty((n, down, d, across, d, groups(tile), channels), dtype=images[0].dtype)


def run_kernel(transform: str, x: Tensor, out: Tensor, tile: Tile, d: int, offset: int) -> None:
    """From `x` into the channels of `out` that begin at `offset`."""
    down, across, channels = out.shape[1], out.shape[3], out.shape[-1]
    call(name_of(transform, out, tile), [x, out], [*x.shape, d, down, across, channels, offset])


def name_of(transform: str, maps: Tensor, tile: Tile) -> str:
    return f"{transform}_{C_NAMES[maps.dtype]}_{tile[0]}x{tile[1]}"


def call(
    function: str, tensors: Sequence[Tensor], sizes: Sequence[int], flags: Sequence[int] = ()
) -> None:
    """Contiguous tensors by address, sizes as `long`, then flags and the number of threads."""
    kept = [tensor.contiguous() for tensor in tensors]
    getattr(kernels(), function)(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in kept),
        *map(ctypes.c_long, sizes),
        *map(ctypes.c_int, (*flags, torch.get_num_threads())),
    )


# ------------------------------------------------------------ maps, by operations of PyTorch


def input_plain(images: Sequence[Tensor], tile: Tile, d: int) -> Tensor:
    x = torch.cat(list(images), -1).float()
    n, h, w, channels = x.shape
    down, across = counts(h, w, tile, d)
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
