"""Two-way tables of parameter names, and the renaming of state dicts by them.

A row is (our name, the other's name). `{i}` stands for a number and `{parameter}` for the rest of
a name, in both. The first row that fits a name translates it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from dmnet.errors import CheckpointError

Table = tuple[tuple[str, str], ...]

SHOWN = 5  # keys named in an error


def prefixed(ours: str, theirs: str, rows: Iterable[tuple[str, str]]) -> Table:
    """The rows of a part of the model, under the names that the part has on either side."""
    return tuple((ours + our_name, theirs + their_name) for our_name, their_name in rows)


def translate(keys: Iterable[str], table: Table, zoo: str) -> dict[str, str]:
    """Our name -> the name in `zoo`. Raises CheckpointError for a key that no row fits."""
    patterns = [(_pattern(ours), theirs) for ours, theirs in table]
    return {key: _translated(key, patterns, zoo) for key in keys}


def _pattern(row: str) -> re.Pattern[str]:
    escaped = re.escape(row).replace(r"\{i\}", r"(?P<i>\d+)")
    return re.compile(escaped.replace(r"\{parameter\}", r"(?P<parameter>.+)"))


def _translated(key: str, patterns: list[tuple[re.Pattern[str], str]], zoo: str) -> str:
    for pattern, theirs in patterns:
        if match := pattern.fullmatch(key):
            return theirs.format(**match.groupdict())
    raise CheckpointError(f"`{key}`: no row of the name table for {zoo}; add one")


def rename(
    state: Any, new_names: Mapping[str, str], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """`state` under its new names, in their order.

    new_names: old name -> new name; expected: old name -> a tensor of the shape it must have.
    Raises CheckpointError that names the keys which are left over, missing, or of another shape.
    """
    if not isinstance(state, Mapping):
        raise CheckpointError(f"checkpoint: expected a state dict, found {type(state).__name__}")
    leftover = [str(key) for key in state if key not in new_names]
    missing = [old for old in new_names if old not in state]
    wrong = [
        f"{old} is {_shape(state[old])}, expected {_shape(expected[old])}"
        for old in new_names
        if old in state and _shape(state[old]) != _shape(expected[old])
    ]
    problems = [
        f"{what}: {_some(keys)}"
        for what, keys in (("left over", leftover), ("missing", missing), ("wrong shape", wrong))
        if keys
    ]
    if problems:
        raise CheckpointError(
            f"checkpoint does not fit the model ({'; '.join(problems)}); "
            "check the model's configuration against the checkpoint's"
        )
    return {new: state[old] for old, new in new_names.items()}


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"no tensor but {type(value)}"


def _some(items: list[str]) -> str:
    rest = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
