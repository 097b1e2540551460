"""The schema of `params/tables/`: a published table's layout, and how each of its cells is made.

Published numbers stand there and nowhere else.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from dmnet.config import Section, SplitRole
from pipeline.spec.yaml_files import Identifier


class CountSpec(Section):
    """A number that needs no training: what the model's multi-scale module costs."""

    measure: Literal["convolution_weights", "parameters", "macs"]
    per: int = Field(1, ge=1)  # the published unit, such as 1048576 for 2^20
    input_size: tuple[int, int]


class SpeedSpec(Section):
    """A number that needs no training and holds for one device only."""

    # Images a second through the row's inference protocol, or gigabytes of one GPU's training step.
    measure: Literal["frames_per_second", "memory"]


# What a cell's number is measured on: weights trained here, weights that were released, or both.
WeightsSource = Literal["trained", "released", "both"]


class HowSpec(Section):
    """How a number of ours is made; in a cell, what is left out falls back to the defaults."""

    model: Identifier | None = None
    dataset: Identifier | None = None
    recipe: Identifier | None = None
    inference: Identifier | None = None
    train_on: SplitRole | None = None
    continues: str | None = None  # the cell whose run's final weights training starts from
    checkpoint: str | None = None  # in checkpoints.yaml: what the source released for this row
    source: WeightsSource | None = None  # over --config source=...
    settings: dict[str, Any] = Field({}, alias="with")  # path -> value, over model and recipe
    # Why ours and the published number never measure the same thing, whatever the preset.
    not_comparable: str | None = Field(None, min_length=1)


class CellSpec(HowSpec):
    """One number's place: how ours is made, and the published one."""

    cell: Identifier
    published: float | None = None
    metric: str = "miou"  # or iou.<class name>
    profile: CountSpec | None = None
    speed: SpeedSpec | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> CellSpec:
        if self.profile is not None and self.speed is not None:
            raise ValueError("`profile` and `speed` are two kinds of cells; keep one")
        return self

    @property
    def measurement(self) -> CountSpec | SpeedSpec | None:
        """What is measured without training; None where weights are evaluated."""
        return self.profile or self.speed

    @property
    def measure(self) -> str:
        """What its number is: of an evaluation the metric."""
        return self.metric if self.measurement is None else self.measurement.measure

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value != "miou" and not value.startswith("iou."):
            raise ValueError("expected miou or iou.<class name>")
        return value


class SubmissionSpec(Section):
    """What a test server is sent: one cell's run on images whose labels are secret."""

    cell: Identifier
    dataset: Identifier
    member: str = Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$")  # folder in the archive


class BoldSpec(Section):
    """What the source prints in bold, and what a number in bold is read to be the best of.

    A `block` is the rows with the same text in the first column, within one column. Labels in bold
    are the best of nothing.
    """

    best_of: Literal["row", "column", "block", "table"] | None = None
    marks: dict[str, tuple[str, ...]] = Field(min_length=1)  # a row's texts -> its columns in bold


def _kind_of_entry(value: Any) -> str:
    if isinstance(value, dict):
        return "CellSpec" if "cell" in value else "HowSpec"
    return type(value).__name__ if isinstance(value, CellSpec | HowSpec) else "TextSpec"


# A text is a label, a bare number is quoted from the source, a mapping with `cell` is one of ours.
# The keys `heading` and `defaults` of a row are no columns.
RowEntry = Annotated[
    Annotated[CellSpec, Tag("CellSpec")]
    | Annotated[HowSpec, Tag("HowSpec")]
    | Annotated[str | float | None, Tag("TextSpec")],
    Discriminator(_kind_of_entry),
]
HEADING, DEFAULTS = "heading", "defaults"


