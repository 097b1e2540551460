"""Names and shapes of the weights of every published row's model, from the reference's own models.

Run by hand, with the environment that install.sh makes (README.md):

    PYTHONPATH=tests/reference/site DIR/bin/python tests/reference/record_state_dicts.py

The rows are those of tests/golden/mmseg_rows.json and ssseg_rows.json. mmsegmentation's models are
built from the configuration files inside its package; sssegmentation's package has none, so its
models are built from the resolved configurations in ssseg_rows.json. Synchronised batch
normalisation becomes plain (it has the same names). Models live on the meta device: no weights, no
memory.

Writes tests/golden/state_dicts.json: `models` (id -> name -> shape; equal ones once, the id is that
of the first row that has it) and `rows` (toolbox -> configuration file -> id).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mmseg
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from ssseg.modules import BuildSegmentor
from torch import nn

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CONFIGS = Path(mmseg.__file__).parent / ".mim" / "configs"


def mmsegmentation(config: str) -> nn.Module:
    model = Config.fromfile(CONFIGS / config).model
    return MODELS.build(plain_norm(model.to_dict() | {"pretrained": None}))


def sssegmentation(row: dict[str, Any]) -> nn.Module:
    return BuildSegmentor(
        segmentor_cfg={
            "type": "DMNet",
            "num_classes": row["num_classes"],
            "align_corners": row["align_corners"],
            "norm_cfg": {"type": "BatchNorm2d"},
            "act_cfg": {"type": "ReLU", "inplace": True},
            "backbone": row["backbone"] | {"pretrained": False},
            "head": row["head"],
            "auxiliary": row["auxiliary"],
            "losses": row["losses"],
            "inference": row["inference"],
        },
        mode="TEST",
    )


def plain_norm(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: plain_norm(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(plain_norm(value) for value in config)
    return "BN" if config == "SyncBN" else config


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def main() -> None:
    init_default_scope("mmseg")
    rows = {
        name: json.loads((GOLDEN / f"{file}_rows.json").read_text())["rows"]
        for name, file in (("mmsegmentation", "mmseg"), ("sssegmentation", "ssseg"))
    }
    models: dict[str, dict[str, list[int]]] = {}
    ids: dict[str, dict[str, str]] = {toolbox: {} for toolbox in rows}
    with torch.device("meta"):
        for toolbox, configs in rows.items():
            for config, row in configs.items():
                model = (
                    mmsegmentation(config) if toolbox == "mmsegmentation" else sssegmentation(row)
                )
                found = shapes(model)
                equal = [identity for identity, known in models.items() if known == found]
                identity = equal[0] if equal else f"{toolbox}:{Path(config).stem}"
                models[identity] = found
                ids[toolbox][config] = identity
    text = json.dumps({"rows": ids, "models": models}, separators=(",", ":"))
    (GOLDEN / "state_dicts.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
