"""A loss or a weight that is NaN or infinite ends the training, before it is saved or validated.

It is looked for where the loss is asked for anyway, and before weights go to a disk or are
validated: never in every step, as a GPU would be waited for. Every process looks together.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NoReturn

from dmnet.errors import DivergedError
from dmnet.processes import Processes
from dmnet.segmentor import Segmentor
from dmnet.training.loss_means import LossMeans
from dmnet.training.position import Position
from dmnet.weights import not_finite


class Divergence:
    """Both methods raise DivergedError. amp: whether the run uses mixed precision."""

    def __init__(self, run_dir: Path, position: Position, processes: Processes, amp: bool) -> None:
        self.run_dir, self.position = run_dir, position
        self.processes, self.amp = processes, amp

    def check_loss(self, loss: float, means: LossMeans) -> None:
        if not math.isfinite(loss):
            number = self.position.iteration + 1 - means.not_finite()
            self._found(f"the loss became {loss} in iteration {number}")

    def check_weights(self, model: Segmentor) -> None:
        names = not_finite(model.state_dict())
        if any(self.processes.sum([float(len(names))])):
            name = f"{names[0]} became" if names else "weights of another process became"
            self._found(f"{name} NaN or infinite by iteration {self.position.iteration}")

    def _found(self, what: str) -> NoReturn:
        saved = self.position.saved
        good = f"the last good state is of iteration {saved}" if saved else "none saved"
        other = "take `precision: fp32` or a lower `lr`" if self.amp else "lower `lr`"
        raise DivergedError(
            f"{self.run_dir}: {what}, {good}; {other} in the recipe or preset and run again"
        )
