"""Our configuration of the models that the reference implementations' configurations describe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dmnet.config import ModelConfig

OUTPUT_STRIDES = {((1, 2, 1, 1), (1, 1, 2, 4)): 8, ((1, 2, 2, 1), (1, 1, 1, 2)): 16}


def our_model(recorded: Mapping[str, Any]) -> tuple[ModelConfig, int, str]:
    """(configuration, number of classes, zoo) of a fixture's `config_json`."""
    theirs = json.loads(recorded["config_json"])
    if "decode_head" in theirs:
        return from_mmseg(theirs), theirs["decode_head"]["num_classes"], "mmsegmentation"
    return from_ssseg(theirs), theirs["num_classes"], "sssegmentation"


# ------------------------------------------------------------------------------- mmsegmentation


def from_mmseg(theirs: Mapping[str, Any]) -> ModelConfig:
    """Of the `model=` dict of mmsegmentation; what it leaves out has mmsegmentation's default."""
    backbone, head = theirs["backbone"], theirs["decode_head"]
    auxiliary = theirs.get("auxiliary_head") or []
    auxiliary = auxiliary if isinstance(auxiliary, list) else [auxiliary]
    bisenet = backbone["type"] == "BiSeNetV2"
    assert head["in_index"] == (0 if bisenet else 3)
    aligned = {part.get("align_corners", False) for part in (head, *auxiliary)}
    assert len(aligned) == 1
    first = 1 if bisenet else 2  # the stage that in_index 0 means
    return ModelConfig.model_validate(
        {
            "backbone": mmseg_bisenetv2(backbone) if bisenet else mmseg_resnet(backbone),
            "head": mmseg_head(head),
            "auxiliary": {
                f"stage{part['in_index'] + first}": {
                    "head": mmseg_head(part),
                    "stage": part["in_index"] + first,
                    "weight": part["loss_decode"]["loss_weight"],
                }
                for part in auxiliary
            },
            "align_corners": aligned.pop(),
        }
    )


def mmseg_resnet(theirs: Mapping[str, Any]) -> dict[str, Any]:
    assert theirs["type"] in {"ResNet", "ResNetV1c"} and theirs["contract_dilation"]
    assert list(theirs["out_indices"]) == [0, 1, 2, 3]
    return {
        "name": "resnet",
        "depth": theirs["depth"],
        "stem": "deep" if theirs["type"] == "ResNetV1c" else "plain",
        "output_stride": OUTPUT_STRIDES[tuple(theirs["strides"]), tuple(theirs["dilations"])],
        "width": theirs.get("base_channels", 64),
        "stem_channels": theirs.get("stem_channels", 64),
    }


def mmseg_bisenetv2(theirs: Mapping[str, Any]) -> dict[str, Any]:
    assert list(theirs["out_indices"]) == [0, 1, 2, 3, 4] and not theirs["align_corners"]
    return {
        "name": "bisenetv2",
        "detail_channels": theirs["detail_channels"],
        "semantic_channels": theirs["semantic_channels"],
        "expansion": theirs["semantic_expansion_ratio"],
        "aggregation_channels": theirs["bga_channels"],
    }


def mmseg_head(theirs: Mapping[str, Any]) -> dict[str, Any]:
    ours = {"channels": theirs["channels"], "dropout": theirs.get("dropout_ratio", 0.1)}
    if theirs["type"] == "DMHead":
        kernels = {"kernel_sizes": theirs.get("filter_sizes", (1, 3, 5, 7))}
        return {"name": "dmnet", **kernels, "fusion": theirs.get("fusion", False), **ours}
    if theirs["type"] == "ASPPHead":
        return {"name": "aspp", "dilations": theirs.get("dilations", (1, 6, 12, 18)), **ours}
    assert theirs["type"] == "FCNHead"
    convolutions = {
        "convolutions": theirs.get("num_convs", 2),
        "concat_input": theirs.get("concat_input", True),
    }
    return {"name": "fcn", **convolutions, **ours}


def from_mmseg_row(row: Mapping[str, Any]) -> tuple[ModelConfig, int]:
    """Of a row of mmseg_rows.json."""
    model = {**row, "decode_head": row["head"], "auxiliary_head": row["aux"]}
    return from_mmseg(model), row["head"]["num_classes"]


# ------------------------------------------------------------------------------- sssegmentation


def from_ssseg(theirs: Mapping[str, Any]) -> ModelConfig:
    """Of sssegmentation's `SEGMENTOR_CFG`, or of a row of ssseg_rows.json."""
    backbone, head, auxiliary = theirs["backbone"], theirs["head"], theirs["auxiliary"]
    assert list(backbone["selected_indices"]) == [2, 3]
    return ModelConfig.model_validate(
        {
            "backbone": {
                "name": "resnet",
                "depth": backbone["depth"],
                "stem": "deep" if backbone["use_conv3x3_stem"] else "plain",
                "output_stride": backbone["outstride"],
                "width": backbone.get("base_channels", 64),
                "stem_channels": backbone.get("stem_channels", 64),
            },
            "head": {
                "name": "dmnet",
                "channels": head["feats_channels"],
                "kernel_sizes": head["filter_sizes"],
                "fusion": head["is_fusion"],
                "dropout": head["dropout"],
            },
            "auxiliary": {
                "stage4": {
                    "head": {
                        "name": "fcn",
                        "channels": auxiliary["out_channels"],
                        "convolutions": auxiliary.get("num_convs", 1),
                        "dropout": auxiliary["dropout"],
                    },
                    "stage": 4,
                    "weight": theirs["losses"]["loss_aux"]["scale_factor"],
                }
            },
            "align_corners": theirs["align_corners"],
            "initialisation": "torch",
        }
    )
