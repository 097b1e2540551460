"""What PyTorch computes and keeps for the backward pass, counted without its compiler.

PyTorch's own counter imports the compiler to keep that out of it: 1.5 s of the processor, half of
what planning every table takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


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
    """While it is entered, adds up what `torch.utils.flop_counter.FlopCounterMode` would count."""

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


def without_normalisation(network: Any) -> Any:
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
