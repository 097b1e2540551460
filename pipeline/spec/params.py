"""The folder `params/`: tables, presets, models, recipes, datasets, inference protocols.

Every schema is closed: an unknown key, a wrong type or an unknown name is an error that names the
file and the key.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import create_model

from dmnet.config import (
    CheckpointConfig,
    DatasetConfig,
    InferenceConfig,
    ModelConfig,
    Section,
    parse,
)
from pipeline.errors import SpecError
from pipeline.spec.checkpoints import FILE, load_checkpoints
from pipeline.spec.completeness import without_origin
from pipeline.spec.costs import CostsFile
from pipeline.spec.official import OfficialResult, load_official
from pipeline.spec.presets import PresetSpec, load_preset
from pipeline.spec.settings import Settings, read_settings, section, to_tree
from pipeline.spec.tables import TableSpec
from pipeline.spec.yaml_files import Identifier, load_named, load_yaml


class ModelSpec(Section):
    """`extends` another model.

    A section with a `name` (as `auxiliary`, whatever it has) takes the place of the extended
    model's; without, it replaces single settings of it.
    """

    title: str
    extends: Identifier | None = None


# With every section and setting of a model, each a tree of leaves with origins.
_PARTS: dict[str, Any] = {part: (dict[str, Any] | None, None) for part in ModelConfig.model_fields}
ModelFile = create_model("ModelFile", __base__=ModelSpec, **_PARTS)


def _stands_alone(part: str, node: dict[str, Any]) -> bool:
    """Whether a model's own section leaves nothing of the extended model's."""
    return bool(node) and (part == "auxiliary" or "name" in node or "value" in node)


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
        """Raises SpecError also where it has values for a model or recipe that there is not."""
        if ("presets", name) not in self._cache:
            found = load_preset(self.folder / "presets", name)
            where = f"{self.folder}/presets/{name}.yaml"
            for model in found.models:
                self.model(model, f"{where}: `models`")
            for recipe in found.recipes:
                self.recipe(recipe, f"{where}: `recipes`")
            self._cache["presets", name] = found
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
            file = self.folder / "inference" / f"{name}.yaml"
            protocol = parse(InferenceConfig, to_tree(section(settings, "inference")), str(file))
            used = {
                f"inference.{field}": getattr(protocol, field) for field in used_settings(protocol)
            }
            if missing := {path: value for path, value in used.items() if path not in settings}:
                raise without_origin(file, missing)
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

    def extended_by(self, kind: str, name: str) -> list[str]:
        """The model or recipe `name` and those it extends, the root first.

        kind: `models` or `recipes`. `model` or `recipe` has read and checked them.
        """
        chain = [name]
        while base := self._cache[kind, chain[0]].extends:
            chain.insert(0, base)
        return chain

    def model(self, name: str, asked_by: str, below: tuple[str, ...] = ()) -> Settings:
        """The model's settings, its own over those of the model it extends."""
        if ("model settings", name) not in self._cache:
            spec: ModelSpec = self._named("models", ModelFile, name, asked_by)
            where = str(self.folder / "models" / f"{name}.yaml")
            if name in below:
                raise SpecError(f"{where}: extends itself ({' -> '.join([*below, name])})")
            own = spec.model_dump(exclude={"title", "extends"}, exclude_none=True)
            settings: Settings = {}
            if spec.extends is not None:
                inherited = self.model(spec.extends, where, (*below, name))
                replaced = {part for part, node in own.items() if _stands_alone(part, node)}
                settings = {p: s for p, s in inherited.items() if p.split(".")[0] not in replaced}
            self._cache["model settings", name] = settings | read_settings(own, where)
        found: Settings = self._cache["model settings", name]
        return found

    def model_file(self, name: str, path: str) -> Path:
        """Where the setting at `path` of the model belongs: with its section, or in the root."""
        part, chain = path.partition(".")[0], self.extended_by("models", name)
        owners = [
            own
            for own in chain
            if _stands_alone(part, getattr(self._cache["models", own], part) or {})
        ]
        return self.folder / "models" / f"{(owners or chain[:1])[-1]}.yaml"

    def recipe_file(self, name: str, path: str) -> Path:
        """The same for a recipe, whose `path` is without `recipe.`."""
        part, chain = path.partition(".")[0], self.extended_by("recipes", name)
        owners = [own for own in chain if part in self._cache["recipes", own].settings]
        return self.folder / "recipes" / f"{(owners or chain[:1])[-1]}.yaml"

    @cached_property
    def official(self) -> tuple[OfficialResult, ...]:
        """Figures that a test server gave, from `official.yaml`; none without that file."""
        return load_official(self.folder / "official.yaml", self.table)

    @cached_property
    def checkpoints(self) -> dict[str, CheckpointConfig]:
        """What the sources released, from `checkpoints.yaml`; none without that file."""
        path = self.folder / FILE
        return load_checkpoints(self.folder) if path.exists() else {}

    def costs(self) -> CostsFile:
        path = self.folder / "costs.yaml"
        return parse(CostsFile, load_yaml(path), str(path))
