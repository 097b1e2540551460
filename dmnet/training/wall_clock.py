"""When the allocation of this attempt ends, and whether there is time for more before it.

In this order: the option --until, DMNET_UNTIL (both in seconds since 1970, for any scheduler), and
within a SLURM job SLURM_JOB_END_TIME or what squeue says. Otherwise there is no end.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime

from dmnet.errors import ConfigError

log = logging.getLogger(__name__)

# Left over before SLURM's end: for processes to end, and for the job to be queued again.
SLURM_MARGIN = 30.0  # seconds
SQUEUE_TIMEOUT = 30.0


def allocation_end(
    until: float | None = None, environment: Mapping[str, str] = os.environ
) -> float | None:
    """Seconds since 1970 by which this attempt must have ended, or None.

    until: the option --until. Raises ConfigError where DMNET_UNTIL is no number.
    """
    if until is not None:
        return until
    if given := environment.get("DMNET_UNTIL"):
        try:
            return float(given)
        except ValueError:
            raise ConfigError(
                f"DMNET_UNTIL={given}: expected seconds since 1970, as `date +%s` prints them"
            ) from None
    if job := environment.get("SLURM_JOB_ID"):
        end = environment.get("SLURM_JOB_END_TIME", "")
        end_seconds = float(end) if end.isdigit() else _asked_of_squeue(job)
        return None if end_seconds is None else end_seconds - SLURM_MARGIN
    return None


def _asked_of_squeue(job: str) -> float | None:
    command = ["squeue", "-h", "-j", job, "-o", "%e"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=SQUEUE_TIMEOUT, check=True
        ).stdout.strip()
        return datetime.fromisoformat(answer).timestamp()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        # Also N/A, of a job without a limit.
        log.warning("squeue tells no end of job %s (%s); running without one", job, error)
        return None


class WallClock:
    """The time that is left, against what an iteration, a save and a validation took so far.

    The longest of each counts, in this attempt or, for the validation, in an earlier one. `spent`
    adds up what each kind took, in seconds.
    """

    def __init__(self, end: float | None) -> None:
        self.end = end
        self.longest = {"iteration": 0.0, "save": 0.0, "validation": 0.0}
        self.spent = dict(self.longest)  # in this attempt
        self._since = time.monotonic()

    def start(self) -> None:
        """From here on the next `took` counts."""
        self._since = time.monotonic()

    def took(self, what: str) -> None:
        """Since `start` or the last `took`, `what` was done once."""
        now = time.monotonic()
        self.longest[what] = max(self.longest[what], now - self._since)
        self.spent[what] += now - self._since
        self._since = now

    def has_time_for(self, what: str) -> bool:
        """Whether, even twice as slowly as ever, `what` can be done and saved before the end."""
        if self.end is None:
            return True
        needed = 2 * (self.longest[what] + self.longest["save"])
        return time.time() + needed < self.end
