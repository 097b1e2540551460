"""The training loop of one run, from `config.json` to verified weights.

    runs/<key>/config.json     what is trained (JobConfig)
               history.jsonl   the curve so far
               progress.json   where it is now (while it trains)
               resume/         the last two states (while it trains)
               weights.pt      the final state dict
               train.json      the manifest that Snakemake waits for; written last

Every random number follows from (seed, iteration) or (seed, epoch, sample), so an interrupted run
ends with the same weights, bit for bit, as one that was left alone.
"""

from __future__ import annotations

import io
import logging
import math
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmnet.config import InferenceConfig, JobConfig
from dmnet.data.dataset import SegmentationDataset, training_batches
from dmnet.data.manifest import Manifest
from dmnet.errors import DMNetError, RunError
from dmnet.files import read_json, sha256_bytes, sha256_file, write_bytes, write_json
from dmnet.inference.evaluate import evaluate
from dmnet.provenance import code_version, environment
from dmnet.segmentor import Segmentor
from dmnet.text import clock
from dmnet.training.history import History
from dmnet.training.lock import run_lock
from dmnet.training.resume import ResumeStates
from dmnet.training.start_weights import load_parent, load_start_weights
from dmnet.training.step import Stepper

log = logging.getLogger(__name__)


class InterruptedRunError(DMNetError):
    """The run was asked to stop (SIGTERM, SIGINT); its state is saved and it can go on."""


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    job: JobConfig, run_dir: Path, data_dir: Path, weights_dir: Path, repeat: str | None = None
) -> None:
    """Train the run, or go on with it, or, if it is finished and whole, only say so.

    run_dir: `runs/<key>`; data_dir: a prepared dataset; weights_dir: holds ImageNet weights;
    repeat: the command that makes the run again, for the record.
    Raises RunError when the loss diverges or nothing can be written, DataError and
    CheckpointError for what it reads.
    """
    with run_lock(run_dir.parent / ".locks" / f"{job.run.key}.lock"):
        manifest = Manifest.load(data_dir)
        manifest.require(job.dataset)
        finished = finished_run(run_dir, job.run.key, manifest.fingerprint)
        if finished is not None and job.run.parent is not None:
            # Trained again with other data or on another machine, the parent has other weights.
            start = read_json(run_dir.parent / job.run.parent / "train.json")["weights"]["sha256"]
            if finished["start_weights"] != start:
                log.warning("%s: its parent's weights have changed; training again", run_dir)
                finished = None
        if finished is not None:
            log.info("finished earlier, weights verified: nothing to train")
        else:
            finished = Trainer(job, run_dir, manifest, weights_dir, repeat).run()
        write_json(run_dir / "train.json", finished)


def finished_run(run_dir: Path, key: str, fingerprint: str) -> dict[str, Any] | None:
    """The manifest of a finished run whose weights are whole and whose data are these, or None.

    Snakemake deletes `train.json` before it runs the job again; `finished.json` outlives that.
    """
    path = run_dir / "finished.json"
    if not path.exists():
        return None
    try:
        manifest: dict[str, Any] = read_json(path)
        weights = run_dir / manifest["weights"]["file"]
        if manifest["key"] != key or manifest["data_fingerprint"] != fingerprint:
            log.warning("%s: of another configuration or data; training again", path)
            return None
        history = run_dir / manifest["history"]["file"]
        for file, entry in ((weights, manifest["weights"]), (history, manifest["history"])):
            if file == weights and not file.exists() and run_dir.with_suffix(".dvc").exists():
                # Shared, and only its results were pulled: whoever needs the weights says so.
                log.info("%s: not here, but shared; nothing is trained again", file)
                continue
            if sha256_file(file) != entry["sha256"]:
                log.warning("%s: damaged (its SHA-256 differs); training again", file)
                return None
    except (DMNetError, OSError, KeyError, TypeError) as error:
        log.warning("%s: damaged (%s); training again", path, error)
        return None
    return manifest


