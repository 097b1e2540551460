"""The memory that is counted without a GPU is what a training step really keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dmnet import footprint
from dmnet.config import ModelConfig, RecipeConfig
from dmnet.footprint import GIB, training_footprint
from dmnet.losses import segmentation_losses
from dmnet.segmentor import Segmentor

CLASSES, SIZE, IMAGES = 7, (64, 96), 4
AUXILIARY = {"stage4": {"head": {"name": "fcn", "channels": 16}, "stage": 4, "weight": 0.4}}
RESNET = {"name": "resnet", "depth": 50, "width": 16}
MODELS: dict[str, dict[str, Any]] = {
    "DMNet": {"backbone": RESNET, "head": {"name": "dmnet", "channels": 16}},
    "DeepLabV3": {
        "backbone": RESNET,
        "head": {"name": "aspp", "channels": 16},
        "auxiliary": AUXILIARY,
    },
    "BiSeNetV2": {"backbone": {"name": "bisenetv2"}, "head": {"name": "fcn", "channels": 16}},
}


def recipe(**values: Any) -> RecipeConfig:
    plain = {"lr": 0.1, "weight_decay": 0, "iterations": 1, "batch_size": IMAGES}
    return RecipeConfig.model_validate({**plain, "crop_size": SIZE, **values})


@pytest.mark.parametrize("name", MODELS)
def test_what_is_kept_of_a_real_step(name: str) -> None:
    config = ModelConfig.model_validate(MODELS[name])
    model = Segmentor(config, CLASSES).train()
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    found: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point():
            found.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    labels = torch.randint(CLASSES, (IMAGES, *SIZE))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        segmentation_losses(model, model(torch.randn(IMAGES, 3, *SIZE)), labels, 255)
    kept = sum(x.untyped_storage().nbytes() for key, x in found.items() if key not in own)
    counted = training_footprint(config, CLASSES, recipe(), IMAGES)
    assert counted.activations == pytest.approx(kept, rel=0.1)
    values = sum(parameter.numel() for parameter in model.parameters())
    assert 12 * values < counted.weights < 13 * values


def test_a_loss_in_pieces_keeps_no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig.model_validate(MODELS["DeepLabV3"])
    one_map = 4 * IMAGES * CLASSES * SIZE[0] * SIZE[1]
    monkeypatch.setattr(footprint, "PIECE", 2**62)
    whole = training_footprint(config, CLASSES, recipe(), IMAGES)
    assert whole.temporary == 2 * one_map
    monkeypatch.setattr(footprint, "PIECE", one_map)
    assert training_footprint(config, CLASSES, recipe(), IMAGES) == whole  # which is one piece
    monkeypatch.setattr(footprint, "PIECE", one_map // 2)
    pieces = training_footprint(config, CLASSES, recipe(), IMAGES)
    assert whole.activations - pieces.activations == 2 * one_map  # of head and auxiliary head
    assert pieces.temporary == 3 * one_map // 2


def test_the_paper_s_sizes() -> None:
    """ResNet-50 at 16 x 512 x 512 takes about 20 GiB, counted by hand."""
    model = ModelConfig.model_validate({"backbone": {"name": "resnet"}, "head": {"name": "dmnet"}})
    found = training_footprint(model, 21, recipe(batch_size=16, crop_size=(512, 512)), 16)
    assert 18 < (found.total - found.temporary) / GIB < 23
    half = training_footprint(model, 21, recipe(batch_size=16, crop_size=(512, 512)), 8)
    assert half.activations == found.activations // 2 and half.weights == found.weights
