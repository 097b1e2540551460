"""What a run starts from: ImageNet weights, or the final weights of another run. Hash-verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dmnet.backbones import ResNet
from dmnet.config import WeightsConfig
from dmnet.files import read_json
from dmnet.importers.names import translate
from dmnet.importers.published import require
from dmnet.importers.resnet import STAGES, STEMS
from dmnet.importers.untrusted import read_checkpoint
from dmnet.segmentor import Segmentor
from dmnet.weights import load_strictly, read_state_dict, read_trained, require_state_dict


def load_start_weights(backbone: ResNet, weights: WeightsConfig, folder: Path) -> str:
    """Load `folder/weights.file` into the backbone and return its SHA-256.

    For the plain stem torchvision's file, for the deep one OpenMMLab's ResNetV1c. The classifier's
    two tensors (`fc.*`) are left out; any other key that is missing, left over or of another shape
    raises CheckpointError, as do a missing file and a wrong hash.
    """
    found = require([weights.published], folder, f"{weights.name} weights are")
    path = found.path
    content = path.read_bytes()
    if backbone.config.stem == "deep":
        state = resnet_v1c(content, path, backbone)
    else:
        state = read_state_dict(content, path)
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    load_strictly(backbone, state, path)
    return found.sha256


def resnet_v1c(content: bytes, path: Path, backbone: ResNet) -> dict[str, Tensor]:
    """OpenMMLab's weights of a ResNet with the deep stem, under our names. Raises CheckpointError.

    The file holds a state dict, or a checkpoint with one under `state_dict`. Files from before
    PyTorch 0.4.1 do not count the batches that batch normalisation has seen; nothing here uses the
    count, so it starts at 0 then.
    """
    held = read_checkpoint(content, path)
    if isinstance(held, Mapping) and "state_dict" in held:
        held = held["state_dict"]
    state = require_state_dict(held, path)
    names = translate(backbone.state_dict(), STAGES + STEMS["deep"], "OpenMMLab's ResNetV1c")
    ours = {theirs: name for name, theirs in names.items()}
    counts = {name: torch.tensor(0) for name in ours if name.endswith(".num_batches_tracked")}
    return {ours.get(name, name): tensor for name, tensor in {**counts, **state}.items()}


def load_parent(model: Segmentor, parent_dir: Path) -> str:
    """Load the final weights of the finished run `parent_dir` and return their SHA-256.

    Raises CheckpointError if they are missing, damaged, or of another model, RunError if the run
    is not finished.
    """
    weights = read_json(parent_dir / "train.json")["weights"]
    path = parent_dir / weights["file"]
    load_strictly(model, read_trained(path, weights["sha256"]), path)
    return str(weights["sha256"])
