"""Which job of a cell failed, from the marks that failed jobs leave beside their logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from dmnet.errors import DMNetError
from dmnet.files import read_json
from pipeline.attempt import mark_of
from pipeline.experiments import Cell, Experiment
from pipeline.experiments.cells import MeasuredCell
from pipeline.shown import one_line


class _Mark(BaseModel):
    """What a failed job leaves; its text, of whatever it failed, is shown on one line."""

    error: str


@dataclass(frozen=True)
class Failure:
    """The first job on the way to a cell that failed and was not repaired since."""

    log: str
    error: str


def failure_of(cell: Cell, experiment: Experiment, root: Path = Path(".")) -> Failure | None:
    """None when every job of the cell is done, pending or running."""
    for output, log in _jobs(cell, experiment):
        if not (root / output).exists():
            failure = read_failure(log, root)
            if failure is not None:
                return failure
    return None


def read_failure(log: str, root: Path = Path(".")) -> Failure | None:
    """What the job with this log failed of, if it did when it last ran."""
    mark = mark_of(root / log)
    if not mark.exists():
        return None
    try:
        return Failure(log, one_line(_Mark.model_validate(read_json(mark)).error))
    except (DMNetError, ValidationError):
        return Failure(log, "no reason was kept")  # the mark itself is damaged


def train_log(key: str) -> str:
    return f"logs/runs/{key}/train.log"


def _jobs(cell: Cell, experiment: Experiment) -> list[tuple[str, str]]:
    """(output, log) of every job that the cell needs, in the order they run; as in rules/*.smk."""
    jobs = []
    if isinstance(cell, MeasuredCell):
        return [(cell.job.path, cell.job.log)]
    if cell.measured:
        name = cell.dataset.name
        jobs.append((f"data/{name}/manifest.json", f"logs/data/{name}.log"))
    for evaluation in cell.measured:
        if evaluation.folder == "released":
            logs = f"logs/released/{evaluation.run_key}"
            jobs.append((evaluation.trained, f"{logs}/import.log"))
            jobs.append((evaluation.path, f"{logs}/{evaluation.name}.log"))
            continue
        keys = [evaluation.run_key]
        while (parent := experiment.runs[keys[0]].job.run.parent) is not None:
            keys.insert(0, parent)
        jobs += [(f"runs/{key}/train.json", train_log(key)) for key in keys]
        log = f"logs/runs/{evaluation.run_key}/{evaluation.name}.log"
        jobs.append((evaluation.path, log))
    return jobs
