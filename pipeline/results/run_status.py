"""How far a run is, from the files that it writes and the lock that its training holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmnet.errors import DMNetError
from dmnet.files import open_plain
from dmnet.lock import try_lock
from pipeline import paths
from pipeline.escaping import one_line
from pipeline.experiments import Run
from pipeline.results.failures import Failure, read_failure
from pipeline.results.files import read_if_whole, read_result_file
from pipeline.results.schemas import Trained, TrainingProgress


@dataclass(frozen=True)
class RunStatus:
    run: Run
    state: str  # done, running, failed, interrupted or pending
    iteration: int
    eta_seconds: float | None
    miou: float | None  # latest on the validation split, a fraction
    failure: Failure | None = None


def run_status(run: Run, root: Path = Path(".")) -> RunStatus:
    manifest, log = root / paths.trained(run.key), paths.log(paths.trained(run.key))
    iterations = run.job.run.recipe.iterations
    failure = None
    held = is_training(run.key, root)
    if manifest.exists():
        try:
            trained = read_result_file(manifest, Trained)
            return RunStatus(run, "done", iterations, None, trained.val_miou)
        except DMNetError as error:  # no number of it will stand in a report
            failure = Failure(log, one_line(error))
    progress = read_if_whole(manifest.with_name(paths.PROGRESS), TrainingProgress)
    state, eta = "interrupted" if progress else "pending", None
    if held:
        state, eta, failure = "running", progress.eta_seconds if progress else None, None
    elif failure := failure or read_failure(log, root):
        state = "failed"
    if progress is None:
        return RunStatus(run, state, 0, None, None, failure)
    return RunStatus(run, state, progress.iteration, eta, progress.val_miou, failure)


def is_training(key: str, root: Path = Path(".")) -> bool:
    """Whether a training process holds the run's lock (it dies with the process)."""
    path = root / paths.lock(key)
    try:
        with open_plain(path) as stream:
            return not try_lock(stream, path, shared=True)
    except (OSError, DMNetError):  # no lock file, or no locks here: nothing trains
        return False