class TableSpec(Section):
    """A published table in its own layout: each row maps a column to a text or a cell.

    A row may besides begin a sub-table (`heading`: its title) and have `defaults` for its cells,
    which stand over the table's.
    """

    title: str
    source: str
    unit: str = "mIoU %"
    decimals: int = 2
    column_decimals: dict[str, int] = {}  # of the columns that are printed to other places
    columns: tuple[str, ...] = Field(min_length=2)
    defaults: HowSpec = HowSpec()
    rows: tuple[dict[str, RowEntry], ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    bold: tuple[BoldSpec, ...] = ()
    submission: SubmissionSpec | None = None

    @model_validator(mode="after")
    def _layout(self) -> TableSpec:
        if reserved := {HEADING, DEFAULTS} & set(self.columns):
            raise ValueError(f"`columns` has {min(reserved)!r}, which is a key of rows; rename it")
        if unknown := set(self.column_decimals) - set(self.columns):
            raise ValueError(
                f"`column_decimals` names the unknown column {min(unknown)!r}; "
                f"expected some of {', '.join(self.columns)}"
            )
        seen = set()
        for row in self.rows:
            for column, entry in row.items():
                self._check_entry(row, column, entry)
                if isinstance(entry, CellSpec):
                    if entry.cell in seen:
                        raise ValueError(f"the cell name {entry.cell!r} stands twice")
                    seen.add(entry.cell)
        for bold in self.bold:
            self._check_bold(bold)
        if self.submission is not None and self.submission.cell not in seen:
            raise ValueError(
                f"`submission.cell` {self.submission.cell!r} is no cell of this table; "
                f"expected one of {', '.join(sorted(seen))}"
            )
        return self

    def _check_entry(self, row: dict[str, Any], column: str, entry: Any) -> None:
        where = f"row {row_label(row)!r}"
        if column == HEADING:
            if not isinstance(entry, str):
                raise ValueError(f"{where}: `heading` = {entry!r}; expected a text")
        elif column == DEFAULTS:
            if not isinstance(entry, HowSpec) or isinstance(entry, CellSpec):
                raise ValueError(f"{where}: `defaults` names no cell; remove its key `cell`")
        elif column not in self.columns:
            raise ValueError(
                f"{where} has the unknown column {column!r}; "
                f"expected {', '.join(self.columns)}, or the keys heading and defaults"
            )
        elif isinstance(entry, HowSpec) and not isinstance(entry, CellSpec):
            raise ValueError(f"{where}, column {column!r}: the key `cell` is missing; add a name")

    def _check_bold(self, bold: BoldSpec) -> None:
        for label, columns in bold.marks.items():
            rows = [row for row in self.rows if row_label(row) == label]
            if len(rows) != 1:
                problem = "several rows" if rows else "an unknown row"
                labels = ", ".join(repr(row_label(row)) for row in self.rows)
                raise ValueError(f"`bold` names {problem}, {label!r}; expected one of {labels}")
            for column in columns:
                entry = rows[0].get(column)
                number = entry.published if isinstance(entry, CellSpec) else entry
                kind = str if bold.best_of is None else float
                if not isinstance(number, kind):
                    what = "label" if bold.best_of is None else "published number"
                    raise ValueError(
                        f"`bold` marks row {label!r}, column {column!r}, where no {what} stands; "
                        "name its column, or set `best_of` to what the number is the best of"
                    )

    def cells(self) -> list[tuple[str, str, CellSpec]]:
        """(row label, column, cell with its row's and the table's defaults), in reading order."""
        return list(self._cells)

    @cached_property
    def _cells(self) -> tuple[tuple[str, str, CellSpec], ...]:
        return tuple(
            (row_label(row), column, _over(self.defaults, _over(row.get(DEFAULTS), cell)))
            for row in self.rows
            for column in self.columns
            if isinstance(cell := row.get(column), CellSpec)
        )


def _over(defaults: Any, cell: CellSpec) -> CellSpec:
    """The cell with what it leaves out taken from `defaults`."""
    if not isinstance(defaults, HowSpec):
        return cell
    values = {
        name: getattr(defaults, name)
        for name in HowSpec.model_fields
        if name != "settings" and getattr(cell, name) is None
    }
    values["settings"] = {**defaults.settings, **cell.settings}
    return cell.model_copy(update=values)


def row_label(row: dict[str, Any]) -> str:
    """The texts of a row, but for its heading and for those that are links."""
    return " ".join(
        text
        for column, text in row.items()
        if isinstance(text, str) and column != HEADING and "://" not in text
    )
