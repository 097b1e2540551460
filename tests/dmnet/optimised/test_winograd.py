"""Winograd's convolution against the direct one, in every tile size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dmnet.optimised import tiles, winograd
from dmnet.optimised.conv import folded
from dmnet.optimised.matrices import TILES
from dmnet.optimised.winograd import WinogradConv


def make(inputs: int, outputs: int, dilation: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


def error(conv: nn.Conv2d, x: Tensor, got: Tensor) -> float:
    """Of the range of what float64 gives, after a ReLU."""
    expected = conv.double()(x.double()).relu()
    conv.float()
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / expected.max())


@torch.no_grad()
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("dilation", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [(17, 23), (8, 16), (1, 1), (3, 30)])
def test_every_tile_and_dilation(
    tile: tuple[int, int],
    dilation: int,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "best_tile", lambda *_: tile)
    for inputs, outputs in ((32, 16), (20, 10)):
        conv, x = make(inputs, outputs, dilation), torch.randn(2, inputs, *size)
        assert error(conv, x, WinogradConv(folded(conv, None), conv, True)(x)) < 2e-6


@torch.no_grad()
def test_relu_keeps_what_is_not_a_number() -> None:
    """A diverged model shows itself as it does in the plain form."""
    conv, x = make(16, 16, 1), torch.full((1, 16, 64, 64), float("nan"))
    assert bool(WinogradConv(folded(conv, None), conv, True)(x).isnan().all())


@torch.no_grad()
def test_filters_are_kept_for_few_kinds_of_tiles() -> None:
    """Images of ever new sizes make no ever larger model."""
    conv = make(16, 16, 4)
    fast, chosen = WinogradConv(folded(conv, None), conv, True), set()
    for side in (64, 48, 45, 36, 33, 29, 28, 24, 20):
        x = torch.randn(1, 16, side, side + 8)
        chosen.add(tiles.best_tile(1, side, side + 8, 4))
        assert error(conv, x, fast(x)) < 2e-6
    assert len(chosen) > len(fast.filters) == winograd.MOST_TILES
