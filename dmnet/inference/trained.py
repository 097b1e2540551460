"""A finished run, opened to be applied to a split: verified weights and prepared data.

A released checkpoint that was imported is one, too: `released/<key>` holds the same files.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dmnet.config import EvaluationConfig, JobConfig, ReleaseJob, content_hash, parse_job
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.manifest import Manifest
from dmnet.devices import in_words, pick_device
from dmnet.errors import ConfigError
from dmnet.files import read_json
from dmnet.inference.form import Form, form_of, in_form
from dmnet.provenance import code_begun, code_ended, tf32
from dmnet.segmentor import Segmentor
from dmnet.weights import load_trained, trained_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """The model, on `device`, in evaluation mode and in `form`, and the split it is applied to."""

    job: JobConfig | ReleaseJob
    evaluation: EvaluationConfig
    weights_sha256: str
    model: Segmentor
    manifest: Manifest
    dataset: SegmentationDataset
    device: torch.device
    form: Form
    code: dict[str, Any]  # that computes, when it was opened

    @property
    def origin(self) -> dict[str, Any]:
        """JSON-ready: run, weights, protocol, data and code that a result of it rests on.

        To be asked for when the result is there: code that changed meanwhile is noted.
        """
        return {
            "run": self.job.run.key,
            "weights_sha256": self.weights_sha256,
            "evaluation": self.evaluation.model_dump(mode="json"),
            "evaluation_hash": content_hash(self.evaluation),
            "data_fingerprint": self.manifest.fingerprint,
            "stand_in": self.manifest.stand_in,
            "images": len(self.dataset),
            "device": self.device.type,
            "tf32": tf32(self.device),
            "form": self.form.name,
            "code": code_ended(self.code),
        }


def open_trained(run_dir: Path, evaluation: EvaluationConfig, data: Path) -> TrainedRun:
    """Open `runs/<key>` or `released/<key>` on the prepared dataset `data/<name>`.

    Raises RunError when the run is not finished, CheckpointError when its weights are damaged,
    DataError when `data` is not the evaluation's, DeviceError for the run's device,
    ConfigError when `evaluation` does not fit it.
    """
    code = code_begun(package=True)
    config = run_dir / "config.json"
    job = parse_job(read_json(config), str(config))
    path, digest = trained_weights(run_dir)
    torch.set_num_threads(job.run.cpu_threads)
    device = pick_device(job.execution.device if isinstance(job, JobConfig) else job.device)
    log.info("device: %s", in_words(device))
    manifest = Manifest.load(data)
    manifest.require(evaluation.data)  # a test set is another dataset than the run's own
    if evaluation.data.classes != job.run.data.classes:
        raise ConfigError(
            f"--config: {evaluation.data.classes} classes, but {run_dir} was trained with "
            f"{job.run.data.classes}"
        )
    model = load_trained(job.run, path, digest)
    dataset = SegmentationDataset(
        manifest, evaluation.split, evaluation.data, evaluation.load_scale
    )
    form = form_of(evaluation, len(dataset), device)
    model = in_form(model.to(device), form)
    return TrainedRun(job, evaluation, digest, model, manifest, dataset, device, form, code)
