"""`reports/<table>.json`: a table's cells, and what each rests on."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, TypeGuard

from pydantic import Field, JsonValue, model_validator

from pipeline.reports.model.base import Name, Number, Preset, ReportPart, Seeds
from pipeline.results.schemas import (
    CellOutcome,
    Commit,
    Count,
    FileName,
    Key,
    MadeBy,
    MeasuredBy,
    Sha256,
    is_empty,
)

Places = Annotated[int, Field(ge=0, le=10)]
CellId = Annotated[str, Field(pattern=r"^[^/\n]{1,100}/[^\n]{1,200}$")]
# JSON has lists only.
Interval = Annotated[tuple[Number, Number], Field(strict=False)]
BoldPlace = Annotated[tuple[Count, str], Field(strict=False)]  # index of the row, column


class Dataset(ReportPart):
    """What stands for a published dataset, and the score of predicting one class everywhere."""

    published: Name
    used: Name
    title: str
    stand_in: bool
    split: Name
    fingerprint: Sha256 | None
    images: Count | None
    majority_class_miou: Number | None


class _Evaluated(ReportPart):
    run: Key
    evaluation: FileName
    value: Number | None
    weights_sha256: Sha256
    evaluated_on: str


class RunOfCell(_Evaluated):
    seed: Count
    iterations: Count | None = None
    commit: Commit | None = None
    modified: bool | None = None
    trained_on: str
    processes: list[Count] = [1]


class ReleasedOfCell(_Evaluated):
    """What the source's own checkpoint gives, and which file that is."""

    difference: Number | None
    checkpoint: str | None = None
    file: FileName
    file_sha256: Sha256 | None = None
    verified: bool


class Verdict(ReportPart):
    """What can be said of one cell, and the numbers that it rests on (points, or the unit)."""

    status: str
    difference: Number | None = None  # ours - published, of the numbers as they are printed
    interval: Interval | None = None
    confidence: Number | None = None  # of each of its two bounds
    margin: Number | None = None
    seeds: Count | None = None
    spread: Number | None = None  # standard deviation of one training that was reckoned with
    degrees_of_freedom: Number | None = None
    remark: str | None = None


class Official(ReportPart):
    """Where a test server's figure comes from; `runs` still holds what was measured here."""

    run: Key
    source: str
    date: str


class FailedJob(ReportPart):
    log: str
    error: str


class ReportedCell(ReportPart):
    cell: CellId
    dataset: Name | None
    published: Number | None
    ours: Number | None
    spread: Number | None
    difference: Number | None
    verdict: Verdict | None
    source: CellOutcome
    official: Official | None = None
    profile: Key | None
    speed: Key | None
    metric: str
    note: str | None
    failed: FailedJob | None
    released: ReleasedOfCell | None
    runs: list[RunOfCell]

    @model_validator(mode="after")
    def _has_its_numbers(self) -> ReportedCell:
        if self.source in ("trained", "profiled", "official") and self.ours is None:
            raise ValueError(f"no number, though {self.source}")
        if self.source == "trained" and any(run.value is None for run in self.runs):
            raise ValueError("a run without a number, though trained")
        return self

    @property
    def name(self) -> str:
        """Within its table."""
        return self.cell.partition("/")[2]

    @property
    def measured(self) -> list[RunOfCell | ReleasedOfCell]:
        """Every evaluation behind it, on trained and on released weights."""
        return [*self.runs, self.released] if self.released else [*self.runs]


def is_cell(entry: object) -> TypeGuard[ReportedCell]:
    """Of a row's entry."""
    return isinstance(entry, ReportedCell)


Row = dict[str, ReportedCell | str | Number | None]  # column -> cell, label or quoted number


class Agreement(ReportPart):
    """Of our order of methods with the published one (ranking.py)."""

    cells: Count
    spearman: Number
    low: Number | None
    high: Number | None

    @model_validator(mode="after")
    def _both_ends(self) -> Agreement:
        if (self.low is None) != (self.high is None):
            raise ValueError("one end of an interval without the other")
        return self


class ReportedSetting(ReportPart):
    key: str
    value: JsonValue
    source: str


Origin = Literal["assumed", "inherited", "derived", "stated", "table", "preset"]


class Report(ReportPart):
    table: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    title: str
    source: str
    unit: str
    decimals: Places
    column_decimals: dict[str, Places] = {}
    preset: Preset
    seeds: Seeds
    trains: bool  # or counts; nothing does where only released checkpoints are evaluated
    datasets: list[Dataset]
    devices: list[str]  # that speed and memory were measured on
    code: list[MadeBy]
    measured_by: list[MeasuredBy] = Field([], exclude_if=is_empty)  # where it is not `code`
    columns: list[str]
    rows: list[Row]
    settings: dict[Origin, list[ReportedSetting]]
    not_comparable: str | None
    bold: list[BoldPlace] = Field([], exclude_if=is_empty)
    notes: list[str]
    same_weights: list[list[str]]
    rank_agreement: dict[str, Agreement]  # by published dataset

    @model_validator(mode="after")
    def _fits_together(self) -> Report:
        if unknown := self.number_columns - {*self.columns}:
            raise ValueError(f"a cell in a column {min(unknown)!r} that there is not")
        for cell in self.cells:
            if cell.source == "trained" and len(cell.runs) != self.seeds:
                raise ValueError(f"{cell.cell}: not one run for each of the seeds")
        if not all(isinstance(row.get("heading"), str | None) for row in self.rows):
            raise ValueError("a heading that is no text")
        for index, _ in self.bold:
            if index >= len(self.rows):
                raise ValueError(f"bold: no row {index!r}")
        return self

    @property
    def cells(self) -> list[ReportedCell]:
        """In reading order."""
        entries = [row.get(column) for row in self.rows for column in self.columns]
        return [entry for entry in entries if is_cell(entry)]

    @property
    def number_columns(self) -> set[str]:
        """The columns that have cells."""
        return {column for row in self.rows for column, entry in row.items() if is_cell(entry)}

    def decimals_of(self, column: str) -> int:
        """The places that the source prints in this column."""
        return self.column_decimals.get(column, self.decimals)

    def is_bold(self, row: Row, column: str) -> bool:
        """Whether the source prints this row's label or published number in bold."""
        return any(self.rows[index] is row and key == column for index, key in self.bold)

    @property
    def source_counts(self) -> str:
        """How many cells there are of each outcome, such as "3 pending, 12 trained"."""
        counts = Counter(cell.source for cell in self.cells)
        return ", ".join(f"{count} {source}" for source, count in sorted(counts.items()))

    def lacking(self, *sources: str) -> list[str]:
        """The cells of these outcomes."""
        return [cell.cell for cell in self.cells if cell.source in sources]
