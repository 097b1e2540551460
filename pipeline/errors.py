"""Errors of the pipeline; like those of `dmnet`, one line that a user can act on."""

from __future__ import annotations

from dmnet.errors import DMNetError


class PipelineError(DMNetError):
    """Base of the pipeline's errors."""


class SpecError(PipelineError):
    """A file in params/ is not what its schema says."""


class ResultError(PipelineError):
    """A result is missing, damaged, or of another configuration."""


class RecordError(PipelineError):
    """MLflow or DVC could not take a record, which never stops a job."""
