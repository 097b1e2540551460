"""Trained weights: read only after their hash was checked, and only as plain tensors."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from dmnet.config import RunConfig
from dmnet.errors import CheckpointError
from dmnet.files import sha256_bytes
from dmnet.segmentor import Segmentor


def load_trained(config: RunConfig, path: Path, sha256: str) -> Segmentor:
    """The run's model with the weights in `path`, on the CPU, in evaluation mode.

    Raises CheckpointError if the file is missing, its SHA-256 is not `sha256`, or it does not fit.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); get it with `dvc pull`, or delete "
            f"{path.parent}/train.json and train again"
        ) from error
    if sha256_bytes(content) != sha256:
        raise CheckpointError(
            f"{path}: damaged, its SHA-256 is not the {sha256[:16]}... of train.json; delete "
            f"{path.parent}/train.json and run again, or restore it with `dvc checkout --force`"
        )
    model = Segmentor(config.model, config.data.classes)
    model.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    return model.eval()
