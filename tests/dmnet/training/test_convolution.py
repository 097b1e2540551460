"""Wide 3x3 convolutions in training: outputs and gradients against PyTorch's own, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dmnet.segmentor import Segmentor
from dmnet.training import convolution
from dmnet.training.convolution import FastConv2d, taken_over, use_fast_convolutions
from dmnet.winograd.kernels import kernels
from dmnet.winograd.matrices import TILES, Tile
from dmnet.winograd.tiles import Costs
from pipeline.experiments import build_experiment

needs_a_compiler = pytest.mark.skipif(kernels() is None, reason="no compiler")
LIMIT = 1e-5  # of the range of what float64 gives


def make(inputs: int, outputs: int, dilation: int, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)


def results(conv: nn.Conv2d, x: Tensor, of_y: Tensor) -> list[Tensor]:
    """y and the gradients of x, the weights and the bias."""
    x = x.clone().requires_grad_()
    y = conv.train()(x)
    inputs = [x, conv.weight] + ([] if conv.bias is None else [conv.bias])
    return [y.detach(), *torch.autograd.grad(y, inputs, of_y)]


def compare(conv: nn.Conv2d, size: tuple[int, ...]) -> None:
    fast = taken_over(conv)
    assert fast.weight is conv.weight and fast.bias is conv.bias
    x = torch.randn(size[0], conv.in_channels, *size[1:])
    of_y = torch.randn(size[0], conv.out_channels, *size[1:])
    got = results(fast, x, of_y)
    again = results(fast, x, of_y)
    expected = results(conv.double(), x.double(), of_y.double())
    for ours, twice, exact in zip(got, again, expected, strict=True):
        assert torch.equal(ours, twice)
        assert ours.shape == exact.shape and ours.is_contiguous()
        assert float((ours - exact).abs().max()) < LIMIT * float(exact.abs().max())


@needs_a_compiler
@pytest.mark.parametrize("tile", TILES["float"])
@pytest.mark.parametrize("dilation", [1, 2, 5])
@pytest.mark.parametrize("size", [(2, 17, 23), (1, 8, 16), (3, 1, 1)])
def test_by_winograd_in_every_tile_and_dilation(
    tile: Tile, dilation: int, size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Costs, "best_tile", lambda *_: tile)
    compare(make(48, 32, dilation), size)


@needs_a_compiler
@pytest.mark.parametrize("tiles", [1, 13])
def test_a_large_batch_goes_through_in_parts(tiles: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image after the other, and two of six tiles each, of which the last is alone."""
    monkeypatch.setattr(convolution, "AT_ONCE", tiles)
    compare(make(16, 32, 1), (5, 8, 12))


@needs_a_compiler
@pytest.mark.parametrize("dilation", [3, 12, 24, 36])
@pytest.mark.parametrize("size", [(2, 17, 23), (1, 8, 16), (3, 1, 1)])
def test_tap_by_tap(dilation: int, size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Costs, "best_tile", lambda *_: None)
    monkeypatch.setattr(convolution, "LEAST_SAVING_BY_TAPS", 0)
    compare(make(32, 48, dilation, bias=False), size)


class Noted:
    """Stands for a way to convolve and notes that it was taken."""

    def __init__(self, way: type[torch.autograd.Function], taken: list[str]) -> None:
        self.way, self.taken = way, taken

    def apply(self, *arguments: object) -> Tensor:
        self.taken.append(self.way.__name__)
        y: Tensor = self.way.apply(*arguments)
        return y


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which ways are taken from now on."""
    taken: list[str] = []
    for way in (convolution._ByWinograd, convolution._ByTaps):
        monkeypatch.setattr(convolution, way.__name__, Noted(way, taken))
    return taken


@needs_a_compiler
def test_each_is_used_where_it_saves_enough_and_in_training_alone(ways: list[str]) -> None:
    x = torch.randn(1, 16, 32, 32)
    for dilation, expected in ((4, ["_ByWinograd"]), (24, ["_ByTaps"]), (36, ["_ByTaps"])):
        fast = taken_over(make(16, 16, dilation))
        fast.train()(x)
        assert ways == expected
        fast.eval()(x)
        fast.train().double()(x.double())
        assert ways == expected
        ways.clear()
    taken_over(make(16, 16, 4)).train()(x[:, :, :17, :23])  # tiles would be border mostly
    assert not ways


@needs_a_compiler
def test_only_wide_dense_convolutions_of_stride_one_are_replaced() -> None:
    model = nn.Sequential(
        nn.Conv2d(256, 256, 3, padding=2, dilation=2),
        nn.Conv2d(128, 128, 3, padding=1),  # too narrow
        nn.Conv2d(256, 256, 3, padding=1, stride=2),
        nn.Conv2d(256, 256, 3),
        nn.Conv2d(256, 256, 3, padding=1, groups=256),
        nn.Conv2d(256, 256, 1),
        nn.Conv2d(256, 250, 3, padding=1),  # no multiple of what the kernels take
    )
    names = list(model.state_dict())
    state = torch.get_rng_state()
    assert use_fast_convolutions(model) == 1
    assert [type(layer) is FastConv2d for layer in model] == [True] + [False] * 6
    assert list(model.state_dict()) == names
    assert torch.equal(torch.get_rng_state(), state)
    assert use_fast_convolutions(model) == 0  # again


@pytest.mark.parametrize("preset", ["mini", "small"])
def test_no_preset_for_cpus_has_a_layer_that_wide(preset: str) -> None:
    """So their weights stay the same bit for bit, with a compiler or without."""
    runs = build_experiment(preset).runs.values()
    for config in {run.job.run.model.model_dump_json(): run.job.run.model for run in runs}.values():
        with torch.device("meta"):
            model = Segmentor(config, 19)
        assert use_fast_convolutions(model) == 0


def test_at_the_published_scale_there_are_some() -> None:
    run = next(iter(build_experiment("paper", tables=["table2"]).runs.values()))
    with torch.device("meta"):
        model = Segmentor(run.job.run.model, 21)
    assert (use_fast_convolutions(model) > 0) == (kernels() is not None)
