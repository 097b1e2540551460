"""One cell's names in `params/` -> its dataset, model, recipe and protocol at a preset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial

from pydantic import ValidationError

from dmnet.config import (
    DatasetConfig,
    InferenceConfig,
    ModelConfig,
    RecipeConfig,
    SectionT,
    SplitRole,
    describe,
    parse,
    setting_path,
)
from dmnet.errors import ConfigError
from pipeline.errors import SpecError
from pipeline.spec.completeness import require_origins, without_origin
from pipeline.spec.params import Params, PresetSpec
from pipeline.spec.settings import (
    DEVICES_PARTS,
    RECIPE_ONLY,
    Setting,
    Settings,
    override,
    override_where_present,
    section,
    to_tree,
)
from pipeline.spec.tables import CellSpec


class CellConfiguration:
    """Looks up a cell's names, replaces values by the cell's and the preset's, and checks them.

    Raises SpecError or ConfigError, which name the file that the wrong value came from.
    """

    def __init__(
        self, params: Params, preset_name: str, preset: PresetSpec, table: str, cell: CellSpec
    ) -> None:
        self.params, self.preset_name, self.preset = params, preset_name, preset
        self.table, self.cell = table, cell
        self.where = f"{params.folder}/tables/{table}.yaml: cell {cell.cell!r}"
        self.preset_file = f"{params.folder}/presets/{preset_name}.yaml"

    def name(self, kind: str) -> str:
        """Of the `kind` (model, dataset, recipe, inference) that the cell or its table names."""
        name = getattr(self.cell, kind)
        if name is None:
            raise SpecError(f"{self.where}: no {kind}; name one here or in `defaults`")
        return str(name)

    def dataset(self) -> DatasetConfig:
        """The cell's dataset, or what takes its place at the preset."""
        return self.stand_in(self.name("dataset"), self.where)

    def stand_in(self, published: str, asked_by: str) -> DatasetConfig:
        self.params.dataset(published, asked_by)  # the published one must exist as well
        name = self.preset.datasets.get(published, published)
        return self.params.dataset(name, self.preset_file)

    def protocol(self) -> str:
        """The name of the test-time protocol: the table's, or what the preset puts in its place."""
        named = self.name("inference")
        if named not in self.preset.protocols:
            return named
        self.params.inference(named, self.where)  # the table's must exist as well
        return self.preset.protocols[named]

    @cached_property
    def inference(self) -> tuple[InferenceConfig, Settings]:
        """The protocol with the preset's values, and where each comes from."""
        protocol = self.protocol()
        asked_by = self.where if protocol == self.name("inference") else self.preset_file
        settings = dict(self.params.inference(protocol, asked_by))
        for name, value in self.preset.inference.get(protocol, {}).items():
            settings[f"inference.{name}"] = Setting(value, "preset", self.preset_file)
        where = f"{self.preset_file}: inference {protocol!r}"
        return parse(InferenceConfig, to_tree(section(settings, "inference")), where), settings

    def published_model(self) -> Settings:
        """The model, then the cell's own values, at full width."""
        settings = self.params.model(self.name("model"), self.where)
        return override(settings, self.cell.settings, "table", self.where)

    def published_settings(self) -> Settings:
        """Model and recipe, then the cell's own values."""
        recipe = self.params.recipe(self.name("recipe"), self.where)
        settings = self.params.model(self.name("model"), self.where) | recipe
        return override(settings, self.cell.settings, "table", self.where)

    def settings(self) -> Settings:
        """The published settings, then the preset's numbers."""
        settings, changes = self.published_settings(), dict(self.preset.settings)
        for kind, own in (("model", self.preset.models), ("recipe", self.preset.recipes)):
            for name in self.params.extended_by(f"{kind}s", self.name(kind)):
                changes |= own.get(name, {})
        changed = override_where_present(settings, changes, "preset", self.preset_file)
        # A batch in parts, or on processes that share no statistics, gives other weights: shown
        # like every other number that the preset replaces, and part of the key.
        execution, sync_bn = self.preset.execution, changed.get("recipe.sync_bn")
        together = sync_bn is None or sync_bn.value  # None: `recipe` says that it is missing
        parts = execution.accumulate if together else execution.processes
        if parts > 1:
            changed["recipe.bn_parts"] = Setting(parts, "preset", self.preset_file)
        return changed

    def model(self, settings: Settings) -> ModelConfig:
        """Raises SpecError where a field of its schemas is not among the settings."""
        own = {path: s for path, s in settings.items() if not path.startswith("recipe.")}
        config = self._parse(ModelConfig, own)
        require_origins(config, own, partial(self.params.file_of, "models", self.name("model")))
        return config

    def recipe(self, settings: Settings, dataset: DatasetConfig, role: SplitRole) -> RecipeConfig:
        """Epochs become iterations by the published number of training images.

        Raises SpecError where a field of its schema is not among the settings.
        """
        recipe = section(settings, "recipe")
        file_of = partial(self.params.file_of, "recipes", self.name("recipe"))
        epochs, drop_last, devices = (recipe.pop(name, None) for name in RECIPE_ONLY)
        if devices is not None:
            self._check_parts(recipe, devices)
        if "iterations" not in recipe or recipe["iterations"].value is None:
            split = dataset.splits[role]
            images = dataset.counts.get(split)
            if epochs is None or images is None:
                raise SpecError(
                    f"{self.where}: needs `recipe.iterations`, or `recipe.epochs` and the number "
                    f"of images of {dataset.name}'s split {split!r} under `counts`"
                )
            if drop_last is None:
                raise without_origin(file_of("drop_last"), {"drop_last": False})
            if "batch_size" not in recipe:
                raise SpecError(f"{file_of('batch_size')}: key `batch_size` is missing; add it")
            batch = recipe["batch_size"].value
            if drop_last.value:  # an epoch has whole batches only
                if devices is None:
                    raise without_origin(file_of("devices"), {"devices": 1})
                # Processes that share a batch draw equally many images, some of them twice.
                parts = devices.value
                iterations = epochs.value * (-(-images // parts) * parts // batch)
            else:
                iterations = epochs.value * images // batch
            recipe["iterations"] = Setting(iterations, epochs.origin, epochs.source)
        config = self._parse(RecipeConfig, recipe)
        require_origins(config, recipe, file_of)
        return config

    def _check_parts(self, recipe: Settings, devices: Setting) -> None:
        """A part of the batch that is normalised by itself is what one device holds."""
        for path in DEVICES_PARTS:
            name, _, field = path.partition(".")
            if (setting := recipe.get(name)) is None:
                continue
            parts = setting.value
            if field and isinstance(parts, dict):
                parts = parts.get(field)
            if parts not in (None, 1, devices.value):
                changed = [s.source for s in (setting, devices) if s.origin == "preset"]
                raise SpecError(
                    f"{changed[0] if changed else self.where}: `recipe.{path}` = {parts}, but "
                    f"`recipe.devices` = {devices.value}: each device holds a part; set both"
                )

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

    @contextmanager
    def checked_together(self) -> Iterator[None]:
        """Why these values are refused together, in one line with the cell and the preset."""
        try:
            yield
        except (ConfigError, ValidationError) as error:
            text = describe(error) if isinstance(error, ValidationError) else str(error)
            raise SpecError(f"{self.where}, {self.preset_file}: {text}") from None
