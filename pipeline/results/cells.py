"""What was measured for each cell, checked to be what was asked for."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, assert_never

from dmnet.config import content_hash
from pipeline.errors import ResultError
from pipeline.experiments import Cell, Evaluation, Experiment
from pipeline.experiments.cells import (
    CitedCell,
    CountedCell,
    MeasuredCell,
    ReleasedCell,
    TimedCell,
    TrainedCell,
)
from pipeline.results.failures import Failure, failure_of
from pipeline.results.files import read_if_there, read_result_file
from pipeline.results.schemas import CellOutcome, Counted, Evaluated, Released, Timed, Trained
from pipeline.results.trained_on import in_words
from pipeline.spec.official import OfficialValue, official_value

WeightsT = TypeVar("WeightsT", Trained, Released)


@dataclass(frozen=True)
class RunResult(Generic[WeightsT]):
    """One seed's part of a cell: what was measured and what it was measured on."""

    evaluation: Evaluation
    value: float | None  # percent, two places; None if the class does not occur in the data
    metrics: Evaluated
    trained: WeightsT

    @property
    def measured_on(self) -> str:
        """The device, and the model's form unless it is the plain one: "cpu, optimised form"."""
        metrics = self.metrics
        return in_words(metrics.device or "unknown device", metrics.form, metrics.tf32)


Measured = RunResult[Trained] | RunResult[Released]


@dataclass(frozen=True)
class CellResult:
    """A cell's value: mean (and spread) over its seeds, or what was measured without training."""

    cell: Cell
    runs: tuple[RunResult[Trained], ...] = ()
    released: RunResult[Released] | None = None  # measured on the weights that the source published
    measurement: Counted | Timed | None = None
    failure: Failure | None = None
    official: OfficialValue | None = None  # takes the place of what was measured

    @property
    def outcome(self) -> CellOutcome:
        """Where the value comes from: official (a test server), trained, released (a published
        checkpoint, measured here), profiled (counted or timed), cited (only quoted), pending,
        failed, or absent (no such class in the data)."""
        missing: CellOutcome = "pending" if self.failure is None else "failed"
        if self.official is not None:
            return "official"
        match self.cell:
            case CountedCell() | TimedCell():
                return missing if self.measurement is None else "profiled"
            case CitedCell():
                return "cited"
            case ReleasedCell():
                return missing if self.released is None else "released"
            case TrainedCell():
                if len(self.runs) < len(self.cell.evaluations):
                    return missing
                return "trained" if len(self.values) == len(self.runs) else "absent"
            case _:
                assert_never(self.cell)

    @property
    def failed_job(self) -> Failure | None:
        """Log and reason, while the cell misses a result because of it."""
        return self.failure if self.outcome == "failed" else None

    @property
    def measured(self) -> tuple[Measured, ...]:
        """All that was measured for it, on trained and on released weights."""
        return self.runs if self.released is None else (*self.runs, self.released)

    @property
    def values(self) -> list[float]:
        return [run.value for run in self.runs if run.value is not None]

    @property
    def ours(self) -> float | None:
        if self.official is not None:
            return self.official.value
        if isinstance(self.cell, MeasuredCell):
            made = self.measurement
            return None if made is None else measured_value(self.cell, made)
        if self.outcome == "released":
            return self.released.value if self.released else None
        return round(statistics.fmean(self.values), 2) if self.outcome == "trained" else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None with fewer than two."""
        if self.outcome != "trained" or len(self.values) < 2:
            return None
        return round(statistics.stdev(self.values), 2)

    @property
    def difference(self) -> float | None:
        """Ours minus published, of the numbers as they are printed; none for two devices."""
        ours, published = self.ours, self.cell.spec.published
        if ours is None or published is None or self.cell.of_one_device:
            return None
        return round(ours - published, 2)


def read_cell(cell: Cell, experiment: Experiment, root: Path = Path(".")) -> CellResult:
    """What has been measured of a cell so far; an official figure for its run comes first."""
    failure = failure_of(cell, experiment, root)
    match cell:
        case CountedCell() | TimedCell():
            return CellResult(cell, measurement=read_measurement(cell, root), failure=failure)
        case CitedCell():
            return CellResult(cell)
        case ReleasedCell():
            released = read_result(cell, cell.released, Released, root)
            return CellResult(cell, released=released, failure=failure)
        case TrainedCell():
            results = [read_result(cell, seed, Trained, root) for seed in cell.evaluations]
            runs = tuple(result for result in results if result is not None)
            beside = cell.released
            released = None if beside is None else read_result(cell, beside, Released, root)
            weights = weights_of(cell, runs)
            given = official_value(experiment.official, cell.table, cell.name, weights)
            return CellResult(cell, runs, released, failure=failure, official=given)
        case _:
            assert_never(cell)


def read_result(
    cell: Cell, evaluation: Evaluation, schema: type[WeightsT], root: Path = Path(".")
) -> RunResult[WeightsT] | None:
    """None while pending. Raises ResultError for a result that is damaged or of another run,
    protocol or weights."""
    path, trained_path = root / evaluation.path, root / evaluation.trained
    if not path.exists() or not trained_path.exists():
        return None
    metrics = read_evaluated(evaluation, root)
    trained = read_result_file(trained_path, schema)
    facts = [
        ("run", metrics.run, evaluation.run_key),
        ("evaluation", metrics.evaluation_hash, content_hash(evaluation.config)),
        ("weights", metrics.weights_sha256, trained.weights.sha256),
    ]
    if isinstance(trained, Trained):  # a released checkpoint was trained on others' files
        facts.append(("data", metrics.data_fingerprint, trained.data_fingerprint))
    check_facts(path, facts)
    return RunResult(evaluation, metric_value(cell, metrics), metrics, trained)


def read_evaluated(evaluation: Evaluation, root: Path) -> Evaluated:
    """Raises RunError, or ResultError, also where there is not one value for each class."""
    path, classes = root / evaluation.path, evaluation.config.data.classes
    metrics = read_result_file(path, Evaluated)
    if (found := len(metrics.per_class_iou)) != classes:
        raise ResultError(
            f"{path}: has {found} values for {classes} classes; delete the file and run again"
        )
    return metrics


def metric_value(cell: Cell, metrics: Evaluated) -> float | None:
    """The cell's metric in percent, rounded to two places as the benchmarks do."""
    fraction: float | None = metrics.miou
    if cell.spec.metric != "miou":
        classes = cell.dataset.classes if cell.dataset else ()
        ious = dict(zip(classes, metrics.per_class_iou, strict=False))
        fraction = ious.get(cell.spec.metric.removeprefix("iou."))
    return None if fraction is None else round(100 * fraction, 2)


