"""Scaling of the loss in mixed precision: fixed, or found by itself. CUDA is not needed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dmnet.config import RecipeConfig
from dmnet.training.amp import loss_scaler, uses_amp

CPU = torch.device("cpu")


def recipe(**values: Any) -> RecipeConfig:
    plain = {"lr": 0.1, "weight_decay": 0.0, "iterations": 9, "batch_size": 1, "crop_size": (8, 8)}
    return RecipeConfig.model_validate({**plain, **values})


def test_only_cuda_computes_in_mixed_precision() -> None:
    assert uses_amp(recipe(precision="amp"), torch.device("cuda"))
    assert not uses_amp(recipe(precision="amp"), CPU)
    assert not uses_amp(recipe(), torch.device("cuda"))


def steps(values: RecipeConfig, gradients: list[float]) -> tuple[list[float], list[float]]:
    """Plain gradient descent on one number: (it, the scale) after each step."""
    number = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([number], lr=1.0)
    scaler = loss_scaler(values, CPU, enabled=True)
    found: tuple[list[float], list[float]] = ([], [])
    for gradient in gradients:
        optimizer.zero_grad()
        scaler.scale((number * gradient).sum()).backward()
        scaler.step(optimizer)
        scaler.update(values.loss_scale)
        found[0].append(float(number.detach()))
        found[1].append(scaler.get_scale())
    return found


def test_a_fixed_scale_stays_and_a_step_with_an_infinite_gradient_is_left_out() -> None:
    numbers, scales = steps(recipe(loss_scale=512.0), [1.0, float("inf"), 2.0])
    assert numbers == [-1.0, -1.0, -3.0]
    assert scales == [512.0, 512.0, 512.0]


def test_a_scale_that_is_found_is_halved_by_an_infinite_gradient() -> None:
    numbers, scales = steps(recipe(), [1.0, float("inf"), 2.0])
    assert numbers == [-1.0, -1.0, -3.0]
    assert scales == [65536.0, 32768.0, 32768.0]


def test_in_full_precision_nothing_is_scaled() -> None:
    scaler = loss_scaler(recipe(loss_scale=512.0), CPU, enabled=False)
    scaler.update(512.0)
    assert scaler.get_scale() == 1.0


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_scale_is_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="loss_scale"):
        recipe(loss_scale=scale)
