"""Batch normalisation has two values in every part of a batch, or the configuration is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dmnet.config import ModelConfig, RunConfig, parse
from dmnet.errors import ConfigError
from dmnet.segmentor import Segmentor

RECIPE = {"lr": 0.01, "weight_decay": 0.0, "iterations": 1, "crop_size": [64, 64]}
DATA = {"name": "d", "layout": "camvid", "classes": 3, "ignore_index": 255, "label_map": {}}
RUN: dict[str, Any] = {"data": {**DATA, "split": "train", "generate": None}}
RESNET = {"name": "resnet", "width": 4}
FCN = {"name": "fcn", "channels": 4}
ASPP = {"name": "aspp", "channels": 4, "dilations": [1, 2]}
BISENET = {
    "name": "bisenetv2",
    **{"detail_channels": [4, 4, 4], "semantic_channels": [4, 4, 4, 4]},
    **{"expansion": 2, "aggregation_channels": 4},
}
POOLING = {
    "deeplabv3": {"backbone": RESNET, "head": ASPP},
    "auxiliary aspp": {"backbone": RESNET, "head": FCN, "auxiliary": {"a": {"head": ASPP}}},
    "bisenetv2": {"backbone": BISENET, "head": FCN},
}
OTHERS = {
    "fcn": {"backbone": RESNET, "head": FCN},
    "dmnet": {"backbone": RESNET, "head": {**FCN, "name": "dmnet", "kernel_sizes": [1, 2]}},
    "multi_kernel": {"backbone": RESNET, "head": {**FCN, "name": "multi_kernel"}},
    "dilated": {"backbone": RESNET, "head": {**FCN, "name": "dilated"}},
}


def run_of(model: dict[str, Any], **recipe: Any) -> RunConfig:
    values = {**RUN, "model": model, "recipe": {**RECIPE, **recipe}}
    return parse(RunConfig, values, "run.yaml")


@pytest.mark.parametrize("model", POOLING.values(), ids=POOLING)
@pytest.mark.parametrize(
    ("batch", "parts"),
    [(1, {}), (2, {"bn_parts": 2}), (4, {"bn_parts": 4}), (2, {"bn_parts": 2, "sync_bn": False})],
)
def test_models_that_pool_whole_maps_normalise_two_images_or_more_at_once(
    model: dict[str, Any], batch: int, parts: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.batch_size: .* pools whole .*raise batch_size"):
        run_of(model, batch_size=batch, **parts)
    assert run_of(model, batch_size=2 * batch, **parts)


def test_parts_of_the_backbone_alone_count_for_the_backbone_alone() -> None:
    parts = {"batch_size": 4, "backbone_bn_parts": 4}
    assert run_of(POOLING["deeplabv3"], **parts)  # the heads have all images
    with pytest.raises(ConfigError, match="4 image.* in 4 part.* backbone bisenetv2 pools whole"):
        run_of(POOLING["bisenetv2"], **parts)


@pytest.mark.parametrize("model", [*POOLING.values(), *OTHERS.values()], ids=[*POOLING, *OTHERS])
@pytest.mark.parametrize("crop", [8, 64])
def test_what_is_refused_is_what_pytorch_cannot_train(model: dict[str, Any], crop: int) -> None:
    """One image; `check_statistics` knows the models by name, so each is tried."""
    network = Segmentor(parse(ModelConfig, model, "model"), 3).train()
    images = torch.zeros(1, 3, crop, crop)
    try:
        network(images)
        trains = True
    except ValueError as error:
        assert "more than 1 value per channel" in str(error)
        trains = False
    try:
        run_of(model, batch_size=1, crop_size=[crop, crop])
        assert trains
    except ConfigError:
        assert not trains
