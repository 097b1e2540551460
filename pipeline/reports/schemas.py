"""What may stand in the JSON files below `reports/`, checked where they are read again.

They may come from a colleague by git. Claims, index, page and `verify` are made from them, so what
these rely on is in the schemas; which number stands where is for pipeline/reports/build.py to say.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, RootModel, model_validator

from pipeline.results.schemas import Commit, Count, FileName, Key, Part, Sha256

Number = Annotated[float, Field(gt=-1e15, lt=1e15)]
Seeds = Annotated[int, Field(ge=1, le=1000)]
Places = Annotated[int, Field(ge=0, le=10)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$")]
CellId = Annotated[str, Field(pattern=r"^[^/\n]{1,100}/[^\n]{1,200}$")]
Interval = Annotated[list[Number | None], Field(min_length=2, max_length=2)]


class _Part(Part):
    """With texts of `params/`, which may have several lines."""

    lines: ClassVar[bool] = True


class Preset(_Part):
    name: Name
    title: str
    judged: bool
    shows: str


class Dataset(_Part):
    published: Name
    used: Name
    title: str
    stand_in: bool
    split: Name
    fingerprint: Sha256 | None
    images: Count | None
    majority_class_miou: Number | None


class Made(_Part):
    commit: Commit | None
    modified: bool | None


class RunOfCell(_Part):
    run: Key
    seed: Count
    evaluation: FileName
    value: Number | None
    weights_sha256: Sha256
    commit: Commit | None = None
    trained_on: str
    evaluated_on: str


class ReleasedOfCell(_Part):
    run: Key
    evaluation: FileName
    value: Number | None
    difference: Number | None
    weights_sha256: Sha256
    evaluated_on: str
    file: FileName
    verified: bool


class Verdict(_Part):
    status: str
    difference: Number | None
    interval: Annotated[list[Number], Field(min_length=2, max_length=2)] | None
    confidence: Number | None
    margin: Number | None
    seeds: Count | None
    spread: Number | None
    remark: str | None


class Official(_Part):
    run: Key
    source: str
    date: str


class Failed(_Part):
    log: str
    error: str


class Cell(_Part):
    cell: CellId
    dataset: Name | None
    published: Number | None
    ours: Number | None
    spread: Number | None
    difference: Number | None
    verdict: Verdict | None
    source: Literal[
        "official", "trained", "released", "profiled", "cited", "pending", "failed", "absent"
    ]
    official: Official | None = None
    profile: Key | None
    speed: Key | None
    metric: str
    note: str | None
    failed: Failed | None
    released: ReleasedOfCell | None
    runs: list[RunOfCell]

    @model_validator(mode="after")
    def _has_its_numbers(self) -> Cell:
        if self.source in ("trained", "profiled", "official") and self.ours is None:
            raise ValueError(f"no number, though {self.source}")
        if self.source == "trained" and any(run.value is None for run in self.runs):
            raise ValueError("a run without a number, though trained")
        return self


class Agreement(_Part):
    cells: Count
    spearman: Number
    low: Number | None
    high: Number | None

    @model_validator(mode="after")
    def _both_ends(self) -> Agreement:
        if (self.low is None) != (self.high is None):
            raise ValueError("one end of an interval without the other")
        return self


class Setting(_Part):
    key: str
    value: Any
    source: str


class Settings(_Part):
    assumed: list[Setting]
    inherited: list[Setting]
    derived: list[Setting]
    stated: list[Setting]
    table: list[Setting]
    preset: list[Setting]


class Report(_Part):
    """`reports/<table>.json`."""

    table: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    title: str
    source: str
    unit: str
    decimals: Places
    column_decimals: dict[str, Places] = {}
    preset: Preset
    seeds: Seeds
    trains: bool
    datasets: list[Dataset]
    devices: list[str]
    code: list[Made]
    columns: list[str]
    rows: list[dict[str, Cell | str | Number | None]]
    settings: Settings
    not_comparable: str | None
    bold: list[Annotated[list[Count | str], Field(min_length=2, max_length=2)]] = []
    notes: list[str]
    same_weights: list[list[str]]
    rank_agreement: dict[str, Agreement]

    @model_validator(mode="after")
    def _fits_together(self) -> Report:
        for row in self.rows:
            for column, entry in row.items():
                if isinstance(entry, Cell):
                    if column not in self.columns:
                        raise ValueError(f"a cell in a column {column!r} that there is not")
                    if entry.source == "trained" and len(entry.runs) != self.seeds:
                        raise ValueError(f"{entry.cell}: not one run for each of the seeds")
            if not isinstance(row.get("heading"), str | None):
                raise ValueError("a heading that is no text")
        for index, _ in self.bold:
            if not isinstance(index, int) or index >= len(self.rows):
                raise ValueError(f"bold: no row {index!r}")
        return self


class Side(_Part):
    """A claim's judgement on the paper's numbers, or on ours."""

    status: str
    margin: Number | None
    interval: Interval | None
    remark: str | None


class Claim(_Part):
    claim: str
    says: str
    where: str
    reading: str | None
    bold: bool
    note: str | None
    paper: Side
    ours: Side


class Claims(RootModel[list[Claim]]):
    """`reports/claims.json`."""

    lines: ClassVar[bool] = True


class FigureReport(_Part):
    """`reports/<figure>.json`, as the index shows it."""

    figure: Name
    title: str
    columns: list[Any]
    images: list[Any]
