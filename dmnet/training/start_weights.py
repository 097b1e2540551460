"""ImageNet weights for the backbone, in torchvision's format, verified by hash."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from dmnet.backbones import ResNet
from dmnet.config import WeightsConfig
from dmnet.errors import CheckpointError
from dmnet.files import sha256_file


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
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a plain state dict ({str(error).splitlines()[0]})"
        ) from error
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: does not fit the backbone ({reason[:300]})") from error
    return digest
