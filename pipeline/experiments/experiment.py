"""The cells of some tables and the jobs that they share, at one preset and number of seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dmnet.config import DatasetConfig
from pipeline.experiments.jobs import Evaluation, Profile, Release, Run, Speed, Submission
from pipeline.spec.official import OfficialResult
from pipeline.spec.params import PresetSpec
from pipeline.spec.settings import Setting
from pipeline.spec.tables import CellSpec, Source, TableSpec


@dataclass(frozen=True)
class Cell:
    """One number's place in a table: one evaluation per seed, or one profile or measurement."""

    table: str
    name: str
    row: str
    column: str
    spec: CellSpec
    settings: dict[str, Setting]
    published_dataset: str | None = None
    dataset: DatasetConfig | None = None
    evaluations: tuple[Evaluation, ...] = ()
    profile: Profile | None = None
    speed: Speed | None = None
    released: Evaluation | None = None  # of the checkpoint that the source published

    @property
    def measured(self) -> tuple[Evaluation, ...]:
        """All that is measured for it: on weights trained here, then on released ones."""
        return self.evaluations if self.released is None else (*self.evaluations, self.released)

    @property
    def id(self) -> str:
        return f"{self.table}/{self.name}"

    @property
    def inputs(self) -> list[str]:
        """The result files that its value is read from."""
        paths = [path for evaluation in self.measured for path in evaluation.paths]
        return [*paths, *(job.path for job in (self.profile, self.speed) if job is not None)]


@dataclass
class Experiment:
    """All that the given tables need at one preset and number of seeds."""

    preset_name: str
    preset: PresetSpec
    seeds: int
    tables: dict[str, TableSpec]
    source: Source = "trained"
    cells: list[Cell] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    datasets: dict[str, DatasetConfig] = field(default_factory=dict)
    evaluations: dict[tuple[str, str], Evaluation] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    speeds: dict[str, Speed] = field(default_factory=dict)
    submissions: dict[str, Submission] = field(default_factory=dict)  # by table
    official: tuple[OfficialResult, ...] = ()

    def cells_of(self, table: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.table == table]


def settings_with_origin(cells: Iterable[Cell], origins: tuple[str, ...]) -> dict[str, Any]:
    """path -> distinct settings of these origins over the cells, in order of first appearance."""
    found: dict[str, list[Setting]] = {}
    for cell in cells:
        for path, setting in cell.settings.items():
            if setting.origin in origins and setting not in found.setdefault(path, []):
                found[path].append(setting)
    return {path: settings for path, settings in found.items() if settings}
