"""Results of runs: read, checked against what was asked for, and joined to the cells."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmnet.config import content_hash
from pipeline.errors import ResultError
from pipeline.experiments import Cell, Evaluation, Experiment
from pipeline.results.failures import Failure, failure_of
from pipeline.results.schemas import (
    CellSource,
    Counted,
    Evaluated,
    Released,
    Timed,
    Trained,
    read_result_file,
)
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
    """A cell's value: mean (and spread) over its seeds, or a profile; None while pending."""

    cell: Cell
    runs: tuple[RunResult, ...]
    profiled: float | None = None
    failure: Failure | None = None
    official: OfficialValue | None = None  # takes the place of what was measured
    speed: dict[str, Any] | None = None  # what the measurement of speed and memory wrote
    released: RunResult | None = None  # measured on the weights that the source published

    @property
    def source(self) -> CellSource:
        """Where the value comes from: official (a test server), trained, released (a published
        checkpoint, measured here), profiled, cited (only quoted), pending, failed, or absent (no
        such class in the data)."""
        missing: CellSource = "pending" if self.failure is None else "failed"
        if self.official is not None:
            return "official"
        if self.cell.profile is not None:
            return missing if self.profiled is None else "profiled"
        if self.cell.speed is not None:
            return missing if self.speed is None else "profiled"
        if len(self.runs) < len(self.cell.evaluations):
            return missing
        if not self.cell.evaluations:
            if self.cell.released is None:
                return "cited"
            return missing if self.released is None else "released"
        return "trained" if all(run.value is not None for run in self.runs) else "absent"

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
        if self.source == "profiled":
            return self.profiled if self.cell.speed is None else self._measured
        if self.source == "released":
            return self.released.value if self.released else None
        return round(statistics.fmean(self.values), 2) if self.source == "trained" else None

    @property
    def _measured(self) -> float | None:
        spec = self.cell.spec.speed
        return None if spec is None or self.speed is None else speed_value(self.speed, spec.measure)

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
    schema = Trained if evaluation.folder == "runs" else Released
    trained = read_result_file(trained_path, schema)
    try:
        value = metric_value(cell, metrics)
        facts = [
            ("run", metrics["run"], evaluation.run_key),
            ("evaluation", metrics["evaluation_hash"], content_hash(evaluation.config)),
            ("weights", metrics["weights_sha256"], trained["weights"]["sha256"]),
        ]
        if evaluation.folder == "runs":  # a released checkpoint was trained on others' files
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


def read_profile(cell: Cell, root: Path = Path(".")) -> float | None:
    """The counted number in the published unit; None while pending. Raises ResultError."""
    profile, spec = cell.profile, cell.spec.profile
    if profile is None or spec is None or not (root / profile.path).exists():
        return None
    content = read_result_file(root / profile.path, Counted)
    if content["profile"] != profile.key or content.get(spec.measure) is None:
        raise ResultError(
            f"{profile.path}: is of another profile, or has no {spec.measure!r}; delete the file "
            "and run again"
        )
    return round(content[spec.measure] / spec.per, 2)


# What a measurement of speed calls it, and the unit of the zoos' tables: their GB are 2^30 bytes.
SPEED_FIELDS = {
    "frames_per_second": ("frames_per_second", 1),
    "memory": ("memory_bytes", 2**30),
}


def speed_value(content: dict[str, Any], measure: str) -> float:
    """The measured number in the table's unit: frames a second, or gigabytes of 2^30 bytes."""
    name, per = SPEED_FIELDS[measure]
    return round(content[name] / per, 4)


def read_speed(cell: Cell, root: Path = Path(".")) -> dict[str, Any] | None:
    """What was measured and on which device; None while pending. Raises ResultError."""
    speed, spec = cell.speed, cell.spec.speed
    if speed is None or spec is None or not (root / speed.path).exists():
        return None
    content = read_result_file(root / speed.path, Timed)
    if content["speed"] != speed.key:
        raise ResultError(f"{speed.path}: is of another measurement; delete the file and run again")
    return content


def weights_of(cell: Cell, runs: Iterable[RunResult]) -> dict[str, str | None]:
    """Run key -> SHA-256 of the weights that the run ended with, None while it is pending."""
    pending: dict[str, str | None] = {e.run_key: None for e in cell.evaluations}
    return pending | {run.evaluation.run_key: run.metrics["weights_sha256"] for run in runs}


def read_cell(cell: Cell, experiment: Experiment, root: Path = Path(".")) -> CellResult:
    """What there is of a cell by now; an official figure that is its run's comes first."""
    results = [read_result(cell, evaluation, root) for evaluation in cell.evaluations]
    runs = tuple(result for result in results if result is not None)
    given = official_value(experiment.official, cell.table, cell.name, weights_of(cell, runs))
    failure = failure_of(cell, experiment, root)
    profiled, speed = read_profile(cell, root), read_speed(cell, root)
    released = read_result(cell, cell.released, root) if cell.released else None
    return CellResult(cell, runs, profiled, failure, given, speed, released)
