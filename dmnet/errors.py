"""Errors a user can act on.

Each message is one line: the file, the key or item, what was expected, what to do.
"""

from __future__ import annotations

TO_BE_CONTINUED = 75  # exit status: EX_TEMPFAIL of sysexits.h, the same command goes on
LOST_CONTACT = 76


class DMNetError(Exception):
    """Base of every error that the command line prints as one line, and ends with."""

    status = 1
    prefix = "error: "  # of the line
    common = False  # whether every process of a run raises it, so that one line is enough


class ConfigError(DMNetError):
    """A configuration value is unknown, missing or out of range."""


class DataError(DMNetError):
    """A dataset file is missing, damaged, or not what its format says."""


class DeviceError(DMNetError):
    """The device that a run is to compute on is not there, or cannot be used."""

    def __init__(self, message: str, common: bool = True) -> None:
        """common: as of the class; False where it is one process's own GPU."""
        super().__init__(message)
        self.common = common


class CheckpointError(DMNetError):
    """A weights or state file is damaged, foreign, or does not fit the model."""


class RunError(DMNetError):
    """A run cannot start or go on."""


class DivergedError(RunError):
    """A run's loss or one of its weights is NaN or infinite, in every process at once."""

    common = True


class OutOfTimeError(DMNetError):
    """The allocation ends soon; the run's state is saved and the same command goes on."""

    status, prefix = TO_BE_CONTINUED, "stopped: "
    common = True


class ProcessesError(DMNetError):
    """One of the processes that train a run failed. `message` is empty where it said so itself."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message, self.status = message, status


class LostContactError(DMNetError):
    """One of several processes finds the others gone."""

    status, prefix = LOST_CONTACT, ""  # no `error:`, which is for the process that ended first
