"""Our models compute what mmsegmentation computed, given mmsegmentation's checkpoints.

The fixtures in tests/golden were recorded from mmsegmentation 1.2.2 at reduced widths: an untrained
checkpoint, inputs, and what its backbone, heads and resizing gave.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.config import ModelConfig
from dmnet.errors import CheckpointError
from dmnet.importers.mmseg import to_mmseg, to_ours
from dmnet.layers import resize_bilinear
from dmnet.segmentor import Segmentor

FIXTURES = ("mmseg_dmnet_r50d8", "mmseg_fcn_r50d8")
CASES = ("case_65x97", "case_64x64_b2")


def our_config(theirs: dict[str, Any]) -> ModelConfig:
    """Our configuration of the model that mmsegmentation's `model=` dict describes."""
    backbone = theirs["backbone"]
    assert backbone["type"] == "ResNetV1c" and backbone["contract_dilation"]
    assert (backbone["strides"], backbone["dilations"]) == ([1, 2, 1, 1], [1, 1, 2, 4])
    assert backbone["base_channels"] == backbone["stem_channels"]
    auxiliary = theirs["auxiliary_head"]
    return ModelConfig.model_validate(
        {
            "backbone": {
                "name": "resnet",
                "depth": backbone["depth"],
                "stem": "deep",
                "output_stride": 8,
                "width": backbone["base_channels"],
            },
            "head": our_head(theirs["decode_head"]),
            "auxiliary": {
                "stage4": {
                    "head": our_head(auxiliary),
                    "stage": auxiliary["in_index"] + 2,
                    "weight": auxiliary["loss_decode"]["loss_weight"],
                },
            },
            "align_corners": theirs["decode_head"]["align_corners"],
        }
    )


def our_head(theirs: dict[str, Any]) -> dict[str, Any]:
    ours = {"channels": theirs["channels"], "dropout": theirs["dropout_ratio"]}
    if theirs["type"] == "DMHead":
        return {"name": "dmnet", "kernel_sizes": theirs["filter_sizes"], "fusion": False, **ours}
    assert theirs["type"] == "FCNHead"
    convolutions = {"convolutions": theirs["num_convs"], "concat_input": theirs["concat_input"]}
    return {"name": "fcn", **convolutions, **ours}


@pytest.fixture(scope="module", params=FIXTURES)
def recorded(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> dict[str, Any]:
    return golden(request.param)


@pytest.fixture
def checkpoint(recorded: dict[str, Any]) -> dict[str, Tensor]:
    return dict(recorded["checkpoint"]["state_dict"])


@pytest.fixture
def model(recorded: dict[str, Any]) -> Segmentor:
    theirs = json.loads(recorded["config_json"])
    return Segmentor(our_config(theirs), theirs["decode_head"]["num_classes"]).eval()


@pytest.fixture
def imported(model: Segmentor, checkpoint: dict[str, Tensor]) -> Segmentor:
    model.load_state_dict(to_ours(checkpoint, model))
    return model


@pytest.mark.parametrize("name", CASES)
def test_logits_and_label_map_equal_the_references(
    imported: Segmentor, recorded: dict[str, Any], name: str
) -> None:
    case = recorded[name]
    with torch.no_grad():
        logits = imported(case["input"]).main
        resized = resize_bilinear(
            logits, tuple(case["input"].shape[-2:]), imported.config.align_corners
        )
    assert_equal(logits, case["logits"])
    assert_equal(resized, case["logits_resized"])
    assert torch.equal(resized.argmax(1), case["logits_resized"].argmax(1))


@pytest.mark.parametrize("name", CASES)
def test_features_and_auxiliary_logits_equal_the_references(
    imported: Segmentor, recorded: dict[str, Any], name: str
) -> None:
    case = recorded[name]
    with torch.no_grad():
        features = imported.backbone(case["input"])
        stage = imported.config.auxiliary["stage4"].stage
        auxiliary = imported.auxiliary["stage4"](features[: stage - 1])
    assert [list(feature.shape) for feature in features] == case["feat_shapes"]
    sums = [float(feature.double().abs().sum()) for feature in features]
    assert sums == pytest.approx(case["feat_sum_abs"], rel=1e-5)
    for ours, theirs in zip(features, case.get("feats", features), strict=True):
        assert_equal(ours, theirs)
    assert_equal(auxiliary, case["aux_logits"][0])


def test_the_feature_maps_themselves_are_recorded_for_dmnet(golden: Callable[[str], Any]) -> None:
    """Guards the comparison above, which falls back to sums where no maps were recorded."""
    assert len(golden("mmseg_dmnet_r50d8")["case_65x97"]["feats"]) == 4


def test_there_and_back_gives_the_checkpoint(
    model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    back = to_mmseg(to_ours(checkpoint, model), model)
    assert set(back) == set(checkpoint)
    assert all(torch.equal(back[key], checkpoint[key]) for key in checkpoint)


def test_back_and_there_gives_the_models_state(model: Segmentor) -> None:
    state = model.state_dict()
    again = to_ours(to_mmseg(state, model), model)
    assert list(again) == list(state)
    assert all(torch.equal(again[key], state[key]) for key in state)


def test_a_leftover_key_is_an_error_that_names_it(
    model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    checkpoint["decode_head.extra.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"left over: decode_head\.extra\.weight"):
        to_ours(checkpoint, model)


def test_a_missing_key_is_an_error_that_names_it(
    model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    del checkpoint["backbone.stem.7.weight"]
    with pytest.raises(CheckpointError, match=r"missing: backbone\.stem\.7\.weight"):
        to_ours(checkpoint, model)


def test_a_wrong_shape_is_an_error_that_names_both_shapes(
    model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    checkpoint["decode_head.conv_seg.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"conv_seg\.bias is \(3,\), expected \(19,\)"):
        to_ours(checkpoint, model)


@pytest.mark.parametrize("value", ["text", None, [1, 2]])
def test_a_value_that_is_no_tensor_is_an_error(
    model: Segmentor, checkpoint: dict[str, Any], value: Any
) -> None:
    checkpoint["decode_head.conv_seg.bias"] = value
    with pytest.raises(CheckpointError, match="no tensor"):
        to_ours(checkpoint, model)


def test_a_checkpoint_that_is_no_mapping_is_an_error(model: Segmentor) -> None:
    with pytest.raises(CheckpointError, match="expected a state dict, found list"):
        to_ours([torch.zeros(1)], model)  # type: ignore[arg-type]


def test_a_foreign_state_on_our_side_is_an_error_too(
    model: Segmentor, checkpoint: dict[str, Tensor]
) -> None:
    with pytest.raises(CheckpointError, match="left over: .*missing: "):
        to_mmseg(checkpoint, model)


def test_the_plain_stem_keeps_its_names() -> None:
    config = ModelConfig.model_validate(
        {"backbone": {"name": "resnet", "width": 4}, "head": {"name": "fcn", "channels": 4}}
    )
    model = Segmentor(config, 3)
    theirs = to_mmseg(model.state_dict(), model)
    assert {"backbone.conv1.weight", "backbone.bn1.running_var"} <= set(theirs)


def test_a_head_that_mmsegmentation_does_not_have_is_an_error() -> None:
    config = ModelConfig.model_validate(
        {"backbone": {"name": "resnet", "width": 4}, "head": {"name": "dilated", "channels": 4}}
    )
    model = Segmentor(config, 3)
    with pytest.raises(CheckpointError, match=r"head `dilated`: .*expected one of dmnet, fcn"):
        to_mmseg(model.state_dict(), model)
