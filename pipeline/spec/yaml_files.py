"""YAML as data: safe, bounded, no duplicate keys, and errors that name file and line.

Files below `params/` are ours, but DVC's entries come from colleagues; one reader takes both.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from dmnet.files import read_bounded
from pipeline.errors import SpecError

# What a file below params/ may be called, and so whatever is named after one.
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]

MAX_BYTES = 2**20  # the largest of ours has 30 kB
MAX_DEPTH = 40  # of lists and mappings within each other; ours have 9
MAX_NODES = 100_000  # with every alias written out
SHOWN = 200  # characters of what is wrong

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
    """The mapping in a YAML file. Raises SpecError naming the file, the line and the problem.

    A file may have MAX_BYTES, and MAX_NODES values in at most MAX_DEPTH levels: a deeper one would
    overflow the parser's stack, and aliases of aliases would fill the memory when written out.
    """
    try:
        text = read_bounded(path, MAX_BYTES).decode()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read as text ({error.strerror})") from error
    except ValueError as error:
        raise SpecError(f"{path}: cannot be read as text ({error})") from error
    try:
        _check_bounds(text)
        value = yaml.load(text, _UniqueKeyLoader)
    except (yaml.YAMLError, TypeError, ValueError, ArithmeticError) as error:  # a 32nd of May
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or next(iter(str(error).splitlines()), "")
        raise SpecError(f"{path}:{line} not valid YAML ({problem[:SHOWN]}); correct it") from error
    if not isinstance(value, dict):
        raise SpecError(
            f"{path}: expected a YAML mapping (key: value), found {type(value).__name__}"
        )
    return value


def _check_bounds(text: str) -> None:
    """Go through the file without building anything. Raises YAMLError.

    A tag is refused: what it makes of a value that is no such thing, PyYAML leaves to chance.
    """
    sizes = [0]  # nodes so far of each list or mapping that is open
    anchored: dict[str | None, int] = {}  # nodes of what an alias stands for
    open_anchors: list[str | None] = []

    def problem(text: str, event: Any) -> yaml.YAMLError:
        return yaml.constructor.ConstructorError(None, None, text, event.start_mark)

    event: Any  # PyYAML's stubs do not know the fields of events
    for event in yaml.parse(text, _Loader):
        if (tag := getattr(event, "tag", None)) is not None:
            raise problem(f"tag {tag!r}", event)
        if isinstance(event, yaml.CollectionStartEvent):
            open_anchors.append(event.anchor)
            sizes.append(1)
            if len(open_anchors) > MAX_DEPTH:
                raise problem(f"nested deeper than {MAX_DEPTH}", event)
            continue
        size = 0
        if isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), open_anchors.pop()
            if anchor is not None:
                anchored[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in open_anchors:
                raise problem(f"alias {event.anchor!r} stands within itself", event)
            size = anchored.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if event.anchor is not None:
                anchored[event.anchor] = 1
        sizes[-1] += size
        if sum(sizes) > MAX_NODES:
            raise problem(f"more than {MAX_NODES} values", event)


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
