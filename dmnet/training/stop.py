"""What stops a training before its last iteration: a signal, or a loader that fails.

Processes agree on it: a signal may reach only one of them, and only one's loader may fail.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

from dmnet.data.loading import OF_THE_PARENT, LoaderError
from dmnet.errors import DMNetError, LostContactError, RunError

STOP_SIGNALS = {number.name: number for number in OF_THE_PARENT}
FAULT = "fault"


class InterruptedRunError(DMNetError):
    """The run was asked to stop (by a signal); its state is saved and it can go on."""

    common = True


class Stop:
    def __init__(self) -> None:
        self.signal: int | None = None  # that came
        self.fault: LoaderError | None = None  # of this process's loader

    def listen(self) -> None:
        """But nohup's wish, that the run outlives its terminal, is respected."""

        def remember(number: int, frame: object) -> None:
            self.signal = number

        for number in STOP_SIGNALS.values():
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, remember)

    @property
    def votes(self) -> dict[str, bool]:
        """This process's, by name."""
        signals = {name: self.signal == number for name, number in STOP_SIGNALS.items()}
        return {**signals, FAULT: self.fault is not None}

    def error(
        self, agreed: Mapping[str, bool], run_dir: Path, iteration: int, rank: int
    ) -> DMNetError | None:
        """What the training ends with once it is saved; None where no process voted for that."""
        signals = [name for name in STOP_SIGNALS if agreed[name]]
        if signals:
            return InterruptedRunError(
                f"{run_dir}: stopped at iteration {iteration} by {signals[0]}; run the same "
                "command to go on"
            )
        if self.fault is not None:
            return RunError(
                f"{run_dir}: saved at iteration {iteration}: {self.fault}; the same command goes on"
            )
        if agreed[FAULT]:
            return LostContactError(f"process {rank}: stopped, as another must")
        return None
