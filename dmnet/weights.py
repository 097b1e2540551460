"""Trained weights: read only after their hash was checked, and only as plain tensors."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from dmnet.config import ReleaseConfig, RunConfig
from dmnet.errors import CheckpointError, RunError
from dmnet.files import is_name, read_bounded, read_json, sha256_bytes
from dmnet.segmentor import Segmentor
from dmnet.text import printable, reason

SHOWN = 3  # keys named in an error
# Of a file, packed or unpacked; far more than a model for segmentation and its optimiser have.
MAX_BYTES = 4 * 2**30


def trained_weights(run_dir: Path) -> tuple[Path, str]:
    """The file with a run's final weights, in its folder, and its SHA-256, by `train.json`.

    Raises RunError where that is missing or names none.
    """
    path = run_dir / "train.json"
    trained = read_json(path)
    try:
        name, digest = trained["weights"]["file"], trained["weights"]["sha256"]
    except (KeyError, TypeError, IndexError):
        name = digest = None
    if not is_name(name) or not isinstance(digest, str):  # never outside of the run's folder
        raise RunError(f"{path}: names no weights of its folder; delete it and run again")
    return run_dir / name, digest


def read_file(path: Path) -> bytes:
    """All of a checkpoint's file. Raises CheckpointError."""
    try:
        return read_bounded(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({reason(error)}); get the file again"
        ) from error


def load_trained(config: RunConfig | ReleaseConfig, path: Path, sha256: str) -> Segmentor:
    """The run's model with the weights in `path`, on the CPU, in evaluation mode.

    Raises CheckpointError if the file is missing, its SHA-256 is not `sha256`, or it does not fit.
    """
    model = Segmentor(config.model, config.data.classes)
    load_strictly(model, read_trained(path, sha256), path)
    return model.eval()


def read_trained(path: Path, sha256: str) -> dict[str, Tensor]:
    """The state dict that a run left in `path`. Raises CheckpointError."""
    try:
        content = read_bounded(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({reason(error)}); get it with `dvc pull`, or delete the "
            f"folder {path.parent} and run again"
        ) from error
    if sha256_bytes(content) != sha256:
        raise CheckpointError(
            f"{path}: damaged, its SHA-256 is not the {sha256[:16]}... of train.json; delete "
            f"{path.parent}/train.json and run again, or restore it with `dvc checkout --force`"
        )
    return read_state_dict(content, path)


def read_state_dict(content: bytes, path: Path) -> dict[str, Tensor]:
    """The state dict in a file's bytes, unpickled as plain tensors only, on the CPU.

    Raises CheckpointError, naming `path`, for anything else: a cut file, another format, a pickle
    that would run code.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle cut or forged at any byte raises anything
        raise CheckpointError(
            f"{path}: not a plain state dict of tensors ({why_unreadable(error)}); "
            "get the file again"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise CheckpointError(
            f"{path}: not a plain state dict, expected names with tensors; get the file again"
        )
    return state


def why_unreadable(error: Exception) -> str:
    """PyTorch's reason in a few words, without its advice to read the file unrestrictedly."""
    text = str(error)
    if match := re.search(r"WeightsUnpickler error:\s*(.+)|\n\n\s*(.+)", text):
        text = match[1] or match[2]
    return printable(text.split(". ")[0].split("\n")[0][:200]) or type(error).__name__


def load_strictly(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Raises CheckpointError naming the keys that are missing, left over, or of another shape."""
    own = module.state_dict()
    problems = {
        "missing": [key for key in own if key not in state],
        "left over": [key for key in state if key not in own],
        "of another shape": [k for k in own if k in state and own[k].shape != state[k].shape],
    }
    misfits = [
        f"{len(keys)} {name}: {', '.join(keys[:SHOWN])}" for name, keys in problems.items() if keys
    ]
    if misfits:
        raise CheckpointError(f"{path}: does not fit the model ({'; '.join(misfits)})")
    module.load_state_dict(state)


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """The names in a state dict with NaN or infinity; asks for one value if there are none."""
    numbers = {name: x for name, x in state.items() if x.is_floating_point()}
    if get_total_norm(numbers.values(), math.inf).isfinite():
        return []
    return [name for name, tensor in numbers.items() if not tensor.isfinite().all()]
