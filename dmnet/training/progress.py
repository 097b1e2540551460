"""Where a training is now: a line in the log, and `progress.json` for whoever watches."""

from __future__ import annotations

import logging
import os
import socket
import time
from pathlib import Path

from dmnet.files import write_json
from dmnet.text import clock

log = logging.getLogger(__name__)


class Progress:
    """Of one attempt, which begins now."""

    def __init__(self, path: Path, iterations: int, iteration: int, seconds: float) -> None:
        """iterations: to do in all; iteration, seconds: done and spent in earlier attempts."""
        self.path, self.iterations = path, iterations
        self._from_iteration, self._earlier = iteration, seconds
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent on the run, earlier attempts included."""
        return self._earlier + time.monotonic() - self._began

    def report(self, iteration: int, loss: float, lr: float, val_miou: float | None) -> None:
        """iteration: finished ones; loss: mean since the last report; val_miou: a fraction."""
        done, took = iteration - self._from_iteration, time.monotonic() - self._began
        rate = done / max(took, 1e-9)
        eta = (self.iterations - iteration) / rate
        miou = "-" if val_miou is None else f"{100 * val_miou:.2f}"
        log.info(
            "%d/%d  loss %.4f  lr %.5f  val mIoU %s  %.1f it/s  ETA %s",
            iteration,
            self.iterations,
            loss,
            lr,
            miou,
            rate,
            clock(eta),
        )
        write_json(
            self.path,
            {
                "iteration": iteration,
                "iterations": self.iterations,
                "loss": loss,
                "val_miou": val_miou,
                "iterations_per_second": rate,
                "eta_seconds": eta,
                "updated": time.time(),
                "pid": os.getpid(),
                "host": socket.gethostname(),
            },
        )
