"""The clone whose code runs, and the one in whose folder it runs: they must be the same."""

from __future__ import annotations

from pathlib import Path

from dmnet.errors import RunError

CLONE = Path(__file__).resolve().parent.parent


def require_own_clone() -> None:
    """Raises RunError in the folder of another clone: its params and results are that one's code's.

    `python -m` takes the code of the folder it is called in, but not under PYTHONSAFEPATH; then it
    is that of the clone whose environment the interpreter belongs to.
    """
    here = Path.cwd()
    other = here / "dmnet" / "clone.py"
    if other.exists() and not other.samefile(__file__):
        raise RunError(
            f"{here}: a clone with code of its own, but that of {CLONE} would run here; unset "
            f"PYTHONSAFEPATH, or set PYTHONPATH={here}"
        )
