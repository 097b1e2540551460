"""A GPU that only pretends: shapes, types and devices of CUDA tensors, but no values.

PyTorch's FakeTensorMode follows an operation without computing it. Two things that only a GPU would
show come out: tensors of two devices in one operation (an error there and here), and waiting. A
GPU works behind the program; where the program asks for a value, or copies and does not say that it
need not wait, it waits until all that was queued is done. Here that is `GPUWaitError`. Whether
memory is pinned, without which a copy waits whatever is said, does not show.

What PyTorch lacks for that without CUDA is filled in below. Nothing is differentiated: autograd's
engine wants a real device. `backward` gives every parameter of `learning` a gradient instead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dmnet.inference import augmented
from dmnet.optimised.resize import resizing

GPU, aten = torch.device("cuda:0"), torch.ops.aten


class GPUWaitError(Exception):
    """The program would wait for the GPU."""


class TwoDevicesError(Exception):
    """Tensors of two devices are in one operation."""


class NoWaiting(TorchDispatchMode):
    """Inside, what would wait is an error, and convolutions, too, look where their tensors are."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if func in (aten._to_copy.default, aten.copy_.default):
            source = tensors[-1].device
            target = torch.device(kwargs.get("device") or args[0].device)
            waits = not kwargs.get("non_blocking", len(args) > 2 and args[2])
            if waits and source.type != target.type:
                raise GPUWaitError(f"a copy from {source} to {target}")
        elif len({x.device for x in tensors if x.dim() > 0}) > 1:
            raise TwoDevicesError(f"{func}: {[(x.device, tuple(x.shape)) for x in tensors]}")
        try:
            return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise GPUWaitError(f"the result of {error.func}") from error


def without_pretending(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, of CPU tensors only, as it is outside."""

    def called(*args: Any) -> Any:
        with unset_fake_temporarily():
            return function(*args)

    return called


# Of c10::DeviceType; what switches to a device is looked up by it.
CPU_TYPE, CUDA_TYPE, TYPES = 0, 1, 21
REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"


@dataclass
class Pretended:
    learning: nn.Module | None = None  # to which `backward` gives gradients

    def backward(self, loss: Tensor) -> None:
        assert self.learning is not None and loss.device == GPU and loss.dim() == 0
        for parameter in self.learning.parameters():
            parameter.grad = torch.zeros_like(parameter)


@contextmanager
def pretended_gpu() -> Iterator[Pretended]:
    """Inside, tensors on `GPU` can be made; CPU tensors made outside can be used.

    OpenCV resizes pictures made outside as ever, and no pretended matrix is kept for later.
    """
    pretended = Pretended()
    with pytest.MonkeyPatch.context() as patch, _cuda_can_be_switched_to():
        patch.setattr(nn.Module, "_apply", _apply)
        patch.setattr(Tensor, "backward", lambda loss, *_, **__: pretended.backward(loss))
        # PyTorch's copies the mode with the tensor, and the process crashes some time later.
        patch.setattr(FakeTensor, "__deepcopy__", _deepcopy, raising=False)
        patch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
        patch.setattr(augmented, "resize_image", without_pretending(augmented.resize_image))
        patch.setattr(torch, "_fused_sgd_", _fused_sgd)
        patch.setattr(torch.cuda, "get_device_name", lambda device=None: "a pretended GPU")
        patch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
        patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        mode = FakeTensorMode(allow_non_fake_inputs=True, allow_fallback_kernels=False)
        try:
            with mode, torch.no_grad():
                yield pretended
        finally:
            resizing.cache_clear()


def _apply(self: nn.Module, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """`Module.to`, which would exchange what lies behind a parameter: no fake one allows it."""
    for module in self.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(fn(parameter), requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fn(buffer)
    return self


def _deepcopy(self: Tensor, memo: dict[int, object]) -> Tensor:
    copied = self.clone()
    memo[id(self)] = copied
    return nn.Parameter(copied, False) if isinstance(self, nn.Parameter) else copied


def _fused_sgd(
    parameters: list[Tensor],
    gradients: list[Tensor],
    momenta: list[Tensor],
    *,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    **_: Any,
) -> None:
    """The one kernel here that FakeTensorMode does not know; it changes its tensors in place."""
    for name, tensors in (("gradients", gradients), ("momenta", momenta)):
        assert len(tensors) in (0, len(parameters)), name
    scalars = [scalar for scalar in (grad_scale, found_inf) if scalar is not None]
    assert {t.device for t in (*parameters, *gradients, *momenta, *scalars)} == {GPU}


@contextmanager
def _cuda_can_be_switched_to() -> Iterator[None]:
    """By what switches to the CPU, which does nothing."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    registry = (ctypes.c_void_p * TYPES).in_dll(library, REGISTRY)
    before = registry[CUDA_TYPE]
    registry[CUDA_TYPE] = before or registry[CPU_TYPE]
    try:
        yield
    finally:
        registry[CUDA_TYPE] = before
