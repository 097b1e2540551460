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
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from dmnet.config import InferenceConfig, JobConfig
from dmnet.data.loading import Batches, LoaderError
from dmnet.data.manifest import Manifest
from dmnet.devices import pick_device
from dmnet.errors import OutOfTimeError, RunError
from dmnet.inference.evaluate import evaluate
from dmnet.processes import ALONE, Processes
from dmnet.segmentor import Segmentor
from dmnet.training.acceleration import PLAIN, acceleration_on
from dmnet.training.attempts import attempt_begun
from dmnet.training.determinism import same_bits
from dmnet.training.divergence import Divergence
from dmnet.training.finished import write_finished
from dmnet.training.history import History
from dmnet.training.loss_means import LossMeans
from dmnet.training.position import Position, Resumable
from dmnet.training.progress import Progress
from dmnet.training.resume import ResumeStates
from dmnet.training.run_data import RunData
from dmnet.training.start_weights import load_start
from dmnet.training.step import Stepper
from dmnet.training.stop import Stop
from dmnet.training.wall_clock import WallClock

log = logging.getLogger(__name__)


class Trainer:
    """One run in this process. Build it, then call `run` once."""

    # Of one attempt, from when it goes on:
    begun_at: tuple[int, int]  # iterations done and validated
    data: RunData
    history: History  # the first process's, as `progress`
    progress: Progress
    lr: float  # of the last step

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
        """end, repeat: as in `train`; only the first process is told the end, and decides."""
        self.job, self.run_dir, self.manifest, self.repeat = job, run_dir, manifest, repeat
        self.processes, execution = processes, job.execution
        self.device = pick_device(execution.device, processes.local_rank)
        torch.set_num_threads(job.run.cpu_threads)
        torch.manual_seed(job.run.seed)
        self.model = Segmentor(job.run.model, job.run.data.classes)
        self.start_weights = load_start(self.model, job.run, run_dir.parent, weights_dir)
        self.model.to(self.device)
        accelerated = acceleration_on(self.device, execution.deterministic)
        self.stepper = Stepper(
            self.model,
            job.run.recipe,
            job.run.data.ignore_index,
            self.device,
            processes,
            execution.accumulate,
            accelerated if execution.accelerated else PLAIN,
        )
        attempt = [attempt_begun(job, self.device, self.stepper.acceleration)]
        self.position = Position([processes.count], attempt if processes.first else [])
        self.clock = WallClock(end)
        self.loss_means = LossMeans(processes)
        self.divergence = Divergence(run_dir, self.position, processes, self.stepper.amp)
        identity = {
            "key": job.run.key,
            "data_fingerprint": manifest.fingerprint,
            "start_weights": self.start_weights,
        }
        self.states = ResumeStates(run_dir / "resume", identity)
        self.resumable = Resumable(self.position, self.stepper, self.loss_means, self.clock)
        self.stop = Stop()

    # ------------------------------------------------------------------------------ the loop

    def run(self) -> dict[str, Any]:
        with same_bits(self.job.execution.deterministic, self.device):
            self._begin()
            self._train()
            return self._finish()

    def _begin(self) -> None:
        position, iterations = self.position, self.job.run.recipe.iterations
        self.resumable.resume(self.states, self.processes, iterations)
        if self.processes.first:
            self.history = History(self.run_dir / "history.jsonl", position.iteration)
        self.data = RunData(self.job, self.manifest)
        self.stop.listen()
        path = self.run_dir / "progress.json"
        self.progress = Progress(path, iterations, position.iteration, position.seconds)
        self.begun_at = (position.iteration, position.validated)

    def _train(self) -> None:
        self.model.train()
        if self._validation_is_due():
            self._validate_in_time()
        unfinished = self.position.iteration < self.job.run.recipe.iterations
        if unfinished and not self.processes.from_first(self.clock.has_time_for("iteration")):
            self._stop_in_time("iteration")
        self.clock.start()
        loader = self.data.batches(self.position.iteration, self.stepper.share, self.device)
        with Batches(loader) as batches:
            batch = self._next_of(batches)
            self._agree()
            while batch is not None:
                self._step(*batch)
                batch = self._next_of(batches)
                self._after_step()

    def _next_of(self, batches: Batches) -> tuple[Tensor, Tensor] | None:
        """None after the last one, and if the training is to stop (`_agree` then ends it)."""
        try:
            return batches.next(lambda: self.stop.signal is not None)
        except LoaderError as error:
            self.stop.fault = error
            return None

    def _step(self, images: Tensor, labels: Tensor) -> None:
        # Dropout draws from the global generator: seeding it per iteration makes a resumed run
        # draw what an uninterrupted one would have drawn.
        iteration = self.position.iteration
        seeds = np.random.SeedSequence([self.job.run.seed, iteration])
        seed = int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1))
        losses, self.lr = self.stepper.step(images, labels, iteration, seed)
        self.position.iteration += 1
        self.loss_means.add(losses)

    def _after_step(self) -> None:
        execution, iteration = self.job.execution, self.position.iteration
        last = iteration == self.job.run.recipe.iterations
        if iteration % execution.log_every == 0 or last:
            self._log()
        self.clock.took("iteration")
        if self._validation_is_due():
            self._validate_in_time()
        if last:
            return
        agreed = self._agree(
            first_save=self.clock.end is not None and not self.clock.longest["save"],
            out_of_time=not self.clock.has_time_for("iteration"),
        )
        if agreed["out_of_time"]:
            self._stop_in_time("iteration")
        if agreed["first_save"] or iteration % execution.checkpoint_every == 0:
            self._save()

    def _agree(self, **answers: bool) -> dict[str, bool]:
        """All processes do what any of them has to, as clocks may differ: save, and stop."""
        agreed = self.processes.any_of(answers | self.stop.votes)
        iteration, rank = self.position.iteration, self.processes.rank
        if error := self.stop.error(agreed, self.run_dir, iteration, rank):
            self._save()
            raise error
        return agreed

    # --------------------------------------------------------------------- stopping in good time

    def _stop_in_time(self, what: str) -> NoReturn:
        position, iterations = self.position, self.job.run.recipe.iterations
        if (position.iteration, position.validated) == self.begun_at:
            raise RunError(
                f"{self.run_dir}: the allocation ends before one {what} can be done and saved; "
                "ask for a longer one"
            )
        self._save()
        raise OutOfTimeError(
            f"{self.run_dir}: saved at iteration {position.iteration} of {iterations}, as the "
            "allocation ends; to be continued by the same command"
        )

    def _validation_is_due(self) -> bool:
        """Also after a stop between an iteration and its validation."""
        every, last = self.job.execution.validate_every, self.job.run.recipe.iterations
        done, validated = self.position.iteration, self.position.validated
        return 0 < done > validated and (done % every == 0 or done == last)

    def _validate_in_time(self) -> None:
        """Save first: a validation may take long, and nobody knows how long the first one does."""
        has_time, has_end = self.processes.from_first(
            (self.clock.has_time_for("validation"), self.clock.end is not None)
        )
        if not has_time:
            self._stop_in_time("validation")
        if has_end and self.position.saved < self.position.iteration:
            self._save()
        self.clock.start()
        self._validate()
        self.clock.took("validation")

    # ------------------------------------------------------------------------ history and state

    def _log(self) -> None:
        means = self.loss_means.take()
        loss = means["total"]
        self.divergence.check_loss(loss, self.loss_means)
        if not self.processes.first:
            return
        iteration = self.position.iteration
        row = {"iteration": iteration, "loss": loss, "lr": self.lr}
        if "auxiliary" in means:
            row |= {"loss_main": means["main"], "loss_auxiliary": means["auxiliary"]}
        self.history.append(row)
        self.progress.report(iteration, loss, self.lr, self.position.val_miou)

    def _validate(self) -> None:
        self.stepper.settle()
        self.divergence.check_weights(self.model)
        recipe, protocol, position = self.job.run.recipe, InferenceConfig(), self.position
        matrix = evaluate(self.model, self.data.val, recipe, protocol, self.device, self.processes)
        position.val_miou, position.validated = matrix.miou(), position.iteration
        if self.processes.first:
            self.history.append({"iteration": position.iteration, "val_miou": position.val_miou})

    def _save(self) -> None:
        """All processes come back from here together, after the state is on disk."""
        self.clock.start()
        sums = self.loss_means.state()
        total = math.fsum(share.get("total", 0.0) for share in sums["shares"])
        self.divergence.check_loss(total, self.loss_means)
        self.divergence.check_weights(self.model)
        if self.processes.first:
            self._write_state(sums)
        self.position.saved = self.position.iteration
        self.processes.wait_for_all()
        self.clock.took("save")

    def _write_state(self, sums: dict[str, Any]) -> None:
        self.resumable.save(self.states, sums, self.progress.seconds)

    def _finish(self) -> dict[str, Any]:
        """The manifest; written by the first process, empty in the others."""
        self.divergence.check_weights(self.model)
        if not self.processes.first:
            return {}
        log.info(
            "seconds of this attempt: iterations %.1f, validations %.1f, saving %.1f",
            *(self.clock.spent[what] for what in ("iteration", "validation", "save")),
        )
        self.position.end_attempt()
        finished = write_finished(
            self.run_dir,
            self.job,
            self.manifest,
            self.position,
            self.model,
            self.start_weights,
            self.progress.seconds,
            self.repeat,
        )
        shutil.rmtree(self.run_dir / "resume", ignore_errors=True)
        self.progress.path.unlink(missing_ok=True)
        return finished
