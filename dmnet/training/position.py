"""How far a run has come, and the rest of what its resume states hold."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmnet.errors import RunError
from dmnet.processes import Processes
from dmnet.provenance import code_ended
from dmnet.training.attempts import Attempt, going_on
from dmnet.training.loss_means import LossMeans
from dmnet.training.resume import ResumeStates
from dmnet.training.step import Stepper
from dmnet.training.wall_clock import WallClock
from dmnet.weights import why_unreadable

log = logging.getLogger(__name__)

# What states raise that are none of this model and optimiser.
UNFIT = (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError)


@dataclass
class Position:
    """`attempts` are known and kept by the first process; the others have none."""

    processes: list[int]  # how many trained, one after the other, where attempts differed
    attempts: list[Attempt]
    iteration: int = 0  # finished iterations
    seconds: float = 0.0  # spent on them in earlier attempts
    val_miou: float | None = None
    validated: int = 0  # iterations when last validated
    saved: int = 0  # and saved

    def end_attempt(self) -> None:
        """The last attempt has come this far, by code that may have changed meanwhile."""
        *earlier, last = self.attempts
        ended = {**last, "to": self.iteration, "code": code_ended(last["code"])}
        self.attempts = [*earlier, ended]

    def restore(self, state: dict[str, Any], run_dir: Path) -> None:
        """Go on from `state`, whose later entries an old one may lack."""
        self.iteration, self.seconds = state["iteration"], state["seconds"]
        self.val_miou = state["val_miou"]
        self.saved = self.iteration
        self.validated = state.get("validated", self.iteration)
        before = state.get("processes", [1])
        self.processes = before if before[-1] == self.processes[0] else before + self.processes
        if self.attempts:
            (attempt,) = self.attempts
            self.attempts = going_on(state.get("attempts"), attempt, self.iteration, run_dir)


@dataclass(frozen=True)
class Resumable:
    """Everything of a training that a resume state holds."""

    position: Position
    stepper: Stepper
    loss_means: LossMeans
    clock: WallClock

    def save(self, states: ResumeStates, sums: dict[str, Any], seconds: float) -> None:
        """sums: those of `loss_means`; seconds: spent on the run, this attempt included."""
        position = self.position
        position.end_attempt()
        state = {
            "iteration": position.iteration,
            "model": self.stepper.model.state_dict(),
            **self.stepper.state_dict(),
            "sums": sums,
            "seconds": seconds,
            "val_miou": position.val_miou,
            "validated": position.validated,
            "validation_seconds": self.clock.longest["validation"],
            "processes": position.processes,
            "attempts": position.attempts,
        }
        states.save(state, position.iteration)

    def resume(self, states: ResumeStates, processes: Processes, iterations: int) -> None:
        """Go on from the last state, if there is one. Raises RunError for one of another model."""
        state = processes.from_first(states.load() if processes.first else None)
        if state is None:
            return
        try:
            if state["iteration"] > iterations:
                raise ValueError(f"{state['iteration']} of {iterations} iterations")
            self.position.restore(state, states.folder.parent)
            self.loss_means.restore(state["sums"])
            self.clock.longest["validation"] = state.get("validation_seconds", 0.0)
            self.stepper.model.load_state_dict(state["model"])
            self.stepper.load_state_dict(state)
        except UNFIT as error:
            raise RunError(
                f"{states.folder}: no state of this run ({why_unreadable(error)}); delete that "
                "folder and run again, from the first iteration"
            ) from error
        log.info("going on from iteration %d of %d", self.position.iteration, iterations)
