"""The tree that the rules write to: every folder writable, and one Snakemake at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from dmnet.errors import DMNetError
from dmnet.lock import check_locks, holder_of, open_lock, sign, try_lock
from pipeline import paths
from pipeline.errors import PipelineError


def require_here(clone: Path) -> None:
    """Raises PipelineError where Snakemake was told to work in another folder than the clone."""
    if not clone.samefile(Path.cwd()):
        raise PipelineError(
            f"--directory {Path.cwd()}: params are read and results written in {clone.resolve()}; "
            "leave --directory out (for results elsewhere use a second clone there)"
        )


def hand_on(clone: Path) -> None:
    """Let jobs find the clone's packages also where PYTHONSAFEPATH hides their folder."""
    given = os.environ.get("PYTHONPATH", "")
    folder = str(clone.resolve())
    if sys.flags.safe_path and folder not in given.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, given)))


def check_writable() -> None:
    """Raises PipelineError unless every folder the rules write to is one, or can be made."""
    for name in paths.FOLDERS:
        path = Path(name).absolute()
        if path.is_symlink() and not path.exists():
            raise PipelineError(
                f"{path}: a link to {os.readlink(path)}, which is not there; mount its disk, or "
                "make that folder"
            )
        folder = path if path.exists() else path.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise PipelineError(
                f"{path}: results cannot be written here; make it a writable folder (or remove it)"
            )


def hold_tree() -> IO[str]:
    """Be the only Snakemake on this tree, by a lock that dies with the process.

    Snakemake's own lock survives `kill -9` and then needs --unlock, so the default profile
    turns it off in favour of this one. Returns the open file, which holds the lock until it is
    closed; raises DMNetError that names the process at work here, or where there are no locks:
    also not where the trainings take theirs, which may be another disk.
    """
    check_locks(Path(paths.lock("")).parent)
    path = Path(f"{paths.STATE}.lock")
    tree = open_lock(path)
    try:
        if not try_lock(tree, path):
            holder = holder_of(tree, "another Snakemake")
            raise PipelineError(
                f"{Path.cwd()}: {holder} is at work here; wait for it, or use a second clone"
            )
        sign(tree, path)
    except DMNetError:
        tree.close()
        raise
    return tree
