"""A released checkpoint -> `released/<key>/`, which evaluations read like a finished run.

    released/<key>/config.json   what it is (ReleaseJob)
                   weights.pt    its weights under our names
                   train.json    the manifest: which file it is from, and whether a hash proves that
                   imported.json   by what code, where and by which command it was imported here

The first three are the same wherever a file is imported, so that a team shares them without
conflict.

Nothing is dropped or filled in: the zoo's name table has to account for every tensor, and no
leftover is known that would have to be let through.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmnet.config import ReleaseJob
from dmnet.errors import CheckpointError
from dmnet.files import (
    read_bounded,
    sha256_bytes,
    to_json,
    write_bytes,
    write_json,
    write_text,
)
from dmnet.importers import ZOOS, Zoo
from dmnet.importers.published import Found, require
from dmnet.importers.untrusted import read_checkpoint
from dmnet.provenance import code_begun, code_ended, environment
from dmnet.segmentor import Segmentor
from dmnet.text import printable
from dmnet.weights import read_file

log = logging.getLogger(__name__)

FLOATING = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
WRAPPED = "module."  # what torch's data-parallel wrappers put before every name


def import_released(
    job: ReleaseJob, weights_dir: Path, output: Path, repeat: str | None = None
) -> dict[str, Any]:
    """Write the folder `output` from the checkpoint in `weights_dir` and return its manifest.

    repeat: the command that does it again, for the record.
    Raises CheckpointError, with nothing written, when the file is missing, has another hash, is
    damaged or foreign, or does not fit the model; RunError when `output` cannot be written.
    """
    code = code_begun()
    checkpoint = job.run.checkpoint
    file = require(checkpoint.files, weights_dir, f"released checkpoint {checkpoint.name} is")
    if not file.verified:
        log.warning("%s: no hash is published; its origin is unproven", file.path)
    content = read_file(file.path)
    if sha256_bytes(content) != file.sha256:
        raise CheckpointError(f"{file.path}: changed while it was read; run the same command again")
    held = read_checkpoint(content, file.path)
    try:
        model = load(held, ZOOS[checkpoint.zoo], job)
    except CheckpointError as error:
        raise CheckpointError(f"{file.path}: {printable(str(error))}") from error
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    weights = buffer.getvalue()
    manifest = _manifest(job, file, held, sha256_bytes(weights))
    imported = {
        "code": code_ended(code),
        "environment": environment(torch.device("cpu")),
        "repeat": repeat,
    }
    write_bytes(output / "weights.pt", weights)
    config, description = output / "config.json", to_json(job.model_dump(mode="json"))
    if not _holds(config, description):  # else its time stays as it is
        write_text(config, description)
    write_json(output / "imported.json", imported)
    write_json(output / "train.json", manifest)
    return manifest


def load(held: Any, zoo: Zoo, job: ReleaseJob) -> Segmentor:
    """The job's model with the weights in a checkpoint file's content, in evaluation mode.

    Raises CheckpointError if they do not fit or the file names the classes in another order.
    """
    check_classes(stated_classes(held), job.dataset.classes)
    model = Segmentor(job.run.model, job.run.data.classes)
    state = zoo.to_ours(without_wrapper(zoo.unwrap(held)), model)
    for name, own in model.state_dict().items():
        check_values(name, state[name], own)
    model.load_state_dict(state)
    return model.eval()


def check_values(name: str, tensor: Tensor, own: Tensor) -> None:
    """Raises CheckpointError unless `found` is plain finite numbers of `own`'s kind.

    Other precisions (mixed-precision training may leave float16) become `own`'s when loaded.
    """
    allowed = FLOATING if own.is_floating_point() else {own.dtype}
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if tensor.dtype not in allowed or not plain:
        raise CheckpointError(
            f"`{name}` is {tensor.dtype} on {tensor.device}, expected {own.dtype}; "
            "get the file again"
        )
    if not bool(tensor.isfinite().all()):
        raise CheckpointError(f"`{name}` has values that are no numbers; get the file again")


def without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names without `module.`, if every one begins with it."""
    names = [name for name in state if isinstance(name, str) and name.startswith(WRAPPED)]
    if not state or len(names) < len(state):
        return dict(state)
    return {name.removeprefix(WRAPPED): tensor for name, tensor in state.items()}


def stated_classes(held: Any) -> list[str] | None:
    """The class names in mmsegmentation's metadata (0.x or 1.x), where there are any."""
    meta = held.get("meta") if isinstance(held, Mapping) else None
    if not isinstance(meta, Mapping):
        return None
    dataset = meta.get("dataset_meta")
    classes = dataset.get("classes") if isinstance(dataset, Mapping) else meta.get("CLASSES")
    if not isinstance(classes, list | tuple) or not all(isinstance(c, str) for c in classes):
        return None
    return list(classes)


def check_classes(stated: Sequence[str] | None, ours: Sequence[str]) -> None:
    """Raises CheckpointError for the same names in another order: every IoU would be wrong.

    Another number shows in the classifier's shape; other names may be other spellings.
    """
    if stated is None:
        return
    theirs = [_letters(name) for name in stated]
    own = [_letters(name) for name in ours]
    if theirs == own or len(theirs) != len(own):
        return
    place = next(i for i in range(len(own)) if theirs[i] != own[i])
    if sorted(theirs) == sorted(own):
        raise CheckpointError(
            f"its class {place} is {stated[place]!r}, but the dataset's is {ours[place]!r}; give "
            "`classes` of the dataset the checkpoint's order"
        )
    log.warning(
        "class %d is called %r in the checkpoint and %r in the dataset",
        place,
        printable(stated[place]),
        ours[place],
    )


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def stated_iterations(held: Mapping[str, Any]) -> int | None:
    """How long it was trained, as its metadata say it."""
    meta = held.get("meta")
    value = meta.get("iter") if isinstance(meta, Mapping) else held.get("cur_iter")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _holds(path: Path, text: str) -> bool:
    try:
        return read_bounded(path, len(text.encode())) == text.encode()
    except (OSError, ValueError):
        return False


def _manifest(
    job: ReleaseJob, file: Found, held: Mapping[str, Any], weights_sha256: str
) -> dict[str, Any]:
    checkpoint = job.run.checkpoint
    trainer = f"unknown, trained by {checkpoint.zoo}"
    return {
        "key": job.run.key,
        "source": "released",
        "iterations": stated_iterations(held),
        "weights": {"file": "weights.pt", "sha256": weights_sha256},
        "checkpoint": {
            "name": checkpoint.name,
            "zoo": checkpoint.zoo,
            "file": file.path.name,
            "sha256": file.sha256,
            "verified": file.verified,
            "published_file": file.published.file,
            "url": file.published.urls[0],
            "published_by": file.published.source,
            "left_aside": sorted(
                printable(str(key)) for key in held if key != ZOOS[checkpoint.zoo].key
            ),
        },
        "data_fingerprint": None,
        "stand_in": None,
        "start_weights": None,
        "val_miou": None,
        "seconds": None,
        "code": None,
        "environment": {"device": {"type": "unknown", "name": trainer}},
    }
