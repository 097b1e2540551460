"""What a command is, and what several of them have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dmnet.errors import ConfigError
from dmnet.files import parse_json, read_json


class Command(NamedTuple):
    name: str
    about: str
    options: Callable[[argparse.ArgumentParser], None]
    action: Callable[[argparse.Namespace], None]
    # Which code its result rests on: the model package's alone, or the pipeline's too; None: none.
    records: Literal["package", "all"] | None = "all"
    needs_torch: bool = True


def read_argument(value: str) -> Any:
    """JSON given inline (it starts with a brace) or the path of a JSON file."""
    if not value.lstrip().startswith("{"):
        return read_json(Path(value))
    try:
        return parse_json(value)
    except ValueError as error:
        raise ConfigError(f"the argument {value[:40]!r}...: not valid JSON ({error})") from error


def add_repeat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeat", help="the command that makes it again, kept in train.json")


def add_config_and_output(parser: argparse.ArgumentParser, schema: str) -> None:
    parser.add_argument("--config", required=True, help=f"{schema}: JSON or its file")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
