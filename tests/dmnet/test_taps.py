"""A convolution put together from its taps, each where it reaches the image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dmnet.taps import saving, taps


@pytest.mark.parametrize("dilation", [1, 2, 5, 8, 9, 40])
@pytest.mark.parametrize("size", [(9, 8), (1, 30), (16, 5)])
def test_the_taps_add_up_to_the_convolution(size: tuple[int, int], dilation: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64)
    y = torch.zeros(1, 3, *size, dtype=torch.float64)
    for tap in taps(*size, dilation):
        part = x[:, :, *tap.input]
        assert part[0, 0].numel() == tap.pixels > 0
        y[:, :, *tap.output] += F.conv2d(part, weight[:, :, tap.row, tap.column, None, None])
    expected = F.conv2d(x, weight, padding=dilation, dilation=dilation)
    assert torch.allclose(y, expected, rtol=0, atol=1e-12)


def test_beyond_the_image_s_size_the_middle_tap_is_the_only_one() -> None:
    assert [(tap.row, tap.column) for tap in taps(32, 32, 32)] == [(1, 1)]
    assert saving(32, 32, 36) == 9
    assert saving(32, 32, 24) == 4
    assert len(list(taps(32, 64, 36))) == 3  # a row of three
    assert 1 < saving(64, 64, 1) < 1.05
