"""mmsegmentation's parameter names for our models, in both directions.

It calls our `head` `decode_head` and our `auxiliary` `auxiliary_head`, numbered when there are
several. Its checkpoint files hold the state dict under `state_dict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmnet.config import BackboneConfig, HeadConfig, ModelConfig
from dmnet.errors import CheckpointError
from dmnet.importers import resnet
from dmnet.importers.names import Table, prefixed
from dmnet.importers.zoo import Zoo

NAME = "mmsegmentation"

GATHER_EXPANSION: Table = (
    ("gather.{parameter}", "conv1.{parameter}"),
    ("expand.{i}.{parameter}", "dwconv.{i}.{parameter}"),
    ("project.{parameter}", "conv2.0.{parameter}"),
    ("shortcut.0.{parameter}", "shortcut.0.depthwise_conv.{parameter}"),
    ("shortcut.1.{parameter}", "shortcut.0.pointwise_conv.{parameter}"),
)
BISENETV2: Table = (
    ("detail.{parameter}", "detail.detail_branch.{parameter}"),
    ("stem.first.{parameter}", "semantic.stage1.conv_first.{parameter}"),
    ("stem.narrow.{parameter}", "semantic.stage1.convs.0.{parameter}"),
    ("stem.down.{parameter}", "semantic.stage1.convs.1.{parameter}"),
    ("stem.fuse.{parameter}", "semantic.stage1.fuse_last.{parameter}"),
    # mmsegmentation numbers the stages of the semantic branch from 1, the paper from 2.
    *(
        row
        for stage, layers in ((3, 2), (4, 2), (5, 4))
        for layer in range(layers)
        for row in prefixed(
            f"stage{stage}.{layer}.", f"semantic.stage{stage - 1}.{layer}.", GATHER_EXPANSION
        )
    ),
    ("context.bn.{parameter}", "semantic.stage4_CEBlock.gap.1.{parameter}"),
    ("context.embed.{parameter}", "semantic.stage4_CEBlock.conv_gap.{parameter}"),
    ("context.last.{parameter}", "semantic.stage4_CEBlock.conv_last.{parameter}"),
    ("aggregation.detail_fine.0.{parameter}", "bga.detail_dwconv.0.depthwise_conv.{parameter}"),
    (
        "aggregation.detail_fine.1.{parameter}",
        "bga.detail_dwconv.0.pointwise_conv.conv.{parameter}",
    ),
    ("aggregation.detail_coarse.{parameter}", "bga.detail_down.{parameter}"),
    ("aggregation.semantic_fine.{parameter}", "bga.semantic_conv.0.{parameter}"),
    (
        "aggregation.semantic_coarse.0.{parameter}",
        "bga.semantic_dwconv.0.depthwise_conv.{parameter}",
    ),
    (
        "aggregation.semantic_coarse.1.{parameter}",
        "bga.semantic_dwconv.0.pointwise_conv.conv.{parameter}",
    ),
    ("aggregation.fuse.{parameter}", "bga.conv.{parameter}"),
)
HEADS: dict[str, Table] = {
    "dmnet": (
        (
            "branches.{i}.filter_generator.{parameter}",
            "dcm_modules.{i}.filter_gen_conv.{parameter}",
        ),
        ("branches.{i}.reduction.{parameter}", "dcm_modules.{i}.input_redu_conv.{parameter}"),
        ("branches.{i}.bn.{parameter}", "dcm_modules.{i}.norm.{parameter}"),
        ("branches.{i}.fusion.{parameter}", "dcm_modules.{i}.fusion_conv.{parameter}"),
        ("bottleneck.{parameter}", "bottleneck.{parameter}"),
        ("classifier.{parameter}", "conv_seg.{parameter}"),
    ),
    "fcn": (
        ("convolutions.{i}.{parameter}", "convs.{i}.{parameter}"),
        ("concat.{parameter}", "conv_cat.{parameter}"),
        ("classifier.{parameter}", "conv_seg.{parameter}"),
    ),
    "aspp": (
        ("image_pooling.{parameter}", "image_pool.1.{parameter}"),
        ("branches.{i}.{parameter}", "aspp_modules.{i}.{parameter}"),
        ("bottleneck.{parameter}", "bottleneck.{parameter}"),
        ("classifier.{parameter}", "conv_seg.{parameter}"),
    ),
}


def name_table(config: ModelConfig) -> Table:
    """The rows that apply to a model. Raises CheckpointError for what mmsegmentation has not."""
    rows = prefixed("backbone.", "backbone.", backbone_table(config.backbone))
    rows += prefixed("head.", "decode_head.", head_table(config.head, config.backbone))
    for index, (name, auxiliary) in enumerate(config.auxiliary.items()):
        number = f"{index}." if len(config.auxiliary) > 1 else ""
        table = head_table(auxiliary.head, config.backbone)
        rows += prefixed(f"auxiliary.{name}.", f"auxiliary_head.{number}", table)
    return rows


def backbone_table(config: BackboneConfig) -> Table:
    if config.name == "bisenetv2":
        return BISENETV2
    return resnet.STAGES + resnet.STEMS[config.stem]


def head_table(config: HeadConfig, backbone: BackboneConfig) -> Table:
    if config.name not in HEADS:
        raise CheckpointError(
            f"head `{config.name}`: {NAME} has no such head; expected one of {', '.join(HEADS)}"
        )
    if config.name == "dmnet":
        require_own_context(config.context_stage, backbone, NAME)
    return HEADS[config.name]


def require_own_context(stage: int, backbone: BackboneConfig, zoo: str) -> None:
    """The zoos' filters are generated from the feature that they are applied to."""
    if stage != 5 or backbone.name != "resnet":
        raise CheckpointError(
            f"head `dmnet`: context_stage = {stage} on {backbone.name}, but {zoo} generates the "
            "filters from the head's own input; expected context_stage 5 on resnet"
        )


def metadata(classes: Sequence[str], iterations: int) -> dict[str, Any]:
    """What its tools read beside the weights: the classes (no colours: its own are used)."""
    return {"meta": {"dataset_meta": {"classes": list(classes)}, "iter": iterations}}


ZOO = Zoo(NAME, name_table, "state_dict", metadata)
to_ours = ZOO.to_ours  # for measurements that know this zoo alone
