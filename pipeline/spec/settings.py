"""Settings with their origin: every value of a model or recipe says where it comes from.

In `params/models` and `params/recipes` a leaf is `{value: V, ORIGIN: SOURCE}`, ORIGIN being

    stated      the source says so (section, table)
    derived     it follows from what the source says (from what)
    inherited   another implementation's value stands in (which one)
    assumed     nobody says so (why this value)

A table cell and a preset then override leaves by their path; the override's origin is `table` or
`preset`.

No default of a schema is ever used in silence: `unlisted` finds the fields that no leaf gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from dmnet.config import ModelConfig, RecipeConfig, Section
from pipeline.errors import SpecError

# Settings of a recipe that are not part of a run's configuration: they become `iterations`, and
# `devices` (processes that share a batch) also one device's part of the batch, for its memory.
RECIPE_ONLY = ("epochs", "drop_last", "devices")
# Settings of a recipe that say in how many parts of a batch the devices do something by themselves.
DEVICES_PARTS = ("backbone_bn_parts", "ohem.parts", "loss_parts")
ORIGINS = ("stated", "derived", "inherited", "assumed")


@dataclass(frozen=True)
class Setting:
    value: Any
    origin: str
    source: str


Settings = dict[str, Setting]  # path such as "backbone.width" -> setting


def read_settings(tree: dict[str, Any], where: str, prefix: str = "") -> Settings:
    """Flatten a tree of leaves with origins. Raises SpecError for a leaf without one."""
    settings: Settings = {}
    for name, node in tree.items():
        path = f"{prefix}{name}"
        if not isinstance(node, dict):
            raise SpecError(
                f"{where}: `{path}` = {node!r} has no origin; write {{value: {node!r}, stated: "
                "'section ...'} (or derived, inherited, assumed)"
            )
        if "value" not in node:
            settings |= read_settings(node, where, f"{path}.")
            continue
        origins = [key for key in node if key != "value"]
        if len(origins) != 1 or origins[0] not in ORIGINS or not isinstance(node[origins[0]], str):
            raise SpecError(
                f"{where}: `{path}` needs exactly one origin of {', '.join(ORIGINS)} with a text, "
                f"found {origins or 'none'}"
            )
        settings[path] = Setting(node["value"], origins[0], node[origins[0]])
    return settings


def override(settings: Settings, changes: dict[str, Any], origin: str, where: str) -> Settings:
    """Replace leaves by path. Raises SpecError for a path that is not there."""
    result = dict(settings)
    for path, value in changes.items():
        if path not in settings:
            raise SpecError(
                f"{where}: unknown key `{path}`; expected one of {', '.join(sorted(settings))}"
            )
        result[path] = Setting(value, origin, where)
    return result


def override_where_present(
    settings: Settings, changes: dict[str, Any], origin: str, where: str
) -> Settings:
    """Replace the leaves that a model or recipe has; `*` in a path stands for any one name.

    A preset speaks of every model at once, so a path that this one does not have is left out.
    Raises SpecError for a path that no model or recipe could have.
    """
    result = dict(settings)
    for path, value in changes.items():
        if not could_exist(path):
            raise SpecError(
                f"{where}: unknown key `{path}`, which no model and no recipe has; expected, here, "
                f"one of {', '.join(sorted(settings))}"
            )
        present = [path] if path in settings else []
        for own in _matching(path, settings) if "*" in path else present:
            result[own] = Setting(value, origin, where)
    return result


def _matching(path: str, settings: Settings) -> list[str]:
    parts = path.split(".")
    return [
        own
        for own in settings
        if len(names := own.split(".")) == len(parts)
        and all(part in ("*", name) for part, name in zip(parts, names, strict=True))
    ]


@cache  # asked of every path of a preset by every cell
def could_exist(path: str) -> bool:
    """Whether the schemas of models and recipes have a field at this path."""
    first, _, rest = path.partition(".")
    if first == "recipe":
        return rest in RECIPE_ONLY or _has_field(RecipeConfig, rest)
    return _has_field(ModelConfig, path)


def _has_field(annotation: Any, path: str) -> bool:
    if not path:
        return True
    first, _, rest = path.partition(".")
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(first)
        return field is not None and _has_field(field.annotation, rest)
    if get_origin(annotation) is dict:
        return _has_field(get_args(annotation)[1], rest)
    return any(_has_field(part, path) for part in get_args(annotation))


def to_tree(settings: Settings) -> dict[str, Any]:
    """The values as a nested mapping, for a schema to check."""
    tree: dict[str, Any] = {}
    for path, setting in settings.items():
        *parents, leaf = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = setting.value
    return tree


def unlisted(config: Section, prefix: str = "") -> dict[str, Any]:
    """path -> value of each field that was not given, so that it holds its default without origin.

    All that lies below counts: sections, their mappings, and sections written as one value.
    """
    missing = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name not in config.model_fields_set:
            missing[f"{prefix}{name}"] = value
        elif isinstance(value, Section):
            missing |= unlisted(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for key, entry in value.items():
                missing |= unlisted(entry, f"{prefix}{name}.{key}.")
    return missing


PARTS = ("backbone", "head", "auxiliary", "", "recipe", "inference")  # "": the model's own


def part_of(path: str) -> int:
    """Which of PARTS a setting belongs to: lists of settings show them part by part."""
    first, _, rest = path.partition(".")
    return PARTS.index(first if rest or first in PARTS else "")


def section(settings: Settings, prefix: str) -> Settings:
    """The settings below `prefix`, without it."""
    start = f"{prefix}."
    return {path[len(start) :]: s for path, s in settings.items() if path.startswith(start)}
