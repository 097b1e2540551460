"""By which law the tensors of a fresh model were drawn. Needs torch only: both sides use it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def laws(model: nn.Module) -> dict[str, str]:
    """Parameter -> `zeros`, `ones`, or the likeliest of

    he       N(0, 2 / fan_out), fan_out = output channels x kernel area (groups do not count)
    torch    U(-b, b), b = 1 / sqrt(fan_in): PyTorch's own convolution
    small    N(0, 0.01 ** 2)
    """
    found = {}
    for module_name, module in model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            found[f"{module_name}.{name}"] = law(tensor.detach(), module)
    return found


def law(tensor: Tensor, module: nn.Module) -> str:
    for value, name in ((0, "zeros"), (1, "ones")):
        if bool((tensor == value).all()):
            return name
    assert isinstance(module, nn.Conv2d), module
    bound = 1 / math.sqrt(module.weight[0].numel())
    fan_out = module.out_channels * module.weight[0, 0].numel()
    likelihood = {
        "he": normal(tensor, math.sqrt(2 / fan_out)),
        "torch": float("-inf") if tensor.abs().max() > bound else -math.log(2 * bound),
        "small": normal(tensor, 0.01),
    }
    return max(likelihood, key=lambda name: likelihood[name])


def normal(tensor: Tensor, std: float) -> float:
    """Mean log-likelihood under N(0, std ** 2)."""
    return float(torch.distributions.Normal(0.0, std).log_prob(tensor).mean())
