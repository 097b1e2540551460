"""Figures that a test server gave for a submitted run: entered by hand, shown as `official`.

`params/official.yaml` names for each upload the table, the run, the server's page and the values
in the table's unit. A figure is shown only beside the run it was given for.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from dmnet.config import Section, parse
from pipeline import paths
from pipeline.errors import SpecError
from pipeline.spec.tables import TableSpec
from pipeline.spec.yaml_files import load_yaml

Percent = Annotated[float, Field(strict=True, ge=0, le=100)]


class OfficialResult(Section):
    """One upload's result; `values` maps cells of the table to per cent."""

    table: str
    run: str = Field(pattern=f"^{paths.KEY}$")
    weights: str | None = Field(None, pattern=r"^[0-9a-f]{12,64}$")  # start of their SHA-256
    source: str = Field(pattern=r"^https?://\S+$")
    date: datetime.date
    values: dict[str, Percent] = Field(min_length=1)

    @field_validator("date", mode="before")
    @classmethod
    def _no_number(cls, value: object) -> object:
        if isinstance(value, (str, datetime.date)):
            return value
        raise ValueError("expected a date, as 2026-01-31")


class OfficialFile(Section):
    results: tuple[OfficialResult, ...] = ()


@dataclass(frozen=True)
class OfficialValue:
    """The figure of one cell and the upload it belongs to."""

    value: float
    result: OfficialResult


def load_official(path: Path, table: Callable[[str], TableSpec]) -> tuple[OfficialResult, ...]:
    """The entries of `path`, checked against the tables that `table` gives; none without a file.

    Raises SpecError or ConfigError, one line, for an unknown table or cell, for a table without a
    submission, and for two entries that give one run's cell.
    """
    if not path.exists():
        return ()
    results = parse(OfficialFile, load_yaml(path), str(path)).results
    seen: set[tuple[str, str, str]] = set()
    for number, result in enumerate(results, start=1):
        where = f"{path}: result {number}"
        known = path.parent / "tables" / f"{result.table}.yaml"
        if "/" in result.table or not known.is_file():
            raise SpecError(f"{where}: unknown table {result.table!r}; see {known.parent}")
        spec = table(result.table)
        if spec.submission is None:
            raise SpecError(f"{where}: {result.table} has no `submission`, so no official figures")
        cells = [cell.cell for _, _, cell in spec.cells()]
        for name in result.values:
            if name not in cells:
                raise SpecError(
                    f"{where}: unknown cell {name!r} of {result.table}; "
                    f"expected one of {', '.join(cells)}"
                )
            if (result.table, result.run, name) in seen:
                raise SpecError(
                    f"{where}: {result.table}/{name} of run {result.run} stands twice; remove one"
                )
            seen.add((result.table, result.run, name))
    return results


def official_value(
    results: Iterable[OfficialResult], table: str, cell: str, weights: dict[str, str | None]
) -> OfficialValue | None:
    """The figure of `cell` for one of the runs in `weights` (key -> SHA-256 where it is trained).

    An entry that names its weights counts only for those; it does before they are trained.
    """
    for result in results:
        if result.table == table and cell in result.values and _of_these(result, weights):
            return OfficialValue(result.values[cell], result)
    return None


def official_notes(
    results: Iterable[OfficialResult], table: str, weights: dict[str, str | None]
) -> list[str]:
    """A sentence per entry of `table`: whose figure it is, or why it is not shown."""
    notes = []
    for result in (result for result in results if result.table == table):
        given = f"for run `{result.run}` by {result.source} ({result.date})"
        if _of_these(result, weights):
            notes.append(
                f"Numbers marked (official) were given {given}, on test data with secret labels; "
                "what was measured here is listed with their origin."
            )
        elif result.run in weights:
            notes.append(
                f"Official figures {given} are not shown: they are for weights "
                f"`{result.weights}`, and the run's are now `{weights[result.run]}`."
            )
        else:
            notes.append(
                f"Official figures {given} are not shown: they are for another run than this "
                "table's."
            )
    return notes


def _of_these(result: OfficialResult, weights: dict[str, str | None]) -> bool:
    if result.run not in weights:
        return False
    trained = weights[result.run]
    return result.weights is None or trained is None or trained.startswith(result.weights)
