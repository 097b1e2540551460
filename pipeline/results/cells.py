"""What was measured for each cell, checked against what was asked for."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from dmnet.config import content_hash
from pipeline.errors import ResultError
from pipeline.experiments import Cell, Evaluation, Experiment
from pipeline.results.failures import Failure, failure_of
from pipeline.results.files import read_result_file
from pipeline.results.schemas import CellSource, Counted, Evaluated, Released, Timed, Trained
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
        found = self.metrics
        return in_words(found.device or "unknown device", found.form, found.tf32)


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
    def source(self) -> CellSource:
        """Where the value comes from: official (a test server), trained, released (a published
        checkpoint, measured here), profiled, cited (only quoted), pending, failed, or absent (no
        such class in the data)."""
        missing: CellSource = "pending" if self.failure is None else "failed"
        if self.official is not None:
            return "official"
        if self.cell.profile is not None or self.cell.speed is not None:
            return missing if self.measurement is None else "profiled"
        if len(self.runs) < len(self.cell.evaluations):
            return missing
        if not self.cell.evaluations:
            if self.cell.released is None:
                return "cited"
            return missing if self.released is None else "released"
        return "trained" if all(run.value is not None for run in self.runs) else "absent"

    @property
    def failed_job(self) -> Failure | None:
        """Log and reason, while the cell misses a result because of it."""
        return self.failure if self.source == "failed" else None

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
        if self.source == "profiled":
            return self._measured
        if self.source == "released":
            return self.released.value if self.released else None
        return round(statistics.fmean(self.values), 2) if self.source == "trained" else None

    @property
    def _measured(self) -> float | None:
        """In the table's unit."""
        found, counted, timed = self.measurement, self.cell.spec.profile, self.cell.spec.speed
        if isinstance(found, Counted) and counted is not None:
            count = found.number(counted.measure)
            return None if count is None else round(count / counted.per, 2)
        if isinstance(found, Timed) and timed is not None:
            return found.number(timed.measure)
        return None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None with fewer than two."""
        if self.source != "trained" or len(self.values) < 2:
            return None
        return round(statistics.stdev(self.values), 2)

    @property
    def difference(self) -> float | None:
        """Ours minus published, of the numbers as they are printed; none for two devices."""
        if self.ours is None or self.cell.spec.published is None or self.cell.speed is not None:
            return None
        return round(self.ours - self.cell.spec.published, 2)


def read_cell(cell: Cell, experiment: Experiment, root: Path = Path(".")) -> CellResult:
    """What there is of a cell by now; an official figure that is its run's comes first."""
    results = [read_result(cell, evaluation, Trained, root) for evaluation in cell.evaluations]
    runs = tuple(result for result in results if result is not None)
    given = official_value(experiment.official, cell.table, cell.name, weights_of(cell, runs))
    failure = failure_of(cell, experiment, root)
    released = read_result(cell, cell.released, Released, root) if cell.released else None
    return CellResult(cell, runs, released, read_measurement(cell, root), failure, given)


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
        name = cell.spec.metric.removeprefix("iou.")
        classes = cell.dataset.classes if cell.dataset else ()
        if name not in classes:
            return None
        fraction = metrics.per_class_iou[classes.index(name)]
    return None if fraction is None else round(100 * fraction, 2)


def check_facts(path: Path, facts: Iterable[tuple[str, object, object]]) -> None:
    """facts: (what, found in `path`, expected). Raises ResultError at the first that differs."""
    for name, found, expected in facts:
        if found != expected:
            raise ResultError(
                f"{path}: is of another {name} ({str(found)[:16]}, expected "
                f"{str(expected)[:16]}); delete the file and run again"
            )


def read_measurement(cell: Cell, root: Path = Path(".")) -> Counted | Timed | None:
    """What was counted or timed; None while pending. Raises ResultError."""
    job = cell.profile or cell.speed
    if job is None or not (root / job.path).exists():
        return None
    told = "measurement"
    if (spec := cell.spec.profile) is not None:
        counted = read_result_file(root / job.path, Counted)
        if counted.key == job.key and counted.number(spec.measure) is not None:
            return counted
        told = f"profile, or has no {spec.measure!r}"
    elif (timed := read_result_file(root / job.path, Timed)).key == job.key:
        return timed
    raise ResultError(f"{job.path}: is of another {told}; delete the file and run again")


def weights_of(cell: Cell, runs: Iterable[RunResult[Trained]]) -> dict[str, str | None]:
    """Run key -> SHA-256 of the weights that the run ended with, None while it is pending."""
    pending: dict[str, str | None] = {e.run_key: None for e in cell.evaluations}
    return pending | {run.evaluation.run_key: run.metrics.weights_sha256 for run in runs}
