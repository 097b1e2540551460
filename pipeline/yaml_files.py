"""YAML as data: safe, no duplicate keys, and errors that name file and line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from pipeline.errors import SpecError

# What a file below params/ may be called, and so whatever is named after one.
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeyLoader(_Loader):
    """A safe loader that refuses a mapping with the same key twice (YAML would keep the last)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises SpecError naming the file, the line and the problem."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as text ({error})") from error
    try:
        value = yaml.load(text, _UniqueKeyLoader)
    except (yaml.YAMLError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SpecError(f"{path}:{line} not valid YAML ({problem}); correct it") from error
    if not isinstance(value, dict):
        raise SpecError(
            f"{path}: expected a YAML mapping (key: value), found {type(value).__name__}"
        )
    return value


def load_named(folder: Path, name: str, kind: str, asked_by: str) -> tuple[Path, dict[str, Any]]:
    """`folder/name.yaml`; an unknown name raises SpecError that lists the valid ones."""
    path = folder / f"{name}.yaml"
    valid = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in valid:
        raise SpecError(
            f"{asked_by}: unknown {kind} {name!r}; expected one of {', '.join(valid) or 'none'} "
            f"(the files in {folder})"
        )
    return path, load_yaml(path)
