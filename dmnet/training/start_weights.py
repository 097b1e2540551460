"""ImageNet weights for the backbone, in torchvision's format, verified by hash."""

from __future__ import annotations

from pathlib import Path

from dmnet.backbones import ResNet
from dmnet.config import WeightsConfig
from dmnet.errors import CheckpointError
from dmnet.files import sha256_file
from dmnet.weights import load_strictly, read_state_dict


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
