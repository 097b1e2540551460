"""A finished run on the disk: `weights.pt`, and `finished.json` that vouches for it.

Snakemake deletes `train.json` before it runs the job again; `finished.json` outlives that. With
Snakemake's `update()` the old `train.json` would stay in its place, also when the new training is
killed, and whoever reads it would take the run for finished.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import torch

from dmnet.config import JobConfig
from dmnet.data.manifest import Manifest
from dmnet.errors import DMNetError
from dmnet.files import is_name, read_json, sha256_bytes, sha256_file, write_bytes, write_json
from dmnet.segmentor import Segmentor
from dmnet.training.position import Position

log = logging.getLogger(__name__)


def write_finished(
    run_dir: Path,
    job: JobConfig,
    data: Manifest,
    position: Position,
    model: Segmentor,
    start_weights: str | None,
    seconds: float,
    repeat: str | None,
) -> dict[str, Any]:
    """Write the weights, then the manifest that names them by SHA-256, and return it.

    Raises RunError, the manifest not written, when the disk is full or read-only.
    """
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    write_bytes(run_dir / "weights.pt", content)
    history = run_dir / "history.jsonl"
    last = position.attempts[-1]
    finished = {
        "key": job.run.key,
        "iterations": position.iteration,
        "weights": {"file": "weights.pt", "sha256": sha256_bytes(content)},
        "history": {"file": history.name, "sha256": sha256_file(history)},
        "data_fingerprint": data.fingerprint,
        "stand_in": data.stand_in,
        "start_weights": start_weights,
        "parent": job.run.parent,
        "seed": job.run.seed,
        "val_miou": position.val_miou,
        "bn_parts": job.run.recipe.bn_parts,  # of a batch, each with statistics of its own
        "processes": position.processes,
        "seconds": round(seconds, 3),
        **{name: last[name] for name in ("code", "environment", "acceleration")},
        "attempts": position.attempts,
        "repeat": repeat,
    }
    write_json(run_dir / "finished.json", finished)
    return finished


def finished_run(run_dir: Path, key: str, fingerprint: str) -> dict[str, Any] | None:
    """The manifest of a finished run whose weights are whole and whose data are these, or None."""
    path = run_dir / "finished.json"
    if not path.exists():
        return None
    try:
        manifest: dict[str, Any] = read_json(path)
        weights = run_dir / manifest["weights"]["file"]
        history = run_dir / manifest["history"]["file"]
        if not is_name(manifest["weights"]["file"]) or not is_name(manifest["history"]["file"]):
            log.warning("%s: damaged (names files outside of its folder); training again", path)
            return None
        if manifest["key"] != key or manifest["data_fingerprint"] != fingerprint:
            log.warning("%s: of another configuration or data; training again", path)
            return None
        for file, entry in ((weights, manifest["weights"]), (history, manifest["history"])):
            if file == weights and not file.exists() and run_dir.with_suffix(".dvc").exists():
                # Shared, and only its results were pulled: whoever needs the weights says so.
                log.info("%s: not here, but shared; nothing is trained again", file)
                continue
            if sha256_file(file) != entry["sha256"]:
                log.warning("%s: damaged (its SHA-256 differs); training again", file)
                return None
    except (DMNetError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
        log.warning("%s: damaged (%s); training again", path, error)
        return None
    return manifest
