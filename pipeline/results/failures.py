"""Which job of a cell failed, from the marks that failed jobs leave beside their logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from dmnet.errors import DMNetError
from dmnet.files import read_json
from pipeline import paths
from pipeline.attempt import mark_of
from pipeline.escaping import one_line
from pipeline.experiments import Cell, Experiment
from pipeline.experiments.cells import MeasuredCell


class _Mark(BaseModel):
    """What a failed job leaves: its error, shown on one line."""

    error: str


@dataclass(frozen=True)
class Failure:
    """The first job on the way to a cell that failed and was not repaired since."""

    log: str
    error: str


def failure_of(cell: Cell, experiment: Experiment, root: Path = Path(".")) -> Failure | None:
    """None when every job of the cell is done, pending or running."""
    for output in outputs_of(cell, experiment):
        if not (root / output).exists() and (failure := read_failure(paths.log(output), root)):
            return failure
    return None


def read_failure(log: str, root: Path = Path(".")) -> Failure | None:
    """Why the job with this log failed, if it did when it last ran."""
    mark = mark_of(root / log)
    if not mark.exists():
        return None
    try:
        return Failure(log, one_line(_Mark.model_validate(read_json(mark)).error))
    except (DMNetError, ValidationError):
        return Failure(log, "no reason was kept")  # the mark itself is damaged


def outputs_of(cell: Cell, experiment: Experiment) -> list[str]:
    """Of every job that the cell needs, in the order they run."""
    if isinstance(cell, MeasuredCell):
        return [cell.job.path]
    outputs = [paths.data_manifest(cell.dataset.name)] if cell.measured else []
    for evaluation in cell.measured:
        parents: list[str] = []
        run = experiment.runs.get(evaluation.run_key)  # none of a released checkpoint
        while run is not None and (parent := run.job.run.parent) is not None:
            parents.insert(0, paths.trained(parent))
            run = experiment.runs[parent]
        outputs += [*parents, *evaluation.paths]
    return outputs