class Trainer:
    """One run in this process. Build it, then call `run` once."""

    def __init__(
        self,
        job: JobConfig,
        run_dir: Path,
        manifest: Manifest,
        weights_dir: Path,
        repeat: str | None = None,
    ) -> None:
        self.repeat = repeat
        self.job, self.run_dir, self.manifest = job, run_dir, manifest
        self.recipe = job.run.recipe
        self.device = pick_device()
        torch.set_num_threads(job.run.cpu_threads)
        torch.manual_seed(job.run.seed)
        self.model = Segmentor(job.run.model, job.run.data.classes)
        backbone = job.run.model.backbone
        self.start_weights: str | None = None
        if job.run.parent is not None:
            self.start_weights = load_parent(self.model, run_dir.parent / job.run.parent)
        elif backbone.weights is not None:
            self.start_weights = load_start_weights(
                self.model.backbone, backbone.weights, weights_dir
            )
        self.model.to(self.device)
        self.stepper = Stepper(self.model, self.recipe, job.run.data.ignore_index, self.device)
        self.iteration = 0  # finished iterations
        self.seconds = 0.0  # spent on them, earlier attempts included
        self.sums: dict[str, float] = {}  # of the losses since the last history row
        self.val_miou: float | None = None
        self.states = ResumeStates(
            run_dir / "resume",
            {
                "key": job.run.key,
                "data_fingerprint": manifest.fingerprint,
                "start_weights": self.start_weights,
            },
        )
        self._stop_signal: int | None = None

    # ------------------------------------------------------------------------------ the loop

    def run(self) -> dict[str, Any]:
        self._resume()
        self.history = History(self.run_dir / "history.jsonl", self.iteration)
        self._open_data()
        self._listen_for_stop()
        batches = training_batches(
            self.train_data,
            self.recipe,
            self.job.run.seed,
            self.iteration,
            self.job.execution.workers,
            pin_memory=self.device.type == "cuda",
        )
        self._started = time.monotonic() - self.seconds
        self._started_at_iteration = self.iteration
        self._attempt_started = time.monotonic()
        self.model.train()
        for images, labels in batches:
            self._step(images, labels)
            self._after_step()
        return self._finish()

    def _step(self, images: Tensor, labels: Tensor) -> None:
        # Dropout draws from the global generator: seeding it per iteration makes a resumed run
        # draw what an uninterrupted one would have drawn.
        seeds = np.random.SeedSequence([self.job.run.seed, self.iteration])
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        losses, lr = self.stepper.step(images, labels, self.iteration)
        self.iteration += 1
        self._lr = lr
        parts = {"total": losses.total, "main": losses.main, "auxiliary": losses.auxiliary}
        for name, loss in parts.items():
            if loss is not None:
                self.sums[name] = self.sums.get(name, 0.0) + float(loss.detach())
        self.sums["iterations"] = self.sums.get("iterations", 0) + 1

    def _after_step(self) -> None:
        execution, last = self.job.execution, self.iteration == self.recipe.iterations
        if self.iteration % execution.log_every == 0 or last:
            self._log()
        if self.iteration % execution.validate_every == 0 or last:
            self._validate()
        if self._stop_signal is not None and not last:
            self._save()
            raise InterruptedRunError(
                f"{self.run_dir}: stopped at iteration {self.iteration} by "
                f"{signal.Signals(self._stop_signal).name}; run the same command to go on"
            )
        if self.iteration % execution.checkpoint_every == 0 and not last:
            self._save()

    # ----------------------------------------------------------------------- data and signals

    def _open_data(self) -> None:
        data, execution = self.job.run.data, self.job.execution
        scale = self.recipe.load_scale
        self.train_data = SegmentationDataset(
            self.manifest, data.split, data, scale, execution.cache_mib
        )
        self.val_data = SegmentationDataset(
            self.manifest, self.job.dataset.splits["val"], data, scale, execution.cache_mib
        )

    def _listen_for_stop(self) -> None:
        def remember(number: int, frame: object) -> None:
            self._stop_signal = number

        signal.signal(signal.SIGTERM, remember)
        signal.signal(signal.SIGINT, remember)

    # ------------------------------------------------------------------------ history and state

    def _log(self) -> None:
        count = self.sums.pop("iterations")
        row = {name: total / count for name, total in self.sums.items()}
        self.sums = {}
        loss = row.pop("total")
        if not math.isfinite(loss):
            raise RunError(
                f"{self.run_dir}: the loss became {loss} before iteration {self.iteration}; "
                "lower `lr` in the recipe or preset and run again"
            )
        if "auxiliary" in row:
            row = {"loss_main": row["main"], "loss_auxiliary": row["auxiliary"]}
        else:
            row = {}
        self.history.append({"iteration": self.iteration, "loss": loss, "lr": self._lr, **row})
        self._report(loss)

    def _report(self, loss: float) -> None:
        now = time.monotonic()
        self.seconds = now - self._started
        done = self.iteration - self._started_at_iteration
        rate = done / max(now - self._attempt_started, 1e-9)
        eta = (self.recipe.iterations - self.iteration) / rate
        miou = "-" if self.val_miou is None else f"{100 * self.val_miou:.2f}"
        log.info(
            "%d/%d  loss %.4f  lr %.5f  val mIoU %s  %.1f it/s  ETA %s",
            self.iteration,
            self.recipe.iterations,
            loss,
            self._lr,
            miou,
            rate,
            clock(eta),
        )
        write_json(
            self.run_dir / "progress.json",
            {
                "iteration": self.iteration,
                "iterations": self.recipe.iterations,
                "loss": loss,
                "val_miou": self.val_miou,
                "iterations_per_second": rate,
                "eta_seconds": eta,
                "updated": time.time(),
                "pid": os.getpid(),
                "host": socket.gethostname(),
            },
        )

    def _validate(self) -> None:
        matrix = evaluate(self.model, self.val_data, self.recipe, InferenceConfig(), self.device)
        self.val_miou = matrix.miou()
        self.history.append({"iteration": self.iteration, "val_miou": self.val_miou})

    def _save(self) -> None:
        self.seconds = time.monotonic() - self._started
        self.states.save(
            {
                "iteration": self.iteration,
                "model": self.model.state_dict(),
                "optimizer": self.stepper.optimizer.state_dict(),
                "scaler": self.stepper.scaler.state_dict(),
                "sums": self.sums,
                "seconds": self.seconds,
                "val_miou": self.val_miou,
            },
            self.iteration,
        )

    def _resume(self) -> None:
        state = self.states.load()
        if state is None:
            return
        self.iteration, self.seconds = state["iteration"], state["seconds"]
        self.sums, self.val_miou = state["sums"], state["val_miou"]
        self.model.load_state_dict(state["model"])
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        self.stepper.scaler.load_state_dict(state["scaler"])
        log.info("going on from iteration %d of %d", self.iteration, self.recipe.iterations)

    def _finish(self) -> dict[str, Any]:
        state = {name: tensor.cpu() for name, tensor in self.model.state_dict().items()}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        write_bytes(self.run_dir / "weights.pt", content)
        history = self.run_dir / "history.jsonl"
        finished = {
            "key": self.job.run.key,
            "iterations": self.iteration,
            "weights": {"file": "weights.pt", "sha256": sha256_bytes(content)},
            "history": {"file": history.name, "sha256": sha256_file(history)},
            "data_fingerprint": self.manifest.fingerprint,
            "stand_in": self.manifest.stand_in,
            "start_weights": self.start_weights,
            "parent": self.job.run.parent,
            "seed": self.job.run.seed,
            "val_miou": self.val_miou,
            "seconds": round(time.monotonic() - self._started, 3),
            "code": code_version(),
            "environment": environment(self.device),
            "repeat": self.repeat,
        }
        write_json(self.run_dir / "finished.json", finished)
        shutil.rmtree(self.run_dir / "resume", ignore_errors=True)
        (self.run_dir / "progress.json").unlink(missing_ok=True)
        return finished
