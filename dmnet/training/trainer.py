"""The training loop of one run, in one process.

Every random number follows from (seed, iteration) or (seed, epoch, sample), so an interrupted run
ends with the same weights, bit for bit, as one that was left alone.

Of several processes (dmnet/processes.py) each takes its share of every batch and of the
validation; the first one alone reads and writes files.
"""

from __future__ import annotations

import logging
import math
import shutil
import signal
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dmnet.config import InferenceConfig, JobConfig
from dmnet.data.dataset import SegmentationDataset, training_batches
from dmnet.data.loading import OF_THE_PARENT, Batches, LoaderError
from dmnet.data.manifest import Manifest
from dmnet.data.worker_room import affordable_workers, bytes_of_batch
from dmnet.devices import pick_device
from dmnet.errors import DivergedError, DMNetError, LostContactError, OutOfTimeError, RunError
from dmnet.inference.evaluate import evaluate
from dmnet.processes import ALONE, Processes
from dmnet.segmentor import Segmentor
from dmnet.training.acceleration import PLAIN, acceleration_on
from dmnet.training.attempts import Attempt, attempt_begun, going_on, until
from dmnet.training.determinism import same_bits
from dmnet.training.finished import write_finished
from dmnet.training.history import History
from dmnet.training.loss_means import LossMeans
from dmnet.training.progress import Progress
from dmnet.training.resume import ResumeStates
from dmnet.training.start_weights import load_parent, load_start_weights
from dmnet.training.step import Stepper
from dmnet.training.wall_clock import WallClock
from dmnet.weights import not_finite, why_unreadable

log = logging.getLogger(__name__)

STOP_SIGNALS = OF_THE_PARENT
# What states raise that are none of this model and optimiser.
UNFIT = (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError)


class InterruptedRunError(DMNetError):
    """The run was asked to stop (by a signal); its state is saved and it can go on."""

    common = True


