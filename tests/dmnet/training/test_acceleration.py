"""Accelerated steps compute what plain ones do. They are for GPUs, and here run on the CPU."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor

from dmnet.config import ExecutionConfig, ModelConfig, RecipeConfig
from dmnet.segmentor import Segmentor
from dmnet.training.acceleration import is_accelerated
from dmnet.training.step import Stepper

MODEL = ModelConfig.model_validate(
    {
        "backbone": {"name": "resnet", "depth": 50, "width": 8},
        "head": {"name": "dmnet", "channels": 8},
    }
)
RECIPE = RecipeConfig(
    iterations=10, batch_size=2, crop_size=(33, 41), lr=0.01, momentum=0.9, weight_decay=5e-4
)


@pytest.fixture(scope="module")
def start() -> Segmentor:
    torch.manual_seed(0)
    return Segmentor(MODEL, 5).train()


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, 33, 41, generator=generator)
    return images, torch.randint(5, (2, 33, 41), generator=generator, dtype=torch.uint8)


def stepper(start: Segmentor, accelerated: bool) -> Stepper:
    model = copy.deepcopy(start)
    return Stepper(model, RECIPE, 255, torch.device("cpu"), accelerated=accelerated)


def steps(one: Stepper, first: int, last: int) -> list[float]:
    losses = [one.step(*batch(), number, seed=number)[0] for number in range(first, last)]
    return [float(loss.total.detach()) for loss in losses]


def test_losses_and_weights_agree_to_rounding(start: Segmentor) -> None:
    plain, fast = (stepper(start, accelerated) for accelerated in (False, True))
    assert steps(fast, 0, 3) == pytest.approx(steps(plain, 0, 3), rel=1e-4)
    for ours, theirs in zip(fast.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    filters = [p for p in fast.model.parameters() if p.dim() == 4 and p.shape[-1] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
def test_an_attempt_goes_on_where_another_kind_of_device_stopped(
    start: Segmentor, before: bool, after: bool
) -> None:
    whole, first = stepper(start, after), stepper(start, before)
    steps(first, 0, 2)
    stream = io.BytesIO()
    torch.save({"model": first.model.state_dict(), **first.state_dict()}, stream)
    stream.seek(0)
    state = torch.load(stream, weights_only=True)
    resumed = stepper(start, after)
    resumed.model.load_state_dict(state["model"])
    resumed.load_state_dict(state)
    for group in resumed.optimizer.param_groups:
        assert (group["fused"], group["foreach"]) == (after, not after)
    assert steps(resumed, 2, 4) == pytest.approx(steps(whole, 0, 4)[2:], rel=1e-3)


def test_one_setting_switches_it_off_and_a_cpu_never_has_it() -> None:
    settings = {"checkpoint_every": 1, "validate_every": 1, "log_every": 1}
    on, off = ExecutionConfig(**settings), ExecutionConfig(**settings, accelerated=False)
    assert is_accelerated(on, torch.device("cuda"))
    assert not is_accelerated(off, torch.device("cuda"))
    assert not is_accelerated(on, torch.device("cpu"))
