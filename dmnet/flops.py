"""Cost of a model, counted by PyTorch's own formulas on tensors that take no memory: arithmetic,
and what autograd keeps of a forward pass for the backward pass.

Backbone and heads are counted apart, each once for its configuration and input: an experiment
with hundreds of heads has few backbones, and building those is what takes the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmnet.backbones import build_backbone
from dmnet.config import BackboneConfig, HeadConfig, ModelConfig
from dmnet.heads import build_head
from dmnet.private.counting import CountFlops, Kept, without_normalisation

Shape = tuple[int, ...]


class ModelCost(NamedTuple):
    """Of one image's forward pass in training, and of what a checkpoint holds."""

    flops: int  # 2 per multiply-accumulate, of convolutions and matrix products
    values: int  # parameters, and the running statistics of batch normalisation
    parameters: int
    kept: int = 0  # bytes, in float32, for the backward pass


class _Backbone(NamedTuple):
    cost: ModelCost
    channels: tuple[int, ...]
    features: tuple[Shape, ...]


def training_cost(model: ModelConfig, classes: int, height: int, width: int) -> ModelCost:
    """The auxiliary heads, which only training runs, are included."""
    bare = model.backbone.model_copy(update={"weights": None})
    backbone = _backbone(bare, height, width)
    parts = [backbone.cost, _head(model.head, backbone.channels, backbone.features, classes)]
    for auxiliary in model.auxiliary.values():
        seen = auxiliary.stage - 1
        of_backbone = backbone.channels[:seen], backbone.features[:seen]
        parts.append(_head(auxiliary.head, *of_backbone, classes))
    return ModelCost(*map(sum, zip(*parts, strict=True)))


@cache
def _backbone(config: BackboneConfig, height: int, width: int) -> _Backbone:
    with torch.device("meta"):
        network = build_backbone(config)
        features, cost = _counted(network, torch.empty(1, 3, height, width))
    shapes = tuple(tuple(feature.shape) for feature in features)
    return _Backbone(cost, tuple(network.channels), shapes)


@cache
def _head(
    config: HeadConfig, channels: tuple[int, ...], features: tuple[Shape, ...], classes: int
) -> ModelCost:
    with torch.device("meta"):
        # The backbone's features, which are learned, too.
        given = [torch.empty(shape, requires_grad=True) for shape in features]
        return _counted(build_head(config, channels, classes), given)[1]


def _counted(network: nn.Module, given: object) -> tuple[Sequence[Tensor], ModelCost]:
    """What it makes of its input in training, and at what cost."""
    kept = Kept(without_normalisation(network.train()))
    with CountFlops() as counter, kept:
        found = network(given)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    statistics = sum(buffer.numel() for buffer in network.buffers())
    return found, ModelCost(counter.flops, parameters + statistics, parameters, kept.bytes)
