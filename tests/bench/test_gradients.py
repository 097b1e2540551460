"""The comparison of gradients with those in float64, on a narrow model."""

from __future__ import annotations

import pytest
import torch

from bench.gradients import compare, error
from dmnet.config import ModelConfig
from dmnet.segmentor import Segmentor
from dmnet.winograd.kernels import kernels


def test_the_error_is_a_part_of_the_whole_gradient() -> None:
    exact = [torch.tensor([3.0, 0.0]), torch.tensor([4.0])]
    assert error(exact, exact) == 0
    assert error([torch.tensor([3.0, 0.5]), torch.tensor([4.0])], exact) == pytest.approx(0.1)


@pytest.mark.skipif(kernels() is None, reason="no compiler")
def test_fast_convolutions_are_as_exact_as_plain_ones() -> None:
    torch.manual_seed(0)
    backbone = {"name": "resnet", "depth": 50, "width": 8}
    config = {"backbone": backbone, "head": {"name": "dmnet", "channels": 256}}
    model = Segmentor(ModelConfig.model_validate(config), 5).train()
    labels = torch.randint(5, (4, 64, 64))
    found = compare(model, torch.randn(4, 3, 64, 64), labels)
    assert found["layers"] == 1
    assert found["loss_fast"] < 1e-6 and found["loss_plain"] < 1e-6
    assert found["apart"] > 0 and found["fast"] < 2 * found["plain"]
