"""Cost of a model, counted by PyTorch's own counter on tensors that take no memory.

Backbone and heads are counted apart, each once for its configuration and input: a study of hundreds
of heads has few backbones, and building those is what takes the time.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dmnet.backbones import build_backbone
from dmnet.config import BackboneConfig, HeadConfig, ModelConfig
from dmnet.heads import build_head

Shape = tuple[int, ...]


class Cost(NamedTuple):
    """Of one image's forward pass in training, and of what a checkpoint holds."""

    flops: int  # 2 per multiply-accumulate, of convolutions and matrix products
    values: int  # parameters, and the running statistics of batch normalisation
    parameters: int


class _Backbone(NamedTuple):
    cost: Cost
    channels: tuple[int, ...]
    features: tuple[Shape, ...]


def training_cost(model: ModelConfig, classes: int, height: int, width: int) -> Cost:
    """The auxiliary heads, which only training runs, are included."""
    bare = model.backbone.model_copy(update={"weights": None})
    backbone = _backbone(bare, height, width)
    parts = [backbone.cost, _head(model.head, backbone.channels, backbone.features, classes)]
    for auxiliary in model.auxiliary.values():
        seen = auxiliary.stage - 1
        of_backbone = backbone.channels[:seen], backbone.features[:seen]
        parts.append(_head(auxiliary.head, *of_backbone, classes))
    return Cost(*map(sum, zip(*parts, strict=True)))


def forward_flops(model: ModelConfig, classes: int, height: int, width: int) -> int:
    """FLOPs of one image, as `training_cost` counts them."""
    return training_cost(model, classes, height, width).flops


@cache
def _backbone(config: BackboneConfig, height: int, width: int) -> _Backbone:
    with torch.device("meta"):
        network = _without_normalisation(build_backbone(config).train())
        with FlopCounterMode(display=False) as counter:
            features = network(torch.empty(1, 3, height, width))
    shapes = tuple(tuple(feature.shape) for feature in features)
    return _Backbone(_cost(network, counter), tuple(network.channels), shapes)


@cache
def _head(
    config: HeadConfig, channels: tuple[int, ...], features: tuple[Shape, ...], classes: int
) -> Cost:
    with torch.device("meta"):
        network = _without_normalisation(build_head(config, channels, classes).train())
        with FlopCounterMode(display=False) as counter:
            network([torch.empty(shape) for shape in features])
    return _cost(network, counter)


def _without_normalisation(network: Any) -> Any:
    """Batch normalisation is not counted, and takes most of the time that counting would take."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            vars(module)["forward"] = _identity
    return network


def _identity(x: Tensor) -> Tensor:
    return x


def _cost(network: nn.Module, counter: FlopCounterMode) -> Cost:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    statistics = sum(buffer.numel() for buffer in network.buffers())
    flops = int(counter.get_total_flops())
    return Cost(flops, parameters + statistics, parameters)
