"""What a run starts from: ImageNet weights, or the final weights of another run. Hash-verified."""

from __future__ import annotations

from pathlib import Path

from dmnet.backbones import ResNet
from dmnet.config import WeightsConfig
from dmnet.errors import CheckpointError
from dmnet.files import read_json, sha256_file
from dmnet.segmentor import Segmentor
from dmnet.weights import load_strictly, read_state_dict, read_trained


def load_start_weights(backbone: ResNet, weights: WeightsConfig, folder: Path) -> str:
    """Load `folder/weights.file` into the backbone and return its SHA-256.

    The classifier's two tensors (`fc.*`) are left out; any other key that is missing, left over or
    of another shape raises CheckpointError, as do a missing file and a wrong hash.
    """
    path = folder / weights.file
    if not path.exists():
        raise CheckpointError(
            f"{path}: {weights.name} weights are missing; download {weights.url} to this place"
        )
    digest = sha256_file(path)
    if not digest.startswith(weights.sha256_prefix):
        raise CheckpointError(
            f"{path}: SHA-256 {digest[:16]}... does not start with {weights.sha256_prefix}; "
            f"delete it and download {weights.url} again"
        )
    state = read_state_dict(path.read_bytes(), path)
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    load_strictly(backbone, state, path)
    return digest


def load_parent(model: Segmentor, parent_dir: Path) -> str:
    """Load the final weights of the finished run `parent_dir` and return their SHA-256.

    Raises CheckpointError if they are missing, damaged, or of another model, RunError if the run
    is not finished.
    """
    weights = read_json(parent_dir / "train.json")["weights"]
    path = parent_dir / weights["file"]
    load_strictly(model, read_trained(path, weights["sha256"]), path)
    return str(weights["sha256"])
