"""Errors as Snakemake prints them."""

from __future__ import annotations

from dmnet.errors import DMNetError
from dmnet.text import LONGEST, shortened


def workflow_error(error: DMNetError) -> Exception:
    """Snakemake prints a WorkflowError as one line, any other exception with its traceback."""
    from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped,unused-ignore]

    return WorkflowError(shortened(str(error), LONGEST))
