"""The tree that the rules write to: every folder writable, and one Snakemake at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

from pipeline.errors import PipelineError

# The folders that the rules write to.
WRITTEN = (
    *("runs", "released", "reports", "data", "counts", "speed", "predictions", "logs"),
    "benchmarks",
)


def check_writable() -> None:
    """Raises PipelineError unless every folder the rules write to is one, or can be made."""
    for name in WRITTEN:
        path = Path(name).absolute()
        folder = path if path.exists() else path.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise PipelineError(
                f"{path}: results cannot be written here; make it a writable folder (or remove it)"
            )


def hold_tree() -> TextIO:
    """Be the only Snakemake on this tree, by a lock that dies with the process.

    Snakemake's own lock survives `kill -9` and then needs --unlock, so the default profile
    turns it off in favour of this one. Returns the open file, which holds the lock until it is
    closed; raises PipelineError that names the process at work here.
    """
    path = Path(".snakemake") / "dmnet.lock"
    path.parent.mkdir(exist_ok=True)
    tree = path.open("a+")
    try:
        fcntl.flock(tree, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tree.seek(0)
        holder = tree.read().strip() or "another Snakemake"
        tree.close()
        raise PipelineError(
            f"{Path.cwd()}: {holder} is at work here; wait for it, or use a second clone"
        ) from None
    tree.truncate(0)
    tree.write(f"process {os.getpid()}")
    tree.flush()
    return tree
