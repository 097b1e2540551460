"""Errors a user can act on.

    DMNetError
    ├── ConfigError      a configuration value is unknown, missing or out of range
    ├── DataError        a dataset file is missing, damaged, or not what its format says
    ├── CheckpointError  a weights or state file is damaged, foreign, or does not fit
    └── RunError         a run cannot go on (diverged, locked, no space, read-only folder)

Each message is one line: the file, the key or item, what was expected, what to do.
"""

from __future__ import annotations


class DMNetError(Exception):
    """Base of every error that the command line prints as one line with exit code 1."""


class ConfigError(DMNetError):
    """A configuration value is unknown, missing or out of range."""


class DataError(DMNetError):
    """A dataset file is missing, damaged, or not what its format says."""


class CheckpointError(DMNetError):
    """A weights or state file is damaged, foreign, or does not fit the model."""


class RunError(DMNetError):
    """A run cannot start or go on."""
