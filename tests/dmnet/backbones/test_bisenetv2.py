"""BiSeNetV2: sizes, order of its feature maps, and where its gates lie.

That it computes what mmsegmentation's computes: tests/dmnet/importers/test_golden_models.py.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dmnet.backbones import BiSeNetV2
from dmnet.config import BiSeNetV2Config, ModelConfig, parse
from dmnet.errors import ConfigError
from dmnet.flops import training_cost
from dmnet.segmentor import Segmentor

SMALL: dict[str, Any] = {
    "name": "bisenetv2",
    "detail_channels": [6, 8, 12],
    "semantic_channels": [4, 6, 8, 12],
    "aggregation_channels": 12,
}


def bisenetv2(**values: Any) -> BiSeNetV2:
    return BiSeNetV2(BiSeNetV2Config.model_validate({**SMALL, **values}))


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 40), (1, 1)])
def test_stages_2_to_5_and_then_the_aggregated_feature(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        backbone = bisenetv2()
        features = backbone(torch.empty(2, 3, *size))
    assert backbone.channels == (4, 6, 8, 12, 12)
    for feature, stride, channels in zip(
        features, (4, 8, 16, 32, 8), backbone.channels, strict=True
    ):
        assert feature.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_the_published_widths_are_the_default() -> None:
    with torch.device("meta"):
        backbone = BiSeNetV2(BiSeNetV2Config())
    assert backbone.channels == (16, 32, 64, 128, 128)
    # Table 1 of the paper: layers per stage
    stages = (backbone.stage3, backbone.stage4, backbone.stage5)
    assert [len(list(stage.children())) for stage in stages] == [2, 2, 4]


def test_every_parameter_gets_a_gradient_from_the_aggregated_feature() -> None:
    torch.manual_seed(0)
    backbone = bisenetv2().train()
    aggregated = backbone(torch.randn(4, 3, 64, 96))[-1]
    (aggregated * torch.randn_like(aggregated)).sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aggregation_channels": 16}, "must be equal: the branches are multiplied"),
        ({"detail_channels": [6, 8, 16]}, "must be equal: the branches are multiplied"),
        ({"semantic_channels": [1, 6, 8, 12]}, "must start with 2 or more"),
        ({"expansion": 0}, "expansion"),
    ],
)
def test_widths_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    values = {"backbone": {**SMALL, **change}, "head": {"name": "fcn"}}
    with pytest.raises(ConfigError, match=rf"^model\.yaml: `backbone.*{message}"):
        parse(ModelConfig, values, "model.yaml")


@pytest.mark.parametrize("head", ["fcn", "aspp", "dmnet", "dilated", "multi_kernel"])
def test_any_head_stands_on_it(head: str) -> None:
    """The head works on the aggregated feature; auxiliary heads find their stages."""
    config = ModelConfig.model_validate(
        {
            "backbone": SMALL,
            "head": {"name": head, "channels": 4},
            "auxiliary": {
                f"stage{stage}": {"head": {"name": "fcn", "channels": 4}, "stage": stage}
                for stage in (2, 3, 4, 5)
            },
        }
    )
    with torch.device("meta"):
        logits = Segmentor(config, 3).train()(torch.empty(2, 3, 65, 97))
    assert logits.main.shape == (2, 3, 9, 13)
    sizes = {name: tuple(scores.shape[2:]) for name, scores in logits.auxiliary.items()}
    assert sizes == {"stage2": (17, 25), "stage3": (9, 13), "stage4": (5, 7), "stage5": (3, 4)}
    assert training_cost(config, 3, 65, 97).flops > 0
