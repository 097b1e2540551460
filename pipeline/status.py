"""What is done, running, interrupted and pending, from the files that the runs write."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from dmnet.errors import DMNetError
from dmnet.files import read_json
from dmnet.text import clock
from pipeline.experiments import Experiment, Run
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
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def render_status(experiment: Experiment, root: Path = Path(".")) -> str:
    from pipeline.moved_on import moved_on_lines

    states = [run_status(run, root) for run in experiment.runs.values()]
    order = {"running": 0, "failed": 1, "interrupted": 2, "done": 3, "pending": 4}
    states.sort(key=lambda status: order[status.state])
    rows = [
        [
            status.state,
            f"{status.iteration}/{status.run.job.run.recipe.iterations}",
            "" if status.eta_seconds is None else clock(status.eta_seconds),
            "" if status.miou is None else f"{100 * status.miou:.2f}",
            status.run.key,
            ", ".join(status.run.cells),
        ]
        for status in states
    ]
    headers = ["state", "iteration", "ETA", "val mIoU", "run", "cells"]
    counts = {state: sum(s.state == state for s in states) for state in order}
    evaluated = sum((root / e.path).exists() for e in experiment.evaluations.values())
    speeds = experiment.speeds.values()
    measured = sum((root / speed.path).exists() for speed in speeds)
    return "\n".join(
        [
            f"Preset {experiment.preset_name}, seeds {experiment.seeds}: "
            + ", ".join(f"{count} {state}" for state, count in counts.items())
            + f"; {evaluated} of {len(experiment.evaluations)} evaluations done"
            + (f", {measured} of {len(speeds)} measurements of speed" if speeds else ""),
            "",
            tabulate(rows, headers, tablefmt="simple", disable_numparse=True),
            "",
            *(
                f"failed: {status.run.key}: {status.failure.error} (log: {status.failure.log})"
                for status in states
                if status.failure is not None
            ),
            *moved_on_lines(experiment, root),
            "Logs: logs/runs/<run>/train.log",
        ]
    )
