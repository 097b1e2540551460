"""DVC by its command line, the only way in which it is used; and why it failed, in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.dvc_entries import printable
from pipeline.errors import RecordError
from pipeline.passwords import without_secrets

MISSING = "<https://error.dvc.org/missing-files>"  # how DVC's message on absent objects ends


class LackingError(RecordError):
    """The remote lacks objects; DVC brought all others."""


def dvc(arguments: list[str], root: Path, again: str) -> str:
    """What `dvc` prints. Raises RecordError with DVC's own reason.

    Never called with --quiet, which hides that reason. again: the command to give afterwards.
    """
    return run(["dvc", *arguments], root, f"dvc {arguments[0]}", again)


def run(module: list[str], root: Path, what: str, again: str) -> str:
    """The same for `python -m module`."""
    command = [sys.executable, "-m", *module]
    result = subprocess.run(
        command, cwd=root, capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode != 0:
        printed = (result.stderr or result.stdout).splitlines()
        lines = [line for line in printed if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        reason = f"exit {result.returncode}"
        if errors:
            reason = printable(without_secrets(errors[0]).removeprefix("ERROR: "))
        kind = LackingError if MISSING in result.stderr else RecordError
        raise kind(f"{what}: {reason}; the runs are unharmed, give {again}")
    return result.stdout
