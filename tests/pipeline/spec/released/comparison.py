"""Two configurations, leaf by leaf: one that a zoo released and one of ours in its words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipeline.spec.yaml_files import load_yaml
from tests.pipeline.spec.released.rows import Tree, steps_of

LISTS = load_yaml(Path(__file__).parent / "differences.yaml")
ABSENT = "(absent)"
CALL = re.compile(r"\w+\(")

Leaves = dict[str, Any]


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """("aux.0.channels", 256), ...; a list of mappings is entered, any other list is a leaf."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, list) and any(isinstance(entry, Mapping) for entry in tree):
        for index, value in enumerate(tree):
            yield from leaves(value, f"{path}.{index}")
    else:
        yield path, list(tree) if isinstance(tree, tuple) else tree


def released(row: str, tree: Tree, ours: Leaves) -> Leaves:
    """The leaves of a released configuration, with what stands beside the files and without what
    bears on no result. Of what stands beside them, only the leaves that ours has are filled in.
    """
    found = {
        path: value
        for path, value in leaves(tree)
        if not any(fnmatchcase(path, entry["leaf"]) for entry in LISTS["left_out"])
    }
    for path in ours:
        for entry in LISTS["beside_the_files"]:
            if path not in found and _names(entry, row, path):
                found[path] = entry["is"]
    return found


def differing(ours: Leaves, theirs: Leaves) -> dict[str, tuple[Any, Any]]:
    """leaf -> (ours, theirs) where they are not equal."""
    pairs = {path: (ours.get(path, ABSENT), theirs.get(path, ABSENT)) for path in ours | theirs}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def unexplained(row: str, ours: Leaves, theirs: Leaves) -> list[str]:
    """What differs without standing in the list, and what stands there but differs no longer."""
    found = differing(ours, theirs)
    lines = []
    for entry in LISTS["differences"]:
        for path in ours | theirs:
            if _names(entry, row, path):
                pair = found.pop(path, None)
                if pair != (entry["ours"], entry["theirs"]):
                    now = f"ours {ours.get(path, ABSENT)!r}, theirs {theirs.get(path, ABSENT)!r}"
                    lines.append(f"{row}: {path}: differences.yaml is out of date: {now}")
    return lines + [f"{row}: {path}: ours {a!r}, theirs {b!r}" for path, (a, b) in found.items()]


def unused(rows: Mapping[str, tuple[Leaves, Leaves]]) -> list[str]:
    """The entries of differences.yaml that no row of `rows` (name -> ours, theirs) needs."""
    places = [(row, path) for row, (ours, theirs) in rows.items() for path in ours | theirs]
    lines = []
    for kind in ("beside_the_files", "differences"):
        for entry in LISTS[kind]:
            if not any(_names(entry, *place) for place in places):
                lines.append(f"differences.yaml, {kind}: {entry['leaf']} ({entry['rows']})")
    return lines


def _names(entry: Tree, row: str, path: str) -> bool:
    return fnmatchcase(row, entry["rows"]) and fnmatchcase(path, entry["leaf"])


def their_steps(pipeline: list[Any]) -> Tree:
    """A pipeline as it is recorded, without the steps that change no pixel."""
    steps = []
    for step in pipeline:
        if not isinstance(step, str):
            steps.append((step[0], step[1]))
            continue
        call = ast.parse(step if CALL.match(step) else f"{step}()", mode="eval").body
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        values = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        steps.append((call.func.id, values))
    return steps_of(step for step in steps if step[0] not in LISTS["left_out_steps"])
