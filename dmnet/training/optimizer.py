"""The recipe's optimizer, built and loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from dmnet.config import RecipeConfig
from dmnet.private.sgd import SGD

KERNELS = ("fused", "foreach")  # PyTorch's settings of an optimizer that say how, not what


def build_optimizer(parameters: Iterable[nn.Parameter], recipe: RecipeConfig, fused: bool) -> SGD:
    """fused: one kernel updates all parameters; else some, without a turn in Python for each."""
    return SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=fused,
        foreach=not fused,
    )


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """The momentum of `state` in the layout of this run's parameters, by this run's kernel.

    An attempt may go on on another device than the one before.
    """
    kernels = [{name: group[name] for name in KERNELS} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, kernels, strict=True):
        group.update(own)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)
