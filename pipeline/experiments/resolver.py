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
from pipeline.experiments.cells import Cell, CitedCell, ReleasedCell, TrainedCell, measured_cell
from pipeline.experiments.configuration import CellConfiguration
from pipeline.experiments.experiment import Experiment
from pipeline.experiments.jobs import Evaluation, Release, Run, evaluation_name
from pipeline.experiments.submissions import submission_of
from pipeline.spec.params import Params
from pipeline.spec.settings import Settings
from pipeline.spec.tables import CellSpec, SubmissionSpec


class CellResolver:
    """Enters into the experiment what one cell needs and the experiment does not have yet."""

    def __init__(self, params: Params, experiment: Experiment, table: str, cell: CellSpec) -> None:
        self.params, self.experiment, self.table, self.cell = params, experiment, table, cell
        self.configuration = CellConfiguration(
            params, experiment.preset_name, experiment.preset, table, cell
        )
        self.where, self.cell_id = self.configuration.where, f"{table}/{cell.cell}"

    def resolve(self, row: str, column: str) -> Cell:
        """The cell, at its place in the table."""
        place = (self.table, self.cell.cell, row, column, self.cell)
        if (measurement := self.cell.measurement) is not None:
            measured = measured_cell(place, measurement, self.configuration)
            self.experiment.measurements.setdefault(measured.job.path, measured.job)
            if measured.dataset is not None:
                self.experiment.datasets[measured.dataset.name] = measured.dataset
            return measured
        dataset, settings = self._dataset(), self.configuration.settings()
        weights_source = self.cell.source or self.experiment.weights_source
        seeds = range(0 if weights_source == "released" else self.experiment.seeds)
        runs = [self.run(seed, settings, dataset) for seed in seeds]
        released = None if weights_source == "trained" else self._released(dataset)
        for run in runs:
            if self.cell_id not in run.cells:
                run.cells.append(self.cell_id)
        settings = settings | self.configuration.inference[1]
        common = (*place, settings, self.configuration.name("dataset"), dataset)
        if runs:
            evaluations = tuple(self._evaluation(run, dataset) for run in runs)
            return TrainedCell(*common, evaluations, released)
        return CitedCell(*common) if released is None else ReleasedCell(*common, released)

    def submit(self, spec: SubmissionSpec, cell: Cell) -> None:
        """Enter the table's submission and its dataset, where the preset's data offer one."""
        submission = submission_of(cell, spec, self.configuration)
        if submission is not None:
            self.experiment.datasets[submission.dataset.name] = submission.dataset
            self.experiment.submissions[self.table] = submission

    def run(
        self, seed: int, settings: Settings | None = None, dataset: DatasetConfig | None = None
    ) -> Run:
        """The cell's training run at `seed`, entered into the experiment with its parents."""
        settings = self.configuration.settings() if settings is None else settings
        dataset = dataset or self._dataset()
        role = self.cell.train_on or "train"
        if role not in dataset.splits:
            raise SpecError(
                f"{self.where}: trains on the split `{role}`, which dataset {dataset.name!r} does "
                f"not have; expected one of {', '.join(dataset.splits)}"
            )
        parent = self._parent(seed)
        model = self.configuration.model(settings)
        recipe = self.configuration.recipe(settings, dataset, role)
        with self.configuration.checked_together():
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
            with self.configuration.checked_together():
                Share(0, execution.processes, execution.accumulate).check(config.recipe)
            job = JobConfig(run=config, dataset=dataset, execution=execution)
            self.experiment.runs[key] = Run(key, job)
        return self.experiment.runs[key]

    def _parent(self, seed: int) -> Run | None:
        """The run of the cell that this one continues, at the same seed."""
        reference = self.cell.continues
        if reference is None:
            return None
        table, _, name = reference.rpartition("/")
        table = table or self.table
        for _, _, cell in self.params.table(table).cells():
            if cell.cell == name and cell is not self.cell:
                return CellResolver(self.params, self.experiment, table, cell).run(seed)
        raise SpecError(f"{self.where}: continues {reference!r}, but there is no such other cell")

    def _released(self, dataset: DatasetConfig) -> Evaluation | None:
        """The released checkpoint's evaluation, at the model's published width; None without one.

        Raises SpecError where the preset's data have other classes than the checkpoint.
        """
        name = self.cell.checkpoint
        if name is None:
            return None
        if name not in self.params.checkpoints:
            raise SpecError(f"{self.where}: unknown checkpoint {name!r}; see checkpoints.yaml")
        published = self.params.dataset(self.configuration.name("dataset"), self.where)
        if len(dataset.classes) != len(published.classes):
            raise SpecError(
                f"{self.where}: checkpoint {name} knows the {len(published.classes)} classes of "
                f"{published.name}, but preset {self.experiment.preset_name!r} uses {dataset.name} "
                f"with {len(dataset.classes)}; take a preset with the same classes, as paper"
            )
        settings = self.configuration.published_settings()
        config = ReleaseConfig(
            checkpoint=self.params.checkpoints[name],
            model=self.configuration.model(settings),
            data=dataset.identity,
            recipe=self.configuration.recipe(settings, published, "train"),
            cpu_threads=self.experiment.preset.cpu_threads,
        )
        job = ReleaseJob(
            run=config, dataset=dataset, device=self.experiment.preset.execution.device
        )
        release = self.experiment.releases.setdefault(config.key, Release(config.key, job))
        release.cells.append(self.cell_id)
        return self._evaluation(release, dataset)

    def _evaluation(self, run: Run | Release, dataset: DatasetConfig) -> Evaluation:
        config = EvaluationConfig(
            inference=self.configuration.inference[0],
            split=dataset.splits["val"],
            data=dataset.identity,
            load_scale=run.job.run.recipe.load_scale,
            optimised_from=self.experiment.preset.optimised_from,
        )
        name = evaluation_name(self.configuration.protocol(), config)
        folder = paths.RUNS if isinstance(run, Run) else paths.RELEASED
        evaluation = Evaluation(run.key, name, config, folder)
        return self.experiment.evaluations.setdefault((run.key, name), evaluation)

    def _dataset(self) -> DatasetConfig:
        dataset = self.configuration.dataset()
        self.experiment.datasets[dataset.name] = dataset
        return dataset
