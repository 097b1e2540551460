"""Results of runs: read, checked against what was asked for, and joined to the cells."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from dmnet.config import content_hash
from pipeline import paths
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
from pipeline.results.schemas import Counted, Evaluated, Released, Timed, Trained, read_result_file
from pipeline.spec.official import OfficialValue, official_value


@dataclass(frozen=True)
class RunResult:
    """One seed's part of a cell: what was measured and what it was measured on."""

    evaluation: Evaluation
    value: float | None  # percent, two places; None if the class does not occur in the data
    metrics: dict[str, Any]
    trained: dict[str, Any]

    @property
    def measured_on(self) -> str:
        """The device, and the model's form unless it is the plain one: "cpu, optimised form"."""
        found = self.metrics
        return in_words(found.get("device", "unknown device"), found.get("form"), found.get("tf32"))


def in_words(device: str, form: str | None, tf32: list[str] | None) -> str:
    """`form` as dmnet/inference/form.py calls it, `tf32` as dmnet/provenance.py lists it; earlier
    results have neither."""
    parts = [device]
    if tf32:
        parts.append(f"TF32 in {' and '.join(tf32)}")
    if form not in (None, "plain"):
        parts.append(f"{form} form")
    return ", ".join(parts)


@dataclass(frozen=True)
class CellResult:
    """A cell's value: mean (and spread) over its seeds, or what was measured without training."""

    cell: Cell
    runs: tuple[RunResult, ...] = ()
    released: RunResult | None = None  # measured on the weights that the source published
    measurement: dict[str, Any] | None = None  # what the job of a count or a speed wrote
    failure: Failure | None = None
    official: OfficialValue | None = None  # takes the place of what was measured

    @property
    def source(self) -> str:
        """Where the value comes from: official (a test server), trained, released (a published
        checkpoint, measured here), profiled (counted or timed), cited (only quoted), pending,
        failed, or absent (no such class in the data)."""
        missing = "pending" if self.failure is None else "failed"
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
    def failed_job(self) -> dict[str, str] | None:
        """Log and reason, while the cell misses a result because of it."""
        return self.failure.as_json() if self.failure and self.source == "failed" else None

    @property
    def measured(self) -> tuple[RunResult, ...]:
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
            content = self.measurement
            return None if content is None else measured_value(self.cell, content)
        if self.source == "released":
            return self.released.value if self.released else None
        return round(statistics.fmean(self.values), 2) if self.source == "trained" else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None with fewer than two."""
        if self.source != "trained" or len(self.values) < 2:
            return None
        return round(statistics.stdev(self.values), 2)

    @property
    def difference(self) -> float | None:
        """Ours minus published, of the numbers as they are printed; none for two devices."""
        ours, published = self.ours, self.cell.spec.published
        if ours is None or published is None or self.cell.of_one_device:
            return None
        return round(ours - published, 2)


def metric_value(cell: Cell, metrics: dict[str, Any]) -> float | None:
    """The cell's metric in percent, rounded to two places as the benchmarks do."""
    fraction = metrics["miou"]
    if cell.spec.metric != "miou":
        name = cell.spec.metric.removeprefix("iou.")
        classes = cell.dataset.classes if cell.dataset else ()
        if name not in classes:
            return None
        fraction = metrics["per_class_iou"][classes.index(name)]
    return None if fraction is None else round(100 * fraction, 2)


def read_result(cell: Cell, evaluation: Evaluation, root: Path = Path(".")) -> RunResult | None:
    """None while pending. Raises ResultError for a result that is damaged or of another run,
    protocol or weights."""
    path = root / evaluation.path
    trained_path = root / evaluation.trained
    if not path.exists() or not trained_path.exists():
        return None
    metrics = read_result_file(path, Evaluated)
    schema = Trained if evaluation.folder == paths.RUNS else Released
    trained = read_result_file(trained_path, schema)
    try:
        value = metric_value(cell, metrics)
        facts = [
            ("run", metrics["run"], evaluation.run_key),
            ("evaluation", metrics["evaluation_hash"], content_hash(evaluation.config)),
            ("weights", metrics["weights_sha256"], trained["weights"]["sha256"]),
        ]
        if evaluation.folder == paths.RUNS:  # a released checkpoint was trained on others' files
            facts.append(("data", metrics["data_fingerprint"], trained["data_fingerprint"]))
    except (KeyError, TypeError, IndexError) as error:
        raise ResultError(f"{path}: {error} is missing; delete the file and run again") from error
    check_facts(path, facts)
    return RunResult(evaluation, value, metrics, trained)


def check_facts(path: Path, facts: Iterable[tuple[str, object, object]]) -> None:
    """facts: (what, found in `path`, expected). Raises ResultError at the first that differs."""
    for name, found, expected in facts:
        if found != expected:
            raise ResultError(
                f"{path}: is of another {name} ({str(found)[:16]}, expected "
                f"{str(expected)[:16]}); delete the file and run again"
            )


# What a measurement of speed calls it, and the unit of the zoos' tables: their GB are 2^30 bytes.
SPEED_FIELDS = {
    "frames_per_second": ("frames_per_second", 1),
    "memory": ("memory_bytes", 2**30),
}


def measured_value(cell: MeasuredCell, content: dict[str, Any]) -> float:
    """In the table's unit."""
    match cell:
        case CountedCell():
            return round(content[cell.measurement.measure] / cell.measurement.per, 2)
        case TimedCell():
            name, per = SPEED_FIELDS[cell.measurement.measure]
            return round(content[name] / per, 4)
        case _:
            assert_never(cell)


def read_measurement(cell: MeasuredCell, root: Path = Path(".")) -> dict[str, Any] | None:
    """What was counted or timed; None while pending. Raises ResultError."""
    path, measure = cell.job.path, cell.measurement.measure
    if not (root / path).exists():
        return None
    match cell:
        case CountedCell():
            content = read_result_file(root / path, Counted)
            fits = content["profile"] == cell.job.key and content.get(measure) is not None
            told = f"profile, or has no {measure!r}"
        case TimedCell():
            content = read_result_file(root / path, Timed)
            fits, told = content["speed"] == cell.job.key, "measurement"
        case _:
            assert_never(cell)
    if not fits:
        raise ResultError(f"{path}: is of another {told}; delete the file and run again")
    return content


def weights_of(cell: Cell, runs: Iterable[RunResult]) -> dict[str, str | None]:
    """Run key -> SHA-256 of the weights that the run ended with, None while it is pending."""
    seeds = cell.evaluations if isinstance(cell, TrainedCell) else ()
    pending: dict[str, str | None] = {evaluation.run_key: None for evaluation in seeds}
    return pending | {run.evaluation.run_key: run.metrics["weights_sha256"] for run in runs}


def read_cell(cell: Cell, experiment: Experiment, root: Path = Path(".")) -> CellResult:
    """What there is of a cell by now; an official figure that is its run's comes first."""
    failure = failure_of(cell, experiment, root)
    if isinstance(cell, MeasuredCell):
        return CellResult(cell, measurement=read_measurement(cell, root), failure=failure)
    results = [read_result(cell, evaluation, root) for evaluation in cell.measured]
    measured = [result for result in results if result is not None]
    runs = tuple(result for result in measured if result.evaluation.folder == "runs")
    released = next((r for r in measured if r.evaluation.folder == "released"), None)
    given = official_value(experiment.official, cell.table, cell.name, weights_of(cell, runs))
    return CellResult(cell, runs, released, failure=failure, official=given)
