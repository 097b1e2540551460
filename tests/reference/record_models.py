"""Models that no other fixture has: output stride 16, plain stem, fusion, even kernels, depth 101.

Run by hand, with the environment that install.sh makes (README.md):

    PYTHONPATH=tests/reference/site DIR/bin/python tests/reference/record_models.py

Writes tests/golden/{mmseg_dmnet_r50d16, mmseg_deeplabv3_r101d16, ssseg_dmnet_r50os16}.pt in the
layout of the other model fixtures: the configuration (of the fixture of output stride 8, changed as
below), a checkpoint, inputs, and what the reference computes from them.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from ssseg.modules import BuildSegmentor
from torch import Tensor, nn

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SIZES = {"case_65x97": (1, 3, 65, 97), "case_64x64_b2": (2, 3, 64, 64)}

STRIDE_16: dict[str, Any] = {"strides": [1, 2, 2, 1], "dilations": [1, 1, 1, 2]}
# fixture -> (the one it is made from, what is changed in its configuration)
CHANGES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "mmseg_dmnet_r50d16": (
        "mmseg_dmnet_r50d8_769",
        {
            "backbone": {**STRIDE_16, "type": "ResNet", "stem_channels": 8},
            "decode_head": {"fusion": True, "filter_sizes": [1, 2, 4, 5]},
        },
    ),
    "mmseg_deeplabv3_r101d16": (
        "mmseg_deeplabv3_r50d8",
        {"backbone": {**STRIDE_16, "depth": 101}, "decode_head": {"dilations": [1, 3, 6]}},
    ),
    "ssseg_dmnet_r50os16": (
        "ssseg_dmnet_r50os8",
        {
            "backbone": {
                "outstride": 16,
                "use_conv3x3_stem": False,
                "structure_type": "resnet50",
            },
            "head": {"is_fusion": True, "filter_sizes": [1, 2, 4, 5]},
        },
    ),
}


def changed_config(fixture: str) -> dict[str, Any]:
    source, changes = CHANGES[fixture]
    config = json.loads(torch.load(GOLDEN / f"{source}.pt", weights_only=True)["config_json"])
    return {**config, **{part: {**config[part], **new} for part, new in changes.items()}}


def as_if_trained(model: nn.Module) -> nn.Module:
    """Batch normalisation that does something; a fresh residual block is the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.3, 1.2)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked += 7
    return model.eval()


def mmseg_case(model: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    features = model.extract_feat(images)
    return list(features), model.decode_head(features), model.auxiliary_head(features)


def ssseg_case(model: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    features = model.transforminputs(model.backbone_net(images), selected_indices=[2, 3])
    logits = model.inference(images)
    return features, logits, model.auxiliary_decoder(features[0])


@torch.no_grad()
def record(fixture: str) -> dict[str, Any]:
    config = changed_config(fixture)
    torch.manual_seed(0)
    if fixture.startswith("ssseg"):
        model = as_if_trained(BuildSegmentor(segmentor_cfg=config, mode="TEST"))
        checkpoint = {"model": model.state_dict(), "cur_epoch": 0, "cur_iter": 0}
        align, run = config["align_corners"], ssseg_case
    else:
        model = as_if_trained(MODELS.build(config))
        checkpoint = {"state_dict": dict(model.state_dict()), "meta": {}}
        align, run = config["decode_head"]["align_corners"], mmseg_case
    content: dict[str, Any] = {
        "checkpoint": {k: dict(v) if isinstance(v, dict) else v for k, v in checkpoint.items()},
        "config_json": json.dumps(config),
        "align_corners": align,
        "reference_config": f"{CHANGES[fixture][0]}, changed by tests/reference/record_models.py",
    }
    for case, size in SIZES.items():
        images = torch.randn(size)
        features, logits, auxiliary = run(model, images)
        content[case] = {
            "input": images,
            "logits": logits,
            "logits_resized": F.interpolate(
                logits, size=size[2:], mode="bilinear", align_corners=align
            ),
            "aux_logits": [auxiliary],
            "feat_shapes": [list(feature.shape) for feature in features],
            "feat_sum_abs": [float(feature.double().abs().sum()) for feature in features],
        }
    return content


def main() -> None:
    init_default_scope("mmseg")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    for fixture in CHANGES:
        torch.save(record(fixture), GOLDEN / f"{fixture}.pt")


if __name__ == "__main__":
    main()
