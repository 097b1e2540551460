"""What holds for every head: one check per entry of HEADS. A new head is covered by being there."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from dmnet.config import HeadConfig, ModelConfig
from dmnet.heads import HEADS, build_head

IN_CHANNELS = (8, 12, 16, 20)  # stages 2 to 5
CLASSES = 5

# Settings beside the small default ones, per head.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "dmnet": [
        {"fusion": False},
        {"kernel_sizes": [2, 4]},
        {"context_stage": 2},
        {"context_stage": 4},
    ],
    "multi_kernel": [{"depthwise": True}, {"kernel_sizes": [2, 4]}, {"fusion": False}],
    "dilated": [{"depthwise": True}, {"dilations": [1]}, {"fusion": False}],
    "fcn": [
        {"convolutions": 0},
        {"convolutions": 2, "concat_input": True},
        {"convolutions": 0, "concat_input": True},
    ],
}
SETTINGS = [
    pytest.param({"name": name, **variant}, id=f"{name}-{variant or 'defaults'}")
    for name in HEADS
    for variant in [{}, *VARIANTS.get(name, [])]
]


def make(settings: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    values = {"channels": 8, **settings}
    config = ModelConfig.model_validate({"backbone": {"name": "resnet"}, "head": values}).head
    return build_head(config, IN_CHANNELS, CLASSES)


def features(n: int, height: int, width: int) -> list[Tensor]:
    """Stages 2 to 5 at output stride 8: the first has twice the size of the others."""
    generator = torch.Generator().manual_seed(1)
    sizes = [(2 * height - 1, 2 * width - 1)] + [(height, width)] * 3
    return [
        torch.randn(n, channels, *size, generator=generator)
        for channels, size in zip(IN_CHANNELS, sizes, strict=True)
    ]


def test_every_head_has_one_schema_and_every_schema_one_head() -> None:
    union = get_args(HeadConfig)[0]
    assert sorted(s.model_fields["name"].default for s in get_args(union)) == sorted(HEADS)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("size", [(1, 9, 13), (2, 8, 8), (1, 1, 1), (1, 3, 2)])
def test_logits_have_the_size_of_stage_5(
    settings: dict[str, Any], size: tuple[int, int, int]
) -> None:
    n, height, width = size
    with torch.no_grad():
        logits = make(settings).eval()(features(n, height, width))
    assert logits.shape == (n, CLASSES, height, width)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize("settings", SETTINGS)
def test_gradients_reach_every_parameter(settings: dict[str, Any]) -> None:
    head = make(settings).train()
    logits = head(features(4, 8, 8))
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    (logits * weights).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_state_dict_carries_everything_that_the_logits_depend_on(
    settings: dict[str, Any],
) -> None:
    head = make(settings).train()
    head(features(4, 8, 8))  # moves the running statistics
    other = make(settings)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    x = features(2, 5, 7)
    with torch.no_grad():
        expected = head.eval()(x)
        assert not torch.equal(other.eval()(x), expected)
        other.load_state_dict(head.state_dict())
        assert torch.equal(other.eval()(x), expected)


@pytest.mark.parametrize("settings", SETTINGS)
def test_evaluation_draws_no_random_numbers_and_training_does(settings: dict[str, Any]) -> None:
    head = make({**settings, "dropout": 0.5})
    x = features(2, 5, 7)
    with torch.no_grad():
        head.eval()
        assert torch.equal(head(x), head(x))
        head.train()
        assert not torch.equal(head(x), head(x))


@pytest.mark.parametrize("settings", SETTINGS)
def test_one_sample_of_a_batch_does_not_change_another_in_evaluation(
    settings: dict[str, Any],
) -> None:
    head = make(settings).eval()
    x = features(2, 5, 7)
    with torch.no_grad():
        together = head(x)[1:]
        alone = head([feature[1:] for feature in x])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-6)
