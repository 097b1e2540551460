"""'Same' padding, the convolution block, bilinear resizing and initial values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dmnet.layers import ConvBnRelu, classifier, initialise, resize_bilinear, same_padding

KERNELS = (1, 2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", KERNELS)
@pytest.mark.parametrize("size", [(9, 13), (8, 8), (1, 1)])
def test_a_block_keeps_the_size(size: tuple[int, int], kernel_size: int, dilation: int) -> None:
    block = ConvBnRelu(2, 4, kernel_size, dilation).eval()
    assert block(torch.randn(1, 2, *size)).shape == (1, 4, *size)


@pytest.mark.parametrize(
    ("kernel_size", "dilation", "padding"),
    [
        (1, 1, (0, 0, 0, 0)),
        (2, 1, (1, 0, 1, 0)),
        (3, 1, (1, 1, 1, 1)),
        (4, 1, (2, 1, 2, 1)),
        (3, 6, (6, 6, 6, 6)),
        (2, 3, (2, 1, 2, 1)),
    ],
)
def test_padding_is_left_right_top_bottom_and_the_extra_one_left_and_top(
    kernel_size: int, dilation: int, padding: tuple[int, int, int, int]
) -> None:
    assert same_padding(kernel_size, dilation) == padding


@pytest.mark.parametrize("kernel_size", [2, 4])
def test_an_even_kernel_looks_one_further_to_the_left_and_top(kernel_size: int) -> None:
    block = ConvBnRelu(1, 1, kernel_size).eval()
    nn.init.ones_(block.get_submodule("conv").weight)
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    seen_from = block(image)[0, 0].nonzero()
    half = kernel_size // 2
    # A pixel sees `half` to its left and `half - 1` to its right, so it is seen from those places.
    assert seen_from.min(0).values.tolist() == [4 - half + 1] * 2
    assert seen_from.max(0).values.tolist() == [4 + half] * 2


def test_a_block_is_convolution_without_bias_normalisation_and_relu() -> None:
    block = ConvBnRelu(3, 6, 3, groups=3).eval()
    conv = block.get_submodule("conv")
    assert isinstance(conv, nn.Conv2d) and conv.bias is None and conv.groups == 3
    x = torch.randn(2, 3, 5, 5)
    expected = torch.relu(block.get_submodule("bn")(conv(x)))
    assert torch.equal(block(x), expected)
    assert bool((expected == 0).any()) and bool((expected > 0).any())


def test_resizing_with_aligned_corners_keeps_the_corner_values() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    aligned = resize_bilinear(x, (5, 9), align_corners=True)
    assert aligned[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 2, 3, 5]
    halves = resize_bilinear(x, (2, 6), align_corners=False)[0, 0, 0]
    assert halves.tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2]


def test_resizing_down_does_not_average() -> None:
    """Without antialiasing every second of an odd factor's pixels is simply picked."""
    x = torch.arange(9.0).reshape(1, 1, 1, 9)
    assert resize_bilinear(x, (1, 3))[0, 0, 0].tolist() == [1, 4, 7]


def test_initialisation_follows_he_and_leaves_layers_with_a_bias_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(ConvBnRelu(64, 64, 3), nn.Conv2d(64, 64, 1))
    own_start = network[1].weight.clone()
    conv, bn = network[0].get_submodule("conv"), network[0].get_submodule("bn")
    nn.init.constant_(bn.weight, 3.0)
    initialise(network)
    assert float(conv.weight.detach().std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert torch.equal(network[1].weight, own_start)
    assert bool((bn.weight == 1).all()) and bool((bn.bias == 0).all())


def test_the_classifier_starts_near_zero() -> None:
    layer = classifier(512, 21)
    assert layer.weight.shape == (21, 512, 1, 1)
    assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert layer.bias is not None and bool((layer.bias == 0).all())
