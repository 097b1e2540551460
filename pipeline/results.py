"""Results of runs: read, checked against what was asked for, and joined to the cells."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmnet.config import content_hash
from dmnet.files import read_json
from pipeline.errors import ResultError
from pipeline.experiments import Cell, Evaluation


@dataclass(frozen=True)
class RunResult:
    """One seed's part of a cell: what was measured and what it was measured on."""

    evaluation: Evaluation
    metrics: dict[str, Any]
    trained: dict[str, Any]

    @property
    def percent(self) -> float:
        """mIoU in percent, rounded to two places as the benchmarks do."""
        return round(100 * self.metrics["miou"], 2)


@dataclass(frozen=True)
class CellResult:
    """A cell's value: mean (and spread) over its seeds, or None while a seed is pending."""

    cell: Cell
    runs: tuple[RunResult, ...]

    @property
    def source(self) -> str:
        return "trained" if len(self.runs) == len(self.cell.evaluations) else "pending"

    @property
    def ours(self) -> float | None:
        if self.source == "pending":
            return None
        return round(statistics.fmean(run.percent for run in self.runs), 2)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None with fewer than two."""
        if self.source == "pending" or len(self.runs) < 2:
            return None
        return round(statistics.stdev(run.percent for run in self.runs), 2)

    @property
    def difference(self) -> float | None:
        """Ours minus published, of the numbers as they are printed."""
        if self.ours is None or self.cell.spec.published is None:
            return None
        return round(self.ours - self.cell.spec.published, 2)


def read_result(evaluation: Evaluation, root: Path = Path(".")) -> RunResult | None:
    """None while pending. Raises ResultError for a result of another run, protocol or weights."""
    path = root / evaluation.path
    trained_path = root / "runs" / evaluation.run_key / "train.json"
    if not path.exists() or not trained_path.exists():
        return None
    metrics, trained = read_json(path), read_json(trained_path)
    try:
        facts = (
            ("run", metrics["run"], evaluation.run_key),
            ("evaluation", metrics["evaluation_hash"], content_hash(evaluation.config)),
            ("weights", metrics["weights_sha256"], trained["weights"]["sha256"]),
            ("data", metrics["data_fingerprint"], trained["data_fingerprint"]),
        )
    except (KeyError, TypeError) as error:
        raise ResultError(f"{path}: {error} is missing; delete the file and run again") from error
    for name, found, expected in facts:
        if found != expected:
            raise ResultError(
                f"{path}: is of another {name} ({str(found)[:16]}, expected "
                f"{str(expected)[:16]}); delete the file and run again"
            )
    return RunResult(evaluation, metrics, trained)


def read_cell(cell: Cell, root: Path = Path(".")) -> CellResult:
    results = [read_result(evaluation, root) for evaluation in cell.evaluations]
    return CellResult(cell, tuple(result for result in results if result is not None))
