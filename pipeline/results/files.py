"""The one door through which files of results come in."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from dmnet.training.history import read_history
from pipeline.errors import ResultError
from pipeline.results import schemas
from pipeline.results.schemas import HistoryRow

FileT = TypeVar("FileT", bound=BaseModel)


def read_result_file(path: Path, schema: type[FileT]) -> FileT:
    """Raises RunError for a file that is missing or no JSON, ResultError for one that fails its
    schema."""
    return schema.model_validate(schemas.read_result_file(path, schema))


def checked(content: object, schema: type[FileT]) -> FileT:
    """What a file holds, by its schema. Raises ResultError, which names no file, if it is other."""
    if fault := schemas.fault_of(content, schema):
        raise ResultError(fault)
    return schema.model_validate(content)


def read_curve(folder: Path) -> list[HistoryRow]:
    """The history of the run in `folder`, none where there is no file. Raises RunError."""
    return [HistoryRow.model_validate(row) for row in read_history(folder / "history.jsonl")]
