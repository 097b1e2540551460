"""DVC: every finished run is tracked as `runs/<key>.dvc`, a small file that git takes.

The only contact with DVC, by its command line. All runs go in one call: calls side by side would
fight for DVC's lock.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.errors import RecordError


def track(keys: set[str], root: Path = Path(".")) -> str:
    """`dvc add` the finished ones of these runs; returns one line. Raises RecordError."""
    complete = [
        f"runs/{key}" for key in sorted(keys) if (root / "runs" / key / "train.json").exists()
    ]
    if not complete:
        return "DVC: no finished run to track"
    command = [sys.executable, "-m", "dvc", "add", "--quiet", *complete]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise RecordError(
            f"dvc add: {lines[0] if lines else 'failed'}; the runs are unharmed, give "
            "`python -m pipeline record` to try again"
        )
    return f"DVC: {len(complete)} runs tracked; `git add runs/*.dvc` and `dvc push` share them"
