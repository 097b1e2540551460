"""What a run starts from: ImageNet weights, or the final weights of another run. Hash-verified."""

from __future__ import annotations

from pathlib import Path

from dmnet.backbones import ResNet
from dmnet.config import WeightsConfig
from dmnet.files import read_json
from dmnet.importers.published import require
from dmnet.segmentor import Segmentor
from dmnet.weights import load_strictly, read_state_dict, read_trained


def load_start_weights(backbone: ResNet, weights: WeightsConfig, folder: Path) -> str:
    """Load `folder/weights.file` into the backbone and return its SHA-256.

    The classifier's two tensors (`fc.*`) are left out; any other key that is missing, left over or
    of another shape raises CheckpointError, as do a missing file and a wrong hash.
    """
    found = require([weights.published], folder, f"{weights.name} weights are")
    path = found.path
    state = read_state_dict(path.read_bytes(), path)
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    load_strictly(backbone, state, path)
    return found.sha256


def load_parent(model: Segmentor, parent_dir: Path) -> str:
    """Load the final weights of the finished run `parent_dir` and return their SHA-256.

    Raises CheckpointError if they are missing, damaged, or of another model, RunError if the run
    is not finished.
    """
    weights = read_json(parent_dir / "train.json")["weights"]
    path = parent_dir / weights["file"]
    load_strictly(model, read_trained(path, weights["sha256"]), path)
    return str(weights["sha256"])
