"""Sliding windows and test-time augmentation, against mmsegmentation's recorded outputs.

The recordings use the weights of `mmseg_dmnet_r50d8`; pictures there are BGR, ours are RGB.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.config import (
    AuxiliaryConfig,
    DMNetHeadConfig,
    FCNHeadConfig,
    InferenceConfig,
    ModelConfig,
    RecipeConfig,
    ResNetConfig,
)
from dmnet.data.augment import resize_image
from dmnet.importers import mmseg
from dmnet.inference.augmented import predict_scores, size_at_scale
from dmnet.inference.windows import sliding_window_logits, window_starts
from dmnet.segmentor import Segmentor

Golden = Callable[[str], Any]


@pytest.fixture
def model(golden: Golden) -> Segmentor:
    recorded = golden("mmseg_dmnet_r50d8")
    theirs = json.loads(recorded["config_json"])
    head, auxiliary = theirs["decode_head"], theirs["auxiliary_head"]
    config = ModelConfig(
        backbone=ResNetConfig(stem="deep", width=theirs["backbone"]["base_channels"]),
        head=DMNetHeadConfig(
            channels=head["channels"], kernel_sizes=tuple(head["filter_sizes"]), fusion=False
        ),
        auxiliary={
            "stage4": AuxiliaryConfig(
                head=FCNHeadConfig(
                    channels=auxiliary["channels"], convolutions=auxiliary["num_convs"]
                )
            )
        },
    )
    model = Segmentor(config, head["num_classes"])
    model.load_state_dict(mmseg.to_ours(recorded["checkpoint"]["state_dict"], model))
    return model.eval()


def error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference as a part of the reference's range."""
    return float((ours - theirs).abs().max() / (theirs.max() - theirs.min()))


def test_windows_begin_where_the_reference_s_do(golden: Golden) -> None:
    recorded = golden("mmseg_slide_inference")["align_corners_false"]
    ours = [
        [top, top + 33, left, left + 33]
        for top in window_starts(65, 33, 22)
        for left in window_starts(97, 33, 22)
    ]
    assert ours == [list(window) for window in recorded["windows_y1y2x1x2"]]


@torch.no_grad()
def test_sliding_windows_average_as_the_reference_does(model: Segmentor, golden: Golden) -> None:
    recorded = golden("mmseg_slide_inference")["align_corners_false"]
    window, stride = tuple(recorded["crop_size"]), tuple(recorded["stride"])
    logits = sliding_window_logits(model, recorded["input"], window, stride)
    assert error(logits, recorded["seg_logits"]) < 1e-5
    low = sliding_window_logits(model, recorded["input"][..., :30, :], window, stride)
    assert error(low, recorded["input_30rows_logits"]) < 1e-5


def test_pictures_are_resized_to_the_bit(golden: Golden) -> None:
    recorded = golden("mmseg_tta")
    picture = recorded["image_bgr_uint8"].permute(2, 0, 1).contiguous()
    for index, ratio in enumerate(recorded["ratios"]):
        size = size_at_scale(*recorded["image_bgr_uint8"].shape[:2], ratio)
        assert torch.equal(resize_image(picture, size), recorded["resized_uint8"][2 * index])


def test_scales_and_mirror_images_average_as_the_reference_does(
    model: Segmentor, golden: Golden
) -> None:
    recorded = golden("mmseg_tta")
    picture = recorded["image_bgr_uint8"].permute(2, 0, 1).flip(0).contiguous()
    recipe = RecipeConfig(
        lr=1,
        weight_decay=0,
        iterations=1,
        batch_size=1,
        crop_size=(8, 8),
        mean=tuple(recorded["mean"]),
        std=tuple(recorded["std"]),
    )
    protocol = InferenceConfig(flip=True, scales=tuple(recorded["ratios"]))
    scores = predict_scores(model, picture, recipe, protocol)
    assert error(scores, recorded["avg_softmax"]) < 1e-5
    assert torch.equal(scores.argmax(0), recorded["pred"])
