"""The Dynamic Convolutional Module (section 3.2, equation 1)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.config import DMNetHeadConfig
from dmnet.heads.dmnet import DMNetHead, DynamicConvolutionalModule, dynamic_convolution


def naive(x: Tensor, filters: Tensor) -> Tensor:
    """Pixel by pixel: the sum over the window whose extra row and column lie left and top."""
    n, c, h, w = x.shape
    k = filters.shape[-1]
    reach = k // 2
    result = torch.zeros_like(x)
    for sample in range(n):
        for channel in range(c):
            for row in range(h):
                for column in range(w):
                    for i in range(k):
                        for j in range(k):
                            y, z = row + i - reach, column + j - reach
                            if 0 <= y < h and 0 <= z < w:
                                result[sample, channel, row, column] += (
                                    x[sample, channel, y, z] * filters[sample, channel, i, j]
                                )
    return result


@pytest.mark.parametrize("size", [(4, 3), (5, 5), (1, 2)])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_dynamic_convolution_equals_a_loop_over_samples_channels_and_pixels(
    k: int, size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(k)
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    filters = torch.randn(2, 3, k, k, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(dynamic_convolution(x, filters), naive(x, filters))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_a_centred_one_is_the_identity(k: int) -> None:
    x = torch.randn(2, 3, 6, 7)
    filters = torch.zeros(2, 3, k, k)
    filters[:, :, k // 2, k // 2] = 1
    assert torch.equal(dynamic_convolution(x, filters), x)


def module(k: int = 3, fusion: bool = False) -> DynamicConvolutionalModule:
    torch.manual_seed(0)
    return DynamicConvolutionalModule(6, 5, 4, k, fusion).eval()


def test_the_filters_are_made_from_each_samples_own_context() -> None:
    dcm = module()
    x = torch.randn(1, 6, 5, 5).repeat(2, 1, 1, 1)
    context = torch.randn(2, 5, 5, 5)
    with torch.no_grad():
        y = dcm(x, context)
        swapped = dcm(x, context.flip(0))
    assert not torch.allclose(y[0], y[1])
    torch.testing.assert_close(swapped, y.flip(0))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_generator_is_a_1x1_convolution_with_bias_on_the_pooled_context(k: int) -> None:
    """No normalisation and no activation between the pooling and the filter; BN, ReLU after."""
    dcm = module(k)
    x, context = torch.randn(2, 6, 5, 7), torch.randn(2, 5, 5, 7)
    with torch.no_grad():
        weight, bias = dcm.filter_generator.weight[:, :, 0, 0], dcm.filter_generator.bias
        assert bias is not None
        pooled = F.adaptive_avg_pool2d(context, k)
        filters = torch.einsum("oc,ncij->noij", weight, pooled) + bias[None, :, None, None]
        reduced = dcm.reduction(x)
        expected = torch.relu(dcm.bn(naive(reduced, filters)))
        torch.testing.assert_close(dcm(x, context), expected, rtol=1e-4, atol=1e-5)


def test_fusion_adds_a_1x1_convolution_and_nothing_else() -> None:
    without, with_fusion = module(fusion=False), module(fusion=True)
    extra = set(with_fusion.state_dict()) - set(without.state_dict())
    assert set(without.state_dict()) < set(with_fusion.state_dict())
    assert all(name.startswith("fusion.") for name in extra)
    assert with_fusion.state_dict()["fusion.conv.weight"].shape == (4, 4, 1, 1)


@pytest.mark.parametrize("stage", [2, 3, 4, 5])
def test_context_stage_picks_the_stage_that_the_filters_come_from(stage: int) -> None:
    config = DMNetHeadConfig(
        name="dmnet", channels=4, kernel_sizes=(3,), context_stage=stage, dropout=0.0
    )
    head = DMNetHead(config, (5, 6, 7, 8), 3).eval()
    features = [torch.randn(1, c, 6, 6) for c in (5, 6, 7, 8)]
    with torch.no_grad():
        before = head(features)
        for i, other_stage in enumerate((2, 3, 4)):
            changed = list(features)
            changed[i] = torch.randn_like(features[i])
            assert torch.equal(head(changed), before) == (other_stage != stage)
