"""Resizing and pooling by products of matrices are PyTorch's, with their gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet import fixed_order


def both(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor]) -> None:
    """In float64, but the matrices are float32."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 9, 13, dtype=torch.float64)
    found = []
    for function in (ours, theirs):
        start = x.clone().requires_grad_()
        y = function(start)
        torch.manual_seed(1)
        (y * torch.randn_like(y)).sum().backward()
        found.append((y.detach(), start.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(33, 50), (9, 13), (4, 7), (1, 1)])
def test_resizing(size: tuple[int, int], align_corners: bool) -> None:
    both(
        lambda x: fixed_order.resized(x, size, align_corners),
        lambda x: F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners),
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 9, 11])
def test_pooling(size: int) -> None:
    both(lambda x: fixed_order.average_pooled(x, size), lambda x: F.adaptive_avg_pool2d(x, size))


def test_half_precision_is_computed_in_float32() -> None:
    x = torch.randn(1, 2, 9, 13)
    half = x.half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = fixed_order.resized(half, (20, 30), False)
    assert found.dtype == torch.float16
    assert torch.equal(found, fixed_order.resized(half.float(), (20, 30), False).half())
