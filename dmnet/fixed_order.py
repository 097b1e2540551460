"""Resizing and pooling as products of matrices, whose sums a GPU forms in one order.

PyTorch's own kernels add up the gradients there in whatever order they come: pooling has no other
kernel, and resizing only a slow one. Used while `torch.use_deterministic_algorithms` is on
(dmnet/training/determinism.py); a CPU has one order anyway, and its own kernels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.devices import upload


def is_asked_for(x: Tensor) -> bool:
    return x.is_cuda and torch.are_deterministic_algorithms_enabled()


def resized(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """(n, c, h, w) -> (n, c, *size): bilinear, as `F.interpolate` but for rounding."""
    lines = (
        F.interpolate(torch.eye(source)[None], target, mode="linear", align_corners=align_corners)
        for source, target in zip(x.shape[-2:], size, strict=True)
    )
    return _products(x, *(line[0].T for line in lines))


def average_pooled(x: Tensor, size: int) -> Tensor:
    """(n, c, h, w) -> (n, c, size, size), as `F.adaptive_avg_pool2d` but for rounding."""
    return _products(x, *(_bins(side, size) for side in x.shape[-2:]))


def _products(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows x columns^T, of half precision in float32 as in PyTorch's kernels.

    x: (n, c, h, w); rows: (to, h); columns: (to, w).
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        left, right = (upload(side.to(kind), x.device) for side in (rows, columns))
        return (left @ (x.to(kind).contiguous() @ right.T)).to(x.dtype)


def _bins(size: int, target: int) -> Tensor:
    """Overlapping where `size` is not a multiple."""
    averages = torch.zeros(target, size)
    for number in range(target):
        first, end = number * size // target, -(-(number + 1) * size // target)
        averages[number, first:end] = 1 / (end - first)
    return averages