def check_facts(path: Path, facts: Iterable[tuple[str, object, object]]) -> None:
    """facts: (what, found in `path`, expected). Raises ResultError at the first that differs."""
    for name, found, expected in facts:
        if found != expected:
            raise ResultError(
                f"{path}: is of another {name} ({str(found)[:16]}, expected "
                f"{str(expected)[:16]}); delete the file and run again"
            )


def measured_value(cell: MeasuredCell, made: Counted | Timed) -> float | None:
    """In the table's unit."""
    match cell:
        case CountedCell():
            assert isinstance(made, Counted)
            count = made.number(cell.measurement.measure)
            return None if count is None else round(count / cell.measurement.per, 2)
        case TimedCell():
            assert isinstance(made, Timed)
            return made.number(cell.measurement.measure)
        case _:
            assert_never(cell)


def read_measurement(cell: MeasuredCell, root: Path = Path(".")) -> Counted | Timed | None:
    """What was counted or timed; None while pending. Raises ResultError."""
    made: Counted | Timed | None
    match cell:
        case CountedCell():
            made = read_if_there(root / cell.job.path, Counted)
            told = f"profile, or has no {cell.measurement.measure!r}"
        case TimedCell():
            made, told = read_if_there(root / cell.job.path, Timed), "measurement"
        case _:
            assert_never(cell)
    if made and (made.key != cell.job.key or measured_value(cell, made) is None):
        raise ResultError(f"{cell.job.path}: is of another {told}; delete the file and run again")
    return made


def weights_of(cell: Cell, runs: Iterable[RunResult[Trained]]) -> dict[str, str | None]:
    """Run key -> SHA-256 of the weights that the run ended with, None while it is pending."""
    seeds = cell.evaluations if isinstance(cell, TrainedCell) else ()
    pending: dict[str, str | None] = dict.fromkeys(seed.run_key for seed in seeds)
    return pending | {run.evaluation.run_key: run.metrics.weights_sha256 for run in runs}
