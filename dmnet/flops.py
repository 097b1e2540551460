"""Cost of a model, counted by PyTorch's own formulas on tensors that take no memory: arithmetic,
and what autograd keeps of a forward pass for the backward pass.

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
    kept: int = 0  # bytes, in float32, for the backward pass


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
        kept = Kept(network)
        with CountFlops() as counter, kept:
            features = network(torch.empty(1, 3, height, width))
    shapes = tuple(tuple(feature.shape) for feature in features)
    return _Backbone(_cost(network, counter, kept), tuple(network.channels), shapes)


@cache
def _head(
    config: HeadConfig, channels: tuple[int, ...], features: tuple[Shape, ...], classes: int
) -> Cost:
    with torch.device("meta"):
        network = _bare(build_head(config, channels, classes).train())
        kept = Kept(network)
        with CountFlops() as counter, kept:
            # The backbone's, which are learned, too.
            network([torch.empty(shape, requires_grad=True) for shape in features])
    return _cost(network, counter, kept)


def _bare(network: Any) -> Any:
    """Without what would take most of the time that counting takes: batch normalisation, of which
    only stays that it keeps its input, and dropout, which would import the compiler."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            vars(module)["forward"] = _KeepsItsInput.apply
        if isinstance(module, nn.modules.dropout._DropoutNd):
            vars(module)["forward"] = _identity
    return network


class _KeepsItsInput(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return torch.empty_like(x)


def _identity(x: Tensor) -> Tensor:
    return x


class Kept(torch.autograd.graph.saved_tensors_hooks):
    """While it is entered, adds up what autograd keeps, each storage once, without the network's
    own parameters and statistics."""

    def __init__(self, network: nn.Module) -> None:
        own = (*network.parameters(), *network.buffers())
        self._own = {tensor.untyped_storage()._cdata for tensor in own}
        # Held, so that no later storage gets the number of one that is gone.
        self._found: dict[int, Tensor] = {}
        super().__init__(self._pack, _identity)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in self._own:
            self._found.setdefault(storage, tensor)
        return tensor

    @property
    def bytes(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self._found.values())


def _cost(network: nn.Module, counter: CountFlops, kept: Kept) -> Cost:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    statistics = sum(buffer.numel() for buffer in network.buffers())
    return Cost(counter.flops, parameters + statistics, parameters, kept.bytes)
