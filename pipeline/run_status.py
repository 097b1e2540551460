"""How far a run is, from the files that it writes and the lock that its training holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmnet.errors import DMNetError
from dmnet.files import read_json
from dmnet.training.lock import try_lock
from pipeline.experiments import Run
from pipeline.failures import Failure, read_failure, train_log


@dataclass(frozen=True)
class RunStatus:
    run: Run
    state: str  # done, running, failed, interrupted or pending
    iteration: int
    eta_seconds: float | None
    miou: float | None  # latest on the validation split, a fraction
    failure: Failure | None = None


def run_status(run: Run, root: Path = Path(".")) -> RunStatus:
    folder = root / "runs" / run.key
    iterations = run.job.run.recipe.iterations
    trained = _read(folder / "train.json")
    if trained is not None:
        return RunStatus(run, "done", iterations, None, trained.get("val_miou"))
    held = is_training(run.key, root)
    failure = None if held else read_failure(train_log(run.key), root)
    stopped = "interrupted" if failure is None else "failed"
    progress = _read(folder / "progress.json")
    try:
        if progress is not None:
            return RunStatus(
                run,
                "running" if held else stopped,
                int(progress["iteration"]),
                float(progress["eta_seconds"]) if held else None,
                progress["val_miou"],
                failure,
            )
    except (KeyError, TypeError, ValueError):
        pass  # a damaged file must not hide the other runs
    state = "running" if held else "pending" if failure is None else "failed"
    return RunStatus(run, state, 0, None, None, failure)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = read_json(path)
    except DMNetError:
        return None
    return content


def is_training(key: str, root: Path = Path(".")) -> bool:
    """Whether a training process holds the run's lock (it dies with the process)."""
    path = root / "runs" / ".locks" / f"{key}.lock"
    try:
        with path.open() as stream:
            return not try_lock(stream, path, shared=True)
    except (OSError, DMNetError):  # not there, or where nothing can be locked or trained
        return False
