"""Cells -> runs: resolve every cell at a preset, and let equal configurations share one run."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import ValidationError

from dmnet.config import (
    DatasetConfig,
    EvaluationConfig,
    InferenceConfig,
    JobConfig,
    ModelConfig,
    ProfileConfig,
    RecipeConfig,
    ReleaseConfig,
    ReleaseJob,
    RunConfig,
    SectionT,
    SpeedConfig,
    SplitRole,
    content_hash,
    describe,
    parse,
    setting_path,
)
from dmnet.errors import ConfigError
from dmnet.training.share import Share
from pipeline.errors import SpecError
from pipeline.official import OfficialResult
from pipeline.settings import (
    RECIPE_ONLY,
    Setting,
    Settings,
    override,
    override_where_present,
    section,
    to_tree,
)
from pipeline.specs import CellSpec, Params, PresetSpec, Source, SubmissionSpec, TableSpec

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
        first = self.cells[0] if self.cells else "a parent run"
        return f"{first}{seed} {self.key[:6]}"


@dataclass
class Release:
    """A released checkpoint in the place of a run, and the cells that it serves."""

    key: str
    job: ReleaseJob
    cells: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.job.run.checkpoint.name} {self.key[:6]}"


@dataclass(frozen=True)
class Evaluation:
    """One (run, inference protocol, split); its file name carries its content hash."""

    run_key: str
    name: str
    config: EvaluationConfig
    folder: str = "runs"  # or `released`

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.run_key}/evaluations/{self.name}.json"

    @property
    def trained(self) -> str:
        """The manifest of the weights that it was made on."""
        return f"{self.folder}/{self.run_key}/train.json"

    @property
    def paths(self) -> tuple[str, str]:
        """What a report reads."""
        return self.path, self.trained


@dataclass(frozen=True)
class Submission:
    """What a table sends to a test server: the predictions of one run on unlabelled images."""

    table: str
    cell: str
    member: str  # the folder of the images within the archive
    published_dataset: str
    dataset: DatasetConfig
    run_key: str
    name: str  # of the predictions, as an evaluation's
    config: EvaluationConfig

    @property
    def predictions(self) -> str:
        """The manifest of the predicted images, which lie beside it in a folder of its stem."""
        return f"predictions/{self.run_key}/{self.name}.json"


@dataclass(frozen=True)
class Profile:
    """The cost of one model's multi-scale module at one input size, at full width."""

    key: str
    config: ProfileConfig

    @property
    def path(self) -> str:
        return f"counts/{self.key}.json"


@dataclass(frozen=True)
class Speed:
    """Frames a second and memory of one model at the preset's width and sizes, on this device."""

    key: str
    config: SpeedConfig

    @property
    def path(self) -> str:
        return f"speed/{self.key}.json"


@dataclass(frozen=True)
class Cell:
    """One number's place in a table: one evaluation per seed, or one profile or measurement."""

    table: str
    name: str
    row: str
    column: str
    spec: CellSpec
    published_dataset: str | None
    dataset: DatasetConfig | None
    evaluations: tuple[Evaluation, ...]
    profile: Profile | None
    settings: dict[str, Setting]
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


