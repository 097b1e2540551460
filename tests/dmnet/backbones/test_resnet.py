"""The dilated ResNet: torchvision's names, shapes and values; strides and dilations of 4.1."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dmnet.backbones import ResNet
from dmnet.config import ResNetConfig
from tests.torchvision_peer import torchvision

torchvision_resnet = torchvision.models.resnet


def resnet(**values: Any) -> ResNet:
    return ResNet(ResNetConfig(name="resnet", **values))


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 40)])
@pytest.mark.parametrize(("output_stride", "strides"), [(8, (4, 8, 8, 8)), (16, (4, 8, 16, 16))])
def test_feature_maps_have_the_stages_strides_and_channels(
    output_stride: int, strides: tuple[int, ...], size: tuple[int, int]
) -> None:
    with torch.device("meta"):
        backbone = resnet(output_stride=output_stride, width=8)
        features = backbone(torch.empty(2, 3, *size))
    assert backbone.channels == (32, 64, 128, 256)
    for feature, stride, channels in zip(features, strides, backbone.channels, strict=True):
        assert feature.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize(
    ("output_stride", "expected"),
    [
        # (stride, dilation) of the 3x3 convolutions: first block, the others
        (8, [[(1, 1), (1, 1)], [(2, 1), (1, 1)], [(1, 1), (1, 2)], [(1, 2), (1, 4)]]),
        (16, [[(1, 1), (1, 1)], [(2, 1), (1, 1)], [(2, 1), (1, 1)], [(1, 1), (1, 2)]]),
    ],
)
def test_strides_and_dilations(output_stride: int, expected: list[list[tuple[int, int]]]) -> None:
    with torch.device("meta"):
        backbone = resnet(output_stride=output_stride, width=8)
    for i, (first, others) in enumerate(expected, start=1):
        blocks = list(backbone.get_submodule(f"layer{i}").children())
        found = [(b.conv2.stride[0], b.conv2.dilation[0]) for b in blocks]
        assert found == [first] + [others] * (len(blocks) - 1)
        assert all(b.conv2.padding == b.conv2.dilation for b in blocks)


@pytest.mark.parametrize("depth", [50, 101])
def test_the_plain_backbone_has_torchvisions_names_and_shapes(depth: int) -> None:
    with torch.device("meta"):
        ours = resnet(depth=depth).state_dict()
        theirs = getattr(torchvision_resnet, f"resnet{depth}")().state_dict()
    expected = {k: tuple(v.shape) for k, v in theirs.items() if not k.startswith("fc.")}
    assert {k: tuple(v.shape) for k, v in ours.items()} == expected
    assert len(theirs) == len(ours) + 2


@pytest.mark.parametrize(
    ("output_stride", "dilated"), [(8, (False, True, True)), (16, (False, False, True))]
)
def test_the_plain_backbone_computes_what_torchvisions_dilated_resnet_computes(
    output_stride: int, dilated: tuple[bool, bool, bool]
) -> None:
    torch.manual_seed(0)
    theirs = torchvision_resnet.resnet50(replace_stride_with_dilation=list(dilated))
    ours = resnet(output_stride=output_stride)
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(state)
    x = torch.randn(1, 3, 33, 49)
    with torch.no_grad():
        features = ours.eval()(x)
        theirs.eval()
        expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        for i, feature in enumerate(features, start=1):
            expected = theirs.get_submodule(f"layer{i}")(expected)
            torch.testing.assert_close(feature, expected, rtol=1e-4, atol=1e-5)


def test_the_deep_stem_is_three_3x3_convolutions_in_the_7x7s_place() -> None:
    backbone = resnet(stem="deep", width=16)
    convolutions = [m for m in backbone.conv1.modules() if isinstance(m, nn.Conv2d)]
    shapes = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions]
    assert shapes == [(3, 8, 3, 2), (8, 8, 3, 1), (8, 16, 3, 1)]
    plain = resnet(stem="plain", width=16)
    x = torch.randn(1, 3, 37, 50)
    assert [f.shape for f in backbone.eval()(x)] == [f.shape for f in plain.eval()(x)]


@pytest.mark.parametrize("stem", ["plain", "deep"])
def test_the_stem_may_have_a_width_of_its_own(stem: str) -> None:
    with torch.device("meta"):
        backbone = resnet(stem=stem, width=16, stem_channels=24)
        features = backbone(torch.empty(2, 3, 33, 33))
        same = resnet(stem=stem, width=16, stem_channels=16).state_dict()
        default = resnet(stem=stem, width=16).state_dict()
    assert backbone.bn1.num_features == 24
    assert backbone.get_submodule("layer1.0.conv1").in_channels == 24
    assert tuple(feature.shape[1] for feature in features) == (64, 128, 256, 512)
    assert {k: v.shape for k, v in same.items()} == {k: v.shape for k, v in default.items()}


def test_a_reduced_width_scales_every_layer() -> None:
    with torch.device("meta"):
        full, quarter = resnet(width=64).state_dict(), resnet(width=16).state_dict()
    assert set(full) == set(quarter)
    for name, tensor in full.items():
        if tensor.dim() == 0:
            continue
        narrow = tuple(s if s in {1, 3, 7} else s // 4 for s in tensor.shape)
        assert tuple(quarter[name].shape) == narrow, name


def test_from_scratch_every_block_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    block = list(resnet(width=4).layer1.children())[1].eval()
    x = torch.rand(1, 16, 5, 5)
    with torch.no_grad():
        assert torch.equal(block(x), x)


def test_depth_101_has_23_blocks_in_stage_4() -> None:
    with torch.device("meta"):
        stages = [resnet(depth=101).get_submodule(f"layer{i}") for i in (1, 2, 3, 4)]
    assert [len(list(stage.children())) for stage in stages] == [3, 4, 23, 3]
