"""mmsegmentation's parameter names for our ResNet, DMNet and FCN, in both directions.

Each row of the tables is (our name, mmsegmentation's name). `{i}` stands for a number and
`{parameter}` for the rest of a name. mmsegmentation calls our `head` `decode_head` and our
`auxiliary` `auxiliary_head`. Its checkpoints wrap the state dict under the key `state_dict`;
these functions take and give the state dict itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dmnet.config import BackboneConfig, ModelConfig
from dmnet.errors import CheckpointError
from dmnet.segmentor import Segmentor

Table = tuple[tuple[str, str], ...]

RESNET: Table = (("layer{i}.{parameter}", "layer{i}.{parameter}"),)
STEMS: dict[str, Table] = {
    "plain": (
        ("conv1.{parameter}", "conv1.{parameter}"),
        ("bn1.{parameter}", "bn1.{parameter}"),
    ),
    "deep": (
        ("conv1.{i}.{parameter}", "stem.{i}.{parameter}"),
        ("bn1.{parameter}", "stem.7.{parameter}"),
    ),
}
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
}

_SHOWN = 5  # keys named in an error


def to_ours(state: Mapping[str, Tensor], model: Segmentor) -> dict[str, Tensor]:
    """mmsegmentation's state dict under our names; raises CheckpointError if it does not fit."""
    return _rename(state, [(theirs, ours, ours) for ours, theirs in names(model).items()], model)


def to_mmseg(state: Mapping[str, Tensor], model: Segmentor) -> dict[str, Tensor]:
    """Our state dict under mmsegmentation's names; raises CheckpointError if it does not fit."""
    return _rename(state, [(ours, theirs, ours) for ours, theirs in names(model).items()], model)


def names(model: Segmentor) -> dict[str, str]:
    """Our name -> mmsegmentation's, for every tensor of the model.

    Raises CheckpointError when mmsegmentation has no name for a part of the model.
    """
    table = name_table(model.config)
    return {key: _translate(key, table) for key in model.state_dict()}


def name_table(config: ModelConfig) -> Table:
    """The rows that apply to a model, with the prefixes of its parts."""
    parts = [("backbone", "backbone", _backbone_table(config.backbone))]
    parts.append(("head", "decode_head", _head_table(config.head.name)))
    for index, (name, auxiliary) in enumerate(config.auxiliary.items()):
        # mmsegmentation numbers its auxiliary heads when there are several.
        theirs = f"auxiliary_head.{index}" if len(config.auxiliary) > 1 else "auxiliary_head"
        parts.append((f"auxiliary.{name}", theirs, _head_table(auxiliary.head.name)))
    return tuple(
        (f"{ours}.{row[0]}", f"{theirs}.{row[1]}") for ours, theirs, rows in parts for row in rows
    )


def _backbone_table(config: BackboneConfig) -> Table:
    if config.name != "resnet":
        raise CheckpointError(f"backbone `{config.name}`: no name table yet")
    return RESNET + STEMS[config.stem]


def _head_table(name: str) -> Table:
    if name not in HEADS:
        raise CheckpointError(
            f"head `{name}`: mmsegmentation has no such head; expected one of {', '.join(HEADS)}"
        )
    return HEADS[name]


def _translate(key: str, table: Table) -> str:
    for ours, theirs in table:
        pattern = re.escape(ours).replace(r"\{i\}", r"(?P<i>\d+)")
        pattern = pattern.replace(r"\{parameter\}", r"(?P<parameter>.+)")
        if match := re.fullmatch(pattern, key):
            return theirs.format(**match.groupdict())
    raise CheckpointError(f"`{key}`: no row of the name table for mmsegmentation; add one")


def _rename(
    state: Any, triples: Sequence[tuple[str, str, str]], model: Segmentor
) -> dict[str, Tensor]:
    """`state` under its new names; a triple is (name in `state`, new name, name in the model)."""
    if not isinstance(state, Mapping):
        raise CheckpointError(f"checkpoint: expected a state dict, found {type(state).__name__}")
    known = {old for old, _, _ in triples}
    leftover = [str(key) for key in state if key not in known]
    missing = [old for old, _, _ in triples if old not in state]
    tensors = model.state_dict()
    wrong = [
        f"{old} is {_shape(state[old])}, expected {_shape(tensors[ours])}"
        for old, _, ours in triples
        if old in state and _shape(state[old]) != _shape(tensors[ours])
    ]
    problems = [
        f"{what}: {_some(keys)}"
        for what, keys in (("left over", leftover), ("missing", missing), ("wrong shape", wrong))
        if keys
    ]
    if problems:
        raise CheckpointError(
            f"checkpoint does not fit the model ({'; '.join(problems)}); "
            "check the model's configuration against the checkpoint's"
        )
    return {new: state[old] for old, new, _ in triples}


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"no tensor but {type(value)}"


def _some(items: list[str]) -> str:
    rest = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