class Trainer:
    """One run in this process. Build it, then call `run` once."""

    def __init__(
        self,
        job: JobConfig,
        run_dir: Path,
        manifest: Manifest,
        weights_dir: Path,
        processes: Processes = ALONE,
        end: float | None = None,
        repeat: str | None = None,
    ) -> None:
        """end: as in `train`; only the first process is told and decides."""
        self.repeat = repeat
        self.job, self.run_dir, self.manifest = job, run_dir, manifest
        self.recipe = job.run.recipe
        self.processes = processes
        self.device = pick_device(job.execution.device, processes.local_rank)
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
        self.stepper = Stepper(
            self.model,
            self.recipe,
            job.run.data.ignore_index,
            self.device,
            self.processes,
            job.execution.accumulate,
            acceleration_on(self.device, job.execution.deterministic)
            if job.execution.accelerated
            else PLAIN,
        )
        self.attempts: list[Attempt] = []  # known and kept by the first process
        if self.processes.first:
            self.attempts = [attempt_begun(job, self.device, self.stepper.acceleration)]
        self.clock = WallClock(end)
        self.counts = [self.processes.count]  # of the processes, over all attempts
        self.iteration = 0  # finished iterations
        self.seconds = 0.0  # spent on them in earlier attempts
        self.sums = LossMeans(self.processes)
        self.val_miou: float | None = None
        self.validated = 0  # iterations when last validated
        self.saved = 0  # and saved
        self.states = ResumeStates(
            run_dir / "resume",
            {
                "key": job.run.key,
                "data_fingerprint": manifest.fingerprint,
                "start_weights": self.start_weights,
            },
        )
        self._stop_signal: int | None = None
        self._fault: LoaderError | None = None  # of this process's loader

    # ------------------------------------------------------------------------------ the loop

    def run(self) -> dict[str, Any]:
        with same_bits(self.job.execution.deterministic, self.device):
            return self._run()

    def _run(self) -> dict[str, Any]:
        self._resume()
        if self.processes.first:
            self.history = History(self.run_dir / "history.jsonl", self.iteration)
        self._open_data()
        self._listen_for_stop()
        self.progress = Progress(
            self.run_dir / "progress.json", self.recipe.iterations, self.iteration, self.seconds
        )
        self._resumed_at = (self.iteration, self.validated)
        self.model.train()
        if self._validation_is_due():
            self._validate_in_time()
        unfinished = self.iteration < self.recipe.iterations
        if unfinished and not self.processes.from_first(self.clock.has_time_for("iteration")):
            self._stop_in_time("iteration")
        self.clock.start()
        with Batches(self._loader()) as self.batches:
            batch = self._next_batch()
            self._agree()
            while batch is not None:
                self._step(*batch)
                batch = self._next_batch()
                self._after_step()
        return self._finish()

    def _next_batch(self) -> tuple[Tensor, Tensor] | None:
        """None after the last one, and where the training is to stop, as `_agree` then finds."""
        try:
            return self.batches.next(lambda: self._stop_signal is not None)
        except LoaderError as error:
            self._fault = error
            return None

    def _step(self, images: Tensor, labels: Tensor) -> None:
        # Dropout draws from the global generator: seeding it per iteration makes a resumed run
        # draw what an uninterrupted one would have drawn.
        seeds = np.random.SeedSequence([self.job.run.seed, self.iteration])
        seed = int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1))
        losses, lr = self.stepper.step(images, labels, self.iteration, seed)
        self.iteration += 1
        self._lr = lr
        self.sums.add(losses)

    def _after_step(self) -> None:
        execution, last = self.job.execution, self.iteration == self.recipe.iterations
        if self.iteration % execution.log_every == 0 or last:
            self._log()
        self.clock.took("iteration")
        if self._validation_is_due():
            self._validate_in_time()
        if last:
            return
        first_save = self.clock.end is not None and not self.clock.longest["save"]
        save, out_of_time = self._agree(first_save, not self.clock.has_time_for("iteration"))
        if out_of_time:
            self._stop_in_time("iteration")
        if save or self.iteration % execution.checkpoint_every == 0:
            self._save()

    def _agree(self, *found: bool) -> list[bool]:
        """What one process finds, all do: a signal may reach only one, and clocks may differ.

        Saves and stops where any was asked to stop, or has no next batch.
        """
        own = [*found, self._fault is not None]
        own += [self._stop_signal == number for number in STOP_SIGNALS]
        sums = self.processes.sum([float(entry) for entry in own])
        fault, *counts = sums[len(found) :]
        signals = [n for n, count in zip(STOP_SIGNALS, counts, strict=True) if count]
        if signals or fault:
            self._save()
        if signals:
            raise InterruptedRunError(
                f"{self.run_dir}: stopped at iteration {self.iteration} by "
                f"{signal.Signals(signals[0]).name}; run the same command to go on"
            )
        if self._fault is not None:
            raise RunError(
                f"{self.run_dir}: saved at iteration {self.iteration}: {self._fault}; the same "
                "command goes on"
            )
        if fault:
            raise LostContactError(f"process {self.processes.rank}: stopped, as another must")
        return [bool(entry) for entry in sums[: len(found)]]

    # --------------------------------------------------------------------- stopping in good time

    def _stop_in_time(self, what: str) -> NoReturn:
        if (self.iteration, self.validated) == self._resumed_at:
            raise RunError(
                f"{self.run_dir}: the allocation ends before one {what} can be done and saved; "
                "ask for a longer one"
            )
        self._save()
        raise OutOfTimeError(
            f"{self.run_dir}: saved at iteration {self.iteration} of {self.recipe.iterations}, as "
            "the allocation ends; to be continued by the same command"
        )

    def _validation_is_due(self) -> bool:
        """Also after a stop between an iteration and its validation."""
        every, last = self.job.execution.validate_every, self.recipe.iterations
        due = self.iteration > 0 and (self.iteration % every == 0 or self.iteration == last)
        return due and self.validated < self.iteration

    def _validate_in_time(self) -> None:
        """Saved before, as a validation may take long and nobody knows how long the first does."""
        has_time, has_end = self.processes.from_first(
            (self.clock.has_time_for("validation"), self.clock.end is not None)
        )
        if not has_time:
            self._stop_in_time("validation")
        if has_end and self.saved < self.iteration:
            self._save()
        self.clock.start()
        self._validate()
        self.clock.took("validation")

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

    def _loader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        execution, count = self.job.execution, self.processes.count
        return training_batches(
            self.train_data,
            self.recipe,
            self.job.run.seed,
            self.iteration,
            affordable_workers(
                execution.workers,
                bytes_of_batch(self.recipe, count),
                sharing=-(-count // execution.nodes),
            ),
            pin_memory=self.device.type == "cuda",
            share=self.stepper.share.of,
        )

    def _listen_for_stop(self) -> None:
        """But nohup's wish, that the run outlives its terminal, is respected."""

        def remember(number: int, frame: object) -> None:
            self._stop_signal = number

        for number in STOP_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, remember)

    # ------------------------------------------------------------------------ history and state

    def _log(self) -> None:
        row = self.sums.take_means()
        loss = row.pop("total")
        self._require_finite_loss(loss)
        if "auxiliary" in row:
            row = {"loss_main": row["main"], "loss_auxiliary": row["auxiliary"]}
        else:
            row = {}
        if not self.processes.first:
            return
        self.history.append({"iteration": self.iteration, "loss": loss, "lr": self._lr, **row})
        self.progress.report(self.iteration, loss, self._lr, self.val_miou)

    def _validate(self) -> None:
        self.stepper.settle()
        self._require_finite_weights()
        matrix = evaluate(
            self.model,
            self.val_data,
            self.recipe,
            InferenceConfig(),
            self.device,
            self.processes.rank,
            self.processes.count,
            self.processes.sum_counts,
        )
        self.val_miou = matrix.miou()
        self.validated = self.iteration
        if self.processes.first:
            self.history.append({"iteration": self.iteration, "val_miou": self.val_miou})

    def _save(self) -> None:
        """All processes come back from here together, after the state is on disk."""
        self.clock.start()
        sums = self.sums.state()
        self._require_finite_loss(math.fsum(share.get("total", 0.0) for share in sums["shares"]))
        self._require_finite_weights()
        if self.processes.first:
            self._write_state(sums)
        self.saved = self.iteration
        self.processes.wait_for_all()
        self.clock.took("save")

    # Where the loss is asked for anyway, and before weights go to a disk or are validated: never in
    # every step, as a GPU would be waited for.

    def _require_finite_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            number = self.iteration + 1 - self.sums.not_finite()
            self._diverged(f"the loss became {loss} in iteration {number}")

    def _require_finite_weights(self) -> None:
        names = not_finite(self.model.state_dict())
        if any(self.processes.sum([float(len(names))])):
            name = f"{names[0]} became" if names else "weights of another process became"
            self._diverged(f"{name} NaN or infinite by iteration {self.iteration}")

    def _diverged(self, what: str) -> NoReturn:
        good = f"the last good state is of iteration {self.saved}" if self.saved else "none saved"
        other = "take `precision: fp32` or a lower `lr`" if self.stepper.amp else "lower `lr`"
        raise DivergedError(
            f"{self.run_dir}: {what}, {good}; {other} in the recipe or preset and run again"
        )

    def _write_state(self, sums: dict[str, Any]) -> None:
        self.attempts = until(self.attempts, self.iteration)
        self.states.save(
            {
                "iteration": self.iteration,
                "model": self.model.state_dict(),
                **self.stepper.state_dict(),
                "sums": sums,
                "seconds": self.progress.seconds,
                "val_miou": self.val_miou,
                "validated": self.validated,
                "validation_seconds": self.clock.longest["validation"],
                "processes": self.counts,
                "attempts": self.attempts,
            },
            self.iteration,
        )

    def _resume(self) -> None:
        state = self.processes.from_first(self.states.load() if self.processes.first else None)
        if state is None:
            return
        try:
            self._restore(state)
        except UNFIT as error:
            raise RunError(
                f"{self.states.folder}: no state of this run ({why_unreadable(error)}); delete "
                "that folder and run again, from the first iteration"
            ) from error
        log.info("going on from iteration %d of %d", self.iteration, self.recipe.iterations)

    def _restore(self, state: dict[str, Any]) -> None:
        if state["iteration"] > self.recipe.iterations:
            raise ValueError(f"{state['iteration']} of {self.recipe.iterations} iterations")
        self.iteration, self.seconds = state["iteration"], state["seconds"]
        self.sums.restore(state["sums"])
        self.val_miou = state["val_miou"]
        self.saved = self.iteration
        self.validated = state.get("validated", self.iteration)
        self.clock.longest["validation"] = state.get("validation_seconds", 0.0)
        counts = state.get("processes", [1])
        self.counts = counts if counts[-1] == self.processes.count else [*counts, *self.counts]
        if self.processes.first:
            (attempt,) = self.attempts
            before = state.get("attempts")
            self.attempts = going_on(before, attempt, self.iteration, self.run_dir)
        self.model.load_state_dict(state["model"])
        self.stepper.load_state_dict(state)

    def _finish(self) -> dict[str, Any]:
        """The manifest; written by the first process, empty in the others."""
        self._require_finite_weights()
        if not self.processes.first:
            return {}
        spent = self.clock.spent
        log.info(
            "seconds of this attempt: iterations %.1f, validations %.1f, saving %.1f",
            *(spent[what] for what in ("iteration", "validation", "save")),
        )
        self.attempts = until(self.attempts, self.iteration)
        last = self.attempts[-1]
        facts = {
            "data_fingerprint": self.manifest.fingerprint,
            "stand_in": self.manifest.stand_in,
            "start_weights": self.start_weights,
            "parent": self.job.run.parent,
            "seed": self.job.run.seed,
            "val_miou": self.val_miou,
            "bn_parts": self.recipe.bn_parts,  # of a batch, each with statistics of its own
            "processes": self.counts,  # one after the other, where attempts differed
            "seconds": round(self.progress.seconds, 3),
            **{name: last[name] for name in ("code", "environment", "acceleration")},
            "attempts": self.attempts,
            "repeat": self.repeat,
        }
        key = self.job.run.key
        finished = write_finished(self.run_dir, key, self.iteration, self.model, facts)
        shutil.rmtree(self.run_dir / "resume", ignore_errors=True)
        self.progress.path.unlink(missing_ok=True)
        return finished
