"""Cost of a model, counted by PyTorch's own formulas on tensors that take no memory.

Backbone and heads are counted apart, each once for its configuration and input: a study of hundreds
of heads has few backbones, and building those is what takes the time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dmnet.backbones import build_backbone
from dmnet.config import BackboneConfig, HeadConfig, ModelConfig
from dmnet.heads import build_head

Shape = tuple[int, ...]


def _joined(maps: list[Tensor], dim: int = 0) -> Tensor:
    shape = list(maps[0].shape)
    shape[dim] = sum(part.shape[dim] for part in maps)
    return maps[0].new_empty(shape)


# What PyTorch itself, without values, leaves to code that imports its compiler.
SHAPES: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.mean.dim: torch.ops.aten.sum.dim_IntList,
    torch.ops.aten.cat.default: _joined,
}


class CountFlops(TorchDispatchMode):
    """While it is entered, adds up what `torch.utils.flop_counter.FlopCounterMode` would count.

    That one counts per module too, and imports PyTorch's compiler to keep it out: 1.5 s of the
    processor, half of what planning every table takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0  # 2 per multiply-accumulate

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, so nothing has to be told to leave this out

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = SHAPES.get(func, func)(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


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
        network = _bare(build_backbone(config).train())
        with CountFlops() as counter:
            features = network(torch.empty(1, 3, height, width))
    shapes = tuple(tuple(feature.shape) for feature in features)
    return _Backbone(_cost(network, counter), tuple(network.channels), shapes)


@cache
def _head(
    config: HeadConfig, channels: tuple[int, ...], features: tuple[Shape, ...], classes: int
) -> Cost:
    with torch.device("meta"):
        network = _bare(build_head(config, channels, classes).train())
        with CountFlops() as counter:
            network([torch.empty(shape) for shape in features])
    return _cost(network, counter)


def _bare(network: Any) -> Any:
    """Without what is not counted: batch normalisation, which takes most of the time that counting
    would take, and dropout, which would import the compiler."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            vars(module)["forward"] = _identity
    return network


def _identity(x: Tensor) -> Tensor:
    return x


def _cost(network: nn.Module, counter: CountFlops) -> Cost:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    statistics = sum(buffer.numel() for buffer in network.buffers())
    return Cost(counter.flops, parameters + statistics, parameters)
