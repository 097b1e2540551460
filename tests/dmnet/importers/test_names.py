"""A checkpoint of a zoo is taken whole or not at all, and comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.config import ModelConfig
from dmnet.errors import CheckpointError
from dmnet.importers import ZOOS, Zoo
from dmnet.segmentor import Segmentor
from tests.dmnet.reference_models import our_model

FIXTURES = (
    "mmseg_dmnet_r50d8",
    "mmseg_deeplabv3_r50d8",
    "mmseg_fcn_r50d8",
    "mmseg_bisenetv2",
    "ssseg_dmnet_r50os8",
)
# The classifier's bias.
BIAS = {"mmsegmentation": "decode_head.conv_seg.bias", "sssegmentation": "decoder.4.bias"}


@pytest.fixture(scope="module", params=FIXTURES)
def recorded(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> dict[str, Any]:
    return golden(request.param)


@pytest.fixture
def zoo(recorded: dict[str, Any]) -> Zoo:
    return ZOOS[our_model(recorded)[2]]


@pytest.fixture
def model(recorded: dict[str, Any]) -> Segmentor:
    config, classes, _ = our_model(recorded)
    return Segmentor(config, classes).eval()


@pytest.fixture
def checkpoint(recorded: dict[str, Any], zoo: Zoo) -> dict[str, Tensor]:
    return zoo.unwrap(recorded["checkpoint"])


def test_there_and_back_gives_the_checkpoint(
    zoo: Zoo, model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    back = zoo.to_theirs(zoo.to_ours(checkpoint, model), model)
    assert set(back) == set(checkpoint)
    assert all(torch.equal(back[key], checkpoint[key]) for key in checkpoint)


def test_back_and_there_gives_the_models_state(zoo: Zoo, model: Segmentor) -> None:
    state = model.state_dict()
    again = zoo.to_ours(zoo.to_theirs(state, model), model)
    assert list(again) == list(state)
    assert all(torch.equal(again[key], state[key]) for key in state)


def test_what_is_wrapped_is_unwrapped(zoo: Zoo, checkpoint: dict[str, Tensor]) -> None:
    content = zoo.wrap(checkpoint, ["road", "car"], 40)
    assert list(zoo.unwrap(content)) == list(checkpoint)


@pytest.mark.parametrize("content", [{"weights": {}}, {}, [1]])
def test_a_file_without_the_zoos_key_is_an_error(zoo: Zoo, content: Any) -> None:
    with pytest.raises(CheckpointError, match=f"expected the key `{zoo.key}` of a {zoo.name}"):
        zoo.unwrap(content)


def test_a_file_without_a_state_dict_under_the_key_is_an_error(zoo: Zoo) -> None:
    with pytest.raises(CheckpointError, match=f"a state dict under `{zoo.key}`, found list"):
        zoo.unwrap({zoo.key: [torch.zeros(1)]})


def test_a_leftover_key_is_an_error_that_names_it(
    zoo: Zoo, model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    checkpoint["decode_head.extra.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"left over: decode_head\.extra\.weight"):
        zoo.to_ours(checkpoint, model)


def test_a_missing_key_is_an_error_that_names_it(
    zoo: Zoo, model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    del checkpoint[BIAS[zoo.name]]
    with pytest.raises(CheckpointError, match=f"missing: {BIAS[zoo.name]}"):
        zoo.to_ours(checkpoint, model)


def test_a_wrong_shape_is_an_error_that_names_both_shapes(
    zoo: Zoo, model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    checkpoint[BIAS[zoo.name]] = torch.zeros(3)
    expected = rf"{BIAS[zoo.name]} is \(3,\), expected \(19,\)"
    with pytest.raises(CheckpointError, match=expected):
        zoo.to_ours(checkpoint, model)


@pytest.mark.parametrize("value", ["text", None, [1, 2]])
def test_a_value_that_is_no_tensor_is_an_error(
    zoo: Zoo, model: Segmentor, checkpoint: dict[str, Any], value: Any
) -> None:
    checkpoint[BIAS[zoo.name]] = value
    with pytest.raises(CheckpointError, match="no tensor"):
        zoo.to_ours(checkpoint, model)


def test_a_checkpoint_that_is_no_mapping_is_an_error(zoo: Zoo, model: Segmentor) -> None:
    with pytest.raises(CheckpointError, match="expected a state dict, found list"):
        zoo.to_ours([torch.zeros(1)], model)  # type: ignore[arg-type]


def test_a_foreign_state_on_our_side_is_an_error_too(
    zoo: Zoo, model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    with pytest.raises(CheckpointError, match="left over: .*missing: "):
        zoo.to_theirs(checkpoint, model)


# -------------------------------------------------------------------- what a zoo does not have


def small(head: dict[str, Any], auxiliary: dict[str, Any] | None = None) -> Segmentor:
    config = {"backbone": {"name": "resnet", "width": 4}, "head": {"channels": 4, **head}}
    if auxiliary is not None:
        config["auxiliary"] = {"stage4": {"head": {"channels": 4, **auxiliary}}}
    return Segmentor(ModelConfig.model_validate(config), 3)


def test_the_plain_stem_keeps_its_names() -> None:
    names = ZOOS["mmsegmentation"].names(small({"name": "fcn"}))
    assert names["backbone.conv1.weight"] == "backbone.conv1.weight"
    assert names["backbone.bn1.running_var"] == "backbone.bn1.running_var"


@pytest.mark.parametrize(
    ("zoo", "head", "auxiliary", "message"),
    [
        ("mmsegmentation", {"name": "dilated"}, None, "head `dilated`: .* expected one of dmnet"),
        ("mmsegmentation", {"name": "dmnet", "context_stage": 4}, None, "context_stage = 4"),
        ("sssegmentation", {"name": "dmnet", "context_stage": 4}, None, "context_stage = 4"),
        ("sssegmentation", {"name": "aspp"}, None, "head `aspp` on resnet: no name table"),
        (
            "sssegmentation",
            {"name": "dmnet"},
            {"name": "fcn", "concat_input": True},
            "expected fcn without concat_input",
        ),
    ],
)
def test_a_model_that_the_zoo_does_not_have_is_an_error(
    zoo: str, head: dict[str, Any], auxiliary: dict[str, Any] | None, message: str
) -> None:
    model = small(head, auxiliary)
    with pytest.raises(CheckpointError, match=message):
        ZOOS[zoo].to_theirs(model.state_dict(), model)
