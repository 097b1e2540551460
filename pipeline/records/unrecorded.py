"""A mark for each workflow, from its first job until `record` is done: none stays unrecorded.

Where nothing is left to do, Snakemake calls nothing of ours. So a workflow that was killed while it
recorded would stay unrecorded, and the same command would say that all is done.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import paths


def unrecorded(options: str) -> Path:
    """The mark. options: the scale, as `python -m pipeline` takes it."""
    words = options.replace("--", "").replace("/", "_").split()
    return Path(paths.STATE) / f"{'-'.join(words)}.unrecorded"
