"""The one door through which files of results come in.

A result may come from a colleague by git and DVC, or rot on a disk, and its values go on into
arguments of programs, reports and terminals. So each file is held against its schema where it is
read, and its texts, also those that the schema does not name, are bounded and without control
characters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dmnet.errors import RunError
from dmnet.files import read_json
from dmnet.text import CONTROL
from dmnet.training.history import read_history
from pipeline import paths
from pipeline.errors import ResultError
from pipeline.escaping import one_line
from pipeline.results.schemas import HistoryRow

MAX_TEXT = 4000  # characters; the longest of ours say how a result is made again

FileT = TypeVar("FileT", bound=BaseModel)


def read_result_file(path: Path, schema: type[FileT]) -> FileT:
    """Raises RunError for a file that is missing or no JSON, ResultError for one that fails its
    schema."""
    content = read_json(path)
    try:
        return checked(content, schema)
    except ResultError as error:
        raise ResultError(f"{path}: {error}; delete the file and run again") from error


def checked(content: object, schema: type[FileT]) -> FileT:
    """What a file holds, by its schema. Raises ResultError, which names no file."""
    try:
        result = schema.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = one_line(".".join(map(str, first["loc"])), 80) or "the whole file"
        if first["type"] == "missing":
            raise ResultError(f"`{key}` is missing") from error
        found, expected = one_line(repr(first["input"]), 40), one_line(first["msg"], 120)
        raise ResultError(f"`{key}` = {found}: {expected}") from error
    if fault := _fault_of_texts(content, getattr(schema, "lines", False)):
        raise ResultError(fault)
    return result


def read_if_there(path: Path, schema: type[FileT]) -> FileT | None:
    return read_result_file(path, schema) if path.exists() else None


def read_if_whole(path: Path, schema: type[FileT]) -> FileT | None:
    """None if the file is missing or damaged, as other results are to be shown all the same."""
    try:
        return read_result_file(path, schema)
    except (ResultError, RunError):
        return None


def read_curve(folder: Path) -> list[HistoryRow]:
    """The history of the run in `folder`, none where there is no file. Raises RunError."""
    return [HistoryRow.model_validate(row) for row in read_history(folder / paths.HISTORY)]


def _fault_of_texts(content: Any, lines: bool) -> str | None:
    """Of all keys and values; their depth is bounded, as `read_json` read them."""
    if isinstance(content, str):
        broken = not lines and ("\n" in content or "\t" in content)
        if len(content) <= MAX_TEXT and not broken and not CONTROL.search(content):
            return None
        shown = repr(one_line(content, 40))
        return f"the text {shown} has control characters, or more than {MAX_TEXT} characters"
    parts = [*content.keys(), *content.values()] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        return None
    return next(filter(None, (_fault_of_texts(part, lines) for part in parts)), None)
