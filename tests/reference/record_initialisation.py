"""How the references initialise every parameter, from their own models at the fixtures' widths.

Run by hand, with the environment that install.sh makes (README.md):

    PYTHONPATH=tests/reference/site DIR/bin/python tests/reference/record_initialisation.py

Writes tests/golden/initialisation.json: fixture -> parameter -> law (laws.py). mmsegmentation's
models are initialised as its runner does it, with `init_weights`; sssegmentation's need nothing.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from laws import laws
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from ssseg.modules import BuildSegmentor
from torch import nn

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FIXTURES = (
    "mmseg_dmnet_r50d8",
    "mmseg_deeplabv3_r50d8",
    "mmseg_fcn_r50d8",
    "mmseg_bisenetv2",
    "ssseg_dmnet_r50os8",
)


def fresh(fixture: str) -> nn.Module:
    recorded = torch.load(GOLDEN / f"{fixture}.pt", weights_only=True)
    config = json.loads(recorded["config_json"])
    if fixture.startswith("ssseg"):
        return BuildSegmentor(segmentor_cfg=config, mode="TEST")
    model = MODELS.build(config)
    model.init_weights()
    return model


def main() -> None:
    init_default_scope("mmseg")
    logging.disable(logging.INFO)
    torch.manual_seed(0)
    found = {fixture: laws(fresh(fixture)) for fixture in FIXTURES}
    (GOLDEN / "initialisation.json").write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
