"""Accelerated steps compute what plain ones do; those for GPUs run on the CPU here."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor

from dmnet.config import ModelConfig, RecipeConfig
from dmnet.segmentor import Segmentor
from dmnet.training import step
from dmnet.training.acceleration import PLAIN, Acceleration, acceleration_on
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


GPUS = Acceleration(channels_last=True, fused_update=True, tried_convolutions=True)


def stepper(start: Segmentor, acceleration: Acceleration) -> Stepper:
    model = copy.deepcopy(start)
    return Stepper(model, RECIPE, 255, torch.device("cpu"), acceleration=acceleration)


def steps(one: Stepper, first: int, last: int) -> list[float]:
    losses = [one.step(*batch(), number, seed=number)[0] for number in range(first, last)]
    return [float(loss.total.detach()) for loss in losses]


def test_losses_and_weights_agree_to_rounding(start: Segmentor) -> None:
    plain, fast = stepper(start, PLAIN), stepper(start, GPUS)
    assert steps(fast, 0, 3) == pytest.approx(steps(plain, 0, 3), rel=1e-4)
    for ours, theirs in zip(fast.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    filters = [p for p in fast.model.parameters() if p.dim() == 4 and p.shape[-1] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)


@pytest.mark.parametrize(("before", "after"), [(PLAIN, GPUS), (GPUS, PLAIN)])
def test_an_attempt_goes_on_where_another_kind_of_device_stopped(
    start: Segmentor, before: Acceleration, after: Acceleration
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
        assert (group["fused"], group["foreach"]) == (after.fused_update, not after.fused_update)
    assert steps(resumed, 2, 4) == pytest.approx(steps(whole, 0, 4)[2:], rel=1e-3)


def test_in_mixed_precision_a_run_goes_from_a_cpu_to_a_gpu_and_back(
    start: Segmentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU is one whose loss is scaled; what it found, a CPU hands on to the next."""
    recipe = RECIPE.model_copy(update={"precision": "amp"})
    state, scales = None, []
    for number, on_gpu in enumerate((False, True, False, True)):
        monkeypatch.setattr(step, "uses_amp", lambda *_, on=on_gpu: on)
        kind = GPUS if on_gpu else PLAIN
        one = Stepper(copy.deepcopy(start), recipe, 255, torch.device("cpu"), acceleration=kind)
        if state is not None:
            one.load_state_dict(state)
        assert torch.isfinite(one.step(*batch(), number, seed=number)[0].total)
        if number == 1:
            one.scaler.update(128.0)  # as after many infinite gradients
        scales.append(one.scaler.get_scale())
        stream = io.BytesIO()
        torch.save(one.state_dict(), stream)
        state = torch.load(io.BytesIO(stream.getvalue()), weights_only=True)
    assert scales == [1.0, 128.0, 1.0, 128.0]


def test_each_kind_of_device_has_its_own() -> None:
    assert acceleration_on(torch.device("cuda")) == GPUS
    assert acceleration_on(torch.device("cpu")) == PLAIN
    assert not any(PLAIN)
