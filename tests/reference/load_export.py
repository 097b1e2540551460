"""The zoo's side of check_export.py: `python load_export.py ZOO FOLDER`, in its environment.

Reads config.json, exported.pth and images.pt in FOLDER, writes logits.pt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def mmsegmentation(config: dict[str, Any], checkpoint: Path, images: Tensor) -> Tensor:
    from mmengine.registry import init_default_scope
    from mmengine.runner import load_checkpoint
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    model = MODELS.build(config).eval()
    load_checkpoint(model, str(checkpoint), map_location="cpu", strict=True)
    return model(images, mode="tensor")


def sssegmentation(config: dict[str, Any], checkpoint: Path, images: Tensor) -> Tensor:
    from ssseg.modules import BuildSegmentor, SSSegInputStructure, loadckpts

    model = BuildSegmentor(segmentor_cfg=config, mode="TEST").eval()
    model.load_state_dict(loadckpts(str(checkpoint))["model"], strict=True)
    return model(SSSegInputStructure(images=images, mode="TEST")).seg_logits


def main(zoo: str, folder: Path) -> None:
    load = {"mmsegmentation": mmsegmentation, "sssegmentation": sssegmentation}[zoo]
    config = json.loads((folder / "config.json").read_text())
    images = torch.load(folder / "images.pt", weights_only=True)
    with torch.no_grad():
        logits = load(config, folder / "exported.pth", images)
    torch.save(logits, folder / "logits.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
