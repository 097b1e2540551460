"""Figures: `params/figures/<name>.yaml` and the runs and dataset that its columns stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dmnet.config import DatasetConfig, Section, parse
from pipeline import paths
from pipeline.errors import SpecError
from pipeline.experiments import Evaluation, Experiment
from pipeline.experiments.cells import TrainedCell
from pipeline.spec.yaml_files import load_yaml

NAME = r"figure\d+"  # keeps figures and tables apart in reports/


class ColumnSpec(Section):
    title: str
    cell: str  # <table>/<cell>


class FigureSpec(Section):
    """Columns of predictions beside image and ground truth, over a number of chosen images."""

    title: str
    source: str
    columns: tuple[ColumnSpec, ...] = Field(min_length=2)
    images: Annotated[int, Field(ge=1, le=12)]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One model of a figure: seed 0 of a table's cell."""

    title: str
    cell: TrainedCell

    @property
    def evaluation(self) -> Evaluation:
        return self.cell.evaluations[0]

    @property
    def path(self) -> str:
        """The manifest of its label maps."""
        return paths.prediction(self.evaluation.run_key, self.evaluation.name)


@dataclass(frozen=True)
class Figure:
    """A figure whose every cell was found; all columns are of one dataset and split."""

    name: str
    spec: FigureSpec
    columns: tuple[Column, ...]
    published_dataset: str
    dataset: DatasetConfig
    split: str

    @property
    def inputs(self) -> list[str]:
        """The files that it is drawn from, apart from those that they name."""
        read = [
            path for column in self.columns for path in (column.path, column.evaluation.trained)
        ]
        return list(dict.fromkeys([*read, paths.data_manifest(self.dataset.name)]))


def load_figures(folder: Path, experiment: Experiment) -> dict[str, Figure]:
    """By name; `experiment` has all tables. Raises SpecError or ConfigError."""
    names = figure_names(folder, experiment.weights_source)
    return {name: _load(folder / "figures" / f"{name}.yaml", experiment) for name in names}


def figure_names(folder: Path, weights_source: str) -> list[str]:
    """Of the files in `folder/figures`; a figure compares models that are trained here."""
    if weights_source == "released":
        return []
    return sorted(path.stem for path in (folder / "figures").glob("*.yaml"))


def _load(path: Path, experiment: Experiment) -> Figure:
    if not re.fullmatch(NAME, path.stem):
        raise SpecError(f"{path}: expected a name such as figure3.yaml; rename the file")
    spec = parse(FigureSpec, load_yaml(path), str(path))
    cells = {cell.id: cell for cell in experiment.cells}
    columns = []
    for number, column in enumerate(spec.columns):
        where = f"{path}: `columns.{number}.cell` = {column.cell!r}"
        cell = cells.get(column.cell)
        if cell is None:
            table = column.cell.partition("/")[0]
            same = [known.id for known in experiment.cells if known.table == table]
            expected = f"one of {', '.join(same)}"
            if not same:
                tables = ", ".join(dict.fromkeys(known.table for known in experiment.cells))
                expected = f"<table>/<cell> with one of the tables {tables}"
            raise SpecError(f"{where}: unknown cell; expected {expected}")
        if not isinstance(cell, TrainedCell):
            raise SpecError(f"{where}: is counted, not trained; name a trained cell")
        columns.append(Column(column.title, cell))
        first, config = columns[0].evaluation.config, columns[-1].evaluation.config
        if (config.data, config.split) != (first.data, first.split):
            raise SpecError(
                f"{where}: is measured on {config.data.name} ({config.split}), but the first "
                f"column on {first.data.name} ({first.split}); name cells of one dataset"
            )
    cell = columns[0].cell
    return Figure(
        path.stem, spec, tuple(columns), cell.published_dataset, cell.dataset, first.split
    )
