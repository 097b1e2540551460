"""The cells of some tables and the jobs that they share, at one preset and number of seeds."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmnet.config import DatasetConfig
from pipeline.experiments.cells import Cell, Count, Measurement, Speed
from pipeline.experiments.jobs import Evaluation, Release, Run, Submission
from pipeline.spec.official import OfficialResult
from pipeline.spec.params import PresetSpec
from pipeline.spec.tables import TableSpec, WeightsSource


@dataclass
class Experiment:
    """All that the given tables need at one preset and number of seeds."""

    preset_name: str
    preset: PresetSpec
    seeds: int
    tables: dict[str, TableSpec]
    weights_source: WeightsSource = "trained"
    cells: list[Cell] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    datasets: dict[str, DatasetConfig] = field(default_factory=dict)
    evaluations: dict[tuple[str, str], Evaluation] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)  # by path
    submissions: dict[str, Submission] = field(default_factory=dict)  # by table
    official: tuple[OfficialResult, ...] = ()

    @property
    def counts(self) -> list[Count]:
        return [job for job in self.measurements.values() if isinstance(job, Count)]

    @property
    def speeds(self) -> list[Speed]:
        return [job for job in self.measurements.values() if isinstance(job, Speed)]

    def cells_of(self, table: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.table == table]
