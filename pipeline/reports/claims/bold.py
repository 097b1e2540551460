"""The numbers that a table prints in bold, and the numbers that each should be the best of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.spec.tables import BoldSpec, CellSpec, RowEntry, TableSpec, row_label

AMONG = {
    "row": "its row",
    "column": "its column",
    "block": "its column among the rows of its kind",
    "table": "its table",
}


@dataclass(frozen=True)
class BoldMark:
    """A number in bold, and the numbers that it is compared with."""

    table: str
    row: str  # the texts of its row
    column: str
    id: str  # of the claim that is made of it
    name: str  # as a claim names its number
    printed: str
    others: tuple[str, ...]  # the names of the numbers beside it
    among: str  # in words: its row, its column, ...


def bold_marks(tables: Mapping[str, TableSpec]) -> list[BoldMark]:
    """Every number in bold, in reading order of the tables' marks; labels in bold are none."""
    return [
        _mark(table, spec, bold, bold.best_of, label, column)
        for table, spec in tables.items()
        for bold in spec.bold
        if bold.best_of is not None
        for label, columns in bold.marks.items()
        for column in columns
    ]


def bold_places(table: TableSpec) -> list[tuple[int, str]]:
    """(index of the row, column) of all that is printed in bold, numbers and labels."""
    marked = {
        (label, column)
        for bold in table.bold
        for label, columns in bold.marks.items()
        for column in columns
    }
    return [
        (index, column)
        for index, row in enumerate(table.rows)
        for column in table.columns
        if (row_label(row), column) in marked
    ]


def _mark(
    table: str, spec: TableSpec, bold: BoldSpec, best_of: str, label: str, column: str
) -> BoldMark:
    (row,) = [row for row in spec.rows if row_label(row) == label]
    kind = spec.columns[0]
    beside = [
        (other, key)
        for other in spec.rows
        for key in spec.columns
        if (other is not row or key != column)
        and (best_of != "row" or other is row)
        and (best_of not in ("column", "block") or key == column)
        and (best_of != "block" or other.get(kind) == row.get(kind))
    ]
    others = [name for other, key in beside if (name := _name(table, other, key)) is not None]
    name = _name(table, row, column)
    assert name is not None  # the table's schema has checked the marks
    entry = row[column]
    number = entry.published if isinstance(entry, CellSpec) else entry
    decimals = spec.column_decimals.get(column, spec.decimals)
    short = (
        entry.cell
        if isinstance(entry, CellSpec)
        else re.sub(r"[^a-z0-9]+", "-", f"{label} {column}".lower()).strip("-")
    )
    return BoldMark(
        table,
        label,
        column,
        f"bold-{table}-{short}",
        name,
        f"{number:.{decimals}f}",
        tuple(others),
        AMONG[best_of],
    )


def _name(table: str, row: dict[str, RowEntry], column: str) -> str | None:
    """As claims name the number of a row and a column; None where none is published."""
    entry = row.get(column)
    if isinstance(entry, CellSpec):
        return None if entry.published is None else f"{table}/{entry.cell}"
    return f"{table}/{row_label(row)}:{column}" if isinstance(entry, float) else None
