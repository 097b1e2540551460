"""DVC by its command line, the only way in which it is used; and why it failed, in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipeline.dvc.entries import printable
from pipeline.errors import RecordError
from pipeline.redaction import without_secrets

REMEDIES = {  # what DVC says -> what to do first
    "not a git repository": "`git init` here, or `dvc config --local core.no_scm true`; ",
    "git-ignored": "`git check-ignore -v` of it names the line to remove; ",
    "dvc-ignored": "remove the line of .dvcignore that names it; ",
    " is ignored by ": "remove that line; ",
    "configuration error": "correct .dvc/config.local or .dvc/config; ",
}
PACKAGES = Path(__file__).resolve().parents[2]
MISSING = "<https://error.dvc.org/missing-files>"  # how DVC's message on absent objects ends


class LackingError(RecordError):
    """The remote lacks objects; DVC brought all others."""


def dvc(arguments: list[str], root: Path, again: str) -> str:
    """What `dvc` prints. Raises RecordError with DVC's own reason.

    Never called with --quiet, which hides that reason. again: the command to give afterwards.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    return run(command, root, f"dvc {arguments[0]}", again)


def run(command: list[str], folder: Path, what: str, again: str) -> str:
    """What a command prints that reports errors as DVC does. Raises RecordError."""
    # Our modules are found from any folder, and with PYTHONSAFEPATH, too.
    paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, errors="replace", check=False
    )
    if result.returncode != 0:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        lines += [f"exit {result.returncode}"]
        said = next((line for line in lines if line.startswith("ERROR")), lines[0])
        reason = printable(without_secrets(said).removeprefix("ERROR: "))
        remedy = next((todo for text, todo in REMEDIES.items() if text in reason), "")
        kind = LackingError if MISSING in result.stderr else RecordError
        raise kind(f"{what}: {reason}; {remedy}the runs are unharmed, give {again}")
    return result.stdout
