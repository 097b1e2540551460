"""The kinds of cells: what a number is made from, and the job of one that needs no training.

What holds for every cell is asked of it. Who treats the kinds differently does so by `match` with
`assert_never` at its end, so that the type checker names each place that a new kind needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, assert_never

from dmnet.config import CountConfig, DatasetConfig, SpeedConfig, content_hash
from pipeline import paths
from pipeline.errors import SpecError
from pipeline.experiments.configuration import CellConfiguration
from pipeline.experiments.jobs import Evaluation, protocol_text, size_text
from pipeline.spec.settings import Settings
from pipeline.spec.tables import CellSpec, CountSpec, SpeedSpec

Place = tuple[str, str, str, str, CellSpec]  # the first fields of a cell
Lines = list[tuple[str, str]]  # (what, its value)


@dataclass(frozen=True)
class _Cell:
    """One number's place in a table."""

    table: str
    name: str
    row: str
    column: str
    spec: CellSpec
    settings: Settings

    exact: ClassVar[bool] = False  # without spread, the same on every device and at every preset
    of_one_device: ClassVar[bool] = False  # never compared with another device's number

    @property
    def id(self) -> str:
        return f"{self.table}/{self.name}"

    @property
    def measured(self) -> tuple[Evaluation, ...]:
        """All that is evaluated for it: on weights trained here, then on released ones."""
        return ()

    @property
    def inputs(self) -> list[str]:
        """The result files that its value is read from."""
        return [path for evaluation in self.measured for path in evaluation.paths]


@dataclass(frozen=True)
class _OnData(_Cell):
    published_dataset: str
    dataset: DatasetConfig  # the published one, or what takes its place at the preset


@dataclass(frozen=True)
class TrainedCell(_OnData):
    """Evaluated on weights trained here; with weights source `both` on released ones, too."""

    evaluations: tuple[Evaluation, ...]  # one per seed
    released: Evaluation | None = None

    @property
    def measured(self) -> tuple[Evaluation, ...]:
        return self.evaluations if self.released is None else (*self.evaluations, self.released)


@dataclass(frozen=True)
class ReleasedCell(_OnData):
    """Evaluated on the checkpoint that the source published."""

    released: Evaluation

    @property
    def measured(self) -> tuple[Evaluation, ...]:
        return (self.released,)


@dataclass(frozen=True)
class CitedCell(_OnData):
    """Only quoted: nothing is trained, and the source published no checkpoint."""


@dataclass(frozen=True)
class Measurement:
    """Of a model, without training it."""

    key: str
    path: str
    config: CountConfig | SpeedConfig


@dataclass(frozen=True)
class Count(Measurement):
    """The cost of one model's multi-scale module at one input size, at full width."""

    config: CountConfig


@dataclass(frozen=True)
class Speed(Measurement):
    """Frames a second and memory of one model at the preset's width and sizes, on this device."""

    config: SpeedConfig


@dataclass(frozen=True)
class CountedCell(_Cell):
    """What a module costs, counted without data."""

    measurement: CountSpec
    job: Count

    exact: ClassVar[bool] = True
    dataset: ClassVar[None] = None
    published_dataset: ClassVar[None] = None
    titles: ClassVar = ("Profile", "profile")  # of the job and of its file, for people

    @property
    def inputs(self) -> list[str]:
        return [self.job.path]

    @property
    def described(self) -> Lines:
        """For people: what is counted."""
        size = size_text(self.job.config.input_size)
        return [
            ("measure", self.measurement.measure),
            ("unit", f"{self.measurement.per:,} (the count is divided by it)"),
            ("input", f"{size}, full model width at every preset"),
        ]


@dataclass(frozen=True)
class TimedCell(_OnData):
    """Speed or memory of a model, measured on the device that there is."""

    measurement: SpeedSpec
    job: Speed

    of_one_device: ClassVar[bool] = True
    titles: ClassVar = ("Speed", "measurement")

    @property
    def inputs(self) -> list[str]:
        return [self.job.path]

    @property
    def described(self) -> Lines:
        """For people: what is timed."""
        config = self.job.config
        step = f"{config.batch_size} crops of {size_text(config.crop_size)} on one device"
        return [
            ("photograph", size_text(config.image_size)),
            ("protocol", protocol_text(config.inference)),
            ("training step", f"{step}, {config.precision}"),
        ]


MeasuredCell = CountedCell | TimedCell  # by a job of its own, without training
Cell = TrainedCell | ReleasedCell | CitedCell | MeasuredCell


def measured_cell(
    place: Place, measurement: CountSpec | SpeedSpec, configuration: CellConfiguration
) -> MeasuredCell:
    match measurement:
        case CountSpec(input_size=size):  # at full width whatever the preset: it costs nothing
            settings = configuration.published_model()
            config = CountConfig(model=configuration.model(settings), input_size=size)
            key = content_hash(config)[:16]
            job = Count(key, paths.count(key), config)
            return CountedCell(*place, settings, measurement, job)
        case SpeedSpec():
            return _timed(place, measurement, configuration)
        case _:
            assert_never(measurement)


def _timed(place: Place, spec: SpeedSpec, configuration: CellConfiguration) -> TimedCell:
    """At the preset's width and sizes: unlike a count, it takes the time that it measures."""
    where, dataset = configuration.where, configuration.dataset()
    settings = configuration.settings()
    recipe = configuration.recipe(settings, dataset, "train")
    if "recipe.devices" not in settings:
        raise SpecError(
            f"{where}: speed needs `recipe.devices`, of which one's part of the batch is "
            "measured; add it to the recipe with its origin"
        )
    parts = int(settings["recipe.devices"].value)
    if recipe.batch_size % parts:
        raise SpecError(
            f"{where}: `recipe.batch_size` = {recipe.batch_size} is no multiple of "
            f"`recipe.devices` = {parts}"
        )
    model = configuration.model(settings)
    backbone = model.backbone.model_copy(update={"weights": None})
    (inference, protocol), ohem = configuration.inference, recipe.ohem
    if ohem is not None:  # one GPU's part of the batch has its part of what chooses apart
        ohem = ohem.model_copy(update={"parts": max(1, ohem.parts // parts)})
    with configuration.checked_together():
        config = SpeedConfig(
            model=model.model_copy(update={"backbone": backbone}),
            classes=len(dataset.classes),
            image_size=_photograph(where, dataset, recipe.load_scale),
            inference=inference,
            crop_size=recipe.crop_size,
            batch_size=recipe.batch_size // parts,
            ohem=ohem,
            precision=recipe.precision,
            optimised=configuration.preset.optimised_from is not None,
        )
    data = (configuration.name("dataset"), dataset)
    key = content_hash(config)[:16]
    job = Speed(key, paths.speed(key), config)
    return TimedCell(*place, settings | protocol, *data, spec, job)


def _photograph(where: str, dataset: DatasetConfig, load_scale: float) -> tuple[int, int]:
    """(height, width) of a typical photograph as it is loaded."""
    size, drawn = dataset.photograph, dataset.generate
    if size is None and drawn is not None:
        size = (drawn.height, drawn.width)
    if size is None:
        raise SpecError(
            f"{where}: speed needs the size of a photograph; add `photograph: [height, "
            f"width]` to params/datasets/{dataset.name}.yaml"
        )
    return round(size[0] * load_scale), round(size[1] * load_scale)
