"""Cells -> runs: resolve every cell at a preset, and let equal configurations share one run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmnet.config import (
    DatasetConfig,
    EvaluationConfig,
    JobConfig,
    ModelConfig,
    RecipeConfig,
    RunConfig,
    content_hash,
    parse,
)
from pipeline.errors import SpecError
from pipeline.settings import Setting, Settings, override, section, to_tree
from pipeline.specs import CellSpec, Params, PresetSpec, TableSpec

PARAMS = Path("params")


@dataclass
class Run:
    """One training run and the cells that it serves (their names are outside its key)."""

    key: str
    job: JobConfig
    cells: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """For people: the first cell it serves, its seed where that is not 0, and the key."""
        seed = f" seed {self.job.run.seed}" if self.job.run.seed else ""
        return f"{self.cells[0]}{seed} {self.key[:6]}"


@dataclass(frozen=True)
class Evaluation:
    """One (run, inference protocol, split); its file name carries its content hash."""

    run_key: str
    name: str
    config: EvaluationConfig

    @property
    def path(self) -> str:
        return f"runs/{self.run_key}/evaluations/{self.name}.json"


@dataclass(frozen=True)
class Cell:
    """One number's place in a table; one evaluation per seed."""

    table: str
    name: str
    row: str
    column: str
    spec: CellSpec
    published_dataset: str
    dataset: DatasetConfig
    evaluations: tuple[Evaluation, ...]
    settings: dict[str, Setting]

    @property
    def id(self) -> str:
        return f"{self.table}/{self.name}"


@dataclass
class Experiment:
    """All that the given tables need at one preset and number of seeds."""

    preset_name: str
    preset: PresetSpec
    seeds: int
    tables: dict[str, TableSpec]
    cells: list[Cell] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    datasets: dict[str, DatasetConfig] = field(default_factory=dict)
    evaluations: dict[tuple[str, str], Evaluation] = field(default_factory=dict)

    def cells_of(self, table: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.table == table]


def build_experiment(
    preset_name: str,
    seeds: int = 1,
    tables: Iterable[str] | None = None,
    params: Params | None = None,
) -> Experiment:
    """Resolve the cells of `tables` (all by default). Raises SpecError or ConfigError."""
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise SpecError(f"config `seeds` = {seeds!r}: expected a whole number of at least 1")
    params = params or Params(PARAMS)
    names = params.table_names if tables is None else tuple(tables)
    experiment = Experiment(
        preset_name, params.preset(str(preset_name)), seeds, {n: params.table(n) for n in names}
    )
    for table, spec in experiment.tables.items():
        for row, column, cell in spec.cells():
            resolver = CellResolver(params, experiment, table, spec, cell)
            experiment.cells.append(resolver.resolve(row, column))
    return experiment


class CellResolver:
    """One cell's way from names in YAML to runs and evaluations."""

    def __init__(
        self, params: Params, experiment: Experiment, table: str, spec: TableSpec, cell: CellSpec
    ) -> None:
        self.params, self.experiment = params, experiment
        self.table, self.spec, self.cell = table, spec, cell
        self.where = f"{params.folder}/tables/{table}.yaml: cell {cell.cell!r}"

    def _name(self, kind: str) -> str:
        name = getattr(self.cell, kind) or getattr(self.spec.defaults, kind)
        if name is None:
            raise SpecError(f"{self.where}: no {kind}; name one here or in `defaults`")
        return str(name)

    def resolve(self, row: str, column: str) -> Cell:
        published_dataset = self._name("dataset")
        dataset = self._dataset(published_dataset)
        settings = self._settings()
        inference = self.params.inference(self._name("inference"), self.where).config
        model = parse(ModelConfig, to_tree(_without_recipe(settings)), self.where)
        recipe = self._recipe(settings, published_dataset, dataset)
        evaluations = []
        for seed in range(self.experiment.seeds):
            run = self._run(model, recipe, dataset, seed)
            config = EvaluationConfig(
                inference=inference,
                split=dataset.splits[self.spec.defaults.split],
                data=dataset.identity,
                load_scale=recipe.load_scale,
            )
            name = f"{self._name('inference')}-{config.split}-{content_hash(config)[:8]}"
            evaluation = Evaluation(run.key, name, config)
            evaluations.append(self.experiment.evaluations.setdefault((run.key, name), evaluation))
        return Cell(
            self.table,
            self.cell.cell,
            row,
            column,
            self.cell,
            published_dataset,
            dataset,
            tuple(evaluations),
            settings,
        )

    def _dataset(self, published: str) -> DatasetConfig:
        self.params.dataset(published, self.where)  # the published one must exist as well
        name = self.experiment.preset.datasets.get(published, published)
        preset_file = f"{self.params.folder}/presets/{self.experiment.preset_name}.yaml"
        dataset = self.params.dataset(name, preset_file)
        self.experiment.datasets[name] = dataset
        return dataset

    def _settings(self) -> Settings:
        """Model and recipe, then the cell's own values, then the preset's numbers."""
        settings = self.params.model(self._name("model"), self.where)
        settings = settings | self.params.recipe(self._name("recipe"), self.where)
        settings = override(settings, self.cell.settings, "table", self.where)
        preset = f"{self.params.folder}/presets/{self.experiment.preset_name}.yaml"
        changes = dict(self.experiment.preset.settings)
        for path in [p for p in changes if p.startswith("auxiliary.") and p not in settings]:
            del changes[path]  # this model has no auxiliary head to shrink
        return override(settings, changes, "preset", preset)

    def _recipe(
        self, settings: Settings, published_dataset: str, dataset: DatasetConfig
    ) -> RecipeConfig:
        """Epochs become iterations by the published number of training images."""
        values = to_tree(section(settings, "recipe"))
        epochs = values.pop("epochs", None)
        if values.get("iterations") is None:
            split = dataset.splits["train"]
            images = dataset.counts.get(split)
            if epochs is None or images is None:
                raise SpecError(
                    f"{self.where}: needs `recipe.iterations`, or `recipe.epochs` and the number "
                    f"of images of {dataset.name}'s split {split!r} under `counts`"
                )
            values["iterations"] = epochs * images // values["batch_size"]
        return parse(RecipeConfig, values, f"{self.where}: recipe")

    def _run(
        self, model: ModelConfig, recipe: RecipeConfig, dataset: DatasetConfig, seed: int
    ) -> Run:
        preset = self.experiment.preset
        config = RunConfig(
            model=model,
            data=dataset.identity,
            recipe=recipe,
            seed=seed,
            cpu_threads=preset.cpu_threads,
        )
        key = config.key
        if key not in self.experiment.runs:
            job = JobConfig(run=config, dataset=dataset, execution=preset.execution)
            self.experiment.runs[key] = Run(key, job)
        run = self.experiment.runs[key]
        cell_id = f"{self.table}/{self.cell.cell}"
        if cell_id not in run.cells:
            run.cells.append(cell_id)
        return run


def _without_recipe(settings: Settings) -> Settings:
    return {path: s for path, s in settings.items() if not path.startswith("recipe.")}


def settings_with_origin(cells: Iterable[Cell], origins: tuple[str, ...]) -> dict[str, Any]:
    """path -> distinct settings of these origins over the cells, in order of first appearance."""
    found: dict[str, list[Setting]] = {}
    for cell in cells:
        for path, setting in cell.settings.items():
            if setting.origin in origins and setting not in found.setdefault(path, []):
                found[path].append(setting)
    return {path: settings for path, settings in found.items() if settings}