def build_experiment(
    preset_name: str,
    seeds: int = 1,
    tables: Iterable[str] | None = None,
    params: Params | None = None,
    source: str = "trained",
    cells: Container[str] | None = None,
) -> Experiment:
    """Resolve the cells of `tables` (all by default). Raises SpecError or ConfigError.

    cells: only those of these names.
    source: whether cells rest on weights trained here, on those that were released, or on both; a
    cell without a released checkpoint is only quoted where nothing is trained.
    """
    if source not in get_args(Source):
        expected = ", ".join(get_args(Source))
        raise SpecError(f"config `source` = {source!r}: expected one of {expected}")
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise SpecError(f"config `seeds` = {seeds!r}: expected a whole number of at least 1")
    params = params or Params(PARAMS)
    names = params.table_names if tables is None else tuple(tables)
    experiment = Experiment(
        preset_name,
        params.preset(str(preset_name)),
        seeds,
        {n: params.table(n) for n in names},
        cast(Source, source),
    )
    # A test server's figure belongs to the published scale; elsewhere a run is a rehearsal.
    experiment.official = params.official if experiment.preset.judged else ()
    for table, spec in experiment.tables.items():
        for row, column, cell in spec.cells():
            if cells is not None and cell.cell not in cells:
                continue
            resolver = CellResolver(params, experiment, table, spec, cell)
            experiment.cells.append(resolver.resolve(row, column))
            if spec.submission is not None and spec.submission.cell == cell.cell:
                resolver.submit(spec.submission, experiment.cells[-1])
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
        if self.cell.profile is not None:
            return self._profiled(row, column)
        if self.cell.speed is not None:
            return self._timed(row, column)
        published_dataset = self._name("dataset")
        dataset = self._dataset(published_dataset)
        settings = self._settings()
        source = self.cell.source or self.spec.defaults.source or self.experiment.source
        seeds = range(0 if source == "released" else self.experiment.seeds)
        runs = [self.run(seed, settings, dataset) for seed in seeds]
        released = None if source == "trained" else self._released(dataset)
        cell_id = f"{self.table}/{self.cell.cell}"
        for run in runs:
            if cell_id not in run.cells:
                run.cells.append(cell_id)
        return Cell(
            self.table,
            self.cell.cell,
            row,
            column,
            self.cell,
            published_dataset,
            dataset,
            tuple(self._evaluation(run, dataset) for run in runs),
            None,
            settings,
            released=released,
        )

    def _released(self, dataset: DatasetConfig) -> Evaluation | None:
        """The released checkpoint's evaluation, at the model's published width; None without one.

        Raises SpecError where the preset's data have other classes than the checkpoint.
        """
        name = self.cell.checkpoint or self.spec.defaults.checkpoint
        if name is None:
            return None
        if name not in self.params.checkpoints:
            raise SpecError(f"{self.where}: unknown checkpoint {name!r}; see checkpoints.yaml")
        published = self.params.dataset(self._name("dataset"), self.where)
        if len(dataset.classes) != len(published.classes):
            raise SpecError(
                f"{self.where}: checkpoint {name} knows the {len(published.classes)} classes of "
                f"{published.name}, but preset {self.experiment.preset_name!r} uses {dataset.name} "
                f"with {len(dataset.classes)}; take a preset with the same classes, as paper"
            )
        settings = self._published_settings()
        config = ReleaseConfig(
            checkpoint=self.params.checkpoints[name],
            model=self._parse(ModelConfig, _without_recipe(settings)),
            data=dataset.identity,
            recipe=self._recipe(settings, published, "train"),
            cpu_threads=self.experiment.preset.cpu_threads,
        )
        release = self.experiment.releases.setdefault(
            config.key, Release(config.key, ReleaseJob(run=config, dataset=dataset))
        )
        release.cells.append(f"{self.table}/{self.cell.cell}")
        return self._evaluation(release, dataset)

    def run(
        self, seed: int, settings: Settings | None = None, dataset: DatasetConfig | None = None
    ) -> Run:
        """The cell's training run at `seed`, entered into the experiment with its parents."""
        settings = self._settings() if settings is None else settings
        published_dataset = self._name("dataset")
        dataset = dataset or self._dataset(published_dataset)
        role = self.cell.train_on or self.spec.defaults.train_on or "train"
        if role not in dataset.splits:
            raise SpecError(
                f"{self.where}: trains on the split `{role}`, which dataset {dataset.name!r} does "
                f"not have; expected one of {', '.join(dataset.splits)}"
            )
        parent = self._parent(seed)
        config = RunConfig(
            model=self._parse(ModelConfig, _without_recipe(settings)),
            data=dataset.identity_of(role),
            recipe=self._recipe(settings, dataset, role),
            parent=parent.key if parent else None,
            seed=seed,
            cpu_threads=self.experiment.preset.cpu_threads,
        )
        key = config.key  # hashed once: there may be thousands
        if key not in self.experiment.runs:
            execution = self.experiment.preset.execution
            try:
                Share(0, execution.processes, execution.accumulate).check(config.recipe)
            except ConfigError as error:
                raise SpecError(f"{self.where}, {self._preset_file}: {error}") from None
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

    def _evaluation(self, run: Run | Release, dataset: DatasetConfig) -> Evaluation:
        protocol = self._name("inference")
        config = EvaluationConfig(
            inference=self._inference(protocol),
            split=dataset.splits["val"],
            data=dataset.identity,
            load_scale=run.job.run.recipe.load_scale,
            optimised_from=self.experiment.preset.optimised_from,
        )
        name = f"{protocol}-{config.split}-{content_hash(config)[:8]}"
        folder = "runs" if isinstance(run, Run) else "released"
        evaluation = Evaluation(run.key, name, config, folder)
        return self.experiment.evaluations.setdefault((run.key, name), evaluation)

    def _inference(self, protocol: str) -> InferenceConfig:
        """The protocol with the preset's values. Raises ConfigError that names the preset."""
        config = self.params.inference(protocol, self.where).config
        changes = self.experiment.preset.inference.get(protocol)
        if changes is None:
            return config
        where = f"{self._preset_file}: inference {protocol!r}"
        return parse(InferenceConfig, {**config.model_dump(), **changes}, where)

    def submit(self, spec: SubmissionSpec, cell: Cell) -> None:
        """Enter the table's submission and its dataset: the run at seed 0, the cell's protocol.

        Left out where the preset's data have other classes than the test images (`find_submission`
        says so to whoever asks). Raises SpecError for a cell without a run or a labelled dataset.
        """
        where = f"{self.params.folder}/tables/{self.table}.yaml: `submission`"
        if cell.dataset is None:
            raise SpecError(f"{where}: cell {cell.name!r} is counted; name one that is trained")
        self.params.dataset(spec.dataset, where)  # the published one must exist as well
        name = self.experiment.preset.datasets.get(spec.dataset, spec.dataset)
        dataset = self.params.dataset(name, self._preset_file)
        if "test" not in dataset.splits:
            raise SpecError(f"{where}: dataset {name!r} has no split with the role `test`")
        if dataset.classes != cell.dataset.classes or not cell.evaluations:
            return
        measured = cell.evaluations[0]
        config = EvaluationConfig(
            inference=measured.config.inference,
            split=dataset.splits["test"],
            data=dataset.identity_of("test"),
            load_scale=measured.config.load_scale,
            optimised_from=measured.config.optimised_from,
        )
        protocol = f"{self._name('inference')}-{config.split}-{content_hash(config)[:8]}"
        self.experiment.datasets[name] = dataset
        self.experiment.submissions[self.table] = Submission(
            self.table,
            cell.name,
            spec.member,
            spec.dataset,
            dataset,
            measured.run_key,
            protocol,
            config,
        )

    @property
    def _preset_file(self) -> str:
        return f"{self.params.folder}/presets/{self.experiment.preset_name}.yaml"

    def _profiled(self, row: str, column: str) -> Cell:
        """At full width whatever the preset: counting costs nothing."""
        assert self.cell.profile is not None
        settings = self.params.model(self._name("model"), self.where)
        changes = {**self.spec.defaults.settings, **self.cell.settings}
        settings = override(settings, changes, "table", self.where)
        config = ProfileConfig(
            model=self._parse(ModelConfig, settings),
            input_size=self.cell.profile.input_size,
        )
        key = content_hash(config)[:16]
        profile = self.experiment.profiles.setdefault(key, Profile(key, config))
        return Cell(
            self.table,
            self.cell.cell,
            row,
            column,
            self.cell,
            None,
            None,
            (),
            profile,
            settings,
        )

    def _timed(self, row: str, column: str) -> Cell:
        """At the preset's width and sizes: unlike a count, it takes the time that it measures."""
        dataset = self._dataset(self._name("dataset"))
        settings = self._settings()
        recipe = self._recipe(settings, dataset, "train")
        devices = settings.get("recipe.devices")
        parts = 1 if devices is None else int(devices.value)
        if recipe.batch_size % parts:
            raise SpecError(
                f"{self.where}: `recipe.batch_size` = {recipe.batch_size} is no multiple of "
                f"`recipe.devices` = {parts}"
            )
        model = self._parse(ModelConfig, _without_recipe(settings))
        config = SpeedConfig(
            model=model.model_copy(
                update={"backbone": model.backbone.model_copy(update={"weights": None})}
            ),
            classes=len(dataset.classes),
            image_size=self._photograph(dataset, recipe.load_scale),
            inference=self._inference(self._name("inference")),
            crop_size=recipe.crop_size,
            batch_size=recipe.batch_size // parts,
            precision=recipe.precision,
            optimised=self.experiment.preset.optimised_from is not None,
        )
        key = content_hash(config)[:16]
        speed = self.experiment.speeds.setdefault(key, Speed(key, config))
        return Cell(
            self.table,
            self.cell.cell,
            row,
            column,
            self.cell,
            self._name("dataset"),
            dataset,
            (),
            None,
            settings,
            speed,
        )

    def _photograph(self, dataset: DatasetConfig, load_scale: float) -> tuple[int, int]:
        """(height, width) of a typical photograph as it is loaded."""
        size = dataset.photograph
        if size is None and dataset.generate is not None:
            size = (dataset.generate.height, dataset.generate.width)
        if size is None:
            raise SpecError(
                f"{self.where}: speed needs the size of a photograph; add `photograph: [height, "
                f"width]` to params/datasets/{dataset.name}.yaml"
            )
        return round(size[0] * load_scale), round(size[1] * load_scale)

    def _parse(self, schema: type[SectionT], settings: Settings) -> SectionT:
        """Check the values; an error names the file that the wrong value came from."""
        try:
            return schema.model_validate(to_tree(settings))
        except ValidationError as error:
            where = self.where
            for problem in error.errors(include_url=False):
                parts = setting_path(problem["loc"])
                for end in range(len(parts), 0, -1):
                    setting = settings.get(".".join(parts[:end]))
                    if setting is not None and setting.origin == "preset":
                        where = setting.source
            raise ConfigError(f"{where}: {describe(error)}") from None

    def _dataset(self, published: str) -> DatasetConfig:
        self.params.dataset(published, self.where)  # the published one must exist as well
        name = self.experiment.preset.datasets.get(published, published)
        dataset = self.params.dataset(name, self._preset_file)
        self.experiment.datasets[name] = dataset
        return dataset

    def _published_settings(self) -> Settings:
        """Model and recipe, then the cell's own values."""
        settings = self.params.model(self._name("model"), self.where)
        settings = settings | self.params.recipe(self._name("recipe"), self.where)
        changes = {**self.spec.defaults.settings, **self.cell.settings}
        return override(settings, changes, "table", self.where)

    def _settings(self) -> Settings:
        """The published settings, then the preset's numbers."""
        recipe, settings = self._name("recipe"), self._published_settings()
        preset = self.experiment.preset
        changes = dict(preset.settings)
        for name in self.params.extended_by(recipe):
            changes |= preset.recipes.get(name, {})
        changed = override_where_present(settings, changes, "preset", self._preset_file)
        # A batch in parts, or on processes that share no statistics, gives other weights: shown
        # like every other number that the preset replaces, and part of the key.
        sync_bn, execution = changed.get("recipe.sync_bn"), preset.execution
        together = sync_bn is None or sync_bn.value
        parts = execution.accumulate if together else execution.processes
        if parts > 1:
            changed["recipe.bn_parts"] = Setting(parts, "preset", self._preset_file)
        return changed

    def _recipe(self, settings: Settings, dataset: DatasetConfig, role: SplitRole) -> RecipeConfig:
        """Epochs become iterations by the published number of training images."""
        recipe = section(settings, "recipe")
        epochs, drop_last, devices = (recipe.pop(name, None) for name in RECIPE_ONLY)
        if "iterations" not in recipe or recipe["iterations"].value is None:
            split = dataset.splits[role]
            images = dataset.counts.get(split)
            if epochs is None or images is None:
                raise SpecError(
                    f"{self.where}: needs `recipe.iterations`, or `recipe.epochs` and the number "
                    f"of images of {dataset.name}'s split {split!r} under `counts`"
                )
            batch = recipe["batch_size"].value
            if drop_last is not None and drop_last.value:  # an epoch has whole batches only
                # Processes that share a batch draw equally many images, some of them twice.
                parts = 1 if devices is None else devices.value
                iterations = epochs.value * (-(-images // parts) * parts // batch)
            else:
                iterations = epochs.value * images // batch
            recipe["iterations"] = Setting(iterations, epochs.origin, epochs.source)
        return self._parse(RecipeConfig, recipe)


def find_submission(experiment: Experiment, table: str) -> Submission:
    """The submission of `table`. Raises SpecError when it has none, or none at this preset."""
    if table in experiment.submissions:
        return experiment.submissions[table]
    spec = experiment.tables[table].submission if table in experiment.tables else None
    if spec is None:
        raise SpecError(
            f"submission of {table}: params/tables/{table}.yaml has no `submission`; name a table "
            "that has one, as table7"
        )
    cell = next(c for c in experiment.cells_of(table) if c.name == spec.cell)
    used = f"{cell.dataset.name}, {len(cell.dataset.classes)} classes" if cell.dataset else "-"
    raise SpecError(
        f"submission of {table}: not offered at preset {experiment.preset_name!r}, whose runs know "
        f"other classes ({used}) than the images of {spec.dataset}; use a preset with VOC's classes"
    )


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
