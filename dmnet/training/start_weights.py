"""What a run starts from: ImageNet weights, or the final weights of another run. Hash-verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from dmnet.backbones import ResNet
from dmnet.config import RunConfig, WeightsConfig
from dmnet.errors import CheckpointError
from dmnet.importers import mmseg, resnet
from dmnet.importers.names import rename, translate
from dmnet.importers.published import require
from dmnet.importers.untrusted import read_checkpoint
from dmnet.segmentor import Segmentor
from dmnet.weights import (
    load_strictly,
    read_file,
    read_state_dict,
    read_trained,
    trained_weights,
)


def load_start(model: Segmentor, run: RunConfig, runs: Path, weights_dir: Path) -> str | None:
    """What the run starts from, into its model; the file's SHA-256, or None where it is drawn.

    runs: the folder of all runs, its parent's among them. Raises as the two below.
    """
    backbone = run.model.backbone
    if run.parent is not None:
        return load_parent(model, runs / run.parent)
    if backbone.weights is not None:
        return load_start_weights(model.backbone, backbone.weights, weights_dir)
    return None


def load_start_weights(backbone: ResNet, weights: WeightsConfig, folder: Path) -> str:
    """Load `folder/weights.file` into the backbone and return its SHA-256.

    The plain stem takes torchvision's layout, the deep one that of OpenMMLab's ResNetV1c. Of both,
    the classifier's two tensors (`fc.*`) are left out; any other key that is missing, left over or
    of another shape raises CheckpointError, as do a missing file and a wrong hash.
    """
    file = require([weights.published], folder, f"{weights.name} weights are")
    path = file.path
    if isinstance(backbone.conv1, nn.Sequential):  # the deep stem
        state = read_resnet_v1c(backbone, path)
    else:
        state = read_state_dict(read_file(path), path)
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    load_strictly(backbone, state, path)
    return file.sha256


def read_resnet_v1c(backbone: ResNet, path: Path) -> dict[str, Tensor]:
    """OpenMMLab's ImageNet weights under our names; theirs has the stem as `stem.N`.

    The file holds a state dict, or a checkpoint with one under `state_dict`.

    Files of that age may lack the counters of batch normalisation, which nothing reads while its
    momentum is set; the backbone's own stay then. Raises CheckpointError.
    """
    try:
        held = read_checkpoint(read_file(path), path)
        if not isinstance(held, Mapping):
            raise CheckpointError(f"{path}: not a state dict but {type(held).__name__}")
        state = mmseg.ZOO.unwrap(held) if mmseg.ZOO.key in held else held
        own = backbone.state_dict()
        names = translate(own, resnet.STAGES + resnet.STEMS["deep"], mmseg.NAME)
        counters = {
            theirs: own[ours]
            for ours, theirs in names.items()
            if theirs.endswith(".num_batches_tracked")
        }
        state = {**counters, **{k: v for k, v in state.items() if not k.startswith("fc.")}}
        expected = {theirs: own[ours] for ours, theirs in names.items()}
        return rename(state, {theirs: ours for ours, theirs in names.items()}, expected)
    except CheckpointError as error:
        if str(error).startswith(str(path)):
            raise
        raise CheckpointError(f"{path}: {error}") from error


def load_parent(model: Segmentor, parent_dir: Path) -> str:
    """Load the final weights of the finished run `parent_dir` and return their SHA-256.

    Raises CheckpointError if they are missing, damaged, or of another model, RunError if the run
    is not finished.
    """
    path, digest = trained_weights(parent_dir)
    load_strictly(model, read_trained(path, digest), path)
    return digest
