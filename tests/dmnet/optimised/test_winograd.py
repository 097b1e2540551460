"""Winograd's convolution against the direct one, in every tile size, with and without kernels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dmnet.optimised import winograd
from dmnet.optimised.conv import FusedConv, folded
from dmnet.optimised.precision import NO_BF16, onednn_takes_bf16
from dmnet.optimised.winograd import COSTS, WinogradConv
from dmnet.winograd.matrices import TILES
from dmnet.winograd.tiles import Costs

BF16 = torch.bfloat16
in_bf16 = pytest.mark.skipif(not onednn_takes_bf16(), reason=NO_BF16)


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
@pytest.mark.parametrize("with_kernels", [True, False])
@pytest.mark.parametrize("tile", TILES["float"])
@pytest.mark.parametrize("dilation", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [(17, 23), (8, 16), (1, 1), (3, 30)])
def test_every_tile_and_dilation(
    tile: tuple[int, int],
    dilation: int,
    size: tuple[int, int],
    with_kernels: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Costs, "best_tile", lambda *_: tile)
    conv, x = make(32, 16, dilation), torch.randn(2, 32, *size)
    fast = WinogradConv(folded(conv, None), conv, True, with_kernels)
    assert error(conv, x, fast(x)) < 2e-6
    # The same maps in two parts, as a head hands them over.
    assert torch.equal(fast(x[:, :16], x[:, 16:]), fast(x))


@in_bf16
@torch.no_grad()
@pytest.mark.parametrize("with_kernels", [True, False])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("size", [(17, 23), (8, 16), (1, 1)])
def test_bf16_rounds_little_more_than_the_direct_convolution_in_bf16(
    dilation: int, size: tuple[int, int], with_kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tile,) = TILES["bf16"]
    monkeypatch.setattr(Costs, "best_tile", lambda *_: tile)
    conv, x = make(64, 32, dilation), torch.randn(2, 64, *size).to(BF16)
    fast = WinogradConv(folded(conv, None), conv, True, with_kernels, BF16)
    direct = FusedConv(folded(conv, None), conv, True, dtype=BF16)
    got = fast(x)
    assert got.dtype == BF16
    assert torch.equal(fast(x[:, :16], x[:, 16:]), got)
    exact = conv.double()(x.double()).relu()
    assert rms(got, exact) < 2 * rms(direct(x), exact) + 1e-3 * float(exact.max())


def rms(got: Tensor, exact: Tensor) -> float:
    return float((got - exact).square().mean().sqrt())


@in_bf16
@torch.no_grad()
@pytest.mark.parametrize("tile", [(2, 4), (3, 3), (4, 4)])
def test_larger_tiles_would_round_bf16_more(
    tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is why it has none; there are no kernels for them either."""
    monkeypatch.setattr(Costs, "best_tile", lambda *_: tile)
    conv, x = make(512, 32, 1), torch.randn(1, 512, 24, 24).to(BF16)
    larger = WinogradConv(folded(conv, None), conv, False, False, BF16)(x)
    direct = FusedConv(folded(conv, None), conv, dtype=BF16)(x)
    exact = conv.double()(x.double())
    assert rms(larger, exact) > 2 * rms(direct, exact)


@torch.no_grad()
def test_channels_that_the_kernels_do_not_fit_take_the_plain_transforms() -> None:
    conv, x = make(20, 10, 1), torch.randn(1, 20, 64, 64)
    assert error(conv, x, WinogradConv(folded(conv, None), conv, True)(x)) < 2e-6


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(BF16, marks=in_bf16)])
def test_relu_keeps_what_is_not_a_number(dtype: torch.dtype) -> None:
    """A diverged model shows itself as it does without the kernels."""
    conv, x = make(16, 16, 1), torch.full((1, 16, 64, 64), float("nan"))
    assert bool(WinogradConv(folded(conv, None), conv, True, dtype=dtype)(x).isnan().all())


@torch.no_grad()
def test_filters_are_kept_for_few_kinds_of_tiles() -> None:
    """Images of ever new sizes make no ever larger model."""
    conv = make(16, 16, 4)
    fast, chosen = WinogradConv(folded(conv, None), conv, True), set()
    for side in (64, 48, 45, 36, 33, 29, 28, 24, 20):
        x = torch.randn(1, 16, side, side + 8)
        chosen.add(COSTS["float"].best_tile(1, side, side + 8, 4))
        assert error(conv, x, fast(x)) < 2e-6
    assert len(chosen) > len(fast.filters) == winograd.MOST_TILES
