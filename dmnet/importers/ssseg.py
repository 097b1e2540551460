"""sssegmentation's parameter names for its DMNet, in both directions.

Its modules are plain sequences, so a convolution, its normalisation and the classifier are told
apart by their place. Its checkpoint files hold the state dict under `model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmnet.config import HeadConfig, ModelConfig
from dmnet.errors import CheckpointError
from dmnet.importers import resnet
from dmnet.importers.mmseg import require_own_context
from dmnet.importers.names import Table, prefixed
from dmnet.importers.zoo import Zoo

NAME = "sssegmentation"

DMNET: Table = (
    ("branches.{i}.filter_generator.{parameter}", "dcm_modules.{i}.filter_gen_conv.{parameter}"),
    ("branches.{i}.reduction.conv.{parameter}", "dcm_modules.{i}.input_redu_conv.0.{parameter}"),
    ("branches.{i}.reduction.bn.{parameter}", "dcm_modules.{i}.input_redu_conv.1.{parameter}"),
    ("branches.{i}.bn.{parameter}", "dcm_modules.{i}.norm.{parameter}"),
    ("branches.{i}.fusion.conv.{parameter}", "dcm_modules.{i}.fusion_conv.0.{parameter}"),
    ("branches.{i}.fusion.bn.{parameter}", "dcm_modules.{i}.fusion_conv.1.{parameter}"),
    # convolution, normalisation, activation, dropout, classifier
    ("bottleneck.conv.{parameter}", "decoder.0.{parameter}"),
    ("bottleneck.bn.{parameter}", "decoder.1.{parameter}"),
    ("classifier.{parameter}", "decoder.4.{parameter}"),
)


def name_table(config: ModelConfig) -> Table:
    """The rows that apply to a model. Raises CheckpointError for what sssegmentation has not."""
    if config.backbone.name != "resnet" or config.head.name != "dmnet":
        raise CheckpointError(
            f"head `{config.head.name}` on {config.backbone.name}: no name table for {NAME}; "
            "expected dmnet on resnet"
        )
    require_own_context(config.head.context_stage, config.backbone, NAME)
    backbone = resnet.STAGES + resnet.STEMS[config.backbone.stem]
    rows = prefixed("backbone.", "backbone_net.", backbone) + prefixed("head.", "", DMNET)
    for index, (name, auxiliary) in enumerate(config.auxiliary.items()):
        number = f"{index}." if len(config.auxiliary) > 1 else ""
        table = auxiliary_table(auxiliary.head)
        rows += prefixed(f"auxiliary.{name}.", f"auxiliary_decoder.{number}", table)
    return rows


def auxiliary_table(config: HeadConfig) -> Table:
    """Per convolution three modules (itself, normalisation, activation); dropout; classifier."""
    if config.name != "fcn" or config.concat_input:
        raise CheckpointError(
            f"auxiliary head `{config.name}`: {NAME} has convolutions and a classifier only; "
            "expected fcn without concat_input"
        )
    rows: Table = ()
    for number in range(config.convolutions):
        rows += prefixed(
            f"convolutions.{number}.",
            "",
            (
                ("conv.{parameter}", f"{3 * number}.{{parameter}}"),
                ("bn.{parameter}", f"{3 * number + 1}.{{parameter}}"),
            ),
        )
    return (*rows, ("classifier.{parameter}", f"{3 * config.convolutions + 1}.{{parameter}}"))


def progress(classes: Sequence[str], iterations: int) -> dict[str, Any]:
    """What its checkpoints say beside the weights; a run here counts iterations, not epochs."""
    return {"cur_epoch": 0, "cur_iter": iterations}


ZOO = Zoo(NAME, name_table, "model", progress)
