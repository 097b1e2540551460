"""The folder `params/`: tables, presets, models, recipes, datasets, inference protocols.

Every schema is closed: an unknown key, a wrong type or an unknown name is an error that names the
file and the key.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from dmnet.config import (
    CheckpointConfig,
    DatasetConfig,
    InferenceConfig,
    Section,
    parse,
)
from pipeline.checkpoints import FILE, load_checkpoints
from pipeline.errors import SpecError
from pipeline.official import OfficialResult, load_official
from pipeline.presets import PresetSpec, load_preset
from pipeline.settings import Settings, read_settings, section, to_tree
from pipeline.tables import TableSpec
from pipeline.yaml_files import Identifier, load_named, load_yaml


class ModelSpec(Section):
    """`extends` another model, then replaces whole sections."""

    title: str
    extends: Identifier | None = None
    backbone: dict[str, Any] | None = None
    head: dict[str, Any] | None = None
    auxiliary: dict[str, Any] | None = None
    align_corners: dict[str, Any] | None = None
    initialisation: dict[str, Any] | None = None


class RecipeSpec(Section):
    """`extends` another recipe and replaces single settings."""

    title: str
    extends: Identifier | None = None
    settings: dict[str, Any]


class InferenceSpec(Section):
    """`extends` another protocol and replaces single settings."""

    title: str
    extends: Identifier | None = None
    settings: dict[str, Any]


def used_settings(protocol: InferenceConfig) -> list[str]:
    """The fields that say what the protocol does: all but those of windows where there are none,
    and `average` where a single view's logits are only compared."""
    unused = set() if protocol.mode == "slide" else {"window", "stride"}
    if protocol.views == 1 and protocol.conventions == "mmsegmentation":
        unused.add("average")
    return [name for name in InferenceConfig.model_fields if name not in unused]


class Params:
    """The folder `params/`, read on demand and checked file by file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[tuple[str, str], Any] = {}

    def _named(self, kind: str, schema: type[Section], name: str, asked_by: str) -> Any:
        if (kind, name) not in self._cache:
            singular = kind.removesuffix("s")
            path, content = load_named(self.folder / kind, name, singular, asked_by)
            if schema is DatasetConfig:
                content = {"name": name, **content}
            self._cache[kind, name] = parse(schema, content, str(path))
        return self._cache[kind, name]

    @cached_property
    def table_names(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.folder / "tables").glob("*.yaml")))

    def table(self, name: str) -> TableSpec:
        spec: TableSpec = self._named("tables", TableSpec, name, "the target")
        return spec

    @property
    def preset_names(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.folder / "presets").glob("*.yaml")))

    def preset(self, name: str) -> PresetSpec:
        if ("presets", name) not in self._cache:
            self._cache["presets", name] = load_preset(self.folder / "presets", name)
        spec: PresetSpec = self._cache["presets", name]
        return spec

    def dataset(self, name: str, asked_by: str) -> DatasetConfig:
        spec: DatasetConfig = self._named("datasets", DatasetConfig, name, asked_by)
        return spec

    def inference(self, name: str, asked_by: str) -> Settings:
        """The settings of a test-time protocol, each with its origin.

        Raises SpecError where one that the protocol uses is left to its default.
        """
        if ("protocol", name) not in self._cache:
            settings = self._settings("inference", InferenceSpec, name, asked_by)
            where = str(self.folder / "inference" / f"{name}.yaml")
            protocol = parse(InferenceConfig, to_tree(section(settings, "inference")), where)
            for field in used_settings(protocol):
                if f"inference.{field}" not in settings:
                    raise SpecError(
                        f"{where}: `settings` leaves out `{field}`, which then has no origin; add "
                        f"{{value: {getattr(protocol, field)!r}, stated: 'section ...'}} (or "
                        "inherited, or assumed)"
                    )
            self._cache["protocol", name] = settings
        found: Settings = self._cache["protocol", name]
        return found

    def recipe(self, name: str, asked_by: str) -> Settings:
        return self._settings("recipes", RecipeSpec, name, asked_by)

    def _settings(
        self,
        kind: str,
        schema: type[RecipeSpec | InferenceSpec],
        name: str,
        asked_by: str,
        below: tuple[str, ...] = (),
    ) -> Settings:
        """The settings of a recipe or protocol over those that it extends."""
        prefix = kind.removesuffix("s")
        known = (f"{prefix}.", name)
        if known not in self._cache:
            spec: RecipeSpec | InferenceSpec = self._named(kind, schema, name, asked_by)
            where = str(self.folder / kind / f"{name}.yaml")
            if name in below:
                raise SpecError(f"{where}: extends itself ({' -> '.join([*below, name])})")
            base = spec.extends
            inherited = self._settings(kind, schema, base, where, (*below, name)) if base else {}
            own = read_settings(spec.settings, where, f"{prefix}.")
            self._cache[known] = inherited | own
        settings: Settings = self._cache[known]
        return settings

    def extended_by(self, name: str) -> list[str]:
        """The recipe `name` and those it extends, the root first; `recipe` has checked them."""
        chain = [name]
        while base := self._cache["recipes", chain[0]].extends:
            chain.insert(0, base)
        return chain

    def model(self, name: str, asked_by: str, below: tuple[str, ...] = ()) -> Settings:
        """The model's settings, its own sections in place of those it extends."""
        where = str(self.folder / "models" / f"{name}.yaml")
        if name in below:
            raise SpecError(f"{where}: extends itself ({' -> '.join([*below, name])})")
        spec: ModelSpec = self._named("models", ModelSpec, name, asked_by)
        own = spec.model_dump(exclude={"title", "extends"}, exclude_none=True)
        settings: Settings = {}
        if spec.extends is not None:
            inherited = self.model(spec.extends, where, (*below, name))
            settings = {p: s for p, s in inherited.items() if p.split(".")[0] not in own}
        return settings | read_settings(own, where)

    @cached_property
    def official(self) -> tuple[OfficialResult, ...]:
        """Figures that a test server gave, from `official.yaml`; none without that file."""
        return load_official(self.folder / "official.yaml", self.table)

    @cached_property
    def checkpoints(self) -> dict[str, CheckpointConfig]:
        """What the sources released, from `checkpoints.yaml`; none without that file."""
        path = self.folder / FILE
        return load_checkpoints(self.folder) if path.exists() else {}

    def costs(self) -> dict[str, Any]:
        return load_yaml(self.folder / "costs.yaml")
