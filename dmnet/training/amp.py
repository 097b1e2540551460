"""Mixed precision: whether a run uses it, and how its loss is scaled against underflow."""

from __future__ import annotations

import torch

from dmnet.config import RecipeConfig, SpeedConfig


def uses_amp(recipe: RecipeConfig | SpeedConfig, device: torch.device) -> bool:
    """Autocast and loss scaling on CUDA only: the CPU computes in float32 whatever is asked."""
    return recipe.precision == "amp" and device.type == "cuda"


def loss_scaler(recipe: RecipeConfig, device: torch.device, enabled: bool) -> torch.amp.GradScaler:
    """Scales the loss before `backward`; does nothing unless `enabled`.

    Call `update(recipe.loss_scale)` after every step. With a number there the scale stays at it,
    as mmengine's AmpOptimWrapper has it: a step with an infinite gradient is left out, and the
    scale does not change. With None the scale is PyTorch's, halved after such a step.
    """
    if recipe.loss_scale is None:
        return torch.amp.GradScaler(device.type, enabled=enabled)
    return torch.amp.GradScaler(device.type, init_scale=recipe.loss_scale, enabled=enabled)
