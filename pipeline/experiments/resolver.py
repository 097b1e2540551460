"""One cell -> its runs, released checkpoint, evaluations and measurements, each entered once."""

from __future__ import annotations

from dmnet.config import (
    DatasetConfig,
    EvaluationConfig,
    JobConfig,
    ReleaseConfig,
    ReleaseJob,
    RunConfig,
)
from dmnet.training.share import Share
from pipeline import paths
from pipeline.errors import SpecError
from pipeline.experiments.configuration import CellConfiguration, named
from pipeline.experiments.experiment import Cell, Experiment
from pipeline.experiments.jobs import Evaluation, Release, Run, evaluation_name
from pipeline.experiments.measurements import profile_of, speed_of
from pipeline.experiments.submissions import submission_of
from pipeline.spec.params import Params
from pipeline.spec.settings import Settings
from pipeline.spec.tables import CellSpec, SubmissionSpec, TableSpec


class CellResolver:
    """Enters into the experiment what one cell needs and the experiment does not have yet."""

    def __init__(
        self, params: Params, experiment: Experiment, table: str, spec: TableSpec, cell: CellSpec
    ) -> None:
        self.params, self.experiment = params, experiment
        self.table, self.spec, self.cell = table, spec, cell
        self.names = CellConfiguration(
            params, experiment.preset_name, experiment.preset, table, spec, cell
        )
        self.where = self.names.where

    def resolve(self, row: str, column: str) -> Cell:
        """The cell, at its place in the table."""
        place = (self.table, self.cell.cell, row, column, self.cell)
        if self.cell.profile is not None:
            profile, settings = profile_of(self.names, self.cell.profile.input_size)
            profile = self.experiment.profiles.setdefault(profile.key, profile)
            return Cell(*place, settings, profile=profile)
        dataset = self._dataset()
        data = (self.names.name("dataset"), dataset)
        if self.cell.speed is not None:
            speed, settings = speed_of(self.names, dataset)
            speed = self.experiment.speeds.setdefault(speed.key, speed)
            return Cell(*place, settings, *data, speed=speed)
        settings = self.names.settings()
        source = self.cell.source or self.spec.defaults.source or self.experiment.source
        seeds = range(0 if source == "released" else self.experiment.seeds)
        runs = [self.run(seed, settings, dataset) for seed in seeds]
        released = None if source == "trained" else self._released(dataset)
        cell_id = f"{self.table}/{self.cell.cell}"
        for run in runs:
            if cell_id not in run.cells:
                run.cells.append(cell_id)
        evaluations = tuple(self._evaluation(run, dataset) for run in runs)
        settings = settings | self.names.inference[1]
        return Cell(*place, settings, *data, evaluations, released=released)

    def submit(self, spec: SubmissionSpec, cell: Cell) -> None:
        """Enter the table's submission and its dataset, where the preset's data offer one."""
        submission = submission_of(cell, spec, self.names)
        if submission is not None:
            self.experiment.datasets[submission.dataset.name] = submission.dataset
            self.experiment.submissions[self.table] = submission

    def run(
        self, seed: int, settings: Settings | None = None, dataset: DatasetConfig | None = None
    ) -> Run:
        """The cell's training run at `seed`, entered into the experiment with its parents."""
        settings = self.names.settings() if settings is None else settings
        dataset = dataset or self._dataset()
        role = self.cell.train_on or self.spec.defaults.train_on or "train"
        if role not in dataset.splits:
            raise SpecError(
                f"{self.where}: trains on the split `{role}`, which dataset {dataset.name!r} does "
                f"not have; expected one of {', '.join(dataset.splits)}"
            )
        parent = self._parent(seed)
        model, recipe = self.names.model(settings), self.names.recipe(settings, dataset, role)
        with named(self.names):
            config = RunConfig(
                model=model,
                data=dataset.identity_of(role),
                recipe=recipe,
                parent=parent.key if parent else None,
                seed=seed,
                cpu_threads=self.experiment.preset.cpu_threads,
            )
        key = config.key  # hashed once: there may be thousands
        if key not in self.experiment.runs:
            execution = self.experiment.preset.execution
            with named(self.names):
                Share(0, execution.processes, execution.accumulate).check(config.recipe)
            job = JobConfig(run=config, dataset=dataset, execution=execution)
            self.experiment.runs[key] = Run(key, job)
        return self.experiment.runs[key]

    def _parent(self, seed: int) -> Run | None:
        """The run of the cell that this one continues, at the same seed."""
        reference = self.cell.continues or self.spec.defaults.continues
        if reference is None:
            return None
        table, _, name = reference.rpartition("/")
        table = table or self.table
        spec = self.params.table(table)
        for _, _, cell in spec.cells():
            if cell.cell == name and cell is not self.cell:
                return CellResolver(self.params, self.experiment, table, spec, cell).run(seed)
        raise SpecError(f"{self.where}: continues {reference!r}, but there is no such other cell")

    def _released(self, dataset: DatasetConfig) -> Evaluation | None:
        """The released checkpoint's evaluation, at the model's published width; None without one.

        Raises SpecError where the preset's data have other classes than the checkpoint.
        """
        name = self.cell.checkpoint or self.spec.defaults.checkpoint
        if name is None:
            return None
        if name not in self.params.checkpoints:
            raise SpecError(f"{self.where}: unknown checkpoint {name!r}; see checkpoints.yaml")
        published = self.names.published_dataset()
        if len(dataset.classes) != len(published.classes):
            raise SpecError(
                f"{self.where}: checkpoint {name} knows the {len(published.classes)} classes of "
                f"{published.name}, but preset {self.experiment.preset_name!r} uses {dataset.name} "
                f"with {len(dataset.classes)}; take a preset with the same classes, as paper"
            )
        settings = self.names.published_settings()
        config = ReleaseConfig(
            checkpoint=self.params.checkpoints[name],
            model=self.names.model(settings),
            data=dataset.identity,
            recipe=self.names.recipe(settings, published, "train"),
            cpu_threads=self.experiment.preset.cpu_threads,
        )
        device = self.experiment.preset.execution.device
        job = ReleaseJob(run=config, dataset=dataset, device=device)
        release = self.experiment.releases.setdefault(config.key, Release(config.key, job))
        release.cells.append(f"{self.table}/{self.cell.cell}")
        return self._evaluation(release, dataset)

    def _evaluation(self, run: Run | Release, dataset: DatasetConfig) -> Evaluation:
        config = EvaluationConfig(
            inference=self.names.inference[0],
            split=dataset.splits["val"],
            data=dataset.identity,
            load_scale=run.job.run.recipe.load_scale,
            optimised_from=self.experiment.preset.optimised_from,
        )
        name = evaluation_name(self.names.protocol(), config)
        folder = paths.RUNS if isinstance(run, Run) else paths.RELEASED
        evaluation = Evaluation(run.key, name, config, folder)
        return self.experiment.evaluations.setdefault((run.key, name), evaluation)

    def _dataset(self) -> DatasetConfig:
        dataset = self.names.dataset()
        self.experiment.datasets[dataset.name] = dataset
        return dataset
