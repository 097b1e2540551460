"""The folder `params/`: tables, presets, models, recipes, datasets, inference protocols.

Every schema is closed: an unknown key, a wrong type or an unknown name is an error that names the
file and the key.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, create_model

from dmnet.config import (
    CheckpointConfig,
    DatasetConfig,
    InferenceConfig,
    ModelConfig,
    Section,
    SectionT,
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


class _Extending(Section):
    """`extends` another of its kind, and replaces single settings of it."""

    title: str
    extends: Identifier | None = None


class SettingsFile(_Extending):
    """A recipe or a test-time protocol."""

    settings: dict[str, Any]


# With every section and setting of a model, each a tree of leaves with origins. A section with a
# `name` (as `auxiliary`, whatever it has) takes the place of the extended model's.
_PARTS: dict[str, Any] = {part: (dict[str, Any] | None, None) for part in ModelConfig.model_fields}
ModelFile = create_model("ModelFile", __base__=_Extending, **_PARTS)


def _stands_alone(part: str, node: dict[str, Any]) -> bool:
    """Whether a model's own section leaves nothing of the extended model's."""
    return bool(node) and (part == "auxiliary" or "name" in node or "value" in node)


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
        self._files: dict[tuple[str, str], BaseModel] = {}
        self._settings: dict[tuple[str, str], Settings] = {}

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.folder / kind).glob("*.yaml")))

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{name}.yaml"

    def _file(self, kind: str, schema: type[SectionT], name: str, asked_by: str) -> SectionT:
        if (kind, name) not in self._files:
            path, content = load_named(self.folder / kind, name, kind.removesuffix("s"), asked_by)
            if schema is DatasetConfig:
                content = {"name": name, **content}
            self._files[kind, name] = parse(schema, content, str(path))
        return cast(SectionT, self._files[kind, name])

    @cached_property
    def table_names(self) -> tuple[str, ...]:
        return self._names("tables")

    def table(self, name: str) -> TableSpec:
        return self._file("tables", TableSpec, name, "the target")

    @property
    def preset_names(self) -> tuple[str, ...]:
        return self._names("presets")

    def preset(self, name: str) -> PresetSpec:
        """Raises SpecError also where it has values for a model or recipe that there is not."""
        if ("presets", name) not in self._files:
            preset = load_preset(self.folder / "presets", name)
            where = self._path("presets", name)
            for model in preset.models:
                self.model(model, f"{where}: `models`")
            for recipe in preset.recipes:
                self.recipe(recipe, f"{where}: `recipes`")
            self._files["presets", name] = preset
        return cast(PresetSpec, self._files["presets", name])

    def dataset(self, name: str, asked_by: str) -> DatasetConfig:
        return self._file("datasets", DatasetConfig, name, asked_by)

    def model(self, name: str, asked_by: str) -> Settings:
        return self._extended("models", name, asked_by)

    def recipe(self, name: str, asked_by: str) -> Settings:
        return self._extended("recipes", name, asked_by)

    def inference(self, name: str, asked_by: str) -> Settings:
        """The settings of a test-time protocol, each with its origin.

        Raises SpecError where one that the protocol uses is left to its default.
        """
        if ("protocols", name) not in self._settings:
            settings = self._extended("inference", name, asked_by)
            file = self._path("inference", name)
            protocol = parse(InferenceConfig, to_tree(section(settings, "inference")), str(file))
            used = {
                f"inference.{field}": getattr(protocol, field) for field in used_settings(protocol)
            }
            if missing := {path: value for path, value in used.items() if path not in settings}:
                raise without_origin(file, missing)
            self._settings["protocols", name] = settings
        return self._settings["protocols", name]

    def _extended(
        self, kind: str, name: str, asked_by: str, below: tuple[str, ...] = ()
    ) -> Settings:
        """The settings of a model, recipe or protocol, its own over those that it extends."""
        if (kind, name) not in self._settings:
            schema: type[_Extending] = ModelFile if kind == "models" else SettingsFile
            spec = self._file(kind, schema, name, asked_by)
            where = str(self._path(kind, name))
            if name in below:
                raise SpecError(f"{where}: extends itself ({' -> '.join([*below, name])})")
            base = spec.extends
            settings = self._extended(kind, base, where, (*below, name)) if base else {}
            if isinstance(spec, SettingsFile):
                own = read_settings(spec.settings, where, f"{kind.removesuffix('s')}.")
            else:
                tree = spec.model_dump(exclude={"title", "extends"}, exclude_none=True)
                replaced = {part for part, node in tree.items() if _stands_alone(part, node)}
                settings = {p: s for p, s in settings.items() if p.split(".")[0] not in replaced}
                own = read_settings(tree, where)
            self._settings[kind, name] = settings | own
        return self._settings[kind, name]

    def extended_by(self, kind: str, name: str) -> list[str]:
        """The model or recipe `name` and those it extends, the root first.

        kind: `models` or `recipes`. `model` or `recipe` has read and checked them.
        """
        chain = [name]
        while base := cast(_Extending, self._files[kind, chain[0]]).extends:
            chain.insert(0, base)
        return chain

    def file_of(self, kind: str, name: str, path: str) -> Path:
        """Where the setting at `path` of the model or recipe belongs: with its section, or in the
        root. A recipe's `path` is without `recipe.`."""
        part, chain = path.partition(".")[0], self.extended_by(kind, name)
        owners = [own for own in chain if _owns(self._files[kind, own], part)]
        return self._path(kind, (owners or chain[:1])[-1])

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


def _owns(spec: BaseModel, part: str) -> bool:
    if isinstance(spec, SettingsFile):
        return part in spec.settings
    return _stands_alone(part, getattr(spec, part) or {})
