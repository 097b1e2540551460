"""SGD is PyTorch's, step by step and in what it saves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from dmnet.private.sgd import SGD

SETTINGS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}


def trained(
    kind: Any, steps: int, state: Any = None, **settings: Any
) -> tuple[list[torch.Tensor], Any]:
    """Weights and state after some steps, with `state` taken up before the last one."""
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (4,))]
    optimizer = kind(parameters, **SETTINGS, **settings)
    for step in range(steps):
        if step == steps - 1 and state is not None:
            optimizer.load_state_dict(state)
        optimizer.zero_grad(set_to_none=True)
        sum((p**2).sum() + p.sin().sum() for p in parameters).backward()
        optimizer.step()
    return parameters, optimizer.state_dict()


@pytest.mark.parametrize("resumed", [False, True])
def test_weights_and_state_are_those_of_torch_optim(resumed: bool) -> None:
    states = [trained(torch.optim.SGD, 2)[1] if resumed else None for _ in range(2)]
    ours, own = trained(SGD, 4, states[0])
    theirs, their = trained(torch.optim.SGD, 4, states[1])
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    assert own["param_groups"] == their["param_groups"]
    for index, values in their["state"].items():
        assert torch.equal(own["state"][index]["momentum_buffer"], values["momentum_buffer"])


def test_all_parameters_in_a_turn_give_the_same_weights() -> None:
    """As trainings on a CPU update them."""
    together, _ = trained(SGD, 4, foreach=True)
    for one, other in zip(together, trained(torch.optim.SGD, 4, foreach=False)[0], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kernel", ["fused", "foreach"])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_first_step_that_mixed_precision_leaves_out_leaves_no_unwritten_momentum(
    kernel: str, resumed: bool
) -> None:
    """Which would be whatever lay in that memory: here NaN, as `empty_like` gives it."""
    parameter = torch.nn.Parameter(torch.ones(1000))
    kernels = {name: name == kernel for name in ("fused", "foreach")}
    optimizer = SGD([parameter], lr=0.1, momentum=0.9, **kernels)
    if resumed:
        optimizer.load_state_dict(optimizer.state_dict())
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    torch.use_deterministic_algorithms(True)  # fills what is not written with NaN
    try:
        for factor in (math.inf, 1.0, 1.0):
            optimizer.zero_grad()
            scaler.scale((parameter * factor).sum()).backward()
            scaler.step(optimizer)
            scaler.update(512.0)
    finally:
        torch.use_deterministic_algorithms(False)
    expected = 1 - 0.1 * 1 - 0.1 * 1.9
    assert torch.allclose(parameter, torch.full_like(parameter, expected))


def test_a_step_leaves_no_gradients_of_its_own() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = SGD([parameter], **SETTINGS)
    parameter.sum().backward()
    optimizer.step()
    assert parameter.is_leaf and parameter.grad_fn is None
